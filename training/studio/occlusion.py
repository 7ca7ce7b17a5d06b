"""How much of the sky every point of a head sees: measured once for a data folder, then kept in the user's folder.

The share of ambient light that reaches a vertex is the cosine-weighted part of its hemisphere that nothing hides. It is
measured for the mean head with every expression alone and under every hair style, and combined linearly, so that a
picture stays a function of the codes.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import moderngl
import numpy as np

from faceeditor.faces.layout import DIMS, IDENTITY
from faceeditor.files.atomic import atomic_write
from faceeditor.resources import user_data_dir
from training.studio.assets import HAIR_STYLES, Assets, HairStyle
from training.studio.factors import expression_code
from training.studio.gl import set_uniforms, texture_of
from training.studio.head import Floats, HeadModel
from training.studio.surface import VertexNormals

DIRECTIONS: Final = 96
"""Directions of the whole sphere that are asked."""
RESOLUTION: Final = 512
"""Pixels along each side of a depth picture of the head."""
EXTENT: Final = 0.19
"""Half the width, in metres, of what a depth picture shows around ``CENTRE``."""
CENTRE: Final = np.array([0.0, 0.02, -0.02])
LIFT: Final = 0.0015
"""Metres by which a point is lifted off its surface before it looks at the sky."""
SEEPING: Final = 4
"""Rounds of averaging over neighbouring cards."""
LEAST_IN_HAIR: Final = 0.25
TEETH_AT_LEAST, TEETH_CLOSED, TEETH_PARTED, TEETH_FADE = 0.06, 0.1, 0.5, 0.012
"""Openness of the hindmost teeth, what the foremost have more, what parted lips add to that, the metres it fades in."""
PARTING: Final = ("jawOpen", "jawForward", "mouthFunnel", "mouthUpper", "mouthLower", "mouthSmile", "mouthShrugUpper")
"""How the movements that part the lips begin."""
VERSION: Final = 4

_VERTEX: Final = """
#version 330
uniform mat4 view;
in vec3 position;
in vec2 uv;
out vec2 texel;
void main() {
    texel = uv;
    gl_Position = view * vec4(position, 1.0);
}
"""

_FRAGMENT: Final = """
#version 330
uniform sampler2D strands;
uniform bool see_through;
in vec2 texel;
void main() {
    if (see_through && texture(strands, texel).g < 0.4) discard;
}
"""


def sphere_directions(count: int) -> Floats:
    """``count`` unit vectors (count, 3), evenly spread over the sphere by the golden angle."""
    steps = np.arange(count) + 0.5
    height = 1 - 2 * steps / count
    turn = np.pi * (3 - np.sqrt(5)) * steps
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], axis=1).astype(np.float32)


def _view(direction: Floats) -> Floats:
    """Orthographic matrix (4, 4) that looks at the head against ``direction``; nearer the sky is nearer -1 in z."""
    side = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0], direction)
    side /= np.linalg.norm(side)
    rotation = np.stack([side, np.cross(direction, side), -direction])
    matrix = np.eye(4)
    scale = np.array([1 / EXTENT, 1 / EXTENT, 1 / (2 * EXTENT)])[:, None]
    matrix[:3, :3] = rotation * scale
    matrix[:3, 3] = -(rotation @ CENTRE) * scale[:, 0]
    return matrix.astype(np.float32)


class SkyProbe:
    """Measures openness by drawing depth pictures of the occluders from all around."""

    def __init__(self, context: moderngl.Context, head: HeadModel, directions: int, resolution: int) -> None:
        self._context = context
        self._directions = sphere_directions(directions)
        self._size = resolution
        self._program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._depth = context.depth_texture((resolution, resolution))
        self._target = context.framebuffer([], self._depth)
        opaque = head.triangles_of("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_ScleraRight")
        self._triangles = head.triangles[opaque]
        self._positions = context.buffer(reserve=len(head.neutral) * 12, dynamic=True)
        index = context.buffer(np.ascontiguousarray(self._triangles))
        self._head = context.vertex_array(self._program, [(self._positions, "3f", "position")], index_buffer=index)
        self.normals = VertexNormals(self._triangles, len(head.neutral))

    def openness(self, head: Floats, hair: HairStyle | None, points: Floats, normals: Floats) -> Floats:
        """Openness (n,) in [0, 1] of ``points`` (n, 3) with ``normals``, hidden by ``head`` (V, 3) and ``hair``."""
        self._positions.write(np.ascontiguousarray(head, np.float32))
        cards, strands = (None, None) if hair is None else self._cards(hair)
        lifted = points + LIFT * normals
        seen, asked = np.zeros(len(points), np.float32), np.full(len(points), 1e-6, np.float32)
        for direction in self._directions:
            facing = np.maximum(normals @ direction, 0)
            asked += facing
            seen += facing * self._sees(lifted, _view(direction), cards, strands)
        return np.asarray(seen / asked, np.float32)

    def _cards(self, hair: HairStyle) -> tuple[moderngl.VertexArray, moderngl.Texture]:
        positions = self._context.buffer(np.ascontiguousarray(hair.vertices[hair.faces.ravel()]))
        uv = self._context.buffer(np.ascontiguousarray(hair.uv[hair.faces_uv.ravel()]))
        content = [(positions, "3f", "position"), (uv, "2f", "uv")]
        return self._context.vertex_array(self._program, content), texture_of(self._context, hair.texture)

    def _sees(
        self, points: Floats, view: Floats, cards: moderngl.VertexArray | None, strands: moderngl.Texture | None
    ) -> Floats:
        """1 where a point (n, 3) sees the sky through ``view``, else 0."""
        self._target.use()
        self._target.clear(depth=1.0)
        self._context.enable_only(moderngl.DEPTH_TEST)
        set_uniforms(self._program, view=np.ascontiguousarray(view.T), see_through=False, strands=0)
        self._head.render()
        if cards is not None and strands is not None:
            strands.use(0)
            set_uniforms(self._program, see_through=True)
            cards.render()
        found = np.frombuffer(self._depth.read(), np.float32).reshape(self._size, self._size)
        clip = points @ view[:3, :3].T + view[:3, 3]
        column, row = (
            np.clip(((clip[:, axis] + 1) / 2 * self._size).astype(int), 0, self._size - 1) for axis in (0, 1)
        )
        return np.asarray(clip[:, 2] * 0.5 + 0.5 <= found[row, column], np.float32)


@dataclass(frozen=True, eq=False)
class Openness:
    """Share of ambient light, 0 dark to 1 open.

    ``head`` (V,) of the neutral mean head, ``expressions`` (53, V) what each expression adds, ``under_hair`` (10, V)
    the factor of each hair style, ``hair`` the hair vertices' own, by style.
    """

    head: Floats
    expressions: Floats
    under_hair: Floats
    hair: dict[str, Floats]

    def of_head(self, expression: Floats, styles: Floats) -> Floats:
        """Openness (V,) of the head's vertices for an expression code and hair style weights."""
        weights = expression[: len(self.expressions)]
        used = np.flatnonzero(weights)
        unfolded = 1 - (1 - np.clip(weights[used], 0, 1)) ** 2  # skin comes into the open early in a movement
        added = self.expressions[used]
        own = self.head + np.clip(unfolded @ added, added.min(axis=0, initial=0), added.max(axis=0, initial=0))
        cover = 1 + styles @ (self.under_hair - 1)
        return np.asarray(np.clip(own, 0, 1) * np.clip(cover, 0, 1), np.float32)

    @classmethod
    def measure(
        cls,
        context: moderngl.Context,
        head: HeadModel,
        assets: Assets,
        directions: int = DIRECTIONS,
        resolution: int = RESOLUTION,
    ) -> Self:
        """Measure all of it: about a minute for the full head on one core."""
        probe = SkyProbe(context, head, directions, resolution)
        identity = np.zeros(DIMS[IDENTITY])

        def posed(*expressions: str, hair: HairStyle | None = None) -> Floats:
            vertices = head.vertices(identity, expression_code(**dict.fromkeys(expressions, 1.0)))
            return probe.openness(vertices, hair, vertices, probe.normals(vertices))

        bare = posed()
        styles = [assets.hair(name) for name in HAIR_STYLES]
        return cls(
            head=bare,
            expressions=np.stack(
                [
                    posed(name, *_with(name)) - (posed(*_with(name)) if _with(name) else bare)
                    for name in head.expression_names
                ]
            ),
            under_hair=np.stack([np.clip((posed(hair=style) + 0.02) / (bare + 0.02), 0, 1) for style in styles]),
            hair={s.name: _through_strands(s, probe.openness(head.neutral, s, s.vertices, s.normals)) for s in styles},
        )

    def with_lit_teeth(self, head: HeadModel) -> Self:
        """The same with teeth lit by how far back they stand and by how far the movements part the lips."""
        teeth = head.region("teeth")
        depth = np.exp((head.neutral[teeth, 2] - head.neutral[teeth, 2].max()) / TEETH_FADE)
        own, added, cover = self.head.copy(), self.expressions.copy(), self.under_hair.copy()
        own[teeth] = TEETH_AT_LEAST + TEETH_CLOSED * depth
        parting = np.array([name.startswith(PARTING) for name in head.expression_names], np.float32)
        added[:, teeth] = TEETH_PARTED * parting[:, None] * depth
        cover[:, teeth] = 1
        return replace(self, head=own, expressions=added, under_hair=cover)

    @classmethod
    def of(cls, context: moderngl.Context, head: HeadModel, assets: Assets) -> Self:
        """The openness measured earlier for the same data, or measured now and kept."""
        path = openness_path(head, assets)
        if path.is_file():
            return cls._read(path)
        measured = cls.measure(context, head, assets)
        measured.write(path)
        return measured

    def write(self, path: Path) -> None:
        """Keep it in a file; see :func:`openness_path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        hair = {f"hair_{name}": values.astype(np.float16) for name, values in self.hair.items()}
        with atomic_write(path) as beside:
            np.savez_compressed(
                beside,
                head=self.head.astype(np.float16),
                expressions=self.expressions.astype(np.float16),
                under_hair=self.under_hair.astype(np.float16),
                **hair,  # type: ignore[arg-type]
            )

    @classmethod
    def _read(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key].astype(np.float32) for key in file.files}
        hair = {name: found[f"hair_{name}"] for name in HAIR_STYLES}
        return cls(found["head"], found["expressions"], found["under_hair"], hair)


def openness_path(head: HeadModel, assets: Assets) -> Path:
    """Where the measurement of these data is kept."""
    return user_data_dir() / "studio" / f"openness-{_fingerprint(head, assets)}.npz"


def _through_strands(hair: HairStyle, openness: Floats) -> Floats:
    """Openness (n,) of hair: light seeps through strands, so that no patch is black and none ends at a card's edge."""
    corners = hair.faces.ravel()
    met = np.maximum(np.bincount(corners, minlength=len(openness)), 1)
    for _ in range(SEEPING):
        faces = np.repeat(openness[hair.faces].mean(axis=1), 3)
        openness = np.asarray(np.bincount(corners, faces, minlength=len(openness)) / met, np.float32)
    return np.asarray(LEAST_IN_HAIR + (1 - LEAST_IN_HAIR) * openness, np.float32)


def _with(name: str) -> tuple[str, ...]:
    """The movement that must go along: lips can only close over an open jaw."""
    return ("jawOpen",) if name == "mouthClose" else ()


def _fingerprint(head: HeadModel, assets: Assets) -> str:
    """What the measurement depends on, as 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{VERSION} {DIRECTIONS} {RESOLUTION}".encode())
    for values in (head.neutral, head.expression_modes, head.triangles):
        digest.update(np.ascontiguousarray(values).tobytes())
    for name in HAIR_STYLES:
        digest.update(assets.hair(name).vertices.tobytes())
    return digest.hexdigest()[:16]
