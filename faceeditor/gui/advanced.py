"""The raw components of a code, one space at a time; lines are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from faceeditor.faces.latents import Codes, Space
from faceeditor.gui import theme
from faceeditor.gui.section import Section
from faceeditor.gui.slices import Slices
from faceeditor.gui.slider import Control, SliderRow


class AdvancedSection(Section):
    """``set_component(space, index, value)`` is called as a line moves and ``finish()`` when it was let go."""

    def __init__(self, set_component: Callable[[str, int, float], None], finish: Callable[[], None]) -> None:
        super().__init__("Advanced", folded=True)
        self._set_component, self._finish = set_component, finish
        self._spaces: Mapping[str, Space] = {}
        self._codes: tuple[Codes, Codes] | None = None
        self._rows: list[SliderRow] = []
        self._building = Slices(self)
        self.box = QComboBox()
        self.box.setAccessibleName("Space whose raw components are shown")
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(theme.MARGIN, 4, theme.MARGIN, 4)
        row.addWidget(self.box)
        self.add_widget(line)
        self.box.currentIndexChanged.connect(lambda _index: self._rebuild())
        self.opened.connect(self._rebuild)

    def set_spaces(self, spaces: Mapping[str, Space]) -> None:
        """Offer the spaces of another model."""
        self._spaces = spaces
        self.box.blockSignals(True)
        self.box.clear()
        for space in spaces.values():
            self.box.addItem(f"{space.label} ({space.dims})", space.name)
        self.box.blockSignals(False)
        self._rebuild()

    def show_codes(self, codes: Codes, starts: Codes) -> None:
        """Show a face's components."""
        self._codes = (codes, starts)
        space = self.box.currentData()
        for index, row in enumerate(self._rows):
            row.show_value(float(codes[space][index]), float(starts[space][index]))

    def _rebuild(self) -> None:
        self.clear()
        self._rows = []
        name = self.box.currentData()
        if not self.folded and name in self._spaces:
            self._building.run(self._build(self._spaces[name]))

    def _build(self, space: Space) -> Iterator[None]:
        self.add_group(None)
        for index in range(space.dims):
            row = self._row(space, index)
            self._rows.append(row)
            self.add_line(row)
            yield
        if self._codes is not None:
            self.show_codes(*self._codes)

    def _row(self, space: Space, index: int) -> SliderRow:
        label = space.components[index] if index < len(space.components) else f"{space.label} {index + 1}"
        low, high = float(space.low[index]), float(space.high[index])
        control = Control(
            f"{space.name}.{index}", label, low, max(high, low + 1e-3), min(max(float(space.mean[index]), low), high)
        )
        row = SliderRow(control)
        row.moved.connect(lambda value: self._set_component(space.name, index, value))
        row.finished.connect(self._finish)
        row.neutral_asked.connect(lambda: self._set_component(space.name, index, control.neutral))
        row.reset_asked.connect(lambda: self._reset(space.name, index))
        return row

    def _reset(self, space: str, index: int) -> None:
        if self._codes is not None:
            self._set_component(space, index, float(self._codes[1][space][index]))
