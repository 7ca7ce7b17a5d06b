"""Measures for how long the interface thread does not look at events."""

import time
from pathlib import Path

from PySide6.QtCore import QTimer

_SCHEDULER = Path("/proc/thread-self/schedstat")


class Watch:
    """While it is entered a timer beats; afterwards ``gaps`` holds the seconds between beats.

    Time in which the thread was ready to run and got no processor is taken off where the system tells it (Linux), so
    that other programs on the machine do not make a test fail. ``busy`` is the longest time that the thread itself
    worked between two beats.
    """

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.busy = 0.0
        self._timer = QTimer(interval=4)
        self._timer.timeout.connect(self._beat)

    def __enter__(self):
        self._last, self._worked, self._waited = self._now()
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.stop()

    def _beat(self):
        now, worked, waited = self._now()
        self.gaps.append(now - self._last - (waited - self._waited))
        self.busy = max(self.busy, worked - self._worked)
        self._last, self._worked, self._waited = now, worked, waited

    @staticmethod
    def _now():
        waited = int(_SCHEDULER.read_text().split()[1]) * 1e-9 if _SCHEDULER.exists() else 0.0
        return time.perf_counter(), time.thread_time(), waited
