"""Small buttons that are all picture."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QToolButton

from faceeditor.gui import theme


def tool_button(image: str, tip: str, *, checkable: bool = False) -> QToolButton:
    """A button with an ``image`` of the icon font and a ``tip`` that says what it does."""
    button = QToolButton()
    button.setIcon(theme.icon(image))
    button.setIconSize(QSize(18, 18))
    button.setCheckable(checkable)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
