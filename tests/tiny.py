"""A real, tiny face model for testing the floors above the models: a disc with a mouth that opens and smiles."""

import threading
import time
from types import MappingProxyType

import numpy as np
import torch

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Choice, Direction, Space, as_code
from faceeditor.faces.mesh import Mesh
from faceeditor.models.bundle import ARCHITECTURES, write_bundle
from faceeditor.models.contract import Frame, Quality
from faceeditor.rendering.colour import srgb_to_linear

NAME = "tiny"
DIMS = {"identity": 4, "expression": 5, "skin": 3, "light": 27, "hair": 3}
SLIDERS = {
    "identity": ["width", "height"],
    "expression": ["jawOpen", "mouthSmileLeft", "mouthSmileRight"],
    "skin": ["warmth"],
    "light": ["lampLeft", "lampRight"],
    "hair": [],
}


def tiny_space(name: str) -> Space:
    """A space whose sliders are its first components."""
    dims = DIMS[name]
    axes = [as_code(row) for row in np.eye(dims)]
    directions = tuple(
        Direction(slider, name, axes[i], axes[i], -2.0 if name == "identity" else 0.0, 2.0, name.title(), slider)
        for i, slider in enumerate(SLIDERS[name])
    )
    choices = (Choice("style", name, 0, ("afro", "bob"), "bald", "Hair", "Style"),) if name == "hair" else ()
    examples = np.random.default_rng(1).uniform(0, 1, (8, dims)).astype(np.float32)
    if choices:
        examples[:, :2] = np.eye(2)[np.arange(8) % 2]
    return Space(
        name=name,
        label=name.title(),
        mean=as_code(np.zeros(dims)),
        scale=as_code(np.ones(dims)),
        low=as_code(np.full(dims, -2)),
        high=as_code(np.full(dims, 2)),
        factor=np.eye(dims, dtype=np.float32),
        examples=examples,
        gaussian=name == "identity",
        norm_limit=3.0 if name == "identity" else None,
        directions=directions,
        choices=choices,
    )


SPACES = MappingProxyType({name: tiny_space(name) for name in DIMS})


class TinyHead:
    """Has the capabilities radiance and mesh. ``pause`` seconds are spent on every frame; ``fail`` is raised once."""

    def __init__(self, name: str = NAME, device: str = "cpu", pause: float = 0.0) -> None:
        self.name, self.device, self.pause = name, device, pause
        self.spaces = SPACES
        self.drawn: list[tuple[float, int, Quality]] = []
        self.threads: set[str] = set()
        self.fail: Exception | None = None

    @classmethod
    def from_bundle(cls, bundle, device):
        head = cls(bundle.name, device.type)
        head.spaces = bundle.spaces
        return head

    def render(self, codes, camera, size, quality=Quality.FULL, refinement=None):
        self.threads.add(threading.current_thread().name)
        self.drawn.append((float(codes["expression"][0]), size, quality))
        time.sleep(self.pause)
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        along = ((np.arange(size) + 0.5) / size - 0.5) * camera.distance / 0.9
        x, y = np.meshgrid(along, along)
        x = x + camera.yaw / 180
        wide, high = 0.3 * (1 + 0.1 * codes["identity"][:2])
        jaw, left, right = codes["expression"][:3]
        head = np.clip((1 - np.hypot(x / wide, y / high)) * size * 0.2, 0, 1)
        smile = np.where(x > 0, left, right) * np.abs(x)
        mouth = (np.abs(y - 0.12 + smile * 0.5) < 0.01 + 0.08 * jaw) & (np.abs(x) < 0.1)
        tint = srgb_to_linear(np.array([0.8, 0.6, 0.5 - 0.1 * codes["skin"][0]]))
        rgb = np.where(mouth[..., None], 0.05, tint) * head[..., None]
        if refinement and "tint" in refinement:
            rgb = rgb * refinement["tint"]
        depth = np.where(head > 0, camera.distance, np.inf)
        return Frame(rgb.astype(np.float32), head.astype(np.float32), depth.astype(np.float32))

    def mesh(self, codes, refinement=None, *, morphs=False, textured=False, quality=Quality.FULL):
        wide, high = 0.08 * (1 + 0.1 * codes["identity"][:2])
        points = np.array([[-wide, -high, 0], [wide, -high, 0], [0, high, 0], [0, 0, 0.05]], np.float32)
        faces = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3], [0, 2, 1]], np.int32)
        uv = np.array([[0, 0], [1, 0], [0.5, 1], [0.5, 0.5]], np.float32)
        texture = np.full((8, 8, 3), 128, np.uint8) if textured else None
        offsets = {"jawOpen": np.array([[0, -0.01, 0], [0, -0.01, 0], [0, 0, 0], [0, 0, 0]], np.float32)}
        return Mesh(points, faces, uv, texture_srgb=texture, morphs=offsets if morphs else {})


def install_tiny(folder, monkeypatch) -> None:
    """Writes the tiny model as a bundle under ``folder``/models and makes its architecture known."""
    monkeypatch.setitem(ARCHITECTURES, NAME, "tests.tiny:TinyHead")
    weights = {"nothing": torch.zeros(1)}
    write_bundle(
        folder / "models" / NAME, architecture=NAME, configuration={}, training={}, tensors=weights, spaces=SPACES
    )


def tiny_face(name: str = "Ann", seed: int = 0, **changes) -> Face:
    """A face for :class:`TinyHead`."""
    generator = np.random.default_rng(seed)
    codes = {space.name: space.random(generator) for space in SPACES.values()}
    return Face(name, NAME, codes, Camera(yaw=float(seed)), **changes)
