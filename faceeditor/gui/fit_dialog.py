"""Before a photo is fitted: what was found in it, to be chosen and corrected, and how well it shall be done."""

from __future__ import annotations

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
from faceeditor.engine.photos import Photo
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
_CHOOSE: Final = "{} faces were found: click on another to take it. "


class FitDialog(QDialog):
    """``started(job)`` when the artist lets the fit begin: of a new face, or of ``face_id``, which is then refined."""

    started = Signal(object)
    looking = Signal(object)
    """A job whose end the dialog tells itself."""

    def __init__(
        self, session: Session, photo: Photo, parent: QWidget | None = None, *, face_id: str | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._photo, self._face_id = session, photo, face_id
        self._job: Job[tuple[NDArray[np.uint8], Portrait]] | None = None
        self._others: Job[list[Box]] | None = None
        self._given_box: Box | None = None
        self._corrected = False
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        what = f"Fit {photo.path.name}" if photo.path else "Fit"
        self.setWindowTitle(what if face_id is None else f"Refine {session.document[face_id].name}")
        self.board = PhotoBoard()
        self.says = QLabel("Looking for the face…")
        self.says.setWordWrap(True)
        self.again = QPushButton(theme.icon("ph.arrow-counter-clockwise"), "Find again")
        self.quality = QComboBox()
        self.quality.setAccessibleName("Quality of the fit")
        model = None if face_id is None else session.document[face_id].model
        for quality in session.photo_qualities(model):
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
        quality, box = self.quality.currentData(), self._given_box
        landmarks = self.board.landmarks if self._corrected else None
        if self._face_id is None:
            job = self._session.fit_photo(self._photo, quality=quality, box=box, landmarks=landmarks)
        else:
            job = self._session.refine(self._face_id, quality=quality, box=box, landmarks=landmarks)
        self.started.emit(job)
        self._stop(self._others)
        super().accept()

    def reject(self) -> None:
        """Leave the photo alone."""
        self._stop(self._job, self._others)
        super().reject()

    def look(self, box: Box | None = None) -> None:
        """Look for the face, in ``box`` when given; corrections are dropped."""
        self._given_box, self._corrected = box, False
        self.fit.setEnabled(False)
        self.says.setText("Looking for the face…")
        self._stop(self._job, self._others)
        self._job = job = self._session.find_head(self._photo, box=box)
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
        self._show_help()
        self.fit.setEnabled(True)
        self.fit.setFocus()
        if self._photo.path is not None and (self._others is None or self._others.state is not JobState.DONE):
            self._look_for_others()

    def _look_for_others(self) -> None:
        self._others = job = self._session.find_heads(self._photo)
        self.looking.emit(job)
        job.finished.connect(lambda: self._found_others(job))

    def _found_others(self, job: Job[list[Box]]) -> None:
        """Faces to choose from; when there are none, or they cannot be found, nothing is lost."""
        if job is self._others and job.state is JobState.DONE:
            self.board.show_faces(job.result())
            if self.fit.isEnabled() and not self._corrected:
                self._show_help()

    def _show_help(self) -> None:
        count = len(self.board.faces)
        self.says.setText((_CHOOSE.format(count) if count > 1 else "") + _HELP)

    def _stop(self, *jobs: Job[Any] | None) -> None:
        for job in jobs:
            if job is not None:
                job.cancel()

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
