"""Draws a mesh with VisPy's gloo into a picture, at exactly the camera of the radiance frame.

The context is our own, off screen, and lives on the interface thread: the viewport is painted by QPainter, so that a
window without working OpenGL still shows faces, and the rest of the window is never recomposed for a new frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

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

from faceeditor.gui import surface_shaders as glsl  # noqa: E402


class Shading(StrEnum):
    """What the surface shows."""

    CLAY = "clay"
    ALBEDO = "albedo"
    NORMALS = "normals"
    WIRE = "wire"
    HEAT = "heat"


class Light(StrEnum):
    """Where the light of the surface comes from; all but the first are the same on both sides."""

    STUDIO = "studio"
    FRONT = "front"
    TOP = "top"
    SIDES = "sides"
    RIM = "rim"


class Beside(StrEnum):
    """Where the scan is shown that a face was fitted to."""

    HIDDEN = "hidden"
    BESIDE = "beside"
    BEHIND = "behind"
    THROUGH = "through"


@dataclass(frozen=True)
class Finish:
    """How a surface is drawn."""

    shading: Shading = Shading.CLAY
    light: Light = Light.STUDIO
    scan: Beside = Beside.HIDDEN


Place = tuple[float, float, float]
"""Where in the picture something is put: right, up and how large."""
CLAY: Final = (0.78, 0.74, 0.71)
_WIRED: Final = (0.30, 0.31, 0.33)
_WIRE: Final = (0.62, 0.80, 0.95, 0.75)
_SCAN: Final = (0.45, 0.78, 0.86)
_LAMPS: Final[dict[Light, tuple[tuple[float, float, float], tuple[float, float, float, float]]]] = {
    Light.STUDIO: ((-0.45, 0.6, 0.66), (0.62, 0.0, 0.42, 0.0)),
    Light.FRONT: ((0.0, 0.1, 1.0), (0.9, 0.0, 0.12, 0.0)),
    Light.TOP: ((0.0, 1.0, 0.45), (0.85, 0.0, 0.32, 0.0)),
    Light.SIDES: ((1.0, 0.15, 0.15), (0.85, 0.85, 0.12, 0.0)),
    Light.RIM: ((0.8, 0.35, -0.5), (0.9, 0.9, 0.16, 0.75)),
}
"""The lamp's direction in the camera's axes (right, up, towards us), and the strengths of the lamp, its mirror image,
the fill from above, and edges."""
_ASIDE: Final = (0.46, 0.8)
"""Side by side: how far, in half pictures, surface and scan stand from the middle, and how much smaller they are."""
_FOOTPRINT: Final = 0.0025
"""Metres across of a scan's point."""
_SAMPLES: Final = 4


