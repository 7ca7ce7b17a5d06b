"""A scan to look at and to mark by hand: clay pictures from any side, and the point of its surface under a pixel."""

from typing import Final

import numpy as np

from faceeditor.faces.camera import TARGET, Camera
from faceeditor.faces.scan import Points, Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.scan_surfels import Ball, Sampler, Surfels
from faceeditor.fitting.scan_views import NOTHING, View, draw

SURFELS: Final = 700_000
FINEST: Final = 448
"""Pixels of the pictures, at most: in finer ones there are holes between surfels."""
MOVING: Final = 8
"""Every so many surfels are drawn while something moves."""
EXTENT: Final = 0.09
"""Metres of mean distance from its middle at which a scan is shown whose face was not found: a head's."""


class ScanScene:
    """Pictures of ``scan``; they take tenths of a second, so ask on the inference thread."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._sampler: Sampler | None = None
        self._surfels: Surfels | None = None
        self._ball: Ball | None = None

    def whole(self) -> Similarity:
        """What shows the whole scan, upright as its file has it."""
        middle = self.scan.vertices.mean(0)
        size = float(np.linalg.norm(self.scan.vertices - middle, axis=1).mean())
        scale = EXTENT / max(size, 1e-300)
        return Similarity(scale, np.eye(3), TARGET - scale * middle)

    def draw(self, shown: Similarity, camera: Camera, size: int, *, coloured: bool, moving: bool) -> "Sight":
        """The scan, brought by ``shown`` before ``camera``, in at most ``size`` pixels; in clay unless ``coloured``."""
        surfels = self._seen(shown, camera, moving)
        if moving:
            surfels = surfels.only(np.arange(0, len(surfels.points), MOVING))
        if not coloured:
            surfels = Surfels(surfels.points, surfels.normals, None)
        return Sight(draw(surfels.moved(shown), camera, min(size, FINEST)), surfels.points, shown)

    def _seen(self, shown: Similarity, camera: Camera, moving: bool) -> Surfels:
        """Surfels of about what the picture shows; while something moves, of what the last one showed."""
        radius = 1.2 * camera.distance / camera.focal / shown.scale
        centre = shown.inverse().to_head(TARGET)
        ball = self._ball
        near = ball is not None and np.linalg.norm(ball.centre - centre) < 0.3 * radius < ball.radius < 2 * radius
        if self._surfels is None or not (moving or near):
            self._ball = Ball(centre, radius)
            self._sampler = self._sampler or Sampler(self.scan)
            self._surfels = self._sampler.draw(SURFELS, self._ball)
        return self._surfels


class Sight:
    """A picture of a scan, and where on the scan each of its pixels lies."""

    def __init__(self, view: View, points: Points, shown: Similarity) -> None:
        self.picture_srgb = view.picture_srgb
        self.camera, self.shown = view.camera, shown
        self._ids, self._points = view.ids, points

    def point(self, x: float, y: float) -> Points | None:
        """The scan's own point (3,) seen at (x, y), in shares of the picture from its top left; ``None`` beside it."""
        size = len(self._ids)
        row, column = int(np.floor(y * size)), int(np.floor(x * size))
        if not (0 <= row < size and 0 <= column < size) or self._ids[row, column] == NOTHING:
            return None
        return np.asarray(self._points[self._ids[row, column]])

    def place(self, points: Points) -> Points:
        """Where the scan's own ``points`` (N, 3) are seen (N, 2), in shares of the picture."""
        return self.camera.project(self.shown.to_head(points), 1, 1)
