"""A face model small enough to draw at once: an egg with eyes and a mouth, by numpy; it can all the window asks for."""

import numpy as np

from faceeditor.faces import layout
from faceeditor.faces.latents import Choice, Direction, Space, as_code
from faceeditor.faces.mesh import Mesh
from faceeditor.models.contract import Frame, Quality

AXES = np.array([0.075, 0.11, 0.09])


def _unit(dims, index, amount=1.0):
    vector = np.zeros(dims, np.float32)
    vector[index] = amount
    return vector


def _space(name, label, dims, directions=(), choices=(), *, mean=None, gaussian=True, norm_limit=None):
    mean = np.zeros(dims, np.float32) if mean is None else mean
    return Space(
        name=name,
        label=label,
        mean=as_code(mean),
        scale=as_code(np.full(dims, 0.8)),
        low=as_code(mean - 2),
        high=as_code(mean + 2),
        factor=np.eye(dims, dtype=np.float32) * 0.8,
        examples=np.stack([mean, mean]),
        gaussian=gaussian,
        norm_limit=norm_limit,
        directions=directions,
        choices=choices,
    )


def _expression():
    dims = layout.DIMS[layout.EXPRESSION]
    directions = []
    for name, parts in layout.ARKIT.items():
        index = [layout.EXPRESSION_COMPONENTS.index(part) for part in parts]
        group = next((g for g in ("brow", "cheek", "eye", "jaw", "mouth", "nose") if name.startswith(g)), "other")
        directions.append(
            Direction(
                name, layout.EXPRESSION, _unit(dims, index), _unit(dims, index, 1 / len(index)), 0.0, 1.0,
                group.capitalize(), name,
            )
        )  # fmt: skip
    return _space(layout.EXPRESSION, "Expression", dims, tuple(directions))


def spaces():
    identity = tuple(
        Direction(name, "identity", _unit(100, i), _unit(100, i), -2.5, 2.5, "Shape", name.capitalize())
        for i, name in enumerate(("width", "height", "nose", "jaw", "brow", "cheeks"))
    )
    skin = tuple(
        Direction(name, "skin", _unit(80, 20 + i), _unit(80, 20 + i), -0.5, 0.5, "Tone", name.capitalize())
        for i, name in enumerate(("lightness", "warmth", "redness"))
    )
    light = (Direction("strength", "light", _unit(27, 0), _unit(27, 0), -0.5, 0.5, "Light", "Strength"),)
    style = Choice("style", "hair", 0, ("short", "curly", "long"), "bald", "Style", "Style")
    found = (
        _space("identity", "Identity", 100, identity, norm_limit=14.0),
        _expression(),
        _space("skin", "Skin", 80, skin),
        _space("light", "Light", 27, light, mean=_unit(27, 0)),
        _space("hair", "Hair", 16, (), (style,), gaussian=False),
    )
    return {space.name: space for space in found}


class ToyHead:
    """An egg that looks where the camera's yaw says."""

    name = "toy"

    def __init__(self):
        self.spaces = spaces()
        self.drawn = 0

    def render(self, codes, camera, size, quality=Quality.FULL, refinement=None):
        self.drawn += 1
        extrinsics = camera.extrinsics()
        origin, rows = camera.position(), extrinsics[:, :3]
        pixels = (np.arange(size) + 0.5) / size - 0.5
        x, y = np.meshgrid(pixels, pixels)
        rays = np.stack([x / camera.focal, y / camera.focal, np.ones_like(x)], -1) @ rows
        axes = AXES * (1 + 0.05 * codes["identity"][:3])
        p, d = origin / axes, rays / axes
        a, b, c = (d * d).sum(-1), (p * d).sum(-1), p @ p - 1
        inside = b * b - a * c
        distance = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
        alpha = (inside > 0).astype(np.float32)
        point = origin + np.where(inside > 0, distance, 0)[..., None] * rays
        rgb = self._colour(codes, point, axes) * alpha[..., None]
        return Frame(rgb.astype(np.float32), alpha, distance.astype(np.float32))

    def _colour(self, codes, point, axes):
        normal = point / axes**2
        normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        shade = 0.35 + 0.5 * np.clip(normal @ np.array([0.4, 0.5, 0.77]), 0, 1)
        skin = np.array([0.75, 0.5, 0.4]) * np.exp(codes["skin"][20])
        rgb = shade[..., None] * skin * codes["light"][0]
        x, y, front = point[..., 0], point[..., 1], point[..., 2] > 0
        jaw = codes["expression"][layout.EXPRESSION_COMPONENTS.index("jawOpen")]
        mouth = front & ((x / 0.025) ** 2 + ((y + 0.05 + 0.01 * jaw) / (0.003 + 0.02 * jaw)) ** 2 < 1)
        eyes = front & (((np.abs(x) - 0.03) / 0.012) ** 2 + ((y - 0.02) / 0.006) ** 2 < 1)
        hair = (y > 0.06) & (codes["hair"][:3].sum() > 0.5)
        rgb[mouth] = (0.15, 0.02, 0.02)
        rgb[eyes] = (0.9, 0.9, 0.9)
        rgb[hair] = np.array([(0.05, 0.03, 0.02), (0.3, 0.15, 0.05), (0.5, 0.4, 0.2)])[codes["hair"][:3].argmax()]
        return rgb

    def mesh(self, codes, refinement=None, *, morphs=False, textured=False):
        axes = AXES * (1 + 0.05 * codes["identity"][:3])
        return Mesh((_SPHERE[0] * axes).astype(np.float32), _SPHERE[1])


def _sphere(rings=24, around=48):
    up, turn = np.linspace(0, np.pi, rings + 1), np.arange(around) * 2 * np.pi / around
    points = [(np.sin(v) * np.sin(u), np.cos(v), np.sin(v) * np.cos(u)) for v in up for u in turn]
    faces = []
    for i in range(rings):
        for j in range(around):
            a, b = i * around + j, i * around + (j + 1) % around
            faces += [(a, a + around, b), (b, a + around, b + around)]
    return np.array(points), np.array(faces, np.int32)


_SPHERE = _sphere()


def load(name, device):
    """A loader for the session that knows this one model."""
    return ToyHead()
