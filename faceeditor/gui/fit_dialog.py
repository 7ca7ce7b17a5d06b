"""Before a photo is fitted: what was found in it, to be corrected, and how well it shall be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from faceeditor.engine.jobs import Job, JobState
from faceeditor.fitting.portrait import Portrait
from faceeditor.gui import theme
from faceeditor.gui.photo_board import Box, PhotoBoard
from faceeditor.session import Session

_WORDS: Final = {
    "glance": "Glance – at once",
    "draft": "Draft – some seconds",
    "standard": "Standard – about a minute",
    "best": "Best – takes its time",
}
_HELP: Final = (
    "Drag points to correct them (Shift: a whole part), or draw a new box around the face. "
    "Wheel: zoom. Right button: shift."
)


class FitDialog(QDialog):
    """``started(job)`` when the artist lets the fit begin."""

    started = Signal(object)
    looking = Signal(object)
    """A job whose end the dialog tells itself."""

    def __init__(self, session: Session, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._path = session, path
        self._job: Job[tuple[NDArray[np.uint8], Portrait]] | None = None
        self._given_box: Box | None = None
        self._corrected = False
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Fit {path.name}")
        self.board = PhotoBoard()
        self.says = QLabel("Looking for the face…")
        self.says.setWordWrap(True)
        self.again = QPushButton(theme.icon("ph.arrow-counter-clockwise"), "Find again")
        self.quality = QComboBox()
        self.quality.setAccessibleName("Quality of the fit")
        for quality in session.photo_qualities():
            self.quality.addItem(_WORDS.get(quality, quality.capitalize()), quality)
        self.quality.setCurrentIndex(self.quality.findData("standard"))
        self._lay_out()
        self.board.corrected.connect(self._was_corrected)
        self.board.box_drawn.connect(self.look)
        self.again.clicked.connect(lambda: self.look())

    @property
    def ready(self) -> bool:
        """Whether a face is there to be fitted."""
        return self.board.landmarks is not None

    def accept(self) -> None:
        """Begin the fit with what is shown."""
        job = self._session.fit_photo(
            self._path,
            quality=self.quality.currentData(),
            box=self._given_box,
            landmarks=self.board.landmarks if self._corrected else None,
        )
        self.started.emit(job)
        super().accept()

    def reject(self) -> None:
        """Leave the photo alone."""
        if self._job is not None:
            self._job.cancel()
        super().reject()

    def look(self, box: Box | None = None) -> None:
        """Look for the face, in ``box`` when given; corrections are dropped."""
        self._given_box, self._corrected = box, False
        self.fit.setEnabled(False)
        self.says.setText("Looking for the face…")
        if self._job is not None:
            self._job.cancel()
        self._job = job = self._session.find_head(self._path, box=box)
        self.looking.emit(job)
        job.previewed.connect(self._show_photo)
        job.finished.connect(lambda: self._looked(job))

    def _show_photo(self, photo_srgb: Any) -> None:
        self.board.show_photo(photo_srgb)

    def _looked(self, job: Job[tuple[NDArray[np.uint8], Portrait]]) -> None:
        if job is not self._job or job.state is JobState.CANCELLED:
            return
        if job.state is JobState.FAILED:
            self.says.setText(job.error)
            return
        photo, portrait = job.result()
        self.board.show_photo(photo)
        self.board.show_head(portrait.box, portrait.photo_landmarks)
        self.says.setText(_HELP)
        self.fit.setEnabled(True)
        self.fit.setFocus()

    def _was_corrected(self) -> None:
        self._corrected = True
        self.says.setText("Your landmarks will be used. “Find again” drops them.")

    def _lay_out(self) -> None:
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.fit = buttons.addButton("Fit", QDialogButtonBox.ButtonRole.AcceptRole)
        self.fit.setDefault(True)
        self.fit.setEnabled(False)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        bottom = QHBoxLayout()
        for widget in (self.again, self.quality):
            bottom.addWidget(widget)
        bottom.addStretch(1)
        bottom.addWidget(buttons)
        column = QVBoxLayout(self)
        column.addWidget(self.board, 1)
        column.addWidget(self.says)
        column.addLayout(bottom)
