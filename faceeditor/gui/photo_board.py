"""A photo with its faces, and the box and the 68 landmarks of one, all of which the artist may drag."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from faceeditor.faces import landmarks as points
from faceeditor.gui import theme
from faceeditor.gui.bridge import to_image

Box = tuple[float, float, float, float]

_REACH: Final = 9.0
"""Pixels from a point within which the mouse takes it."""
_CLOSED: Final = (points.RIGHT_EYE, points.LEFT_EYE, points.OUTER_LIPS, points.INNER_LIPS)
_OPEN: Final = (points.JAW, points.RIGHT_BROW, points.LEFT_BROW, slice(27, 31), slice(31, 36))


class PhotoBoard(QWidget):
    """``box_drawn(box)`` when a new box was drawn or another face clicked on, ``corrected`` when a landmark was moved;
    photo pixels throughout.

    Shift moves a whole part, such as an eye.
    """

    box_drawn = Signal(tuple)
    corrected = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(420, 420)
        self.setMouseTracking(True)
        self.setAccessibleName("Photo with landmarks")
        self.landmarks: NDArray[np.float64] | None = None
        self.box: Box | None = None
        self.faces: list[Box] = []
        self._photo: QImage | None = None
        self._zoom = 1.0
        self._centre = QPointF()
        self._held: int | None = None
        self._corner: QPointF | None = None
        self._before: Box | None = None
        """The box, while another one is being drawn."""
        self._panned: QPointF | None = None
        self._over: int | None = None

    def sizeHint(self) -> QSize:
        """Large enough to place points by hand."""
        return QSize(640, 640)

    def show_photo(self, photo_srgb: NDArray[np.uint8]) -> None:
        """Show a photo (H, W, 3), whole."""
        self._photo = to_image(photo_srgb)
        self._show_all()

    def _show_all(self) -> None:
        assert self._photo is not None
        self._centre = QPointF(self._photo.width() / 2, self._photo.height() / 2)
        self._zoom = 1.0
        self.update()

    def show_head(self, box: Box, landmarks: NDArray[np.float64]) -> None:
        """Show what was found, and go near it."""
        self.box, self.landmarks = box, landmarks.copy()
        left, top, right, bottom = box
        self._centre = QPointF((left + right) / 2, (top + bottom) / 2)
        if self._photo is not None and len(self.faces) > 1:
            self._show_all()
        elif self._photo is not None:
            whole = min(self.width() / self._photo.width(), self.height() / self._photo.height())
            near = min(self.width(), self.height()) / (2.6 * max(right - left, bottom - top))
            self._zoom = max(1.0, near / whole)
        self.update()

    def show_faces(self, faces: list[Box]) -> None:
        """Show the boxes of all faces, to choose from; the whole photo, if there are several."""
        self.faces = faces
        if len(faces) > 1 and self._photo is not None:
            self._show_all()
        self.update()

    # Mouse ------------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take a landmark, or begin a new box; the middle or right button moves the photo."""
        if self._photo is None:
            return
        if event.button() is not Qt.MouseButton.LeftButton:
            self._panned = event.position()
            return
        self._held = self._nearest(event.position())
        if self._held is None:
            self._corner, self._before = self._to_photo(event.position()), self.box

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Carry on."""
        here = self._to_photo(event.position())
        if self._panned is not None:
            self._centre -= (event.position() - self._panned) / self._scale()
            self._panned = event.position()
        elif self._held is not None and self.landmarks is not None:
            together = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            moved = _part_of(self._held) if together else slice(self._held, self._held + 1)
            self.landmarks[moved] += np.array([here.x(), here.y()]) - self.landmarks[self._held]
        elif self._corner is not None:
            drawn = QRectF(self._corner, here).normalized()
            self.box = (drawn.left(), drawn.top(), drawn.right(), drawn.bottom())
        else:
            self._over = self._nearest(event.position())
            self.setCursor(Qt.CursorShape.CrossCursor if self._over is None else Qt.CursorShape.SizeAllCursor)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A moved landmark is a correction; a box of some size, or another face, asks for another look."""
        if self._held is not None:
            self.corrected.emit()
        elif self._corner is not None and self.box is not None:
            moved = self._to_photo(event.position()) - self._corner
            if min(abs(moved.x()), abs(moved.y())) * self._scale() > 20:
                self._take(self.box)
            elif max(abs(moved.x()), abs(moved.y())) * self._scale() < _REACH:
                self.box = self._before
                face = self._face_at(self._corner)
                if face is not None:
                    self._take(face)
        self._held = self._corner = self._panned = None
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Nearer or farther, around the mouse."""
        before = self._to_photo(event.position())
        self._zoom = min(max(self._zoom * 1.15 ** (event.angleDelta().y() / 120), 1.0), 40.0)
        self._centre += before - self._to_photo(event.position())
        self.update()

    # Painting ---------------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Photo, box, lines, points."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.WINDOW))
        if self._photo is None:
            return
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        corner = self._to_widget(QPointF(0, 0))
        size = QPointF(self._photo.width(), self._photo.height()) * self._scale()
        painter.drawImage(QRectF(corner.x(), corner.y(), size.x(), size.y()), self._photo)
        for face in self.faces if len(self.faces) > 1 else ():
            self._paint_box(painter, face, QPen(QColor(theme.CHANGED), 2.0))
        if self.box is not None:
            self._paint_box(painter, self.box, QPen(QColor(255, 255, 255, 120), 1.2, Qt.PenStyle.DashLine))
        if self.landmarks is not None:
            self._paint_landmarks(painter, [self._to_widget(QPointF(x, y)) for x, y in self.landmarks.tolist()])

    def _paint_box(self, painter: QPainter, box: Box, pen: QPen) -> None:
        left, top, right, bottom = box
        painter.setPen(pen)
        painter.drawRect(QRectF(self._to_widget(QPointF(left, top)), self._to_widget(QPointF(right, bottom))))

    def _paint_landmarks(self, painter: QPainter, spots: list[QPointF]) -> None:
        painter.setPen(QPen(QColor(theme.ACCENT), 1.2))
        for part in _OPEN:
            painter.drawPolyline(QPolygonF(spots[part]))
        for part in _CLOSED:
            painter.drawPolygon(QPolygonF(spots[part]))
        for index, spot in enumerate(spots):
            chosen = index in (self._held, self._over)
            painter.setPen(QPen(QColor(theme.WINDOW), 1))
            painter.setBrush(QColor(theme.CHANGED if chosen else "#ffffff"))
            painter.drawEllipse(spot, 5.0 if chosen else 3.0, 5.0 if chosen else 3.0)
            painter.setBrush(Qt.BrushStyle.NoBrush)

    # Places -----------------------------------------------------------------------------------------------------------

    def to_widget(self, x: float, y: float) -> QPointF:
        """Where the photo's pixel (x, y) is shown."""
        return self._to_widget(QPointF(x, y))

    def _scale(self) -> float:
        assert self._photo is not None
        return self._zoom * min(self.width() / self._photo.width(), self.height() / self._photo.height())

    def _to_widget(self, point: QPointF) -> QPointF:
        return (point - self._centre) * self._scale() + QPointF(self.width() / 2, self.height() / 2)

    def _to_photo(self, point: QPointF) -> QPointF:
        if self._photo is None:
            return point
        return (point - QPointF(self.width() / 2, self.height() / 2)) / self._scale() + self._centre

    def _face_at(self, point: QPointF) -> Box | None:
        """The face at a point of the photo, unless it is the one that is shown."""
        for left, top, right, bottom in self.faces:
            if left <= point.x() <= right and top <= point.y() <= bottom:
                return None if self._is_shown((left, top, right, bottom)) else (left, top, right, bottom)
        return None

    def _is_shown(self, face: Box) -> bool:
        """Whether the middle of the shown box lies in ``face``."""
        if self.box is None:
            return False
        x, y = (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2
        return face[0] <= x <= face[2] and face[1] <= y <= face[3]

    def _take(self, box: Box) -> None:
        self.box, self.landmarks = box, None
        self.box_drawn.emit(box)

    def _nearest(self, point: QPointF) -> int | None:
        if self.landmarks is None:
            return None
        here = self._to_photo(point)
        distances = np.linalg.norm(self.landmarks - [here.x(), here.y()], axis=1) * self._scale()
        index = int(distances.argmin())
        return index if distances[index] <= _REACH else None


def _part_of(index: int) -> slice:
    return next(part for part in (*_CLOSED, *_OPEN) if part.start <= index < part.stop)
