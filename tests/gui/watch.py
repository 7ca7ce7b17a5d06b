"""Measures for how long the interface thread does not look at events."""

import time

from PySide6.QtCore import QTimer


class Watch:
    """While it is entered a timer beats; afterwards ``gaps`` holds the seconds between beats.

    ``busy`` is the longest time that the thread itself worked between two beats. Waiting for a processor does not count
    in it, so that other programs on the machine cannot make a test fail.
    """

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.busy = 0.0
        self._timer = QTimer(interval=4)
        self._timer.timeout.connect(self._beat)

    def __enter__(self):
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.stop()

    def _beat(self):
        now, worked = time.perf_counter(), time.thread_time()
        self.gaps.append(now - self._last)
        self.busy = max(self.busy, worked - self._worked)
        self._last, self._worked = now, worked
