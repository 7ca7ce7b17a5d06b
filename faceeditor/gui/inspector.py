"""The inspector: every slider and choice that the face's model declares, by space, searchable."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QScrollArea, QToolButton, QVBoxLayout, QWidget

from faceeditor.editing import controls
from faceeditor.editing.controls import Amount
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Choice, Direction, Space
from faceeditor.gui import theme
from faceeditor.gui.advanced import AdvancedSection
from faceeditor.gui.amount import AmountSwitch
from faceeditor.gui.choice import ChoiceRow
from faceeditor.gui.section import Line, Section
from faceeditor.gui.slices import Slices
from faceeditor.gui.slider import Control, SliderRow
from faceeditor.session import Session

CAMERA_CONTROLS = (
    Control("camera.yaw", "Turn", -90, 90, unit="°", tip="Positive shows the subject's left side"),
    Control("camera.pitch", "Tilt", -40, 40, unit="°", tip="Positive looks down from above"),
    Control("camera.roll", "Roll", -45, 45, unit="°"),
    Control("camera.distance", "Distance", 0.3, 2.5, 0.9, unit=" m"),
    Control("camera.field_of_view", "Field of view", 8, 70, 25, unit="°", tip="The lens: small is a long lens"),
)


class Inspector(QWidget):
    """Talks to the session about the current face. ``gesture_finished`` when a slider was let go."""

    gesture_finished = Signal()
    trouble = Signal(Exception)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._face_id: str | None = None
        self._start: Face | None = None
        self._spaces: dict[str, Space] = {}
        self._gesture: object = object()
        self._sliders: dict[str, tuple[SliderRow, Direction | Amount]] = {}
        self._switches: dict[str, AmountSwitch] = {}
        self._choices: dict[str, ChoiceRow] = {}
        self._sections: list[Section] = []
        self.search = QLineEdit()
        self.changed_only = QToolButton()
        self.symmetry = QToolButton()
        self._column = QVBoxLayout()
        self._building = Slices(self)
        self._lay_out()
        self._camera_rows, self._camera_section = self._build_camera()
        self.advanced = AdvancedSection(self._set_component, self._finish)

    def show_face(self, face_id: str | None) -> None:
        """Show the sliders of another face; those of another model are built anew."""
        self._face_id = face_id
        self.setEnabled(face_id is not None)
        if face_id is None:
            return
        spaces = dict(self._session.spaces(self._session.document[face_id].model))
        if spaces != self._spaces:
            self._building.run(self._build(spaces))
        self.refresh(starts=True)

    def refresh(self, *, starts: bool = False) -> None:
        """Show the current face's values (and where it started)."""
        if self._face_id is None:
            return
        face, start = self._session.document[self._face_id], self._session.document.original(self._face_id)
        starts, self._start = starts or start is not self._start, start
        for key, (row, part) in self._sliders.items():
            space = self._spaces[part.space]
            row.show_value(controls.read(face, space, part), controls.read(start, space, part) if starts else None)
            if key in self._switches:
                self._switches[key].show_value(row.value)
        for choice_row in self._choices.values():
            choice = choice_row.choice
            choice_row.show_start(choice.read(start.codes[choice.space]))
            choice_row.show_option(choice.read(face.codes[choice.space]))
        self.advanced.show_codes(face.codes, start.codes)
        self.show_camera(self._session.view(self._face_id), start)
        for section in self._sections:
            section.show_changes()
        if self.changed_only.isChecked():
            self._filter()

    def show_camera(self, camera: Camera, start: Face | None = None) -> None:
        """Show where the camera stands."""
        for row in self._camera_rows:
            name = row.control.key.partition(".")[2]
            row.show_value(getattr(camera, name), None if start is None else getattr(start.camera, name))
        self._camera_section.show_changes()

    def finish_building(self) -> None:
        """Build at once what is still being built between events."""
        self._building.finish()

    def row(self, key: str) -> SliderRow:
        """The line of slider ``key``, such as ``expression.jawOpen``. Raises ``KeyError``."""
        return self._sliders[key][0]

    def section(self, name: str) -> Section:
        """The section of space ``name``. Raises ``KeyError``."""
        for section in self._sections:
            if section.name == name:
                return section
        raise KeyError(name)

    # Building ---------------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.search.setPlaceholderText("Search sliders")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search sliders")
        glass = self.search.addAction(
            theme.icon("ph.magnifying-glass", theme.QUIET), QLineEdit.ActionPosition.LeadingPosition
        )
        glass.setText("Search")
        self.search.textChanged.connect(self._filter)
        _switch(self.changed_only, "ph.funnel", "Show only what was changed", self._filter)
        _switch(self.symmetry, "ph.arrows-left-right", "Symmetry: left and right move together", self._set_symmetry)
        self.symmetry.setChecked(self._session.settings.symmetry)
        top = QHBoxLayout()
        top.setContentsMargins(theme.MARGIN, theme.MARGIN, theme.MARGIN, theme.MARGIN)
        top.setSpacing(theme.MARGIN // 2)
        for widget in (self.search, self.changed_only, self.symmetry):
            top.addWidget(widget)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        inside.setLayout(self._column)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        area.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(top)
        whole.addWidget(area)
        self.setMinimumWidth(320)

    def _build(self, spaces: dict[str, Space]) -> Iterator[None]:
        self._spaces = spaces
        self._sliders.clear()
        self._choices.clear()
        self._switches.clear()
        fixed = (self._camera_section, self.advanced)
        for section in self._sections:
            self._column.removeWidget(section)
            if section not in fixed:
                section.deleteLater()
        self._sections = []
        yield
        for number, space in enumerate(spaces.values()):
            self._sections.append(self._build_section(space, folded=number > 1))
            yield
        self._sections += fixed
        while self._column.count():
            self._column.takeAt(0)
        for section in self._sections:
            self._column.addWidget(section)
        self._column.addStretch(1)
        self.advanced.set_spaces(spaces)
        for section, space in zip(self._sections, spaces.values(), strict=False):
            yield from self._fill(section, space)
        self._filter()
        self.refresh(starts=True)

    def _build_section(self, space: Space, *, folded: bool) -> Section:
        section = Section(space.label, space.name, folded=folded)
        section.randomise_asked.connect(lambda name: self._act(lambda face: self._session.randomise(face, [name])))
        section.reset_asked.connect(lambda name: self._act(lambda face: self._session.reset(face, name)))
        section.lock_changed.connect(self._set_lock)
        section.set_locked(space.name in self._session.locks)
        return section

    def _fill(self, section: Section, space: Space) -> Iterator[None]:
        for amount in controls.amounts(space):
            section.add_widget(self._build_switch(amount, space))
        groups: dict[str, list[controls.Control]] = {}
        parts: list[controls.Control] = [*controls.amounts(space), *space.choices, *space.directions]
        for part in parts:
            groups.setdefault(part.group, []).append(part)
        for group, members in groups.items():
            section.add_group(group if len(groups) > 1 else None)
            for part in members:
                section.add_line(self._build_line(part))
                yield

    def _build_switch(self, amount: Amount, space: Space) -> AmountSwitch:
        switch = AmountSwitch(amount, space.label)
        switch.switched.connect(lambda value: self._act(lambda face: self._session.set_slider(face, amount.key, value)))
        switch.switched.connect(lambda _value: self.gesture_finished.emit())
        self._switches[amount.key] = switch
        return switch

    def _build_line(self, part: controls.Control) -> Line:
        if isinstance(part, Choice):
            choice_row = ChoiceRow(part)
            choice_row.chosen.connect(
                lambda option: self._act(lambda face: self._session.set_choice(face, part.key, option))
            )
            self._choices[part.key] = choice_row
            return choice_row
        neutral = part.neutral if isinstance(part, Amount) else 0.0
        row = SliderRow(Control(part.key, part.label, part.low, part.high, neutral))
        row.moved.connect(
            lambda value: self._act(lambda f: self._session.set_slider(f, part.key, value, gesture=self._gesture))
        )
        row.finished.connect(self._finish)
        row.reset_asked.connect(lambda: self._act(lambda face: self._session.reset(face, part.key)))
        row.neutral_asked.connect(lambda: self._act(lambda face: self._session.reset(face, part.key, to="neutral")))
        self._sliders[part.key] = (row, part)
        return row

    def _build_camera(self) -> tuple[list[SliderRow], Section]:
        section = Section("Camera", folded=True)
        rows = [SliderRow(control) for control in CAMERA_CONTROLS]
        for row in rows:
            name = row.control.key.partition(".")[2]
            row.moved.connect(lambda value, name=name: self._look(name, value))
            row.finished.connect(self._finish)
            row.neutral_asked.connect(lambda name=name, row=row: self._look(name, row.control.neutral))
            row.reset_asked.connect(lambda name=name: self._look(name, None))
        section.add_group(None)
        for row in rows:
            section.add_line(row)
        keep = QPushButton(theme.icon("ph.camera"), "Keep this view in the face")
        keep.clicked.connect(lambda: self._act(lambda face: self._session.set_camera(face, self._session.view(face))))
        line = QWidget()
        box = QHBoxLayout(line)
        box.setContentsMargins(theme.MARGIN, 6, theme.MARGIN, 0)
        box.addWidget(keep)
        section.add_widget(line)
        return rows, section

    # Acting -----------------------------------------------------------------------------------------------------------

    def _act(self, change: Callable[[str], object]) -> None:
        if self._face_id is None:
            return
        try:
            change(self._face_id)
        except UserError as error:
            self.trouble.emit(error)

    def _finish(self) -> None:
        self._gesture = object()
        self.gesture_finished.emit()

    def _look(self, name: str, value: float | None) -> None:
        if self._face_id is not None:
            camera = self._session.view(self._face_id)
            wanted = getattr(self._session.document.original(self._face_id).camera, name) if value is None else value
            self._session.look(self._face_id, camera.replace(**{name: wanted}))

    def _set_component(self, space: str, index: int, value: float) -> None:
        self._act(lambda face: self._session.set_component(face, space, index, value, gesture=self._gesture))

    def _set_lock(self, name: str, locked: bool) -> None:
        (self._session.locks.add if locked else self._session.locks.discard)(name)

    def _set_symmetry(self) -> None:
        self._session.settings.symmetry = self.symmetry.isChecked()

    def _filter(self) -> None:
        words = self.search.text().lower().split()
        for section in self._sections:
            section.filter(words, self.changed_only.isChecked())


def _switch(button: QToolButton, image: str, tip: str, act: Callable[[], None]) -> None:
    button.setIcon(theme.icon(image))
    button.setIconSize(QSize(17, 17))
    button.setCheckable(True)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.toggled.connect(lambda _on: act())
