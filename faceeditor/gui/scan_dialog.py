"""Before a scan is fitted: where its face was found, to be corrected by five points, and how well it shall be done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from faceeditor.engine.exports import QUALITIES
from faceeditor.engine.jobs import Job, JobState
from faceeditor.files.scans import read_scan
from faceeditor.fitting.scan_placing import MARKED, Placement
from faceeditor.fitting.scan_scene import ScanScene, Sight
from faceeditor.gui import theme
from faceeditor.gui.scan_board import NEAR, ScanBoard
from faceeditor.session import Session

if TYPE_CHECKING:
    from faceeditor.faces.scan import Scan
    from faceeditor.faces.similarity import Similarity

_WORDS: Final = {
    "draft": "Draft – some seconds",
    "standard": "Standard – a minute or two",
    "best": "Best – takes its time",
}
_LOOKING: Final = "Looking for the face…"
_HELP: Final = (
    "The five points place the scan; drag one to correct it. Drag beside them: turn. Wheel: zoom. Right button: shift."
)


class ScanDialog(QDialog):
    """``started(job)`` when the artist lets the fit begin."""

    started = Signal(object)
    looking = Signal(object)
    """A job whose end the dialog tells itself."""
    drawing = Signal(object)
    """A job that draws the dialog's picture."""

    def __init__(self, session: Session, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._path = session, path
        self._placing: Job[Any] | None = None
        self._drawn: Job[Sight] | None = None
        self._again: bool | None = None
        self._scene: ScanScene | None = None
        self._marked: NDArray[np.float64] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Fit {path.name}")
        self.board = ScanBoard()
        self.says = QLabel(_LOOKING)
        self.says.setWordWrap(True)
        self.again = QPushButton(theme.icon("ph.arrow-counter-clockwise"), "Find again")
        self.place = QPushButton(theme.icon("ph.crosshair"), "Place again")
        self.anew = QPushButton(theme.icon("ph.eraser"), "Mark anew")
        self.colours = QCheckBox("Colours")
        self.quality = QComboBox()
        self.quality.setAccessibleName("Quality of the fit")
        for quality in QUALITIES:
            self.quality.addItem(_WORDS.get(quality, quality.capitalize()), quality)
        self.quality.setCurrentIndex(self.quality.findData("standard"))
        self._lay_out()
        self.board.turned.connect(self._draw)
        self.board.marked.connect(self._was_marked)
        self.again.clicked.connect(lambda: self.look())
        self.place.clicked.connect(lambda: self.look(self.board.points.copy()))
        self.anew.clicked.connect(self._mark_anew)
        self.colours.toggled.connect(lambda _on: self._draw(False))

    @property
    def ready(self) -> bool:
        """Whether the scan may be fitted."""
        return self.fit.isEnabled()

    def accept(self) -> None:
        """Begin the fit from what is shown."""
        job = self._session.fit_scan(self._path, quality=self.quality.currentData(), marked=self._marked)
        self.started.emit(job)
        super().accept()

    def reject(self) -> None:
        """Leave the scan alone."""
        if self._placing is not None:
            self._placing.cancel()
        super().reject()

    def done(self, result: int) -> None:
        """Whatever comes later is not shown."""
        self._scene = self._drawn = self._placing = None
        super().done(result)

    def look(self, marked: NDArray[np.float64] | None = None) -> None:
        """Find the face, by the artist's points when they are given (5, 3)."""
        self._marked = marked
        self._begin(_LOOKING)
        self._placing = job = self._session.place_scan(self._path, marked=marked)
        self.looking.emit(job)
        job.finished.connect(lambda: self._placed(job))

    # Following the jobs -----------------------------------------------------------------------------------------------

    def _begin(self, words: str) -> None:
        if self._placing is not None:
            self._placing.cancel()
        self.says.setText(words)
        for button in (self.fit, self.again, self.place, self.anew):
            button.setEnabled(False)

    def _placed(self, job: Job[tuple[Scan, Placement]]) -> None:
        if job is not self._placing or job.state is JobState.CANCELLED:
            return
        self.again.setEnabled(True)
        self.anew.setEnabled(self._scene is not None)
        if job.state is JobState.FAILED:
            self.says.setText(job.error)
            self._show_unplaced(job.error)
            return
        scan, placement = job.result()
        self._show_scan(scan)
        own = placement.similarity.inverse().to_head(placement.landmarks[list(MARKED.values())])
        self.board.show_points(own if self._marked is None else self._marked)
        self.board.look(placement.similarity, NEAR)
        self.says.setText(f"Found to {placement.error_mm:.1f} mm. {_HELP}")
        self.anew.setEnabled(True)
        self.fit.setEnabled(True)
        self.fit.setFocus()

    def _show_unplaced(self, reason: str) -> None:
        """The artist has to mark the face: show the whole scan."""
        if self._scene is not None:
            return
        self._placing = job = self._session.engine.submit(f"Read {self._path.name}", lambda step: _read(self._path))
        self.looking.emit(job)
        job.finished.connect(lambda: self._show_whole(job, reason))

    def _show_whole(self, job: Job[tuple[Scan, Similarity]], reason: str) -> None:
        if job is not self._placing or job.state is not JobState.DONE:
            return
        scan, whole = job.result()
        self._show_scan(scan)
        self._mark_anew()
        self.says.setText(f"{reason} {self.says.text()}")
        self.board.look(whole, NEAR)

    def _show_scan(self, scan: Scan) -> None:
        if self._scene is None:
            self._scene = ScanScene(scan)
            self.colours.setVisible(scan.colours_srgb is not None or scan.texture_srgb is not None)

    # Marking ----------------------------------------------------------------------------------------------------------

    def _mark_anew(self) -> None:
        self.board.show_points(np.full_like(self.board.points, np.nan))
        self._was_marked()
        self.anew.setEnabled(True)

    def _was_marked(self) -> None:
        wanted = self.board.next_name
        self._marked = self.board.points.copy() if wanted is None else None
        self.place.setEnabled(wanted is None)
        self.fit.setEnabled(wanted is None)
        self.says.setText(
            "Your points will be used; “Place again” shows what comes of them, “Find again” drops them."
            if wanted is None
            else f"Turn the scan to its face and click the {wanted} (right and left are the subject's)."
        )

    # Drawing ----------------------------------------------------------------------------------------------------------

    def _draw(self, moving: bool) -> None:
        """One picture at a time; what is asked for meanwhile comes next."""
        scene, board = self._scene, self.board
        if scene is None or self._drawn is not None:
            self._again = moving
            return
        shown, camera, coloured = board.shown, board.camera, self.colours.isChecked()
        size = board.pixels // 2 if moving else board.pixels
        self._drawn = job = self._session.engine.submit(
            "Draw the scan", lambda step: scene.draw(shown, camera, size, coloured=coloured, moving=moving)
        )
        self.drawing.emit(job)
        job.finished.connect(lambda: self._show(job, moving))

    def _show(self, job: Job[Sight], moving: bool) -> None:
        if job is not self._drawn:
            return
        again, self._drawn, self._again = self._again, None, None
        if job.state is JobState.DONE:
            self.board.show_sight(job.result())
        elif job.state is JobState.FAILED:
            self.says.setText(job.error)
            return
        if again is not None:
            self._draw(again)
        elif moving:
            self._draw(False)

    def _lay_out(self) -> None:
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.fit = buttons.addButton("Fit", QDialogButtonBox.ButtonRole.AcceptRole)
        self.fit.setDefault(True)
        self.fit.setEnabled(False)
        self.colours.setVisible(False)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        bottom = QHBoxLayout()
        for widget in (self.again, self.place, self.anew, self.colours, self.quality):
            bottom.addWidget(widget)
        bottom.addStretch(1)
        bottom.addWidget(buttons)
        column = QVBoxLayout(self)
        column.addWidget(self.board, 1)
        column.addWidget(self.says)
        column.addLayout(bottom)


def _read(path: Path) -> tuple[Scan, Similarity]:
    scan = read_scan(path)
    return scan, ScanScene(scan).whole()
