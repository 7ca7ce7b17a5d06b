"""A scan in clay with its five points on it, which the artist may drag over its surface; it turns like the viewport."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from faceeditor.faces.camera import TARGET, Camera
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.scan_placing import MARKED
from faceeditor.fitting.scan_scene import Sight
from faceeditor.gui import navigation, theme
from faceeditor.gui.bridge import to_image

NAMES: Final = tuple(MARKED)
NEAR: Final = Camera(distance=0.55)
"""From where a placed face is shown."""
_REACH: Final = 11.0
"""Pixels from a point within which the mouse takes it."""
_CLICK: Final = 4.0
"""Pixels that the mouse may move in a click."""
_COLOURS: Final = ("#e5695e", "#5aa9e6", "#f0b35a", "#e58fd0", "#6fcf97")


class ScanBoard(QWidget):
    """``turned(moving)`` asks for a new picture (see :meth:`show_sight`); ``marked`` when a point was set or moved.

    ``points`` (5, 3) are in the scan's own unit and axes, NaN where not set.
    """

    turned = Signal(bool)
    marked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(420, 420)
        self.setMouseTracking(True)
        self.setAccessibleName("Scan with the five points that place it")
        self.points = np.full((len(NAMES), 3), np.nan)
        self.camera, self.shown = NEAR, Similarity.identity()
        self._sight: Sight | None = None
        self._image: QImage | None = None
        self._held: int | None = None
        self._over: int | None = None
        self._pressed: QPointF | None = None
        self._last: QPointF | None = None
        self._panning = False

    @property
    def complete(self) -> bool:
        """Whether all five points are set."""
        return bool(np.isfinite(self.points).all())

    @property
    def next_name(self) -> str | None:
        """The point that the next click sets."""
        missing = np.flatnonzero(~np.isfinite(self.points).all(1))
        return NAMES[missing[0]] if len(missing) else None

    @property
    def pixels(self) -> int:
        """Side of the pictures it wants."""
        return max(round(self._stage().width() * self.devicePixelRatioF()), 64)

    def sizeHint(self) -> QSize:
        """Large enough to place points by hand."""
        return QSize(640, 640)

    def look(self, shown: Similarity, camera: Camera = NEAR) -> None:
        """Show the scan as ``shown`` brings it before ``camera``."""
        self.shown, self.camera = shown, camera
        self.turned.emit(False)

    def show_sight(self, sight: Sight) -> None:
        """The picture that was asked for."""
        self._sight, self._image = sight, to_image(sight.picture_srgb)
        self.update()

    def show_points(self, points: NDArray[np.float64]) -> None:
        """Other points (5, 3), NaN where not set."""
        self.points = np.array(points, np.float64)
        self.update()

    # Mouse ------------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take a point, or begin to turn; the middle or right button shifts."""
        self._pressed = self._last = event.position()
        self._panning = event.button() is not Qt.MouseButton.LeftButton
        self._held = None if self._panning else self._nearest(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Carry on."""
        if self._last is None:
            self._over = self._nearest(event.position())
            self.setCursor(Qt.CursorShape.OpenHandCursor if self._over is None else Qt.CursorShape.SizeAllCursor)
        elif self._held is not None:
            self._set(self._held, event.position())
        else:
            self._turn((event.position() - self._last) / self._stage().width())
            self._last = event.position()
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A moved point is a correction; a click sets the next point that is missing."""
        click = self._pressed is not None and (event.position() - self._pressed).manhattanLength() < _CLICK
        if self._held is not None:
            self.marked.emit()
        elif click and not self._panning and self.next_name is not None:
            if self._set(NAMES.index(self.next_name), event.position()):
                self.marked.emit()
        elif not click:
            self.turned.emit(False)
        self._held = self._pressed = self._last = None
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Nearer or farther."""
        self.camera = navigation.zoom(self.camera, event.angleDelta().y() / 120)
        self.turned.emit(True)

    def _turn(self, moved: QPointF) -> None:
        if self._panning:
            self.camera = navigation.pan(self.camera, moved.x(), moved.y())
        else:
            turn = _rotation(np.pi * moved.y(), np.pi * moved.x())
            self.shown = self.shown.then(Similarity(1.0, turn, TARGET - turn @ TARGET))
        self.turned.emit(True)

    def _set(self, index: int, at: QPointF) -> bool:
        """Put a point on the surface under the mouse; ``False`` beside the scan."""
        stage = self._stage()
        share = (at - stage.topLeft()) / stage.width()
        found = None if self._sight is None else self._sight.point(share.x(), share.y())
        if found is not None:
            self.points[index] = found
        return found is not None

    # Painting ---------------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The scan, its points and what they are called."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor(theme.WINDOW))
        if self._image is None:
            return
        painter.drawImage(self._stage(), self._image)
        for index, spot in enumerate(self._spots()):
            if spot is not None:
                self._paint_point(painter, index, spot)

    def _paint_point(self, painter: QPainter, index: int, spot: QPointF) -> None:
        chosen = index in (self._held, self._over)
        size = 7.0 if chosen else 5.0
        painter.setPen(QPen(QColor(theme.WINDOW), 1.5))
        painter.setBrush(QColor(_COLOURS[index]))
        painter.drawEllipse(spot, size, size)
        if chosen:
            painter.setPen(QColor(theme.TEXT))
            words = QRectF(
                spot + QPointF(10, -22), QSize(painter.fontMetrics().horizontalAdvance(NAMES[index]) + 12, 20)
            )
            painter.fillRect(words, QColor(20, 20, 22, 190))
            painter.drawText(words, Qt.AlignmentFlag.AlignCenter, NAMES[index])

    # Places -----------------------------------------------------------------------------------------------------------

    def spot(self, index: int) -> QPointF | None:
        """Where in the widget a point is shown."""
        return self._spots()[index]

    def _spots(self) -> list[QPointF | None]:
        if self._sight is None:
            return [None] * len(self.points)
        stage = self._stage()
        places = self._sight.place(self.points)
        return [
            stage.topLeft() + QPointF(x, y) * stage.width() if np.isfinite(x + y) else None for x, y in places.tolist()
        ]

    def _stage(self) -> QRectF:
        side = min(self.width(), self.height())
        return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)

    def _nearest(self, at: QPointF) -> int | None:
        far = [np.inf if spot is None else (spot - at).manhattanLength() for spot in self._spots()]
        index = int(np.argmin(far))
        return index if far[index] <= _REACH else None


def _rotation(down: float, right: float) -> NDArray[np.float64]:
    """What turns the scan with the mouse, radians."""
    c, s, e, t = np.cos(down), np.sin(down), np.cos(right), np.sin(right)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_y = np.array([[e, 0, t], [0, 1, 0], [-t, 0, e]])
    return np.asarray(about_x @ about_y)
