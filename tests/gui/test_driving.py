"""The timeline lets a video drive the face: what is read streams to the viewport, plays, is scrubbed and recorded."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from faceeditor.engine import driving
from faceeditor.engine.jobs import JobState
from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.faces.performance import Performance
from faceeditor.files.video import read_video_facts

JAW = EXPRESSION_COMPONENTS.index("jawOpen")
FRAMES = 25


def yawn():
    """A mouth that opens within a second, while the head turns."""
    expressions = np.zeros((FRAMES, 64), np.float32)
    expressions[:, JAW] = np.linspace(0, 1, FRAMES)
    return Performance(25.0, expressions, np.linspace([0, 0, 0], [20, 5, -5], FRAMES), np.ones(FRAMES, bool))


@pytest.fixture
def watched(monkeypatch):
    """Watching a video takes a moment for every frame."""

    def watch(model_of, path, step):
        told = yawn()
        for frame in range(FRAMES):
            one = slice(frame, frame + 1)
            step(frame / FRAMES, preview=Performance(25.0, told.expressions[one], told.poses[one], told.seen[one]))
            time.sleep(0.005)
        return told

    monkeypatch.setattr(driving, "watch", watch)


@pytest.fixture
def strip(window, watched, qtbot):
    """The driving part of the timeline, with a performance."""
    strip = window.timeline.driving
    with qtbot.waitSignal(strip.watch(Path("yawn.mp4")).finished, timeout=10_000):
        pass
    qtbot.waitUntil(lambda: strip.performance is not None, timeout=5000)
    return strip


def shown_jaws(window):
    """The opening of every mouth that is shown from now on."""
    jaws = []
    window.timeline.showing.connect(lambda face: jaws.append(None if face is None else face.codes["expression"][0]))
    return jaws


def test_a_video_streams_while_it_is_read_and_changes_nothing(qtbot, window, session, watched):
    strip, jaws, steps = window.timeline.driving, shown_jaws(window), session.document.history
    before = session.document[session.document.current]
    assert not strip.play.isEnabled()
    job = strip.watch(Path("yawn.mp4"))
    qtbot.waitUntil(lambda: strip.performance is not None, timeout=10_000)
    assert job.state is JobState.DONE
    streamed = [jaw for jaw in jaws if jaw is not None]
    assert len(streamed) == FRAMES
    assert np.all(np.diff(streamed) > 0)
    assert jaws[-1] is None
    assert strip.name.text() == "yawn.mp4"
    assert strip.play.isEnabled()
    assert session.document[session.document.current] is before
    assert session.document.history == steps


def test_it_plays_and_stops_where_the_face_was(qtbot, window, session, strip):
    jaws = shown_jaws(window)
    strip.pose.setChecked(True)
    view = session.view(session.document.current)
    strip.play.click()
    qtbot.waitUntil(lambda: len(jaws) > 5, timeout=5000)
    assert session.view(session.document.current).yaw != view.yaw
    assert session.view(session.document.current).distance == view.distance
    window.timeline.stop()
    assert jaws[-1] is None
    assert session.view(session.document.current) == view
    count = len(jaws)
    qtbot.wait(120)
    assert len(jaws) == count


def test_the_moment_can_be_scrubbed(window, strip):
    jaws = shown_jaws(window)
    strip.at.moved.emit(1.0)
    assert jaws[-1] == pytest.approx(1.0, abs=0.02)
    strip.at.moved.emit(0.5)
    assert jaws[-1] == pytest.approx(0.5, abs=0.05)
    strip.at.reset_asked.emit()
    assert jaws[-1] is None


def test_edits_show_on_the_driven_face(window, session, strip):
    faces = []
    window.timeline.showing.connect(faces.append)
    strip.at.moved.emit(0.5)
    session.set_slider(session.document.current, "identity.width", 1.5)
    assert faces[-1].codes["identity"] is session.document[session.document.current].codes["identity"]
    assert faces[-1].codes["expression"][0] == pytest.approx(0.5, abs=0.05)
    strip.stop()
    session.set_slider(session.document.current, "identity.width", 0.5)
    assert faces[-1] is None


def test_only_one_thing_plays(window, strip):
    window.timeline.turn.setChecked(True)
    strip.play.click()
    assert not window.timeline.turning
    window.timeline.play.click()
    assert not strip.play.isChecked()
    window.timeline.stop()


def test_it_is_recorded(qtbot, window, strip, tmp_path):
    with qtbot.waitSignal(strip.record_to(tmp_path / "a.mp4").finished, timeout=20_000):
        pass
    assert read_video_facts(tmp_path / "a.mp4").duration == pytest.approx(1.0, abs=0.05)


def test_what_shows_no_face_is_one_sentence(qtbot, window, told, monkeypatch, strip):
    def watch(model_of, path, step):
        raise UserError("No face was found.")

    monkeypatch.setattr(driving, "watch", watch)
    strip.watch(Path("wall.mp4"))
    qtbot.waitUntil(lambda: told == ["No face was found."], timeout=5000)
    assert strip.performance is not None
    assert strip.play.isEnabled()


def test_a_camera_drives_until_it_is_stopped(qtbot, window, monkeypatch):
    strip, jaws = window.timeline.driving, shown_jaws(window)
    seen = threading.Event()

    def watch_camera(model_of, number, enough, seconds, step):
        told = yawn()
        while not enough.is_set():
            step(0.0, preview=told)
            seen.set()
            time.sleep(0.01)
        return told

    monkeypatch.setattr(driving, "watch_camera", watch_camera)
    window.actions_by_name["drive_camera"].trigger()
    qtbot.waitUntil(lambda: seen.is_set() and len(jaws) > 2, timeout=5000)
    assert strip.camera.isChecked()
    assert strip.active
    strip.camera.click()
    qtbot.waitUntil(lambda: strip.performance is not None, timeout=5000)
    assert not strip.camera.isChecked()
    assert not strip.active


def test_without_a_camera_a_sentence_says_so(qtbot, window, told, monkeypatch):
    def none(number):
        raise UserError("There is no working camera 0 on this machine; connect one, or use a video.")
        yield

    monkeypatch.setattr(driving, "_tracker", lambda model_of: None)
    monkeypatch.setattr(driving, "read_camera", none)
    window.timeline.driving.camera.click()
    qtbot.waitUntil(lambda: len(told) == 1, timeout=5000)
    assert told[0].startswith("There is no working camera 0")
    qtbot.waitUntil(lambda: not window.timeline.driving.camera.isChecked(), timeout=5000)
