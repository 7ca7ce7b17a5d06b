"""Opens the window: ``python -m faceeditor.gui [FILES] [--screenshot PATH]``, which is also ``faceeditor gui``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from faceeditor.gui import dialogs, theme
from faceeditor.gui.bridge import Poster
from faceeditor.gui.window import Window
from faceeditor.session import Session

_SETTLE_MS: Final = 1500
"""Thumbnails follow the first full picture; a screenshot waits for them this long."""
_TOO_LONG_MS: Final = 120_000


def run(files: Sequence[Path] = (), screenshot: Path | None = None) -> int:
    """Open the window and stay until it is closed; returns the exit code.

    With ``screenshot`` the whole window is written to that PNG as soon as it shows the face in full; then it closes.
    """
    app = application()
    poster = Poster()
    window = Window(Session(deliver=poster.deliver, eager=True), list(files), ask=screenshot is None)
    sys.excepthook = _tell(window)
    if screenshot is not None:
        _take(window, screenshot)
    window.show()
    return app.exec()


def application() -> QApplication:
    """The Qt application, dressed."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("FaceEditor")
    app.setDesktopFileName("faceeditor")
    theme.apply(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="faceeditor gui", description="Edit faces in a window.")
    parser.add_argument("files", nargs="*", type=Path, help="faces to open, photos to fit")
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="write a picture of the window and quit")
    options = parser.parse_args(arguments)
    return run(options.files, options.screenshot)


def _take(window: Window, path: Path) -> None:
    def leave(code: int, sentence: str = "") -> None:
        if sentence:
            print(sentence, file=sys.stderr)
        window.session.close()
        QApplication.exit(code)

    def grab() -> None:
        if window.grab().save(str(path)):
            leave(0)
        else:
            leave(2, f"The picture could not be written to {path}; choose another place.")

    def too_late() -> None:
        leave(2, "No face was drawn in time for the picture of the window.")

    settle = QTimer(window, singleShot=True, interval=_SETTLE_MS)
    settle.timeout.connect(grab)
    window.presenter.settled.connect(settle.start)
    QTimer.singleShot(_TOO_LONG_MS, window, too_late)


def _tell(window: Window) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, trace)
        if isinstance(error, Exception):
            dialogs.show_exception(window, error)

    return hook
