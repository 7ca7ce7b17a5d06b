from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.face import Origin
from faceeditor.gui.fit_dialog import FitDialog
from tests.tiny import tiny_face

LEFT = Qt.MouseButton.LeftButton
BOX = (60.0, 50.0, 140.0, 150.0)
OTHER = (10.0, 100.0, 50.0, 150.0)


def landmarks():
    spots = np.random.default_rng(0).uniform(70, 130, (points.COUNT, 2))
    spots[points.RIGHT_EYE] = [[80 + 2 * i, 80] for i in range(6)]
    spots[points.NOSE_TIP] = 100, 145
    return spots


@pytest.fixture
def calls(session, monkeypatch):
    """What the dialog asked the session for; the head is found unless the box is tiny. ``heads`` are found beside."""
    asked = SimpleNamespace(boxes=[], fits=[], refined=[], heads=[BOX])

    def find_head(path, *, box=None, landmarks=None):
        asked.boxes.append(box)

        def work(step):
            photo = np.full((200, 200, 3), 90, np.uint8)
            step(0.1, "Finding", photo)
            if box is not None and box[2] - box[0] < 40:
                raise UserError("No face was found in the picture.")
            return photo, SimpleNamespace(box=box or BOX, photo_landmarks=globals()["landmarks"]())

        return session.engine.submit("Look", work)

    def fit_photo(path, **facts):
        asked.fits.append(facts)
        return session.engine.submit("Fit", lambda step: None)

    def refine(face_id, **facts):
        asked.refined.append((face_id, facts))
        return session.engine.submit("Refine", lambda step: face_id)

    monkeypatch.setattr(session, "find_heads", lambda photo: session.engine.submit("Look", lambda step: asked.heads))
    monkeypatch.setattr(session, "refine", refine)
    monkeypatch.setattr(session, "find_head", find_head)
    monkeypatch.setattr(session, "fit_photo", fit_photo)
    return asked


@pytest.fixture
def dialog(qtbot, window, calls, tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 200)).save(path)
    window.commands.open_files([path])
    dialog = window.findChild(FitDialog)
    qtbot.waitUntil(lambda: dialog.ready)
    return dialog


def spot(dialog, x, y):
    return dialog.board.to_widget(x, y).toPoint()


def drag(dialog, start, end, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.mousePress(dialog.board, LEFT, modifier, start)
    for step in range(1, 5):
        QTest.mouseMove(dialog.board, start + (end - start) * step / 4)
    QTest.mouseRelease(dialog.board, LEFT, modifier, end)


def test_a_fit_begins_with_what_was_found(dialog, calls):
    dialog.quality.setCurrentIndex(dialog.quality.findData("draft"))
    QTest.mouseClick(dialog.fit, LEFT)
    assert calls.boxes == [None]
    assert calls.fits == [{"quality": "draft", "box": None, "landmarks": None}]


def test_a_landmark_that_was_dragged_is_used(dialog, calls):
    x, y = landmarks()[points.NOSE_TIP]
    drag(dialog, spot(dialog, x, y), spot(dialog, x + 10, y + 12))
    QTest.mouseClick(dialog.fit, LEFT)
    given = calls.fits[0]["landmarks"]
    moved = np.linalg.norm(given - landmarks(), axis=1)
    assert np.allclose(given[points.NOSE_TIP], [x + 10, y + 12], atol=1.0)
    assert (moved > 0).sum() == 1


def test_a_new_box_looks_again_and_find_again_drops_it(qtbot, dialog, calls):
    drag(dialog, spot(dialog, 20, 170), spot(dialog, 120, 195))
    qtbot.waitUntil(lambda: dialog.ready)
    assert np.allclose(calls.boxes[1], (20, 170, 120, 195), atol=2)
    dialog.again.click()
    qtbot.waitUntil(lambda: len(calls.boxes) == 3 and dialog.fit.isEnabled())
    assert calls.boxes[2] is None


def test_another_face_of_the_photo_is_chosen_by_a_click(qtbot, window, calls, tmp_path):
    calls.heads = [OTHER, BOX]
    Image.new("RGB", (200, 200)).save(tmp_path / "two.png")
    dialog = window.ask_fit(tmp_path / "two.png")
    qtbot.waitUntil(lambda: "2 faces" in dialog.says.text())
    QTest.mouseClick(dialog.board, LEFT, Qt.KeyboardModifier.NoModifier, spot(dialog, 61, 149))
    assert dialog.ready
    QTest.mouseClick(dialog.board, LEFT, Qt.KeyboardModifier.NoModifier, spot(dialog, 30, 125))
    qtbot.waitUntil(lambda: dialog.ready)
    QTest.mouseClick(dialog.fit, LEFT)
    assert calls.boxes == [None, OTHER]
    assert calls.fits[0]["box"] == OTHER


def test_a_face_with_a_photo_is_refined_from_it(qtbot, window, session, calls):
    photo = np.full((64, 64, 3), 90, np.uint8)
    plain = session.document.current
    assert not window.actions_by_name["refine"].isEnabled()
    face = session.document.add(tiny_face("Dot", 5, origin=Origin("photo", "dot.jpg", photo)), "Fit Dot")
    assert window.actions_by_name["refine"].isEnabled()
    window.actions_by_name["refine"].trigger()
    dialog = window.findChild(FitDialog)
    assert dialog.windowTitle() == "Refine Dot"
    qtbot.waitUntil(lambda: dialog.ready)
    QTest.mouseClick(dialog.fit, LEFT)
    assert calls.refined == [(face, {"quality": "standard", "box": None, "landmarks": None})]
    with pytest.raises(UserError, match="not made from a photo"):
        session.photo(plain)


def test_no_face_is_told_in_the_dialog_and_nothing_can_be_fitted(qtbot, dialog, calls, told):
    drag(dialog, spot(dialog, 20, 165), spot(dialog, 55, 195))
    qtbot.waitUntil(lambda: "No face" in dialog.says.text())
    assert not dialog.fit.isEnabled()
    assert told == []


def test_the_wheel_zooms_around_the_mouse(dialog):
    before = dialog.board.to_widget(100, 100)
    from PySide6.QtCore import QPointF
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    event = QWheelEvent(
        before, QPointF(dialog.board.mapToGlobal(before.toPoint())), QPoint(), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    width = dialog.board.to_widget(140, 0).x() - dialog.board.to_widget(60, 0).x()
    QApplication.sendEvent(dialog.board, event)
    assert dialog.board.to_widget(140, 0).x() - dialog.board.to_widget(60, 0).x() > width * 1.1
    assert (dialog.board.to_widget(100, 100) - before).manhattanLength() < 1.5
