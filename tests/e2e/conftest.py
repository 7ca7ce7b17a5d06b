"""The real window with the models that ship."""

import pytest

from faceeditor.gui import app
from faceeditor.gui.bridge import Poster
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.gui.conftest import SCREEN, shown
from tests.gui.conftest import qapp as qapp
from tests.gui.conftest import told as told


@pytest.fixture
def window(qtbot, qapp, told, monkeypatch):
    """The window as it comes up at first start and is left alone for a second, its first face drawn in full."""
    poster = Poster()
    session = Session(Settings(viewport_size=256), deliver=poster.deliver, eager=True)
    with shown(qtbot, session, monkeypatch, timeout=600_000) as window:
        qtbot.waitUntil(lambda: window.presenter.surface.warmed or not SCREEN, timeout=60_000)
        yield window
    session.close()
    assert isinstance(app.application(), type(qapp))
