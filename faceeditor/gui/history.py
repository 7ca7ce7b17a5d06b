"""The undo list: every step by name; a click goes there."""

from __future__ import annotations

from PySide6.QtGui import QColor
from PySide6.QtWidgets import QListWidget, QListWidgetItem

from faceeditor.editing.document import Document
from faceeditor.gui import theme


class History(QListWidget):
    """Row 0 is the start; row n is after n steps."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self._document = document
        self.setAccessibleName("History of steps")
        self.itemClicked.connect(lambda item: document.go_to(self.row(item)))
        self.itemActivated.connect(lambda item: document.go_to(self.row(item)))
        document.history_changed.connect(self.rebuild)
        self.rebuild()

    def rebuild(self) -> None:
        """Match the document."""
        names = ("Start", *self._document.history)
        while self.count() > len(names):
            self.takeItem(self.count() - 1)
        for row, name in enumerate(names):
            if row == self.count():
                self.addItem(QListWidgetItem())
            item = self.item(row)
            done = row <= self._document.position
            item.setText(name)
            item.setForeground(QColor(theme.TEXT if done else "#6b6e74"))
        self.setCurrentRow(self._document.position)
        self.scrollToItem(self.item(self._document.position))
