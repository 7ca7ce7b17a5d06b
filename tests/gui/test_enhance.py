"""The switch that makes pictures finer, in the real window."""

import numpy as np
import pytest

from faceeditor.engine import exports
from faceeditor.gui.bridge import Poster, to_array
from faceeditor.models.bundle import load_model
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.gui.conftest import shown
from tests.tiny import NAME, tiny_face
from tests.tiny_refiner import install_refiner


@pytest.fixture
def session(qapp, head, user_home):
    install_refiner(user_home / "data")
    poster = Poster()
    session = Session(
        Settings(model=NAME),
        deliver=poster.deliver,
        load=lambda name, device: head if name == NAME else load_model(name, device),
    )
    session.answers = []
    session.drawn.connect(session.answers.append)
    yield session
    session.close()


def look(window):
    return to_array(window.viewport.layers.look).astype(int)


def switch(qtbot, window):
    with qtbot.waitSignal(window.presenter.settled, timeout=10_000):
        window.actions_by_name["enhance"].trigger()


def test_the_switch_changes_the_resting_picture_and_back(qtbot, window, session):
    action = window.actions_by_name["enhance"]
    assert action.isEnabled()
    assert not action.isChecked()
    before = look(window)
    switch(qtbot, window)
    assert action.isChecked()
    assert session.settings.enhance
    finer = look(window)
    assert finer.shape == before.shape
    assert np.abs(finer - before).max() > 3
    assert np.abs(finer - before)[(before[..., :3] == 255).all(-1)].max() == 0, "nothing behind the head"
    switch(qtbot, window)
    assert not session.settings.enhance
    np.testing.assert_array_equal(look(window), before)


def test_only_full_pictures_of_the_viewport_are_enhanced(qtbot, window, session):
    switch(qtbot, window)
    session.set_slider(session.document.current, "expression.jawOpen", 0.7)
    with qtbot.waitSignal(window.presenter.settled, timeout=10_000):
        pass
    fine = [answer.request for answer in session.answers if answer.enhanced]
    assert fine
    assert not any(request.moving or request.target.startswith("thumbnail") for request in fine)


def test_exports_follow_the_switch(qtbot, window, session, tmp_path):
    face, files = session.document.current, [tmp_path / "plain.exr", tmp_path / "fine.exr"]
    for path in files:
        job = session.export_picture(face, path, 64)
        qtbot.waitUntil(lambda job=job: job.ended, timeout=10_000)
        assert job.error == ""
        switch(qtbot, window)
    assert files[0].read_bytes() != files[1].read_bytes()


def test_it_is_remembered(qtbot, session, told, monkeypatch):
    session.settings.enhance = True
    monkeypatch.setattr(session, "samples", lambda: session.document.populate([tiny_face()]))
    with shown(qtbot, session, monkeypatch) as window:
        assert window.actions_by_name["enhance"].isChecked()
        assert session.answers[-1].enhanced or any(answer.enhanced for answer in session.answers)
    assert Settings.load().enhance


def test_without_a_refiner_it_says_why_it_cannot_be_switched_on(qtbot, session, told, monkeypatch):
    monkeypatch.setattr(exports, "catalogue", lambda: ())
    monkeypatch.setattr(session, "samples", lambda: session.document.populate([tiny_face()]))
    with shown(qtbot, session, monkeypatch) as window:
        action = window.actions_by_name["enhance"]
        assert not action.isEnabled()
        assert action.toolTip() == exports.NO_REFINER


def test_it_is_not_offered_for_models_that_no_refiner_serves(qtbot, session, told, monkeypatch, user_home):
    install_refiner(user_home / "data", serves=("another",))
    monkeypatch.setattr(session, "samples", lambda: session.document.populate([tiny_face()]))
    with shown(qtbot, session, monkeypatch) as window:
        action = window.actions_by_name["enhance"]
        assert not action.isEnabled()
        assert action.toolTip() == exports.unserved(NAME)
