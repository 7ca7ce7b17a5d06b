"""One line of the inspector: a label, a slider and a number that may go beyond the slider's ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QMenu, QSizePolicy, QSlider, QWidget

from faceeditor.gui import theme

STEPS: Final = 1000
FINE: Final = 0.1
"""How much slower the handle follows the mouse while Shift is held."""
BEYOND: Final = 3.0
"""How far, in ranges, a typed number may lie outside the slider."""
_PAUSE_MS: Final = 700
"""Key presses and wheel clicks closer together than this are one gesture."""
_HANDLE: Final = 5.5


@dataclass(frozen=True)
class Control:
    """What a line shows: ``neutral`` is where the fill starts, ``low`` and ``high`` the slider's (soft) ends."""

    key: str
    label: str
    low: float
    high: float
    neutral: float = 0.0
    tip: str = ""
    unit: str = ""


class Track(QSlider):
    """The slider itself. Integers inside, floats outside; remembers a value beyond its ends."""

    moved = Signal(float)
    reset_asked = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._control = control
        self._anchor: tuple[float, float] | None = None
        self._start = control.neutral
        self._exact = control.neutral
        self.setRange(0, STEPS)
        self.setSingleStep(STEPS // 100)
        self.setPageStep(STEPS // 10)
        self.setMinimumWidth(60)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.show_value(control.neutral)

    def sizeHint(self) -> QSize:
        """One line high."""
        return QSize(110, theme.ROW - 4)

    def show_value(self, value: float) -> None:
        """Put the handle at ``value`` without telling anyone."""
        self._exact = value
        blocked = self.blockSignals(True)
        self.setValue(round(STEPS * self._fraction(value)))
        self.blockSignals(blocked)
        self.update()

    def show_start(self, value: float) -> None:
        """Mark where the face started."""
        self._start = value
        self.update()

    def handle_x(self, value: float | None = None) -> float:
        """Horizontal pixel of the handle for ``value`` (the present one unless given)."""
        shown = self._fraction(self._exact if value is None else value)
        return _HANDLE + shown * (self.width() - 2 * _HANDLE)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Grab the handle, or bring it under the mouse; Ctrl resets."""
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.reset_asked.emit()
            return
        self.setSliderDown(True)
        if abs(event.position().x() - self.handle_x()) > 2 * _HANDLE:
            self._move_to(self._value_at(event.position().x()))
        self._anchor = (event.position().x(), self._exact)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse; Shift is fine."""
        if self._anchor is None:
            return
        speed = FINE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1.0
        x, value = self._anchor
        moved = value + (event.position().x() - x) * speed * self._per_pixel()
        self._anchor = (event.position().x(), moved)
        self._move_to(min(max(moved, self._control.low), self._control.high))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go: the gesture is over."""
        if self._anchor is not None and event.button() is Qt.MouseButton.LeftButton:
            self._anchor = None
            self.setSliderDown(False)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Reset, when it was the handle that was double-clicked."""
        if event.button() is Qt.MouseButton.LeftButton and abs(event.position().x() - self.handle_x()) <= 3 * _HANDLE:
            self.reset_asked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows and pages by Qt; Backspace and Delete reset."""
        if event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self.reset_asked.emit()
            return
        before = self.value()
        super().keyPressEvent(event)
        if self.value() != before:
            self._move_to(self._control.low + self.value() / STEPS * self._span())

    def wheelEvent(self, event: QEvent) -> None:
        """Scroll the panel, not the slider."""
        event.ignore()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Groove, filled from neutral to the value, a tick where the face started, the handle."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        middle, here = self.height() / 2, self.handle_x()
        active = self.isEnabled()
        painter.setBrush(QColor(theme.LINE))
        painter.drawRoundedRect(QRectF(_HANDLE, middle - 1.5, self.width() - 2 * _HANDLE, 3), 1.5, 1.5)
        origin = self.handle_x(self._control.neutral)
        painter.setBrush(QColor(theme.ACCENT if active else theme.QUIET))
        painter.drawRoundedRect(QRectF(min(origin, here), middle - 1.5, abs(here - origin), 3), 1.5, 1.5)
        if abs(self._start - self._exact) > 1e-3 * self._span():
            painter.setBrush(QColor(theme.CHANGED))
            painter.drawRect(QRectF(self.handle_x(self._start) - 1, middle - 5, 2, 10))
        painter.setBrush(QColor(theme.TEXT if active else theme.QUIET))
        if self.hasFocus():
            painter.setPen(QColor(theme.ACCENT))
        painter.drawEllipse(QPointF(here, middle), _HANDLE - 0.5, _HANDLE - 0.5)

    def _move_to(self, value: float) -> None:
        if value != self._exact:
            self.show_value(value)
            self.moved.emit(value)

    def _span(self) -> float:
        return max(self._control.high - self._control.low, 1e-9)

    def _fraction(self, value: float) -> float:
        return min(max((value - self._control.low) / self._span(), 0.0), 1.0)

    def _per_pixel(self) -> float:
        return self._span() / max(self.width() - 2 * _HANDLE, 1.0)

    def _value_at(self, x: float) -> float:
        inside = self._control.low + (x - _HANDLE) * self._per_pixel()
        return min(max(inside, self._control.low), self._control.high)


class SliderRow(QWidget):
    """Label, slider, number. ``moved`` while it changes; ``finished`` when the gesture ends."""

    moved = Signal(float)
    finished = Signal()
    reset_asked = Signal()
    neutral_asked = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.control = control
        self._value = self._start = control.neutral
        self.label = QLabel(control.label)
        self.track = Track(control)
        self.number = _Number(control)
        self._quiet = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._lay_out()
        self._connect()

    @property
    def value(self) -> float:
        """Where the slider stands."""
        return self._value

    @property
    def changed(self) -> bool:
        """Whether it stands elsewhere than it started."""
        return abs(self._value - self._start) > 1e-3 * max(self.control.high - self.control.low, 1e-9)

    def show_value(self, value: float, start: float | None = None) -> None:
        """Show what the face says, and where it started if that is told; tells nobody."""
        moved = start is not None and start != self._start
        if start is not None and moved:
            self._start = start
            self.track.show_start(start)
        if moved or value != self._value:
            self._show(value)

    def matches(self, words: list[str]) -> bool:
        """Whether label or key hold all ``words`` (lower case)."""
        text = f"{self.control.label} {self.control.key}".lower()
        return all(word in text for word in words)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A double or Ctrl click on the label resets."""
        if watched is self.label and isinstance(event, QMouseEvent):
            control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
            press = event.type() is QEvent.Type.MouseButtonPress and control
            if press or event.type() is QEvent.Type.MouseButtonDblClick:
                self.reset_asked.emit()
                return True
        return super().eventFilter(watched, event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Reset, copy, type."""
        self.menu().exec(event.globalPos())

    def menu(self) -> QMenu:
        """The context menu."""
        menu = QMenu(self)
        entries = (
            ("Reset to where it started", "ph.arrow-counter-clockwise", self.reset_asked.emit),
            ("Set to neutral", "ph.circle", self.neutral_asked.emit),
            ("Copy value", "ph.copy", lambda: QGuiApplication.clipboard().setText(f"{self._value:.4g}")),
            ("Copy name", "ph.tag", lambda: QGuiApplication.clipboard().setText(self.control.key)),
            ("Type a value", "ph.text-t", self._type),
        )
        for text, image, act in entries:
            action = QAction(theme.icon(image), text, menu)
            action.triggered.connect(act)
            menu.addAction(action)
        return menu

    def _type(self) -> None:
        self.number.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.number.selectAll()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.MARGIN, 0, theme.MARGIN, 0)
        row.setSpacing(theme.MARGIN // 2)
        self.setFixedHeight(theme.ROW)
        self.label.setFixedWidth(118)
        self.number.setFixedWidth(58)
        for widget in (self.label, self.track, self.number):
            row.addWidget(widget)
        tip = f"<b>{self.control.label}</b> <span style='color:{theme.QUIET}'>{self.control.key}</span>"
        self.setToolTip(f"{tip}<br>{self.control.tip}" if self.control.tip else tip)
        for widget in (self.track, self.number):
            widget.setAccessibleName(self.control.label)
        self.label.setBuddy(self.track)
        self.label.installEventFilter(self)

    def _connect(self) -> None:
        self.track.moved.connect(self._track_moved)
        self.track.sliderReleased.connect(self.finished)
        self.track.reset_asked.connect(self.reset_asked)
        self.number.typed.connect(self._typed)
        self._quiet.timeout.connect(self.finished)

    def _track_moved(self, value: float) -> None:
        self._show(value)
        self.moved.emit(value)
        if not self.track.isSliderDown():
            self._quiet.start()

    def _typed(self, value: float) -> None:
        self._show(value)
        self.moved.emit(value)
        self._quiet.start()

    def _show(self, value: float) -> None:
        self._value = value
        self.track.show_value(value)
        self.number.show_value(value)
        colour = theme.CHANGED if self.changed else theme.TEXT
        if self.label.property("colour") != colour:
            self.label.setProperty("colour", colour)
            self.label.setStyleSheet(f"color: {colour};")


class _Number(QDoubleSpinBox):
    """A number without arrows that takes more than the slider does; the wheel scrolls the panel."""

    typed = Signal(float)

    def __init__(self, control: Control) -> None:
        super().__init__()
        span = control.high - control.low
        self._shown = control.neutral
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setDecimals(1 if span > 20 else 2 if span > 0.2 else 4)
        self.setRange(control.low - BEYOND * span, control.high + BEYOND * span)
        self.setSingleStep(span / 100)
        self.setSuffix(control.unit)
        self.setKeyboardTracking(False)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setValue(control.neutral)
        self.valueChanged.connect(self._changed)

    def show_value(self, value: float) -> None:
        """Show ``value`` without telling anyone."""
        self._shown = value
        blocked = self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(blocked)

    def wheelEvent(self, event: QEvent) -> None:
        """Scroll the panel, not the number."""
        event.ignore()

    def _changed(self, value: float) -> None:
        if abs(value - self._shown) >= 0.5 * 10 ** -self.decimals():
            self._shown = value
            self.typed.emit(value)
