"""Autosave: the open gallery is written beside the work, so that a crash loses less than a minute of it.

Each session keeps one .faces file in the user's recovery folder and holds a lock on it as long as it lives; files whose
lock is free were left behind by a crash.
"""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Final, Generic, TypeVar
from uuid import uuid4

from faceeditor.errors import UserError
from faceeditor.files.project import GALLERY_SUFFIX
from faceeditor.resources import user_data_dir

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_LOCK: Final = ".lock"


def recovery_dir() -> Path:
    """Where the recovery files lie; not created here."""
    return user_data_dir() / "recovery"


def left_behind() -> tuple[Path, ...]:
    """Recovery files of sessions that ended without closing, newest first."""
    found = [path for path in recovery_dir().glob(f"[!.]*{GALLERY_SUFFIX}") if not _is_held(path.with_suffix(_LOCK))]
    return tuple(sorted(found, key=lambda path: path.stat().st_mtime, reverse=True))


def discard(path: Path) -> None:
    """Deletes a recovery file, and what a crash in the middle of saving left beside it."""
    for file in (path, path.with_suffix(_LOCK), *path.parent.glob(f".{path.stem}-*")):
        with suppress(OSError):
            file.unlink()


class Autosaver(Generic[T]):
    """Writes the newest state handed to :meth:`note`, at most every ``seconds``, on a thread of its own.

    ``write(path, state)`` does the writing; the state must be immutable.
    """

    def __init__(self, write: Callable[[Path, T], None], seconds: float) -> None:
        self.path = recovery_dir() / f"{uuid4().hex}{GALLERY_SUFFIX}"
        self._write = write
        self._seconds = seconds
        self._state: T | None = None
        self._closing = False
        self._news = Condition()
        self._lock: IO[bytes] | None = None
        self._thread = Thread(target=self._run, name="autosave", daemon=True)
        self._thread.start()

    def note(self, state: T) -> None:
        """Has ``state`` written soon."""
        with self._news:
            self._state = state
            self._news.notify()

    def close(self) -> None:
        """Ends the thread and deletes the recovery file: the session ended well."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()
        if self._lock is not None:
            self._lock.close()
        discard(self.path)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closing or self._state is not None)
                self._news.wait_for(lambda: self._closing, self._seconds)
                if self._closing:
                    return
                state, self._state = self._state, None
            if state is not None:
                self._save(state)

    def _save(self, state: T) -> None:
        try:
            if self._lock is None:
                self._lock = _hold(self.path.with_suffix(_LOCK))
            self._write(self.path, state)
        except (OSError, UserError) as error:
            _LOG.warning("autosave failed: %s", error)


def _hold(path: Path) -> IO[bytes]:
    """An exclusive lock that the system frees when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    _lock(file)
    return file


def _is_held(path: Path) -> bool:
    try:
        with path.open("ab") as file:
            _lock(file)
    except OSError:
        return path.exists()
    return False


def _lock(file: IO[bytes]) -> None:
    """Raises ``OSError`` when another holds the lock."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
