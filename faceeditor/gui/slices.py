"""Work of the interface thread that is too long for one go: done a few milliseconds at a time between events."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Final

from PySide6.QtCore import QObject, QTimer

_SLICE_S: Final = 0.008


class Slices(QObject):
    """Runs an iterator to its end, a slice whenever no event waits. A newer one takes the place of the old."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._steps: Iterator[None] | None = None
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._slice)

    @property
    def busy(self) -> bool:
        """Whether something is left to do."""
        return self._steps is not None

    def run(self, steps: Iterator[None]) -> None:
        """Do the first of ``steps`` now and the others between events; what was under way is dropped."""
        self._steps = steps
        self._timer.start()
        self._step()

    def finish(self) -> None:
        """Do all that is left at once."""
        while self._steps is not None:
            self._step()

    def _slice(self) -> None:
        end = perf_counter() + _SLICE_S
        while self._steps is not None and perf_counter() < end:
            self._step()

    def _step(self) -> None:
        steps = self._steps
        if steps is not None and next(steps, _END) is _END and steps is self._steps:
            self._steps = None
            self._timer.stop()


_END: Final = object()
