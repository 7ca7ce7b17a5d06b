from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from faceeditor.errors import UserError
from faceeditor.faces import landmarks
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.scan_placing import MARKED
from faceeditor.gui.scan_dialog import ScanDialog

LEFT = Qt.MouseButton.LeftButton
RADII = np.array([0.075, 0.11, 0.09])
TO_HEAD = Similarity(0.001, np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]), np.array([0.0, 0.02, -0.02]))
"""The scan is in millimetres and lies on its back: its x looks out of the face and its z is up."""
FIVE = np.array([[-0.04, 0.05], [0.04, 0.05], [0.0, 0.0], [-0.025, -0.045], [0.025, -0.045]])


def on_egg(across):
    """The points (N, 3) of the egg's front, in head space, at ``across`` (N, 2) from its middle."""
    out = RADII[2] * np.sqrt(1 - (across**2 / RADII[:2] ** 2).sum(1))
    return np.column_stack([across, out]) + TO_HEAD.translation


def egg_file(folder):
    egg = trimesh.creation.icosphere(subdivisions=5)
    points = TO_HEAD.inverse().to_head(egg.vertices * RADII + TO_HEAD.translation)
    trimesh.Trimesh(points, egg.faces).export(folder / "egg.ply")
    return folder / "egg.ply", Scan(points, egg.faces.astype(np.int32))


@pytest.fixture
def calls(session, monkeypatch, tmp_path):
    """What the dialog asked the session for; ``faceless`` makes it find nothing unless five points are given."""
    path, scan = egg_file(tmp_path)
    asked = SimpleNamespace(path=path, marked=[], fits=[], faceless=False)
    spots = np.zeros((landmarks.COUNT, 3))
    spots[list(MARKED.values())] = on_egg(FIVE)

    def place_scan(path, *, marked=None, intrinsics=None):
        asked.marked.append(marked)

        def work(step):
            if asked.faceless and marked is None:
                raise UserError("No face was found in the scan.")
            return scan, SimpleNamespace(similarity=TO_HEAD, landmarks=spots, error_mm=0.4)

        return session.engine.submit("Look", work)

    def fit_scan(path, **facts):
        asked.fits.append(facts)
        return session.engine.submit("Fit", lambda step: None)

    monkeypatch.setattr(session, "place_scan", place_scan)
    monkeypatch.setattr(session, "fit_scan", fit_scan)
    return asked


def opened(qtbot, window, calls):
    window.commands.open_files([calls.path])
    dialog = window.findChild(ScanDialog)
    qtbot.waitUntil(lambda: dialog.board._sight is not None)
    qtbot.waitUntil(lambda: dialog._drawn is None)
    return dialog


@pytest.fixture
def dialog(qtbot, window, calls):
    return opened(qtbot, window, calls)


def drag(board, start, end):
    QTest.mousePress(board, LEFT, Qt.KeyboardModifier.NoModifier, start)
    for step in range(1, 5):
        QTest.mouseMove(board, start + (end - start) * step / 4)
    QTest.mouseRelease(board, LEFT, Qt.KeyboardModifier.NoModifier, end)


def test_the_found_points_lie_on_the_picture_of_the_scan(dialog):
    board = dialog.board
    spots = np.array([[board.spot(i).x(), board.spot(i).y()] for i in range(5)])
    assert spots[0, 0] < spots[2, 0] < spots[1, 0]
    assert spots[:2, 1].max() < spots[2, 1] < spots[3:, 1].min()
    assert np.allclose(TO_HEAD.to_head(board.points), on_egg(FIVE), atol=1e-6)


def test_a_fit_begins_with_what_was_found(dialog, calls):
    dialog.quality.setCurrentIndex(dialog.quality.findData("draft"))
    QTest.mouseClick(dialog.fit, LEFT)
    assert calls.marked == [None]
    assert calls.fits == [{"quality": "draft", "marked": None}]


def test_a_dragged_point_stays_on_the_surface_and_is_used(dialog, calls):
    board = dialog.board
    nose = board.spot(2).toPoint()
    drag(board, nose, nose + QPoint(40, 0))
    QTest.mouseClick(dialog.fit, LEFT)
    given = TO_HEAD.to_head(calls.fits[0]["marked"])
    expected = on_egg(np.array([[given[2, 0], given[2, 1] - TO_HEAD.translation[1]]]))
    assert given[2, 0] > 0.01
    assert np.abs(given[2] - expected[0]).max() < 0.001
    assert np.allclose(given[[0, 1, 3, 4]], on_egg(FIVE)[[0, 1, 3, 4]], atol=1e-6)


def test_place_again_asks_by_the_points_and_find_again_drops_them(qtbot, dialog, calls):
    nose = dialog.board.spot(2).toPoint()
    drag(dialog.board, nose, nose + QPoint(12, 0))
    moved = dialog.board.points.copy()
    dialog.place.click()
    qtbot.waitUntil(lambda: dialog.again.isEnabled())
    assert np.array_equal(calls.marked[1], moved)
    assert np.array_equal(dialog.board.points, moved)
    dialog.again.click()
    qtbot.waitUntil(lambda: dialog.again.isEnabled())
    assert calls.marked[2] is None
    QTest.mouseClick(dialog.fit, LEFT)
    assert calls.fits[0]["marked"] is None


def test_where_no_face_is_found_five_clicks_mark_it(qtbot, window, calls, told):
    calls.faceless = True
    dialog = opened(qtbot, window, calls)
    assert "No face" in dialog.says.text()
    assert not dialog.fit.isEnabled()
    board, middle = dialog.board, dialog.board.rect().center()
    before = board.shown
    drag(board, middle, middle + QPoint(90, 10))
    qtbot.waitUntil(lambda: dialog._drawn is None)
    assert not np.allclose(board.shown.rotation, before.rotation)
    for index, name in enumerate(MARKED):
        assert board.next_name == name
        assert name in dialog.says.text()
        QTest.mouseClick(board, LEFT, Qt.KeyboardModifier.NoModifier, middle + QPoint(12 * index, 8 * (index % 2)))
    assert board.complete
    QTest.mouseClick(dialog.fit, LEFT)
    marked = calls.fits[0]["marked"]
    heights = ((TO_HEAD.to_head(marked) - TO_HEAD.translation) ** 2 / RADII**2).sum(1)
    assert np.allclose(heights, 1, atol=0.02)
    assert told == []


def test_beside_the_scan_nothing_can_be_marked(dialog):
    dialog.anew.click()
    QTest.mouseClick(dialog.board, LEFT, Qt.KeyboardModifier.NoModifier, QPoint(4, 4))
    assert dialog.board.next_name == next(iter(MARKED))


def test_cancel_leaves_everything_alone(qtbot, dialog, session, calls):
    before = session.document.ids
    dialog.reject()
    qtbot.waitUntil(lambda: not session.jobs)
    assert calls.fits == []
    assert session.document.ids == before
