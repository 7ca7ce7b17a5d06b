"""Give parts of one face to the current one, by any amount, seen at once."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QGridLayout, QPushButton, QVBoxLayout, QWidget

from faceeditor.editing.transfer import TRANSFERS, Part
from faceeditor.errors import UserError
from faceeditor.gui import theme
from faceeditor.gui.slider import Control, SliderRow
from faceeditor.session import Session

_ALWAYS: Final = ("identity", "expression", "pose")
"""Shown even where they cannot be given, so that the panel does not jump about."""


_TIPS: Final[dict[Part, str]] = {"identity": "The shape of the head", "pose": "How the head is turned"}


class TransferPanel(QWidget):
    """What, from which face, how much. One drag of the amount is one step; ``finished`` when it ends."""

    finished = Signal()
    trouble = Signal(Exception)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._gesture: object = object()
        self._target: str | None = None
        self.source = QComboBox()
        self.source.setIconSize(QSize(20, 20))
        self.source.setAccessibleName("Face to take from")
        self.parts = {what: QCheckBox(what.capitalize()) for what in TRANSFERS}
        self.amount = SliderRow(Control("transfer.amount", "How much", 0.0, 1.0, tip="Beyond 1 exaggerates"))
        self.all = QPushButton("Take all of it")
        self._lay_out()
        self.amount.moved.connect(self.apply)
        self.amount.finished.connect(self.finished)
        self.amount.reset_asked.connect(lambda: self.apply(0.0))
        self.amount.neutral_asked.connect(lambda: self.apply(0.0))
        self.all.clicked.connect(self._take_all)
        self.source.currentIndexChanged.connect(lambda _index: self._new_source())
        for box in self.parts.values():
            box.toggled.connect(lambda _on: self._new_gesture())
        session.document.faces_changed.connect(self.rebuild)
        session.document.current_changed.connect(lambda _face: self.rebuild())

    def rebuild(self) -> None:
        """Offer the faces that are there, but for the current one."""
        document = self._session.document
        chosen = self.source.currentData()
        self.source.blockSignals(True)
        self.source.clear()
        for face_id in document.ids:
            if face_id != document.current:
                self.source.addItem(document[face_id].name, face_id)
        self.source.setCurrentIndex(max(self.source.findData(chosen), 0 if self.source.count() else -1))
        self.source.blockSignals(False)
        self.setEnabled(self.source.count() > 0)
        self._offer()
        if document.current != self._target:
            self._target = document.current
            self._new_gesture()

    def apply(self, amount: float) -> None:
        """Give ``amount`` of every ticked part to the current face."""
        source, target = self.source.currentData(), self._session.document.current
        if source is None or target is None:
            return
        self.amount.show_value(amount)
        what = self._chosen()
        try:
            if what:
                self._session.transfer(what, source, target, amount, gesture=self._gesture)
        except UserError as error:
            self.trouble.emit(error)

    def give(self, source: str, target: str) -> None:
        """All of every ticked part of ``source`` to ``target``, which becomes the current face; how much can then be
        changed in the same step. Says so when nothing that is ticked can be given.
        """
        self._session.document.select(target)
        self.source.setCurrentIndex(self.source.findData(source))
        self._new_gesture()
        if self._chosen():
            self._take_all()
        else:
            self.trouble.emit(UserError(f"{self.would(source, target)}; tick something else under What."))

    def would(self, source: str, target: str) -> str:
        """What a drop of ``source`` on ``target`` does, in words."""
        document, offered = self._session.document, self._session.transferable(source, target)
        giver, taker = document[source].name, document[target].name
        ticked = [part for part, box in self.parts.items() if box.isChecked()]
        given = [part for part in ticked if part in offered]
        if given:
            return f"Give the {' and '.join(', '.join(given).rsplit(', ', 1))} of {giver} to {taker}"
        return f"{giver} cannot give {taker} {' or '.join(ticked) or 'anything while nothing is ticked'}"

    def _chosen(self) -> str:
        """What is ticked and can be given."""
        return ",".join(part for part, box in self.parts.items() if box.isChecked() and box.isEnabled())

    def _offer(self) -> None:
        """Only what the chosen face can give to the current one."""
        source, target = self.source.currentData(), self._session.document.current
        offered = () if source is None or target is None else self._session.transferable(source, target)
        for part, box in self.parts.items():
            box.setEnabled(part in offered)
            box.setVisible(part in offered or part in _ALWAYS)

    def _new_source(self) -> None:
        self._offer()
        self._new_gesture()

    def _take_all(self) -> None:
        self.apply(1.0)
        self.finished.emit()

    def _new_gesture(self) -> None:
        """What is taken from now on is another step, starting from the face as it is."""
        self._gesture = object()
        self.amount.show_value(0.0)

    def _lay_out(self) -> None:
        self.parts["expression"].setChecked(True)
        for part, tip in _TIPS.items():
            self.parts[part].setToolTip(tip)
        grid = QGridLayout()
        for i, box in enumerate(self.parts.values()):
            grid.addWidget(box, i // 3, i % 3)
        form = QFormLayout()
        form.setContentsMargins(theme.MARGIN, theme.MARGIN, theme.MARGIN, 0)
        form.addRow("From", self.source)
        form.addRow("What", grid)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, theme.MARGIN)
        column.addLayout(form)
        column.addWidget(self.amount)
        bottom = QVBoxLayout()
        bottom.setContentsMargins(theme.MARGIN, 0, theme.MARGIN, 0)
        bottom.addWidget(self.all)
        column.addLayout(bottom)
        column.addStretch(1)
