"""Questions and bad news. Every error is one sentence, with its details a click away."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import Enum
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QMessageBox, QWidget

from faceeditor.engine.requests import Background
from faceeditor.errors import UserError

DEFECT: Final = "Something went wrong inside FaceEditor; your faces are safe. Please report the details."


class Answer(Enum):
    """What the artist wants done with unsaved faces."""

    SAVE = "save"
    DISCARD = "discard"
    CANCEL = "cancel"


def show_error(parent: QWidget | None, sentence: str, details: str = "") -> None:
    """Tell one sentence, unless it is being told already; does not wait for the answer."""
    if parent is not None and any(box.text() == sentence for box in parent.findChildren(QMessageBox)):
        return
    box = QMessageBox(QMessageBox.Icon.Warning, "FaceEditor", sentence, QMessageBox.StandardButton.Ok, parent)
    if details and details.strip() != sentence:
        box.setDetailedText(details)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()


def show_exception(parent: QWidget | None, error: BaseException) -> None:
    """A ``UserError`` as its sentence, anything else as a defect with its traceback under "Details"."""
    if isinstance(error, UserError):
        show_error(parent, str(error))
    else:
        show_error(parent, DEFECT, "".join(traceback.format_exception(error)))


def ask_unsaved(parent: QWidget, names: list[str]) -> Answer:
    """What to do with faces that were not saved."""
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    box = QMessageBox(QMessageBox.Icon.Question, "FaceEditor", f"Save changes to {listed}?", parent=parent)
    box.setInformativeText("What is not saved will be lost.")
    save = box.addButton(QMessageBox.StandardButton.Save)
    discard = box.addButton(QMessageBox.StandardButton.Discard)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(save)
    box.exec()
    chosen = box.clickedButton()
    return Answer.SAVE if chosen is save else Answer.DISCARD if chosen is discard else Answer.CANCEL


def ask_recovery(parent: QWidget, count: int) -> bool:
    """Whether to bring back what a crash left behind."""
    what = "a session" if count == 1 else f"{count} sessions"
    box = QMessageBox(
        QMessageBox.Icon.Question,
        "FaceEditor",
        f"FaceEditor did not close properly: {what} can be recovered.",
        parent=parent,
    )
    box.setInformativeText("Recover the faces as they were?")
    recover = box.addButton("Recover", QMessageBox.ButtonRole.AcceptRole)
    box.addButton("Discard", QMessageBox.ButtonRole.DestructiveRole)
    box.setDefaultButton(recover)
    box.exec()
    return box.clickedButton() is recover


@dataclass(frozen=True)
class PictureChoice:
    """How a picture is exported."""

    size: int
    background: Background


class PictureDialog(QDialog):
    """Size and background of an exported picture."""

    SIZES: Final = (256, 512, 1024, 2048)

    def __init__(self, parent: QWidget, backgrounds: dict[str, Background]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export picture")
        self._backgrounds = backgrounds
        self.size_box, self.background_box = QComboBox(), QComboBox()
        for size in self.SIZES:
            self.size_box.addItem(f"{size} × {size} pixels", size)
        self.size_box.setCurrentIndex(self.SIZES.index(1024))
        self.background_box.addItems(list(backgrounds))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow("Size", self.size_box)
        form.addRow("Background", self.background_box)
        form.addRow(buttons)

    def choice(self) -> PictureChoice:
        """What was chosen."""
        return PictureChoice(self.size_box.currentData(), self._backgrounds[self.background_box.currentText()])


class ResolutionDialog(QDialog):
    """How fine an extracted surface shall be."""

    RESOLUTIONS: Final = (64, 128, 256, 512)

    def __init__(self, parent: QWidget, extent: float) -> None:
        """``extent`` is the side in metres of the box that the cells fill."""
        super().__init__(parent)
        self.setWindowTitle("Export surface")
        self.box = QComboBox()
        for resolution in self.RESOLUTIONS:
            self.box.addItem(f"{resolution} cells, {1000 * extent / resolution:.1f} mm each", resolution)
        self.box.setCurrentIndex(self.RESOLUTIONS.index(256))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow("Resolution", self.box)
        form.addRow(buttons)

    def resolution(self) -> int:
        """Cells along the field's box."""
        return int(self.box.currentData())
