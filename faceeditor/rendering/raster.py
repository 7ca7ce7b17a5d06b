"""Visibility buffers: which triangle each ray of a picture meets first, second, third.

The only thing a rasteriser decides here is *which* triangles a ray meets; where exactly it meets them is solved for in
:mod:`faceeditor.rendering.rays`, with gradients. So one integer a pixel and layer is all that travels.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import moderngl
import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

NOTHING: Final = -1
"""The id in pixels whose ray meets no triangle."""
BOTTOMLESS: Final = -1e9
"""The floor, in metres, that cuts nothing off."""


@dataclass(frozen=True, eq=False)
class Cards:
    """See-through triangles that follow the opaque ones in the list of faces, such as hair.

    ``corner_uv`` (F, 3, 2) in [0, 1] and ``opacity`` (T, T) uint8, row 0 at v = 0: where it is 0 a card lets the ray
    pass.
    """

    corner_uv: Floats
    opacity: NDArray[np.uint8]


class Rasteriser(Protocol):
    """Finds the triangles along rays."""

    def visible(
        self,
        triangles: Floats,
        cards_from: int,
        cards: Cards | None,
        camera: Camera,
        size: int,
        layers: int,
        floor: float = BOTTOMLESS,
    ) -> Ints:
        """Ids (layers, size, size) of triangles, nearest last.

        ``triangles`` (F, 3, 3) are corners in head space; those before ``cards_from`` are opaque. Rays pass what lies
        below the height ``floor``, in metres. Layer 0 holds the opaque surface; layers 1.. hold the cards in front of
        it, nearest first. Ids count from 0 over all triangles; ``NOTHING`` where there is none.
        """
        ...


_VERTEX: Final = """
#version 330
uniform mat4 projection;
in vec3 position;
in vec2 uv;
out vec2 card_uv;
out float height;
void main() {
    card_uv = uv;
    height = position.y;
    gl_Position = projection * vec4(position, 1.0);
}
"""

_FRAGMENT: Final = """
#version 330
uniform sampler2D opacity;
uniform sampler2D opaque_depth;
uniform sampler2D previous_depth;
uniform int first_id;
uniform bool is_card;
uniform float lowest;
in vec2 card_uv;
in float height;
out int id;
void main() {
    if (height < lowest) discard;
    if (is_card) {
        ivec2 pixel = ivec2(gl_FragCoord.xy);
        if (gl_FragCoord.z >= texelFetch(opaque_depth, pixel, 0).r) discard;
        if (gl_FragCoord.z <= texelFetch(previous_depth, pixel, 0).r) discard;
        if (texture(opacity, card_uv).r == 0.0) discard;
    }
    id = first_id + gl_PrimitiveID;
}
"""


class _Targets:
    """Frame buffers for one picture size: one integer target, the depth of the opaque pass, two for peeling."""

    def __init__(self, context: moderngl.Context, size: int) -> None:
        self.ids = context.texture((size, size), 1, dtype="i4")
        self.depths = [context.depth_texture((size, size)) for _ in range(3)]
        self.buffers = [context.framebuffer([self.ids], depth) for depth in self.depths]
        for depth in self.depths:
            depth.compare_func = ""

    def release(self) -> None:
        for buffer in self.buffers:
            buffer.release()
        for texture in (self.ids, *self.depths):
            texture.release()


class GLRasteriser:
    """Draws off screen by OpenGL. Owned by the thread that made it.

    Raises ``RuntimeError`` (moderngl's own) where there is no OpenGL 3.3; see :func:`make_rasteriser`.
    """

    def __init__(self) -> None:
        self._context = _standalone_context()
        self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._targets: dict[int, _Targets] = {}
        self._positions: moderngl.Buffer | None = None
        self._uv = self._context.buffer(reserve=8)
        self._cards: Cards | None = None
        self._opacity = self._context.texture((1, 1), 1, b"\xff")
        for unit, name in enumerate(("opacity", "opaque_depth", "previous_depth")):
            self._uniform(name, unit)

    @property
    def renderer(self) -> str:
        """The driver's name for what draws."""
        return str(self._context.info["GL_RENDERER"])

    def _uniform(self, name: str, value: float) -> None:
        member = self._program[name]
        assert isinstance(member, moderngl.Uniform)
        member.value = value

    def _upload(self, triangles: Floats, cards_from: int, cards: Cards | None) -> None:
        data = np.ascontiguousarray(triangles, np.float32)
        if self._positions is None or self._positions.size != data.nbytes:
            if self._positions is not None:
                self._positions.release()
            self._positions = self._context.buffer(reserve=data.nbytes)
            self._cards = None
        self._positions.write(data)
        if cards is not self._cards or self._uv.size != len(data) * 24:
            self._uv.release()
            uv = np.zeros((len(data), 3, 2), np.float32)
            if cards is not None:
                uv[cards_from:] = cards.corner_uv
                self._opacity.release()
                height, width = cards.opacity.shape
                self._opacity = self._context.texture((width, height), 1, np.ascontiguousarray(cards.opacity).tobytes())
                self._opacity.filter = (moderngl.LINEAR, moderngl.LINEAR)
            self._uv = self._context.buffer(uv)
            self._cards = cards

    def visible(
        self,
        triangles: Floats,
        cards_from: int,
        cards: Cards | None,
        camera: Camera,
        size: int,
        layers: int,
        floor: float = BOTTOMLESS,
    ) -> Ints:
        """See :meth:`Rasteriser.visible`."""
        with self._context:
            self._uniform("lowest", floor)
            return self._visible(triangles, cards_from, cards, camera, size, layers)

    def _visible(
        self, triangles: Floats, cards_from: int, cards: Cards | None, camera: Camera, size: int, layers: int
    ) -> Ints:
        self._upload(triangles, cards_from, cards)
        assert self._positions is not None
        if size not in self._targets:
            if len(self._targets) > 3:
                self._targets.pop(next(iter(self._targets))).release()
            self._targets[size] = _Targets(self._context, size)
        targets = self._targets[size]
        projection = self._program["projection"]
        assert isinstance(projection, moderngl.Uniform)
        projection.write(camera.projection(size, size).astype("f4").T.tobytes())
        drawing = self._context.vertex_array(
            self._program, [(self._positions, "3f", "position"), (self._uv, "2f", "uv")]
        )
        self._opacity.use(0)
        targets.depths[0].use(1)
        ids = np.full((layers, size, size), NOTHING, np.int32)
        for layer in range(layers if cards is not None else 1):
            first, count = (cards_from, len(triangles) - cards_from) if layer else (0, cards_from)
            buffer = targets.buffers[0] if layer == 0 else targets.buffers[1 + layer % 2]
            if layer == 1:
                targets.buffers[1].clear(depth=0.0)
            targets.depths[1 + (layer + 1) % 2].use(2)
            self._uniform("is_card", layer > 0)
            self._uniform("first_id", first)
            buffer.use()
            buffer.clear(depth=1.0)
            self._context.enable_only(moderngl.DEPTH_TEST)
            targets.ids.write(_cleared(size))
            drawing.render(moderngl.TRIANGLES, vertices=3 * count, first=3 * first)
            ids[layer] = np.frombuffer(targets.ids.read(), np.int32).reshape(size, size)[::-1]
            if layer and not (ids[layer] >= 0).any():
                break
        drawing.release()
        return ids

    def release(self) -> None:
        """Gives the context back."""
        self._context.release()


_CLEARED: dict[int, bytes] = {}


def _cleared(size: int) -> bytes:
    if size not in _CLEARED:
        _CLEARED[size] = np.full((size, size), NOTHING, np.int32).tobytes()
    return _CLEARED[size]


def _standalone_context() -> moderngl.Context:
    """An off-screen context: EGL where it is (Linux), the platform's own elsewhere."""
    try:
        return moderngl.create_context(standalone=True, require=330, backend="egl")  # type: ignore[arg-type]
    except Exception:
        return moderngl.create_context(standalone=True, require=330)


class SoftwareRasteriser:
    """The same answers with numpy alone, for machines without OpenGL. Slow, and right."""

    def visible(
        self,
        triangles: Floats,
        cards_from: int,
        cards: Cards | None,
        camera: Camera,
        size: int,
        layers: int,
        floor: float = BOTTOMLESS,
    ) -> Ints:
        """See :meth:`Rasteriser.visible`."""
        triangle, pixel, depth = _fragments(triangles, camera, size, floor)
        ids = np.full((layers, size * size), NOTHING, np.int32)
        opaque = triangle < cards_from
        surface = _nearest(triangle[opaque], pixel[opaque], depth[opaque], size, ids[0])
        if cards is None:
            return ids.reshape(layers, size, size)
        keep = ~opaque & (depth < surface[pixel])
        triangle, pixel, depth = triangle[keep], pixel[keep], depth[keep]
        keep = _card_opaque(triangles, triangle, cards_from, cards, camera, size, pixel)
        triangle, pixel, depth = triangle[keep], pixel[keep], depth[keep]
        for layer in range(1, layers):
            nearest = _nearest(triangle, pixel, depth, size, ids[layer])
            keep = depth > nearest[pixel]
            triangle, pixel, depth = triangle[keep], pixel[keep], depth[keep]
        return ids.reshape(layers, size, size)


def _edges(triangles: Floats, camera: Camera, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Homogeneous edge functions (F, 3, 3) of triangles on the screen, and camera depths (F, 3).

    Row ``i`` times the pixel ``(x, y, 1)`` is the unnormalised barycentric weight of corner ``i`` over its depth (2D
    homogeneous rasterisation), so that weights divided by their sum are perspective-correct.
    """
    extrinsics, intrinsics = camera.extrinsics(), camera.intrinsics(size, size)
    corners = (triangles.astype(np.float64) @ extrinsics[:, :3].T + extrinsics[:, 3]) @ intrinsics.T
    return np.asarray(np.linalg.pinv(corners).transpose(0, 2, 1), np.float64), corners[..., 2]


def _fragments(triangles: Floats, camera: Camera, size: int, floor: float) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Every (triangle, pixel, depth) that a pixel's centre meets above the floor."""
    edges, depths = _edges(triangles, camera, size)
    screen = camera.project(triangles.astype(np.float64), size, size)
    low = np.clip(np.ceil(screen.min(1) - 0.5), 0, size).astype(np.int64)
    high = np.clip(np.floor(screen.max(1) - 0.5) + 1, 0, size).astype(np.int64)
    span = np.maximum(high - low, 0) * (depths.min(1) > 0)[:, None]
    count = span[:, 0] * span[:, 1]
    triangle = np.repeat(np.arange(len(triangles)), count)
    offset = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    x = low[triangle, 0] + offset % np.maximum(span[triangle, 0], 1)
    y = low[triangle, 1] + offset // np.maximum(span[triangle, 0], 1)
    centre = np.stack([x + 0.5, y + 0.5, np.ones(len(x))], axis=-1)
    weights = np.einsum("nij,nj->ni", edges[triangle], centre)
    total = weights.sum(-1)
    height = (weights * triangles[triangle, :, 1]).sum(-1)
    inside = (weights >= 0).all(-1) & (total > 0) & (height >= floor * total)
    return triangle[inside].astype(np.int32), (y * size + x)[inside].astype(np.int32), 1.0 / total[inside]


def _nearest(triangle: Ints, pixel: Ints, depth: NDArray[np.float64], size: int, ids: Ints) -> NDArray[np.float64]:
    """Writes the nearest triangle of each pixel into ``ids`` and returns the depths (size * size,)."""
    order = np.argsort(-depth, kind="stable")
    nearest = np.full(size * size, np.inf)
    ids[pixel[order]] = triangle[order]
    nearest[pixel[order]] = depth[order]
    return nearest


def _card_opaque(
    triangles: Floats, triangle: Ints, cards_from: int, cards: Cards, camera: Camera, size: int, pixel: Ints
) -> NDArray[np.bool_]:
    """Which fragments of cards do not fall on a hole of the opacity map (bilinear, as OpenGL filters)."""
    edges, _ = _edges(triangles[cards_from:], camera, size)
    centre = np.stack([pixel % size + 0.5, pixel // size + 0.5, np.ones(len(pixel))], axis=-1)
    weights = np.einsum("nij,nj->ni", edges[triangle - cards_from], centre)
    weights /= weights.sum(-1, keepdims=True)
    uv = np.einsum("ni,nij->nj", weights, cards.corner_uv[triangle - cards_from])
    height, width = cards.opacity.shape
    base = np.floor(uv * (width, height) - 0.5).astype(np.int64)
    found = np.zeros(len(uv), bool)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        found |= cards.opacity[(base[:, 1] + dy) % height, (base[:, 0] + dx) % width] > 0
    return found


def make_rasteriser() -> Rasteriser:
    """OpenGL where it works, else numpy."""
    try:
        return GLRasteriser()
    except Exception:
        return SoftwareRasteriser()