class SurfacePainter:
    """One off-screen OpenGL context with one mesh and one scan in it. Interface thread only."""

    def __init__(self) -> None:
        """Raises ``UserError`` where the machine offers no OpenGL."""
        self._context, self._offscreen = _open_context()
        self._canvas = FakeCanvas()
        self._mesh = gloo.Program(glsl.MESH_VERTEX, glsl.MESH_FRAGMENT)
        self._lines = gloo.Program(glsl.LINE_VERTEX, glsl.LINE_FRAGMENT)
        self._points = gloo.Program(glsl.POINT_VERTEX, glsl.POINT_FRAGMENT)
        self._target: QOpenGLFramebufferObject | None = None
        self._faces: NDArray[np.int32] | None = None
        self._triangles: gloo.IndexBuffer | None = None
        self._edges: gloo.IndexBuffer | None = None
        self._count = 0
        self._tint: Floats | None = None
        self._texture: NDArray[np.uint8] | None = None
        self._has_scan = False
        self._buffers: dict[str, gloo.VertexBuffer] = {}

    @property
    def has_texture(self) -> bool:
        """Whether a mesh with a texture was shown."""
        return self._texture is not None

    def set_mesh(self, mesh: Mesh, tint: Floats | None = None) -> None:
        """Show ``mesh``; while the topology holds only positions and normals travel, and its last texture stays.

        ``tint`` (V, 3) are the vertices' colours for :attr:`Shading.HEAT`.
        """
        self._begin()
        if self._faces is None or not np.array_equal(mesh.faces, self._faces):
            self._faces, self._edges, self._texture = mesh.faces, None, None
            self._triangles = gloo.IndexBuffer(mesh.faces.astype(np.uint32))
            self._buffers = {name: buffer for name, buffer in self._buffers.items() if name.startswith("scan")}
            self._count = len(mesh.vertices)
            self._set_texture(np.full((2, 2, 3), 160, np.uint8))
            self._texture = None
        self._set("position", mesh.vertices, self._mesh, self._lines)
        self._set("normal", mesh.normals if mesh.normals is not None else vertex_normals(mesh), self._mesh)
        self._set("uv", np.zeros((self._count, 2), np.float32) if mesh.uv is None else mesh.uv, self._mesh)
        if mesh.texture_srgb is not None and mesh.texture_srgb is not self._texture:
            self._set_texture(mesh.texture_srgb)
        self._tint = tint

    def set_scan(self, points: Floats, normals: Floats) -> None:
        """The scan (N, 3) with normals (N, 3) of any sign that may be shown with the mesh; none if empty."""
        self._begin()
        self._has_scan = len(points) > 0
        if self._has_scan:
            self._buffers.pop("scan position", None), self._buffers.pop("scan normal", None)
            self._set("scan position", points, self._points)
            self._set("scan normal", normals, self._points)

    def draw(self, camera: Camera, size: int, finish: Finish | Shading = Finish()) -> QImage:
        """The square picture (premultiplied, transparent where nothing is) of ``size`` pixels."""
        finish = Finish(finish) if isinstance(finish, Shading) else finish
        self._begin()
        target = self._bind(size)
        gloo.set_viewport(0, 0, size, size)
        gloo.set_state(
            depth_test=True, blend=False, cull_face=False, polygon_offset_fill=False, depth_mask=True,
        )  # fmt: skip
        gloo.clear(color=(0, 0, 0, 0), depth=True)
        aside, scale = _ASIDE if self._has_scan and finish.scan is Beside.BESIDE else (0.0, 1.0)
        self._set_view(camera, size, finish)
        if self._triangles is not None:
            self._draw_mesh(finish, (-aside, 0.0, scale))
        if self._has_scan and finish.scan is not Beside.HIDDEN:
            self._draw_scan(camera, size, finish.scan, (aside, 0.0, scale))
        self._canvas.flush()
        return target.toImage()

    def close(self) -> None:
        """Give everything back, here on the interface thread; the painter is of no use afterwards."""
        self._begin()
        for program in (self._mesh, self._lines, self._points):
            program.delete()
        self._canvas.flush()
        forget_canvas(self._canvas)
        self._target = self._triangles = self._edges = None
        self._context.doneCurrent()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _set_view(self, camera: Camera, size: int, finish: Finish) -> None:
        clip = camera.projection(size, size).T.astype(np.float32)
        to_camera = (np.diag([1.0, -1.0, -1.0]) @ camera.rotation()).T.astype(np.float32)
        lamp, strengths = _LAMPS[finish.light]
        for program in (self._mesh, self._lines, self._points):
            program["clip"] = clip
        for program in (self._mesh, self._points):
            program["to_camera"], program["lamp"], program["strengths"] = to_camera, lamp, strengths

    def _draw_mesh(self, finish: Finish, place: Place) -> None:
        wire, heat = finish.shading is Shading.WIRE, finish.shading is Shading.HEAT
        plain = np.broadcast_to(np.array(_WIRED if wire else CLAY, np.float32), (self._count, 3))
        self._set("tint", self._tint if heat and self._tint is not None else plain, self._mesh)
        self._mesh["place"] = place
        self._mesh["shading"] = {Shading.ALBEDO: 1, Shading.NORMALS: 2}.get(finish.shading, 0)
        self._mesh["flatness"] = 1.0 if finish.shading is Shading.ALBEDO else 0.55 if heat else 0.0
        if wire:
            gloo.set_state(polygon_offset_fill=True)
            gloo.set_polygon_offset(1.0, 1.0)
        self._mesh.draw("triangles", self._triangles)
        if wire:
            self._draw_edges(place)

    def _draw_edges(self, place: Place) -> None:
        assert self._faces is not None
        self._edges = self._edges or gloo.IndexBuffer(edges_of(self._faces))
        self._lines["place"], self._lines["colour"] = place, _WIRE
        gloo.set_state(blend=True, blend_func=("one", "one_minus_src_alpha"))
        self._lines.draw("lines", self._edges)
        gloo.set_state(blend=False, polygon_offset_fill=False)

    def _draw_scan(self, camera: Camera, size: int, where: Beside, place: Place) -> None:
        through = where is Beside.THROUGH
        self._points["place"] = place
        self._points["footprint"] = _FOOTPRINT * camera.focal * size * place[2]
        self._points["colour"] = (*_SCAN, 0.3 if through else 1.0)
        gloo.set_state(depth_test=not through, blend=through, blend_func=("one", "one_minus_src_alpha"))
        self._points.draw("points")

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

    def _set_texture(self, texture_srgb: NDArray[np.uint8]) -> None:
        self._texture = texture_srgb
        upright = np.ascontiguousarray(texture_srgb[::-1, :, :3])
        self._mesh["texture"] = gloo.Texture2D(upright, interpolation="linear", wrapping="repeat")

    def _set(self, name: str, values: Floats, *programs: Any) -> None:
        data = np.ascontiguousarray(values, np.float32)
        if name in self._buffers:
            self._buffers[name].set_data(data)
            return
        self._buffers[name] = buffer = gloo.VertexBuffer(data)
        for program in programs:
            program[name.removeprefix("scan ")] = buffer


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


def edges_of(faces: NDArray[np.int32]) -> NDArray[np.uint32]:
    """The edges (E, 2) of triangles (F, 3), each once."""
    pairs = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64), axis=1)
    count = int(faces.max(initial=0)) + 1
    single = np.unique(pairs[:, 0] * count + pairs[:, 1])
    return np.stack([single // count, single % count], axis=1).astype(np.uint32)


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
