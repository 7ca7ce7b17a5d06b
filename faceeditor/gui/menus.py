"""Menu bar and toolbar, made of the table of actions and of a few lists to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMainWindow, QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from faceeditor.gui import actions, theme
from faceeditor.gui.backdrops import BACKGROUNDS
from faceeditor.gui.heat import RANGES_MM
from faceeditor.gui.presenter import Presenter, Versus
from faceeditor.gui.surface import Beside, Light, Shading
from faceeditor.gui.viewport import Mode
from faceeditor.session import Session

T = TypeVar("T")

PICTURE_SIZES: Final = {"256 pixels (fast)": 256, "384 pixels": 384, "512 pixels": 512, "768 pixels": 768}
DEVICES: Final[dict[str, Literal["auto", "cpu", "cuda"]]] = {
    "Automatic": "auto",
    "Processor": "cpu",
    "NVIDIA GPU": "cuda",
}
_VERSUS: Final = {"Photo": Versus.PHOTO, "How the face started": Versus.START, "Surface": Versus.SURFACE}
_SHADINGS: Final = {
    "Clay": Shading.CLAY,
    "Albedo": Shading.ALBEDO,
    "Normals": Shading.NORMALS,
    "Wire": Shading.WIRE,
    "Distance to the scan": Shading.HEAT,
}
_BESIDE: Final = {
    "Hidden": Beside.HIDDEN,
    "Beside the surface": Beside.BESIDE,
    "Behind the surface": Beside.BEHIND,
    "Through the surface": Beside.THROUGH,
}
_ICON_ONLY: Final = ("open", "save", "undo", "redo")


class Menus:
    """Builds both; ``panels`` are the actions that show and hide the window's panels."""

    def __init__(
        self,
        window: QMainWindow,
        table: Mapping[str, QAction],
        session: Session,
        presenter: Presenter,
        panels: Sequence[QAction],
    ) -> None:
        self._window, self._table = window, table
        self.recent = QMenu("Open recent", window)
        settings = session.settings
        self._background = self._choice("Background", BACKGROUNDS, settings.background, presenter.set_background)
        self._of_scans: list[QAction | QMenu] = [table["heat"]]
        self._surfaces = self._surface(presenter)
        choices = (
            self._background,
            self._choice("Wipe against", _VERSUS, Versus.PHOTO, presenter.set_versus),
            self._choice("Picture size", PICTURE_SIZES, settings.viewport_size, presenter.set_size),
            self._choice("Work on", DEVICES, settings.device, session.set_device),
        )
        shown = QMenu("Panels", window)
        shown.addActions(list(panels))
        opens, saves = "new fit refine fit_scan open", "| save save_as save_gallery |"
        self._add("&File", opens, self.recent, "| drive drive_camera", saves, self._export(), "| quit")
        self._add("&Edit", "undo redo | random mirror reset | duplicate remove | search")
        views = " ".join(name for name in actions.ENTRIES if name.startswith("view_"))
        self._add("&View", "look surface both wipe | enhance heat", self._surfaces, f"| {views} |", *choices, shown)
        self._add("&Help", "keys about")
        window.addToolBar(self._toolbar())

    def offer_scan(self, has_scan: bool) -> None:
        """Offer what compares a face with its scan, if it has one."""
        for part in self._of_scans:
            part.setEnabled(has_scan)

    def _add(self, title: str, *parts: str | QMenu) -> None:
        menu = self._window.menuBar().addMenu(title)
        for part in parts:
            if isinstance(part, QMenu):
                menu.addMenu(part)
                continue
            for name in part.split():
                menu.addSeparator() if name == "|" else menu.addAction(self._table[name])

    def _toolbar(self) -> QToolBar:
        bar = QToolBar("Tools")
        bar.setObjectName("Tools")
        bar.setMovable(False)
        bar.setIconSize(QSize(18, 18))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for name in "fit refine fit_scan open save | undo redo random |".split():
            bar.addSeparator() if name == "|" else bar.addAction(self._table[name])
        for name in _ICON_ONLY:
            button = bar.widgetForAction(self._table[name])
            if isinstance(button, QToolButton):
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        bar.addWidget(_button("Export", "ph.export", self._export()))
        bar.addWidget(_spacer())
        modes = QActionGroup(self._window)
        for mode in Mode:
            modes.addAction(self._table[mode.value])
            bar.addAction(self._table[mode.value])
        self._table[Mode.LOOK.value].setChecked(True)
        bar.addSeparator()
        bar.addAction(self._table["enhance"])
        bar.addWidget(_button("Background", "ph.image-square", self._background))
        bar.addWidget(_button("Shading", "ph.paint-brush-broad", self._surfaces))
        bar.addWidget(_button("View", "ph.video-camera", self._views()))
        return bar

    def _export(self) -> QMenu:
        menu = QMenu("Export", self._window)
        menu.addActions([action for name, action in self._table.items() if name.startswith("export_")])
        return menu

    def _views(self) -> QMenu:
        menu = QMenu(self._window)
        menu.addActions([action for name, action in self._table.items() if name.startswith("view_")])
        return menu

    def _surface(self, presenter: Presenter) -> QMenu:
        """How surfaces are drawn."""
        menu = QMenu("Surface", self._window)
        beside = self._choice("Scan", _BESIDE, Beside.HIDDEN, presenter.set_scan)
        self._of_scans.append(beside)
        menu.addActions(self._shading(presenter).actions())
        menu.addSeparator()
        lights = {light.capitalize(): light for light in Light}
        menu.addMenu(self._choice("Light", lights, Light.STUDIO, presenter.set_light))
        menu.addMenu(self._choice("Heat map range", RANGES_MM, presenter.surface.range_mm, presenter.set_heat_range))
        menu.addMenu(beside)
        return menu

    def _shading(self, presenter: Presenter) -> QMenu:
        """What the surface shows; the action ``heat`` is the shortcut to one of them and back."""
        menu = self._choice("Surface shading", _SHADINGS, Shading.CLAY, presenter.set_shading)
        choices = dict(zip(_SHADINGS.values(), menu.actions(), strict=True))
        heat, last = self._table["heat"], choices[Shading.CLAY]
        choices[Shading.HEAT].toggled.connect(heat.setChecked)

        def toggle(on: bool) -> None:
            nonlocal last
            if on:
                if self._table[Mode.LOOK.value].isChecked():
                    self._table[Mode.SURFACE.value].trigger()
                last = next(action for action in menu.actions() if action.isChecked())
            (choices[Shading.HEAT] if on else last).trigger()

        heat.triggered.connect(toggle)
        self._of_scans.append(choices[Shading.HEAT])
        return menu

    def _choice(self, title: str, options: Mapping[str, T], chosen: T, act: Callable[[T], object]) -> QMenu:
        menu, group = QMenu(title, self._window), QActionGroup(self._window)
        for text, value in options.items():
            action = QAction(text, menu, checkable=True, checked=value == chosen)
            action.triggered.connect(lambda _checked, value=value: act(value))
            group.addAction(action)
            menu.addAction(action)
        return menu


def _spacer() -> QWidget:
    widget = QWidget()
    widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return widget


def _button(text: str, image: str, menu: QMenu) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setIcon(theme.icon(image))
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setMenu(menu)
    return button
