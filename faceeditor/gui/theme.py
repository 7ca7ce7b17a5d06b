"""How the window looks: colours, spacing, icons, the one style sheet. Neutral greys, so that skin is seen truly."""

from __future__ import annotations

from typing import Final

import qtawesome
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from faceeditor.resources import resource_path

WINDOW: Final = "#1b1c1e"
PANEL: Final = "#232427"
FIELD: Final = "#2b2d30"
RAISED: Final = "#36383c"
LINE: Final = "#3d4045"
TEXT: Final = "#d9dbdf"
QUIET: Final = "#93979e"
ACCENT: Final = "#5aa9e6"
CHANGED: Final = "#f0b35a"
DANGER: Final = "#e5695e"

MARGIN: Final = 8
"""Pixels between groups of things; half of it inside a group."""
ROW: Final = 24
"""Height of one line in a panel."""

_SHEET = f"""
QWidget {{ font-size: 12px; }}
QMainWindow, QMainWindow::separator {{ background: {WINDOW}; }}
QMainWindow::separator {{ width: 4px; height: 4px; }}
QMainWindow::separator:hover {{ background: {ACCENT}; }}
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {LINE}; padding: 4px; }}
QToolBar {{ background: {PANEL}; border: 0; padding: 4px 6px; spacing: 2px; }}
QToolBar::separator {{ background: {LINE}; width: 1px; margin: 4px 6px; }}
QToolButton {{ border: 0; border-radius: 4px; padding: 4px 6px; color: {TEXT}; }}
QToolButton:hover {{ background: {RAISED}; }}
QToolButton:pressed {{ background: {LINE}; }}
QToolButton:checked {{ background: {ACCENT}; color: {WINDOW}; }}
QToolButton:disabled {{ color: #5d6066; }}
QToolButton::menu-indicator {{ image: none; }}
QDockWidget {{ color: {QUIET}; font-weight: 600; }}
QDockWidget::title {{ background: {PANEL}; padding: 6px 8px; }}
QDockWidget > QWidget, QScrollArea, QScrollArea > QWidget > QWidget {{ background: {PANEL}; }}
QStatusBar {{ background: {PANEL}; color: {QUIET}; border-top: 1px solid {WINDOW}; }}
QStatusBar::item {{ border: 0; }}
QLineEdit, QComboBox, QTextEdit, QPlainTextEdit {{
    background: {FIELD}; border: 1px solid {LINE}; border-radius: 4px; padding: 2px 5px;
    selection-background-color: {ACCENT};
}}
QAbstractSpinBox QLineEdit {{ border: 0; padding: 0; background: transparent; }}
QLineEdit:focus, QComboBox:focus {{ border-color: {ACCENT}; }}
QComboBox::drop-down {{ border: 0; width: 18px; }}
QPushButton {{
    background: {RAISED}; border: 1px solid {LINE}; border-radius: 4px; padding: 5px 14px; color: {TEXT};
}}
QPushButton:hover {{ background: {LINE}; }}
QPushButton:default {{ background: {ACCENT}; border-color: {ACCENT}; color: {WINDOW}; }}
QPushButton:disabled {{ color: #6b6e74; background: {FIELD}; border-color: {FIELD}; }}
QListView, QTreeView {{ background: {PANEL}; border: 0; outline: 0; }}
QListView::item {{ border-radius: 4px; padding: 3px; }}
QListView::item:hover {{ background: {FIELD}; }}
QListView::item:selected {{ background: {RAISED}; color: {TEXT}; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QMenu {{ background: {FIELD}; border: 1px solid {LINE}; padding: 4px; }}
QMenu::item {{ padding: 4px 22px 4px 12px; border-radius: 3px; }}
QMenu::item:selected {{ background: {ACCENT}; color: {WINDOW}; }}
QMenu::item:disabled {{ color: #6b6e74; }}
QMenu::separator {{ height: 1px; background: {LINE}; margin: 4px 6px; }}
QMenuBar {{ background: {PANEL}; }}
QMenuBar::item {{ padding: 4px 9px; }}
QMenuBar::item:selected {{ background: {RAISED}; }}
QProgressBar {{
    background: {FIELD}; border: 0; border-radius: 3px; max-height: 14px; text-align: center; color: {TEXT};
}}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}
QScrollBar:vertical {{ background: transparent; width: 9px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 9px; margin: 0; }}
QScrollBar::handle {{ background: {LINE}; border-radius: 4px; min-height: 24px; min-width: 24px; }}
QScrollBar::handle:hover {{ background: #565a61; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QLabel[quiet="true"] {{ color: {QUIET}; }}
"""


def apply(app: QApplication) -> None:
    """Dress the whole application."""
    app.setStyle(QStyleFactory.create("Fusion"))
    app.styleHints().setColorScheme(Qt.ColorScheme.Dark)
    app.setPalette(_palette())
    app.setStyleSheet(_SHEET)
    app.setWindowIcon(application_icon())


def application_icon() -> QIcon:
    """The program's own icon."""
    return QIcon(str(resource_path("icons", "faceeditor.svg")))


def icon(name: str, colour: str = TEXT) -> QIcon:
    """An icon of the bundled Phosphor font, such as ``ph.folder-open``, in the theme's colours."""
    return QIcon(qtawesome.icon(name, color=colour, color_on=WINDOW, color_disabled="#5d6066"))


def _palette() -> QPalette:
    role = QPalette.ColorRole
    colours = {
        role.Window: PANEL,
        role.WindowText: TEXT,
        role.Base: FIELD,
        role.AlternateBase: PANEL,
        role.Text: TEXT,
        role.PlaceholderText: QUIET,
        role.Button: RAISED,
        role.ButtonText: TEXT,
        role.BrightText: DANGER,
        role.Highlight: ACCENT,
        role.HighlightedText: WINDOW,
        role.ToolTipBase: RAISED,
        role.ToolTipText: TEXT,
        role.Link: ACCENT,
        role.Light: LINE,
        role.Mid: LINE,
        role.Dark: WINDOW,
        role.Shadow: "#000000",
    }
    palette = QPalette()
    for which, colour in colours.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor("#6b6e74"))
    return palette
