"""A real window over a real session with the tiny model; on a machine without a screen Qt draws off screen."""

import gc
import os
import sys
from contextlib import contextmanager

import pytest

from faceeditor.gui import app, dialogs
from faceeditor.gui.bridge import Poster
from faceeditor.gui.window import Window
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.tiny import NAME, TinyHead, tiny_face

SCREEN = sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@pytest.fixture(scope="session")
def qapp():
    if not SCREEN:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return app.application()


@pytest.fixture
def head():
    """The model on the inference thread."""
    return TinyHead()


@pytest.fixture
def session(qapp, head):
    poster = Poster()
    session = Session(Settings(model=NAME), deliver=poster.deliver, load=lambda name, device: head)
    yield session
    session.close()


@pytest.fixture
def told(monkeypatch):
    """The sentences of all error dialogs."""
    sentences = []
    monkeypatch.setattr(dialogs, "show_error", lambda parent, sentence, details="": sentences.append(sentence))
    return sentences


@contextmanager
def shown(qtbot, session, monkeypatch, timeout=10_000):
    """A window over ``session``, complete, in front, its first face drawn in full; closing it asks nothing."""
    monkeypatch.setattr(dialogs, "ask_unsaved", lambda parent, names: dialogs.Answer.DISCARD)
    window = Window(session)
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.presenter.settled, timeout=timeout):
        window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    window.inspector.finish_building()
    yield window
    window.close()


@pytest.fixture
def window(qtbot, session, told, monkeypatch):
    """An open window with three faces, the first of them current and drawn."""

    def samples():
        return session.document.populate([tiny_face(name, seed) for seed, name in enumerate(("Ann", "Bob", "Cyd"))])

    monkeypatch.setattr(session, "samples", samples)
    with shown(qtbot, session, monkeypatch) as window:
        yield window
    qtbot.wait(1)
    gc.collect()  # here, and not by chance on another thread while the next window lives
