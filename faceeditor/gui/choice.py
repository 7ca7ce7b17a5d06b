"""One line of the inspector that picks among exclusive options."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from faceeditor.faces.latents import Choice
from faceeditor.gui import theme


class ChoiceRow(QWidget):
    """A label and a combo box; ``chosen`` when the artist picks."""

    chosen = Signal(str)

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self.choice = choice
        self._start = ""
        self.label = QLabel(choice.label)
        self.label.setFixedWidth(118)
        self.box = _QuietBox()
        self.box.setAccessibleName(choice.label)
        options = (choice.none, *choice.options) if choice.none is not None else choice.options
        for option in options:
            self.box.addItem(words(option), option)
        self.box.activated.connect(lambda: self.chosen.emit(self.box.currentData()))
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.MARGIN, 1, theme.MARGIN, 1)
        row.setSpacing(theme.MARGIN // 2)
        row.addWidget(self.label)
        row.addWidget(self.box, 1)
        self.setToolTip(f"<b>{choice.label}</b> <span style='color:{theme.QUIET}'>{choice.key}</span>")

    @property
    def changed(self) -> bool:
        """Whether another option is chosen than at the start."""
        return bool(self.box.currentData() != self._start)

    def show_option(self, option: str) -> None:
        """Show what the face says."""
        self.box.setCurrentIndex(self.box.findData(option))
        self.label.setStyleSheet(f"color: {theme.CHANGED if self.changed else theme.TEXT};")

    def show_start(self, option: str) -> None:
        """Remember where the face started."""
        self._start = option

    def matches(self, wanted: list[str]) -> bool:
        """Whether label, key or an option hold all the words."""
        text = " ".join((self.choice.label, self.choice.key, *self.choice.options)).lower()
        return all(word in text for word in wanted)


def words(name: str) -> str:
    """``shortCurly`` or ``short_curly`` as an artist reads it: ``Short curly``."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.replace("_", " "))
    return spaced.strip().capitalize()


class _QuietBox(QComboBox):
    def wheelEvent(self, event: QEvent) -> None:
        """Scroll the panel, not the box."""
        event.ignore()
