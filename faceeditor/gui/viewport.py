"""The viewport: paints the newest pictures of the face and turns the camera with the mouse. It computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from faceeditor.faces.camera import Camera
from faceeditor.gui import navigation, theme
from faceeditor.gui.heat import Legend, paint_legend

_BORDER: Final = 12
_GRAB: Final = 10
"""Pixels around the divider where it can be grabbed."""
_PATIENCE_MS: Final = 200
"""A picture that takes longer shows that it is being drawn."""


class Mode(StrEnum):
    """What the viewport shows."""

    LOOK = "look"
    SURFACE = "surface"
    BOTH = "both"
    WIPE = "wipe"


@dataclass(frozen=True, eq=False)
class Layers:
    """The pictures that may be painted, all of the same square; ``None`` is not there (yet)."""

    look: QImage | None = None
    surface: QImage | None = None
    other: QImage | None = None
    other_name: str = ""
    legend: Legend | None = None
    """What the surface's colours mean."""
    instead: QImage | None = None
    """Shown instead of everything: before, or a fit's preview."""
    instead_name: str = ""


class Viewport(QWidget):
    """``camera_moved(camera, moving)`` asks for another camera; whoever listens answers with :meth:`show_camera`."""

    camera_moved = Signal(Camera, bool)
    resized = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 320)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Picture of the face")
        self.mode = Mode.LOOK
        self.message = ""
        self.caption = ""
        self._layers = Layers()
        self._camera = Camera()
        self._divider = 0.5
        self._opacity = 0.5
        self._drag: tuple[QPointF, str] | None = None
        self._waiting = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._waiting.timeout.connect(lambda: self._set_late(True))
        self._late = False

    @property
    def layers(self) -> Layers:
        """What is painted."""
        return self._layers

    @property
    def stage(self) -> QRectF:
        """The square that pictures fill, in the widget's pixels."""
        side = max(min(self.width(), self.height()) - 2 * _BORDER, 16)
        return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)

    @property
    def pixels(self) -> int:
        """Side of the stage in the screen's own pixels."""
        return round(self.stage.width() * self.devicePixelRatioF())

    def sizeHint(self) -> QSize:
        """Room for a picture of 768 pixels."""
        return QSize(800, 800)

    def show_layers(self, layers: Layers) -> None:
        """Paint these from now on."""
        self._layers = layers
        self.update()

    def show_camera(self, camera: Camera) -> None:
        """What the next drag starts from."""
        self._camera = camera

    def set_mode(self, mode: Mode) -> None:
        """Look, surface, both or wipe."""
        self.mode = mode
        self.update()

    def set_divider(self, share: float) -> None:
        """Where the wipe divides, 0 left to 1 right."""
        self._divider = min(max(share, 0.0), 1.0)
        self.update()

    def set_opacity(self, share: float) -> None:
        """How strongly the surface covers the look in mode both."""
        self._opacity = min(max(share, 0.0), 1.0)
        self.update()

    def set_waiting(self, waiting: bool) -> None:
        """Whether a picture has been asked for and has not come."""
        if not waiting:
            self._waiting.stop()
            self._set_late(False)
        elif not self._late and not self._waiting.isActive():
            self._waiting.start()

    def say(self, message: str) -> None:
        """Words in the middle of the stage where there is no picture."""
        self.message = message
        self.update()

    # Mouse ------------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Left turns, middle or Shift and left shifts, the divider wipes."""
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if self._on_divider(event.position()) and event.button() is Qt.MouseButton.LeftButton:
            action = "wipe"
        elif event.button() is Qt.MouseButton.MiddleButton or (event.button() is Qt.MouseButton.LeftButton and shift):
            action = "pan"
        elif event.button() is Qt.MouseButton.LeftButton:
            action = "orbit"
        else:
            return
        self._drag = (event.position(), action)
        self.setCursor(_CURSORS[action])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Carry on what the press began."""
        if self._drag is None:
            self.setCursor(_CURSORS["wipe"] if self._on_divider(event.position()) else Qt.CursorShape.OpenHandCursor)
            return
        before, action = self._drag
        self._drag = (event.position(), action)
        moved = (event.position() - before) / self.stage.width()
        if action == "wipe":
            self.set_divider((event.position().x() - self.stage.left()) / self.stage.width())
        else:
            turn = navigation.pan if action == "pan" else navigation.orbit
            self._go(turn(self._camera, moved.x(), moved.y()), moving=True)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """The last camera is drawn in full."""
        if self._drag is not None:
            action = self._drag[1]
            self._drag = None
            self.setCursor(Qt.CursorShape.OpenHandCursor)
            if action != "wipe":
                self._go(self._camera, moving=False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel zooms; with Ctrl it changes the lens and keeps the head's size."""
        steps = event.angleDelta().y() / 120
        lens = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        change = navigation.change_lens if lens else navigation.zoom
        self._go(change(self._camera, steps), moving=True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another size wants another picture."""
        super().resizeEvent(event)
        self.resized.emit()

    def _set_late(self, late: bool) -> None:
        if late != self._late:
            self._late = late
            self.update()

    def _go(self, camera: Camera, *, moving: bool) -> None:
        self._camera = camera
        self.camera_moved.emit(camera, moving)

    def _on_divider(self, point: QPointF) -> bool:
        if self.mode is not Mode.WIPE:
            return False
        return abs(point.x() - self._divider_x()) <= _GRAB and self.stage.contains(point)

    def _divider_x(self) -> float:
        return self.stage.left() + self._divider * self.stage.width()

    # Painting ---------------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Surround, stage, pictures, words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor(theme.WINDOW))
        stage, layers = self.stage, self._layers
        painter.fillRect(stage, QColor("#26272a"))
        if layers.instead is not None:
            painter.drawImage(stage, layers.instead)
        else:
            self._paint_mode(painter, stage, layers)
        self._paint_words(painter, stage)

    def _paint_mode(self, painter: QPainter, stage: QRectF, layers: Layers) -> None:
        if layers.look is not None and self.mode is not Mode.SURFACE:
            painter.drawImage(stage, layers.look)
        if layers.surface is not None and self.mode in (Mode.SURFACE, Mode.BOTH):
            painter.setOpacity(1.0 if self.mode is Mode.SURFACE else self._opacity)
            painter.drawImage(stage, layers.surface)
            painter.setOpacity(1.0)
        if self.mode is Mode.WIPE and layers.other is not None:
            painter.save()
            painter.setClipRect(QRectF(stage.left(), stage.top(), self._divider_x() - stage.left(), stage.height()))
            painter.drawImage(stage, layers.other)
            painter.restore()
            self._paint_divider(painter, stage)

    def _paint_divider(self, painter: QPainter, stage: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x, middle = self._divider_x(), stage.center().y()
        painter.setPen(QPen(QColor(255, 255, 255, 220), 2))
        painter.drawLine(QPointF(x, stage.top()), QPointF(x, stage.bottom()))
        painter.setBrush(QColor(255, 255, 255, 235))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(QPointF(x, middle), 13, 13)
        painter.setPen(QPen(QColor(theme.WINDOW), 1.8))
        for side in (-1, 1):
            tip = QPointF(x + side * 8, middle)
            painter.drawLine(tip, tip + QPointF(-side * 4, -4))
            painter.drawLine(tip, tip + QPointF(-side * 4, 4))

    def _paint_words(self, painter: QPainter, stage: QRectF) -> None:
        painter.setPen(QColor(theme.QUIET))
        if self.message:
            painter.drawText(stage, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.message)
        if self._layers.instead_name:
            _badge(painter, stage.topLeft() + QPointF(10, 10), self._layers.instead_name)
        elif self.mode is Mode.WIPE and self._layers.other is not None:
            _badge(painter, stage.topLeft() + QPointF(10, 10), self._layers.other_name)
        if self.caption:
            _badge(painter, stage.bottomLeft() + QPointF(10, -30), self.caption)
        if self._layers.legend is not None and self._layers.instead is None and self.mode in (Mode.SURFACE, Mode.BOTH):
            paint_legend(painter, stage, self._layers.legend)
        if self._late:
            painter.fillRect(QRectF(stage.left(), stage.top(), stage.width(), 2), QColor(theme.ACCENT))


def _badge(painter: QPainter, corner: QPointF, text: str) -> None:
    box = QRectF(corner, QSize(painter.fontMetrics().horizontalAdvance(text) + 14, 20))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 22, 170))
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


_CURSORS = {
    "orbit": Qt.CursorShape.ClosedHandCursor,
    "pan": Qt.CursorShape.SizeAllCursor,
    "wipe": Qt.CursorShape.SplitHCursor,
}
