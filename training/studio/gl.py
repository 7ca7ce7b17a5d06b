"""Small helpers over moderngl that the studio's parts share."""

from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from training.studio.head import Floats, Ints


def set_uniforms(program: moderngl.Program, **values: Any) -> None:
    """Set those of the uniforms that the program still has after the compiler dropped the unused ones."""
    for name, value in values.items():
        member = program.get(name, None)
        if isinstance(member, moderngl.Uniform):
            if isinstance(value, np.ndarray):
                member.write(np.ascontiguousarray(value, np.float32).tobytes())
            else:
                member.value = value


def texture_of(context: moderngl.Context, picture: NDArray[np.uint8]) -> moderngl.Texture:
    """A mip-mapped texture (h, w) or (h, w, 2), clamped at its edges."""
    components = 1 if picture.ndim == 2 else picture.shape[2]
    data = np.ascontiguousarray(picture).tobytes()
    texture = context.texture(picture.shape[1::-1], components, data, alignment=1)
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    texture.repeat_x = texture.repeat_y = False
    return texture


def layers_of(context: moderngl.Context, pictures: NDArray[np.uint8]) -> moderngl.TextureArray:
    """A mip-mapped texture array (n, h, w) or (n, h, w, 4), clamped at its edges."""
    count, height, width = pictures.shape[:3]
    components = 1 if pictures.ndim == 3 else pictures.shape[3]
    data = np.ascontiguousarray(pictures).tobytes()
    layers = context.texture_array((width, height, count), components, data, alignment=1)
    layers.build_mipmaps()
    layers.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    layers.repeat_x = layers.repeat_y = False
    return layers


class CornerMesh:
    """A mesh on the GPU whose vertices move: one buffer entry for each pair of vertex and texture vertex."""

    def __init__(self, context: moderngl.Context, triangles: Ints, triangles_uv: Ints, uv: Floats) -> None:
        pairs = np.stack([triangles.ravel(), triangles_uv.ravel()], axis=1)
        corners, indices = np.unique(pairs, axis=0, return_inverse=True)
        self._vertex = np.ascontiguousarray(corners[:, 0])
        self._indices = indices.reshape(-1, 3).astype(np.int32)
        self._context = context
        self._moving = context.buffer(reserve=len(corners) * 28, dynamic=True)
        self._fixed = context.buffer(np.ascontiguousarray(uv[corners[:, 1]], np.float32))
        self._staged = np.zeros((len(corners), 7), np.float32)

    def update(self, vertices: Floats, normals: Floats, openness: Floats) -> None:
        """Upload head-space positions (V, 3), normals (V, 3) and baked openness (V,)."""
        self._staged[:, :3] = vertices[self._vertex]
        self._staged[:, 3:6] = normals[self._vertex]
        self._staged[:, 6] = openness[self._vertex]
        self._moving.write(self._staged)

    def array(self, program: moderngl.Program, triangles: NDArray[np.integer[Any]] | slice) -> moderngl.VertexArray:
        """Some of the triangles, to be drawn with ``program``."""
        content = [(self._moving, "3f 3f 1f", "position", "normal", "openness"), (self._fixed, "2f", "uv")]
        index = self._context.buffer(np.ascontiguousarray(self._indices[triangles]))
        return self._context.vertex_array(program, content, index_buffer=index, skip_errors=True)
