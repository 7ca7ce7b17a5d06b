"""Draws a mesh with VisPy's gloo into a picture, at exactly the camera of the radiance frame.

The context is our own, off screen, and lives on the interface thread: the viewport is painted by QPainter, so that a
window without working OpenGL still shows faces, and the rest of the window is never recomposed for a new frame.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import vispy
from numpy.typing import NDArray
from PySide6.QtGui import QImage, QOffscreenSurface, QOpenGLContext, QSurfaceFormat
from PySide6.QtOpenGL import QOpenGLFramebufferObject, QOpenGLFramebufferObjectFormat

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.mesh import Floats, Mesh

vispy.use(gl="gl2")

from vispy import gloo  # noqa: E402 - the GL flavour has to be chosen first
from vispy.gloo.context import FakeCanvas, forget_canvas, set_current_canvas  # noqa: E402


class Shading(StrEnum):
    """What the surface shows."""

    CLAY = "clay"
    NORMALS = "normals"


_VERTEX = """
uniform mat4 clip;
attribute vec3 position;
attribute vec3 normal;
varying vec3 v_normal;
void main() {
    gl_Position = clip * vec4(position, 1.0);
    v_normal = normal;
}
"""

_FRAGMENT = """
uniform int shading;
uniform mat3 to_camera;
varying vec3 v_normal;
void main() {
    vec3 n = normalize(v_normal);
    n = gl_FrontFacing ? n : -n;
    vec3 seen = to_camera * n;
    float key = max(dot(seen, normalize(vec3(-0.45, 0.6, 0.66))), 0.0);
    float fill = 0.5 + 0.5 * seen.y;
    float shine = pow(max(dot(reflect(-normalize(vec3(-0.45, 0.6, 0.66)), seen), vec3(0.0, 0.0, 1.0)), 0.0), 24.0);
    vec3 clay = vec3(0.78, 0.74, 0.71) * (0.62 * key + 0.42 * fill) + 0.10 * shine;
    gl_FragColor = vec4(shading == 0 ? clay : 0.5 + 0.5 * seen, 1.0);
}
"""

_SAMPLES = 4


class SurfacePainter:
    """One off-screen OpenGL context with one mesh in it. Interface thread only."""

    def __init__(self) -> None:
        """Raises ``UserError`` where the machine offers no OpenGL."""
        self._context, self._offscreen = _open_context()
        self._canvas = FakeCanvas()
        self._program = gloo.Program(_VERTEX, _FRAGMENT)
        self._target: QOpenGLFramebufferObject | None = None
        self._faces: NDArray[np.int32] | None = None
        self._triangles: gloo.IndexBuffer | None = None
        self._buffers: dict[str, gloo.VertexBuffer] = {}

    def set_mesh(self, mesh: Mesh) -> None:
        """Show ``mesh``; while the topology holds only positions and normals travel."""
        self._begin()
        if mesh.faces is not self._faces:
            self._faces = mesh.faces
            self._triangles = gloo.IndexBuffer(mesh.faces.astype(np.uint32))
            self._buffers.clear()
        self._set("position", mesh.vertices)
        self._set("normal", mesh.normals if mesh.normals is not None else vertex_normals(mesh))

    def draw(self, camera: Camera, size: int, shading: Shading = Shading.CLAY) -> QImage:
        """The square picture (premultiplied, transparent where nothing is) of ``size`` pixels."""
        self._begin()
        target = self._bind(size)
        gloo.set_viewport(0, 0, size, size)
        gloo.set_state(depth_test=True, blend=False, cull_face=False)
        gloo.clear(color=(0, 0, 0, 0), depth=True)
        if self._triangles is not None:
            self._program["clip"] = camera.projection(size, size).T.astype(np.float32)
            to_camera = np.diag([1.0, -1.0, -1.0]) @ camera.rotation()
            self._program["to_camera"] = to_camera.T.astype(np.float32)
            self._program["shading"] = list(Shading).index(shading)
            self._program.draw("triangles", self._triangles)
        self._canvas.flush()
        return target.toImage()

    def close(self) -> None:
        """Give everything back, here on the interface thread; the painter is of no use afterwards."""
        self._begin()
        self._program.delete()
        self._canvas.flush()
        forget_canvas(self._canvas)
        self._target = self._triangles = None
        self._context.doneCurrent()

    def _begin(self) -> None:
        """Make ours the context that gloo talks to; its first flush binds the default framebuffer, so it comes now."""
        self._context.makeCurrent(self._offscreen)
        set_current_canvas(self._canvas)
        self._canvas.flush()

    def _bind(self, size: int) -> QOpenGLFramebufferObject:
        if self._target is None or self._target.width() != size:
            wanted = QOpenGLFramebufferObjectFormat()
            wanted.setAttachment(QOpenGLFramebufferObject.Attachment.Depth)
            wanted.setSamples(_SAMPLES)
            self._target = QOpenGLFramebufferObject(size, size, wanted)
        self._target.bind()
        return self._target

    def _set(self, name: str, values: Floats) -> None:
        data = np.ascontiguousarray(values, np.float32)
        if name in self._buffers:
            self._buffers[name].set_data(data)
        else:
            self._buffers[name] = self._program[name] = gloo.VertexBuffer(data)


def vertex_normals(mesh: Mesh) -> Floats:
    """Unit normals (V, 3): the area-weighted mean of the adjacent faces' normals."""
    corners = mesh.vertices[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(mesh.faces.ravel(), np.repeat(across[:, axis], 3), len(mesh.vertices)) for axis in range(3)],
        axis=1,
    )
    unit = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit, np.float32)


def _open_context() -> tuple[QOpenGLContext, QOffscreenSurface]:
    wanted = QSurfaceFormat()
    wanted.setRenderableType(QSurfaceFormat.RenderableType.OpenGL)
    wanted.setDepthBufferSize(24)
    context = QOpenGLContext()
    context.setFormat(wanted)
    surface = QOffscreenSurface()
    if context.create():
        surface.setFormat(context.format())
        surface.create()
        if context.makeCurrent(surface):
            return context, surface
    raise UserError("The surface view needs OpenGL 2.1, which this screen does not offer; the look still works.")
