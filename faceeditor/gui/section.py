"""A heading that folds: title, how much was changed, and its buttons (dice, lock, reset), over lines of controls."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from faceeditor.gui import theme


class Line(Protocol):
    """One control of a section: a slider, a choice."""

    @property
    def changed(self) -> bool:
        """Whether it differs from where the face started."""
        ...

    def matches(self, words: list[str]) -> bool:
        """Whether a search for ``words`` finds it."""
        ...

    def setVisible(self, visible: bool, /) -> None:
        """Show or hide it."""
        ...


class Section(QWidget):
    """A foldable part of a panel. ``dice``, ``lock`` and ``reset`` are shown where the section is given a ``name``."""

    randomise_asked = Signal(str)
    reset_asked = Signal(str)
    lock_changed = Signal(str, bool)
    opened = Signal()

    def __init__(self, title: str, name: str | None = None, *, folded: bool = False) -> None:
        super().__init__()
        self.title, self.name = title, name
        self.setObjectName(f"section-{name or title.lower()}")
        self._groups: list[tuple[QLabel | None, list[Line]]] = []
        self.header = _Header(title)
        self.body = QWidget()
        self._lines = QVBoxLayout(self.body)
        self._lines.setContentsMargins(0, 2, 0, theme.MARGIN)
        self._lines.setSpacing(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 1)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.body)
        self.header.clicked.connect(self.toggle)
        if name is not None:
            self._add_buttons(name)
        self._set_folded(folded)

    @property
    def folded(self) -> bool:
        """Whether only the heading shows."""
        return self._folded

    @property
    def lines(self) -> list[Line]:
        """All lines, from top to bottom."""
        return [line for _, lines in self._groups for line in lines]

    def toggle(self) -> None:
        """Fold or unfold."""
        self._set_folded(not self._folded)

    def add_group(self, heading: str | None) -> None:
        """Begin a group of lines below the others, under a small ``heading`` if given."""
        label = None
        if heading is not None:
            label = QLabel(heading)
            label.setProperty("quiet", True)
            label.setContentsMargins(theme.MARGIN, 6, 0, 2)
            self._lines.addWidget(label)
        self._groups.append((label, []))

    def add_line(self, line: Line) -> None:
        """Put a line (a widget) below the others of the last group."""
        if isinstance(line, QWidget):
            self._lines.addWidget(line)
        self._groups[-1][1].append(line)

    def add_widget(self, widget: QWidget) -> None:
        """Put any other widget below the lines."""
        self._lines.addWidget(widget)

    def clear(self) -> None:
        """Take every line away."""
        for label, lines in self._groups:
            for widget in (label, *lines):
                if isinstance(widget, QWidget):
                    widget.deleteLater()
        self._groups.clear()

    def filter(self, words: list[str], changed_only: bool) -> None:
        """Show the lines that a search finds; the section hides when it has none of them, and unfolds when searched."""
        found = 0
        for label, lines in self._groups:
            shown = [line.matches(words) and (line.changed or not changed_only) for line in lines]
            for line, visible in zip(lines, shown, strict=True):
                line.setVisible(visible)
            if label is not None:
                label.setVisible(any(shown))
            found += sum(shown)
        searching = bool(words) or changed_only
        self.setVisible(found > 0 or not searching)
        self.body.setVisible(not self._folded or (searching and found > 0))

    def show_changes(self) -> None:
        """Refresh the count of changed lines in the heading."""
        count = sum(line.changed for line in self.lines)
        self.header.count.setText(str(count) if count else "")

    def set_locked(self, locked: bool) -> None:
        """Show the lock as it is."""
        if self.name is not None:
            self._lock.setChecked(locked)

    def _add_buttons(self, name: str) -> None:
        title = self.title.lower()
        dice = self.header.add_button("ph.dice-five", f"Random {title}")
        dice.clicked.connect(lambda: self.randomise_asked.emit(name))
        self._lock = self.header.add_button("ph.lock-simple-open", f"Keep {title} when dice are thrown")
        self._lock.setCheckable(True)
        self._lock.toggled.connect(self._locked)
        reset = self.header.add_button("ph.arrow-counter-clockwise", f"Reset {title} to where it started")
        reset.clicked.connect(lambda: self.reset_asked.emit(name))

    def _locked(self, locked: bool) -> None:
        self._lock.setIcon(theme.icon("ph.lock-simple" if locked else "ph.lock-simple-open"))
        self.lock_changed.emit(self.name, locked)

    def _set_folded(self, folded: bool) -> None:
        self._folded = folded
        self.header.show_folded(folded)
        self.body.setVisible(not folded)
        if not folded:
            self.opened.emit()


class _Header(QWidget):
    clicked = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(f"_Header {{ background: {theme.FIELD}; }}")
        self.setFixedHeight(30)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._caret = QLabel()
        name = QLabel(title)
        name.setStyleSheet("font-weight: 600;")
        self.count = QLabel()
        self.count.setStyleSheet(f"color: {theme.CHANGED};")
        self.count.setToolTip("Changed since the start")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(theme.MARGIN, 0, 4, 0)
        self._row.setSpacing(theme.MARGIN // 2)
        for widget in (self._caret, name, self.count):
            self._row.addWidget(widget)
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._row.addWidget(space)

    def add_button(self, image: str, tip: str) -> QToolButton:
        """A small flat button at the right."""
        button = QToolButton()
        button.setIcon(theme.icon(image))
        button.setIconSize(QSize(15, 15))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        self._row.addWidget(button)
        return button

    def show_folded(self, folded: bool) -> None:
        """Turn the caret."""
        image = theme.icon("ph.caret-right" if folded else "ph.caret-down", theme.QUIET)
        self._caret.setPixmap(image.pixmap(QSize(12, 12)))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click anywhere on the heading folds."""
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()
