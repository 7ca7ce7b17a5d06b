"""The strip below the picture: turn the head round, go from one face to another, or let a video drive the face; play,
keep or record it.
"""

from __future__ import annotations

from math import sin
from typing import Final

from PySide6.QtCore import QElapsedTimer, QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from faceeditor.editing.transfer import blend
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.gui import theme
from faceeditor.gui.buttons import tool_button
from faceeditor.gui.driving import Driving
from faceeditor.gui.slider import Control, SliderRow
from faceeditor.session import Session

_TICK_MS: Final = 40
_SWING: Final = 35.0
"""Degrees to either side that the turntable swings."""
_PERIOD_S: Final = 6.0


class Timeline(QWidget):
    """``showing(face)`` wants a face in the viewport instead of the document's (``None`` ends it)."""

    showing = Signal(object)
    record_asked = Signal(str)
    """``turntable`` or ``interpolation``."""
    trouble = Signal(Exception)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._clock = QElapsedTimer()
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._before: Camera | None = None
        self.turn = tool_button("ph.arrows-clockwise", "Turn the head from side to side", checkable=True)
        self.play = tool_button("ph.play", "Play from the first face to the second and back", checkable=True)
        self.record = tool_button("ph.film-strip", "Record what plays as a video")
        self.keep = tool_button("ph.plus-circle", "Keep this in-between as a face of its own")
        self.first, self.second = QComboBox(), QComboBox()
        self.between = SliderRow(Control("timeline.between", "In between", 0.0, 1.0))
        self.driving = Driving(session)
        self._lay_out()
        self.driving.showing.connect(self.showing)
        self.driving.trouble.connect(self.trouble)
        self.driving.started.connect(self._rest)
        self.turn.toggled.connect(self._turn)
        self.play.toggled.connect(self._play)
        self.record.clicked.connect(lambda: self.record_asked.emit("turntable" if self.turning else "interpolation"))
        self.keep.clicked.connect(self._keep)
        self.between.moved.connect(self.go_to)
        self.between.reset_asked.connect(lambda: self.go_to(0.0))
        self.between.neutral_asked.connect(lambda: self.go_to(0.0))
        session.document.faces_changed.connect(self.rebuild)
        session.document.current_changed.connect(lambda _face: self.stop())

    @property
    def turning(self) -> bool:
        """Whether the turntable runs."""
        return self.turn.isChecked()

    @property
    def ends(self) -> tuple[str, str] | None:
        """The two faces between which it goes, if two are chosen."""
        first, second = self.first.currentData(), self.second.currentData()
        return (first, second) if first and second and first != second else None

    def rebuild(self) -> None:
        """Offer the faces that are there."""
        document = self._session.document
        for box, default in ((self.first, 0), (self.second, 1)):
            chosen = box.currentData()
            box.blockSignals(True)
            box.clear()
            for face_id in document.ids:
                box.addItem(document[face_id].name, face_id)
            found = box.findData(chosen)
            box.setCurrentIndex(found if found >= 0 else min(default, box.count() - 1))
            box.blockSignals(False)
        for widget in (self.play, self.keep, self.between):
            widget.setEnabled(len(document.ids) > 1)

    def go_to(self, amount: float) -> None:
        """Show the face ``amount`` of the way."""
        self.between.show_value(amount)
        if self.ends is None:
            return
        first, second = (self._session.document[face_id] for face_id in self.ends)
        try:
            self.showing.emit(blend(first, second, amount))
        except UserError as error:
            self.stop()
            self.trouble.emit(error)

    def stop(self) -> None:
        """Stop playing and show the document's face again."""
        self._rest()
        self.driving.stop()

    def _rest(self) -> None:
        """Neither turn nor go from face to face."""
        self.turn.setChecked(False)
        self.play.setChecked(False)
        self.between.show_value(0.0)

    def _turn(self, on: bool) -> None:
        face_id = self._session.document.current
        if face_id is None:
            return
        if on:
            self.play.setChecked(False)
            self.driving.stop()
            self._before = self._session.view(face_id)
        elif self._before is not None:
            self._session.look(face_id, self._before)
            self._before = None
        self._run()

    def _play(self, on: bool) -> None:
        self.play.setIcon(theme.icon("ph.pause" if on else "ph.play"))
        if on:
            self.turn.setChecked(False)
            self.driving.stop()
        self._run()

    def _run(self) -> None:
        if self.turning or self.play.isChecked():
            self._clock.start()
            self._timer.start()
        else:
            self._timer.stop()

    def _tick(self) -> None:
        phase = sin(2 * 3.141592653589793 * self._clock.elapsed() / 1000 / _PERIOD_S)
        face_id = self._session.document.current
        if self.turning and face_id is not None and self._before is not None:
            self._session.look(face_id, self._before.replace(yaw=_SWING * phase))
        elif self.play.isChecked():
            self.go_to(0.5 + 0.5 * phase)

    def _keep(self) -> None:
        if self.ends is not None:
            try:
                self._session.blend(*self.ends, self.between.value)
            except UserError as error:
                self.trouble.emit(error)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        row = QHBoxLayout()
        row.setContentsMargins(theme.MARGIN, 4, theme.MARGIN, 4)
        row.setSpacing(theme.MARGIN // 2)
        for box, name in ((self.first, "First face"), (self.second, "Second face")):
            box.setMinimumWidth(110)
            box.setAccessibleName(name)
            box.setToolTip(name)
        for widget in (self.turn, _line(), self.play, self.first, self.between, self.second, self.keep, self.record):
            row.addWidget(widget, 1 if widget is self.between else 0)
        column.addLayout(row)
        column.addWidget(self.driving)
        self.setFixedHeight(74)


def _line() -> QLabel:
    line = QLabel()
    line.setFixedSize(1, 20)
    line.setStyleSheet(f"background: {theme.LINE};")
    return line
