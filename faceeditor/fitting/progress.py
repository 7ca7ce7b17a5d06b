"""How a fit tells where it stands, and learns that it shall end."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FitProgress:
    """Where a fit stands: ``fraction`` of 0 to 1, a ``message`` for the artist, sometimes the current picture (S, S, 3)
    uint8 over the photo, and the ``seconds_left``, when they can be told.
    """

    fraction: float
    message: str
    picture_srgb: NDArray[np.uint8] | None = None
    seconds_left: float | None = None


class FitCancelled(Exception):
    """Raised by :func:`fit_photo` soon after ``cancelled`` began to answer yes."""


class Watch:
    """Tells how a fit goes on and asks whether it shall."""

    def __init__(self, on_step: Callable[[FitProgress], None], cancelled: Callable[[], bool]) -> None:
        self._on_step, self._cancelled = on_step, cancelled
        self._began = time.monotonic()
        self._from, self._to, self._message = 0.0, 0.0, ""
        self._steps, self._step = 1, 0
        self.fraction = 0.0

    def stage(self, message: str, upto: float, steps: int) -> None:
        """A stage begins that brings the fraction ``upto`` in about so many steps."""
        self._from, self._to, self._message = self._to, upto, message
        self._steps, self._step = steps, 0

    def tick(self) -> None:
        """One step of the stage begins."""
        self._step = min(self._step + 1, self._steps)
        self.tell(None)

    def tell(self, picture: NDArray[np.uint8] | None) -> None:
        """Reports, with a picture perhaps. Raises :class:`FitCancelled`."""
        if self._cancelled():
            raise FitCancelled
        self.fraction = self._from + (self._to - self._from) * self._step / self._steps
        gone = time.monotonic() - self._began
        left = None if self.fraction < 0.05 else gone * (1 - self.fraction) / self.fraction
        self._on_step(FitProgress(self.fraction, self._message, picture, left))

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began
