"""Jobs: work that takes a while, with progress, time left, previews and Cancel."""

import time
from collections.abc import Callable
from enum import StrEnum
from threading import Event, Lock
from typing import Generic, Protocol, TypeAlias, TypeVar

from psygnal import Signal

from faceeditor.errors import UserError

T = TypeVar("T")
Deliver: TypeAlias = Callable[[Callable[[], None]], None]
"""Runs a callable soon on the thread that owns the session."""


class Cancelled(Exception):
    """Raised inside a job's work, at its next step, after somebody asked for it to stop."""


class JobState(StrEnum):
    """The life of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Steps(Protocol):
    """What a job's work calls often: between two calls at most some tenths of a second should pass."""

    def __call__(self, progress: float, message: str = "", preview: object = None) -> None:
        """Reports ``progress`` (0..1); lets drawing happen; raises :class:`Cancelled` when the job was cancelled."""
        ...


Work: TypeAlias = Callable[[Steps], T]
"""A job's work: it runs on the inference thread and reports by its argument."""

NO_STEPS: Steps = lambda progress, message="", preview=None: None  # noqa: E731
"""For calling a work outside of a job."""


class Job(Generic[T]):
    """A work in the engine's hands. Signals arrive on the session's thread."""

    changed = Signal()
    previewed = Signal(object)
    finished = Signal()

    def __init__(self, label: str, work: Work[T], deliver: Deliver) -> None:
        self.label = label
        self.state = JobState.WAITING
        self.progress = 0.0
        self.message = ""
        self.exception: BaseException | None = None
        self._work = work
        self._deliver = deliver
        self._result: T | None = None
        self._cancel = Event()
        self._claimed = Lock()
        self._ended = Event()
        self._began: float | None = None
        self._took: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self._ended.is_set()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        if self._took is not None:
            return self._took
        return 0.0 if self._began is None else time.monotonic() - self._began

    @property
    def left(self) -> float | None:
        """Estimated seconds to go, by the share that is done; ``None`` while that cannot be told."""
        if self.ended:
            return 0.0
        return None if self.progress < 0.02 else self.elapsed * (1 - self.progress) / self.progress

    @property
    def error(self) -> str:
        """The sentence for the artist when the job failed, else an empty string."""
        if self.exception is None or isinstance(self.exception, Cancelled):
            return ""
        return sentence(self.exception)

    def cancel(self) -> None:
        """Asks the work to stop, which it does at its next step; a job that did not begin ends at once."""
        self._cancel.set()
        if self._claimed.acquire(blocking=False):
            self.end(JobState.CANCELLED, Cancelled(f"{self.label} was cancelled."))

    def result(self, timeout: float | None = None) -> T:
        """Waits for the end. Raises what the work raised, :class:`Cancelled`, or ``TimeoutError``."""
        if not self._ended.wait(timeout):
            raise TimeoutError(self.label)
        if self.exception is not None:
            raise self.exception
        return self._result  # type: ignore[return-value]

    # --- called by the engine, on the inference thread -------------------------------------------------------------

    def run(self, breathe: Callable[[], None]) -> None:
        """Does the work, unless the job was cancelled. ``breathe`` is called at every step, to draw what waits."""
        if not self._claimed.acquire(blocking=False):
            return
        self._began = time.monotonic()
        self._tell(JobState.RUNNING)

        def step(progress: float, message: str = "", preview: object = None) -> None:
            self._raise_if_cancelled()
            self.progress = min(max(progress, self.progress), 1.0)
            self.message = message or self.message
            self._deliver(self.changed.emit)
            if preview is not None:
                self._deliver(lambda: self.previewed.emit(preview))
            breathe()
            self._raise_if_cancelled()

        try:
            self._raise_if_cancelled()
            self._result = self._work(step)
        except Cancelled as reason:
            self.end(JobState.CANCELLED, reason)
        except Exception as error:  # whatever it is, it is the job's and must not end the thread
            self.end(JobState.FAILED, error)
        else:
            self.progress = 1.0
            self.end(JobState.DONE)

    def end(self, state: JobState, exception: BaseException | None = None) -> None:
        """Ends the job."""
        self._took = self.elapsed
        self.exception = exception
        self._tell(state)
        self._ended.set()
        self._deliver(self.finished.emit)

    def _tell(self, state: JobState) -> None:
        self.state = state
        self._deliver(self.changed.emit)

    def _raise_if_cancelled(self) -> None:
        if self._cancel.is_set():
            raise Cancelled(f"{self.label} was cancelled.")


def sentence(error: BaseException) -> str:
    """What the artist reads about an exception; a defect of the program gets a general sentence."""
    if isinstance(error, UserError | Cancelled):
        return str(error)
    return f"Something went wrong inside the program ({type(error).__name__}: {error}); your work is safe, try again."
