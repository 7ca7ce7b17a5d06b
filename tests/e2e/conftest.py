"""The real window with the models that ship."""

import pytest

from faceeditor.gui import app, dialogs
from faceeditor.gui.bridge import Poster
from faceeditor.gui.window import Window
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.gui.conftest import qapp as qapp


@pytest.fixture
def told(monkeypatch):
    """The sentences of all error dialogs."""
    sentences = []
    monkeypatch.setattr(dialogs, "show_error", lambda parent, sentence, details="": sentences.append(sentence))
    return sentences


@pytest.fixture
def window(qtbot, qapp, told, monkeypatch):
    """The window as it comes up at first start, its first face drawn in full."""
    monkeypatch.setattr(dialogs, "ask_unsaved", lambda parent, names: dialogs.Answer.DISCARD)
    poster = Poster()
    session = Session(Settings(viewport_size=256), deliver=poster.deliver)
    window = Window(session)
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.presenter.settled, timeout=600_000):
        window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    window.inspector.finish_building()
    yield window
    window.close()
    session.close()
    assert isinstance(app.application(), type(qapp))
