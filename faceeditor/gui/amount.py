"""The switch above an amount's slider: all or nothing of what a space says."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from faceeditor.editing.controls import Amount
from faceeditor.gui import theme


class AmountSwitch(QWidget):
    """``switched(amount)`` when the artist turns it: 0, or what the amount was before."""

    switched = Signal(float)

    def __init__(self, amount: Amount, title: str) -> None:
        super().__init__()
        self._last = amount.neutral
        self.box = QCheckBox(f"Show {title.lower()}")
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.MARGIN, 4, theme.MARGIN, 0)
        row.addWidget(self.box)
        self.box.clicked.connect(lambda on: self.switched.emit(self._last if on else 0.0))

    def show_value(self, amount: float) -> None:
        """Show what the face says."""
        self._last = amount or self._last
        self.box.setChecked(amount != 0)
