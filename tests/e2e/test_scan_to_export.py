"""The whole program through its window: scan in, fit, drag, undo, heat map, mesh out."""

import numpy as np
import pygltflib
import pytest
import trimesh
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from faceeditor.faces.layout import ARKIT
from faceeditor.gui.bridge import to_array
from faceeditor.gui.scan_dialog import ScanDialog
from faceeditor.gui.viewport import Mode
from faceeditor.models.bundle import load_model
from tests.e2e.test_photo_to_export import LEFT, drag_slider
from tests.gui.conftest import SCREEN
from tests.gui.watch import Watch

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not SCREEN, reason="needs a screen")]


def scan_file(folder):
    """The template's mean head in millimetres, lying on its back and turned."""
    template = load_model("template-studio")
    skin = template.shape_faces[slice(*template.parts["skin"])].numpy()
    turn = trimesh.transformations.euler_matrix(np.radians(-80), np.radians(15), np.radians(10))[:3, :3]
    points = 1000 * template.mean.numpy().astype(float) @ turn.T + [30, -40, 500]
    trimesh.Trimesh(points, skin).export(folder / "head.ply")
    return folder / "head.ply"


def drop(window, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    action, buttons = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(400, 300), action, mime, buttons, Qt.KeyboardModifier.NoModifier))


def full_surface(qtbot, window):
    """The surface in full quality, (S, S, 4) int."""
    with qtbot.waitSignal(window.presenter.settled, timeout=600_000):
        window.presenter.refresh(moving=False, edited=True)
    return to_array(window.viewport.layers.surface).astype(int)


def fit(qtbot, window, path):
    """Drops the scan, lets the dialog place it, begins a draft, waits for the face; tells how often it streamed."""
    before, streamed = window.session.document.ids, []
    drop(window, path)
    dialog = window.findChild(ScanDialog)
    qtbot.waitUntil(lambda: dialog.ready or "No face" in dialog.says.text(), timeout=600_000)
    assert dialog.ready, dialog.says.text()
    qtbot.waitUntil(lambda: all(dialog.board.spot(index) is not None for index in range(5)), timeout=60_000)
    dialog.quality.setCurrentIndex(dialog.quality.findData("draft"))
    window.presenter.fit_preview.shown.connect(streamed.append)
    QTest.mouseClick(dialog.fit, LEFT)
    qtbot.waitUntil(lambda: len(window.session.document.ids) > len(before), timeout=600_000)
    qtbot.waitUntil(lambda: window.viewport.layers.instead is None, timeout=600_000)
    window.activateWindow()  # Xvfb has no window manager that would do it when the dialog closes
    qtbot.waitActive(window)
    return len(streamed)


def test_a_scan_becomes_a_face_that_is_edited_measured_and_exported(qtbot, window, tmp_path, monkeypatch, told):
    session, document = window.session, window.session.document
    scan = scan_file(tmp_path)
    with Watch() as during_fit:
        streamed = fit(qtbot, window, scan)
    face = document.current
    fitted = document[face]
    assert told == []
    assert streamed >= 2
    assert fitted.origin.kind == "scan"
    assert fitted.origin.placement.scale == pytest.approx(0.001, rel=0.02)
    assert window.viewport.mode is Mode.SURFACE
    before = full_surface(qtbot, window)

    steps = len(document.history)
    drag_slider(window, "expression.jawOpen", 1.0)
    assert session.value(face, "expression.jawOpen") > 0.9
    assert len(document.history) == steps + 1
    opened = full_surface(qtbot, window)
    size = len(before)
    change = np.abs(opened - before).sum(-1) > 60
    assert change[size // 2 :].sum() > 5 * change[: size // 2].sum()
    assert change.mean() > 0.005

    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert document[face] is fitted
    assert np.abs(full_surface(qtbot, window) - before).mean() < 0.5

    window.actions_by_name["heat"].trigger()
    full_surface(qtbot, window)
    assert window.viewport.layers.legend.mean_mm < 2

    path = tmp_path / "out.glb"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    window.actions_by_name["export_mesh"].trigger()
    qtbot.waitUntil(lambda: not session.jobs, timeout=600_000)
    gltf = pygltflib.GLTF2().load(str(path))
    names = {name for part in gltf.meshes for name in (part.extras or {}).get("targetNames", [])}
    assert names == set(ARKIT)
    assert told == []
    assert during_fit.busy < 0.05
    assert np.percentile(during_fit.gaps, 98) < 0.05
