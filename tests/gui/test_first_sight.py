"""A photo on the window becomes a face before any dialog; what streams and what is told meanwhile."""

import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent

from faceeditor.errors import NoFaceError, UserError
from faceeditor.faces.face import Origin
from faceeditor.gui.bridge import to_array
from faceeditor.gui.fit_dialog import FitDialog
from tests.tiny import tiny_face

PICTURE = np.full((64, 64, 3), (10, 200, 30), np.uint8)


class Glances:
    """The session's glance with a face of the tiny model; ``go`` lets it end, ``error`` makes it fail."""

    def __init__(self, session, monkeypatch):
        self.session, self.error, self.go = session, None, threading.Event()
        monkeypatch.setattr(session, "glances", lambda model=None: True)
        monkeypatch.setattr(session, "glance", self.glance)

    def glance(self, path, *, model=None):
        def work(step):
            step(0.5, "At first sight", PICTURE)
            while not self.go.wait(0.01):
                step(0.6)
            if self.error is not None:
                raise self.error
            face = tiny_face(path.stem, 4, origin=Origin("photo", path.name, PICTURE))
            self.session._deliver(lambda: self.session.document.add(face, f"Fit {face.name}"))

        return self.session.engine.submit(f"Glance at {path.name}", work)


@pytest.fixture
def glances(session, monkeypatch):
    return Glances(session, monkeypatch)


def drop(window, path):
    Image.fromarray(PICTURE).save(path)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    action, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(400, 300), action, mime, left, Qt.KeyboardModifier.NoModifier))


def shows_preview(window):
    instead = window.viewport.layers.instead
    return instead is not None and np.array_equal(to_array(instead)[..., :3], PICTURE)


def test_a_dropped_photo_is_an_editable_face_before_any_dialog(qtbot, window, session, glances, told, tmp_path):
    drop(window, tmp_path / "dot.png")
    qtbot.waitUntil(lambda: shows_preview(window))
    assert len(session.document) == 3
    with qtbot.waitSignal(window.presenter.settled):
        glances.go.set()
    face = session.document.current
    assert session.document[face].name == "dot"
    assert window.findChild(FitDialog) is None
    assert not shows_preview(window)
    assert session.document.history == ("Fit dot",)
    assert "Refine" in window.status.currentMessage()
    assert window.actions_by_name["refine"].isEnabled()
    session.document.undo()
    assert len(session.document) == 3
    assert told == []


def test_an_edit_meanwhile_is_seen_and_not_what_streams(qtbot, window, session, glances, tmp_path):
    drop(window, tmp_path / "dot.png")
    qtbot.waitUntil(lambda: shows_preview(window))
    session.set_slider(session.document.current, "expression.jawOpen", 1.5)
    qtbot.waitUntil(lambda: not shows_preview(window))
    glances.go.set()
    qtbot.waitUntil(lambda: len(session.document) == 4)


def test_a_face_that_is_not_found_may_be_shown_by_hand(qtbot, window, session, glances, told, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(window, "ask_fit", asked.append)
    glances.error = NoFaceError()
    drop(window, tmp_path / "wall.png")
    glances.go.set()
    qtbot.waitUntil(lambda: asked == [tmp_path / "wall.png"])
    qtbot.waitUntil(lambda: not shows_preview(window))
    assert told == []


def test_other_troubles_are_one_sentence(qtbot, window, session, glances, told, tmp_path):
    glances.error = UserError("dot.png is damaged.")
    drop(window, tmp_path / "dot.png")
    glances.go.set()
    qtbot.waitUntil(lambda: told == ["dot.png is damaged."])
    assert len(session.document) == 3


def test_a_glance_can_be_cancelled(qtbot, window, session, glances, told, tmp_path):
    drop(window, tmp_path / "dot.png")
    qtbot.waitUntil(lambda: shows_preview(window))
    window.status.cancel.click()
    qtbot.waitUntil(lambda: not session.jobs and not shows_preview(window))
    assert "cancelled" in window.status.currentMessage()
    assert len(session.document) == 3
    assert told == []
