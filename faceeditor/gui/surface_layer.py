"""The surface as the artist wants it drawn: what to ask the engine for, and the picture of what came back."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Final

import numpy as np
from PySide6.QtGui import QImage

from faceeditor.engine.requests import Drawn, Show
from faceeditor.faces.camera import Camera
from faceeditor.faces.mesh import Floats, Mesh
from faceeditor.gui.heat import Legend, colours, legend_of
from faceeditor.gui.surface import Finish, Shading, SurfacePainter

SLOW_S: Final = 0.02
"""Where drawing the mesh takes longer (no GPU), it is drawn at half the size while something moves."""

_NO_POINTS: Final = np.zeros((0, 3), np.float32)


class SurfaceLayer:
    """One painter and what it shows; it opens when the first mesh comes. Interface thread only."""

    def __init__(self) -> None:
        self.finish = Finish()
        self.range_mm = 2.0
        self.drawn: Drawn | None = None
        self._painter: SurfacePainter | None = None
        self._slow = False
        self.warmed = False

    @property
    def legend(self) -> Legend | None:
        """What the colours mean, while a heat map is shown."""
        if self.finish.shading is not Shading.HEAT or self.drawn is None or self.drawn.distances_mm is None:
            return None
        return legend_of(self.drawn.distances_mm, self.range_mm)

    def show(self, moving: bool) -> Show:
        """What the engine has to make for the present shading; a texture is not made anew while a slider moves."""
        if self.finish.shading is Shading.HEAT:
            return Show.MEASURED
        known = self._painter is not None and self._painter.has_texture
        return Show.TEXTURED if self.finish.shading is Shading.ALBEDO and not (moving and known) else Show.SURFACE

    def set_finish(self, **changes: object) -> None:
        """Shading, light or the scan's place."""
        self.finish = replace(self.finish, **changes)  # type: ignore[arg-type]

    def set_range(self, range_mm: float) -> None:
        """What the ends of the heat map's colours mean."""
        self.range_mm = range_mm
        if self.drawn is not None:
            self.set_drawn(self.drawn)

    def set_drawn(self, drawn: Drawn) -> None:
        """Show this mesh. Raises ``UserError`` where there is no OpenGL."""
        assert drawn.mesh is not None
        self._painter = self._painter or SurfacePainter()
        self.drawn = drawn
        away = drawn.distances_mm
        self._painter.set_mesh(drawn.mesh, None if away is None else colours(away, self.range_mm))

    def warm(self) -> bool:
        """Do a part of what the first picture would have to wait for; whether all is done. Raises ``UserError`` where
        there is no OpenGL.
        """
        if self._painter is None:
            self._painter = SurfacePainter()
            return False
        if self.drawn is None and not self.warmed:
            self._painter.set_mesh(Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32)))
            self._painter.draw(Camera(), 8, self.finish)
        self.warmed = True
        return True

    def clear(self) -> None:
        """Show neither the last mesh nor its scan."""
        self.drawn = None
        if self._painter is not None:
            self._painter.set_scan(_NO_POINTS, _NO_POINTS)

    def set_scan(self, points: Floats, normals: Floats) -> None:
        """The scan (N, 3) beside the mesh. Raises ``UserError`` where there is no OpenGL."""
        self._painter = self._painter or SurfacePainter()
        self._painter.set_scan(points, normals)

    def picture(self, camera: Camera, size: int, *, moving: bool) -> QImage | None:
        """The newest mesh in ``size`` pixels, or fewer while something ``moving`` would be too slow."""
        if self._painter is None or self.drawn is None:
            return None
        pixels = size // 2 if moving and self._slow else size
        began = perf_counter()
        picture = self._painter.draw(camera, pixels, self.finish)
        if pixels == size:
            self._slow = perf_counter() - began > SLOW_S
        return picture

    def close(self) -> None:
        """Give OpenGL back."""
        self.drawn = None
        if self._painter is not None:
            self._painter.close()
            self._painter = None
