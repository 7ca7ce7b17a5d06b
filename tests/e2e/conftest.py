"""The real window with the models that ship."""

import pytest

from faceeditor.gui import app
from faceeditor.gui.bridge import Poster
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.gui.conftest import qapp as qapp
from tests.gui.conftest import shown
from tests.gui.conftest import told as told


@pytest.fixture
def window(qtbot, qapp, told, monkeypatch):
    """The window as it comes up at first start, its first face drawn in full."""
    poster = Poster()
    session = Session(Settings(viewport_size=256), deliver=poster.deliver)
    with shown(qtbot, session, monkeypatch, timeout=600_000) as window:
        yield window
    session.close()
    assert isinstance(app.application(), type(qapp))
