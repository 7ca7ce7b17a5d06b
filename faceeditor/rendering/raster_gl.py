"""Visibility buffers drawn off screen by OpenGL."""

from typing import Final

import moderngl
import numpy as np

from faceeditor.faces.camera import Camera
from faceeditor.rendering.opengl import off_screen_context
from faceeditor.rendering.raster import NOTHING, Cards, Ints, Scene

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

    Raises ``RuntimeError`` (moderngl's own) where there is no OpenGL 3.3; see
    :func:`~faceeditor.rendering.rasterisers.make_rasteriser`.
    """

    def __init__(self) -> None:
        self._context = off_screen_context()
        self._targets: dict[int, _Targets] = {}
        self._positions: moderngl.Buffer | None = None
        self._cards: Cards | None = None
        with self._context:
            self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
            self._uv = self._context.buffer(reserve=8)
            self._opacity = self._context.texture((1, 1), 1, b"\xff")
            for unit, name in enumerate(("opacity", "opaque_depth", "previous_depth")):
                self._uniform(name, unit)

    @property
    def renderer(self) -> str:
        """The driver's name for what draws."""
        with self._context:
            return str(self._context.info["GL_RENDERER"])

    def _uniform(self, name: str, value: float) -> None:
        member = self._program[name]
        assert isinstance(member, moderngl.Uniform)
        member.value = value

    def _upload(self, scene: Scene) -> None:
        data, cards = np.ascontiguousarray(scene.triangles, np.float32), scene.cards
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
                uv[scene.cards_from :] = cards.corner_uv
                self._opacity.release()
                height, width = cards.opacity.shape
                self._opacity = self._context.texture((width, height), 1, np.ascontiguousarray(cards.opacity).tobytes())
                self._opacity.filter = (moderngl.LINEAR, moderngl.LINEAR)
            self._uv = self._context.buffer(uv)
            self._cards = cards

    def visible(self, scene: Scene, camera: Camera, size: int, layers: int) -> Ints:
        """See :meth:`Rasteriser.visible`."""
        with self._context:
            return self._visible(scene, camera, size, layers)

    def _visible(self, scene: Scene, camera: Camera, size: int, layers: int) -> Ints:
        self._uniform("lowest", scene.floor)
        self._upload(scene)
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
        opaque, total = scene.cards_from, len(scene.triangles)
        for layer in range(layers if scene.cards is not None else 1):
            first, count = (opaque, total - opaque) if layer else (0, opaque)
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
