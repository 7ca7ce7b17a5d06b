"""The whole program through its window: photo in, fit, edit, undo, save, reopen, export."""

import numpy as np
import pygltflib
import pytest
import skimage.data
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from faceeditor.faces.layout import ARKIT
from faceeditor.files.marks import read_provenance
from faceeditor.gui import dialogs
from faceeditor.gui.bridge import to_array
from faceeditor.gui.fit_dialog import FitDialog
from tests.gui.conftest import SCREEN
from tests.gui.watch import Watch

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not SCREEN, reason="needs a screen")]
LEFT = Qt.MouseButton.LeftButton


def full_picture(qtbot, window):
    """The look in full quality, (S, S, 3) int."""
    with qtbot.waitSignal(window.presenter.settled, timeout=600_000):
        window.presenter.refresh(moving=False, edited=True)
    return to_array(window.viewport.layers.look)[..., :3].astype(int)


def fit(qtbot, window, path):
    """Drops the photo, waits for the face at first sight, refines it to a draft."""
    document = window.session.document
    before, steps = document.ids, len(document.history)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    action, no = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(400, 300), action, mime, LEFT, no))
    qtbot.waitUntil(lambda: len(document.ids) > len(before), timeout=600_000)
    face = document.current
    assert face not in before
    assert window.findChild(FitDialog) is None
    qtbot.waitUntil(lambda: not window.session.jobs, timeout=600_000)
    assert len(document.history) == steps + 1
    seen = document[face]
    window.actions_by_name["refine"].trigger()
    dialog = window.findChild(FitDialog)
    qtbot.waitUntil(lambda: dialog.ready or "No face" in dialog.says.text(), timeout=600_000)
    assert dialog.ready, dialog.says.text()
    dialog.quality.setCurrentIndex(dialog.quality.findData("draft"))
    QTest.mouseClick(dialog.fit, LEFT)
    qtbot.waitUntil(lambda: len(document.history) == steps + 2, timeout=600_000)
    assert document.current == face
    assert document[face] is not seen
    assert document[face].origin.figures["psnr"] > 15
    window.activateWindow()  # Xvfb has no window manager that would do it when the dialog closes
    qtbot.waitActive(window)


def drag_slider(window, key, value):
    window.inspector.search.setText(key.partition(".")[2])
    QTest.qWait(50)
    track = window.inspector.row(key).track
    middle = track.height() // 2
    start, end = QPoint(round(track.handle_x()), middle), QPoint(round(track.handle_x(value)), middle)
    QTest.mousePress(track, LEFT, Qt.KeyboardModifier.NoModifier, start)
    for step in range(1, 21):
        QTest.mouseMove(track, start + (end - start) * step / 20)
        QTest.qWait(25)
    QTest.mouseRelease(track, LEFT, Qt.KeyboardModifier.NoModifier, end)


def moved_region(session, before, after, size):
    """Where the picture may change: the pixels (left, top, right, bottom) of the vertices that moved by over 1 mm."""
    spaces = session.spaces(after.model)
    assert spaces
    job = session.engine.submit(
        "meshes", lambda step: [session.engine.model(face.model).mesh(face.codes) for face in (before, after)]
    )
    old, new = job.result(30)
    moved = np.linalg.norm(new.vertices - old.vertices, axis=1) > 0.001
    assert moved.sum() > 100
    view = session.view(session.document.current)
    spots = np.concatenate([view.project(mesh.vertices[moved], size, size) for mesh in (old, new)])
    left, top = np.floor(spots.min(0)).astype(int)
    right, bottom = np.ceil(spots.max(0)).astype(int)
    return max(left, 0), max(top, 0), min(right, size), min(bottom, size)


def test_a_photo_becomes_a_face_that_is_edited_saved_and_exported(qtbot, window, tmp_path, monkeypatch, told):
    session, document = window.session, window.session.document
    photo = tmp_path / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(photo)

    with Watch() as during_fit:
        fit(qtbot, window, photo)
    face = document.current
    fitted = document[face]
    assert told == []
    assert fitted.origin.kind == "photo"
    assert window.gallery.currentItem().text().endswith("astronaut")
    before = full_picture(qtbot, window)

    steps = len(document.history)
    with Watch() as during_drag:
        drag_slider(window, "expression.jawOpen", 1.0)
    assert session.value(face, "expression.jawOpen") > 0.9
    assert len(document.history) == steps + 1
    opened = full_picture(qtbot, window)
    change = np.abs(opened - before).sum(-1)
    left, top, right, bottom = moved_region(session, fitted, document[face], len(before))
    inside = change[top:bottom, left:right]
    assert (inside > 60).mean() > 0.05
    assert inside.sum() > 0.8 * change.sum()
    assert np.percentile(opened[top:bottom, left:right].mean(-1), 2) < np.percentile(
        before[top:bottom, left:right].mean(-1), 2
    )

    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert document[face] is fitted
    assert np.abs(full_picture(qtbot, window) - before).max() <= 3
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert session.value(face, "expression.jawOpen") > 0.9

    saved = tmp_path / "astronaut.face"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    window.actions_by_name["save"].trigger()
    assert saved.exists()
    assert face not in document.unsaved
    window.commands.open_files([saved])
    again = document[document.current]
    assert document.current != face
    for space, code in document[face].codes.items():
        assert np.array_equal(again.codes[space], code)
    assert np.abs(full_picture(qtbot, window) - opened).max() <= 3

    export(qtbot, window, monkeypatch, tmp_path)
    assert told == []
    for watch in (during_fit, during_drag):
        assert watch.busy < 0.05
        assert np.percentile(watch.gaps, 98) < 0.05


def export(qtbot, window, monkeypatch, folder):
    picture, mesh = folder / "out.png", folder / "out.glb"
    monkeypatch.setattr(dialogs.PictureDialog, "exec", lambda self: self.DialogCode.Accepted)
    monkeypatch.setattr(dialogs.PictureDialog, "choice", lambda self: dialogs.PictureChoice(256, (1.0, 1.0, 1.0)))
    for action, path in (("export_picture", picture), ("export_mesh", mesh)):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        window.actions_by_name[action].trigger()
        qtbot.waitUntil(lambda: not window.session.jobs, timeout=600_000)
    with Image.open(picture) as image:
        assert image.size == (256, 256)
        seen = to_array(window.viewport.layers.look)[..., :3].astype(int)
        assert np.abs(np.asarray(image.convert("RGB"), int) - seen).mean() < 3
    assert read_provenance(picture)
    gltf = pygltflib.GLTF2().load(str(mesh))
    names = {name for part in gltf.meshes for name in (part.extras or {}).get("targetNames", [])}
    assert names == set(ARKIT)
