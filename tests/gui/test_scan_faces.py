"""The window with faces of a surface model that know their scans."""

import time

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from faceeditor.faces.face import TEXTURE, Face, Origin
from faceeditor.files.scans import read_scan
from faceeditor.gui import dialogs
from faceeditor.gui.bridge import Poster, to_array
from faceeditor.gui.surface import Beside, Shading
from faceeditor.gui.viewport import Mode
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.gui.conftest import SCREEN, shown
from tests.plain_face import DIMS, NAME, plain_face
from tests.tiny import NAME as TINY
from tests.tiny import TinyHead, tiny_face

pytestmark = pytest.mark.skipif(not SCREEN, reason="OpenGL needs a screen")
SPACES = ("identity", "expression", "detail")


@pytest.fixture(scope="module")
def models():
    return {TINY: TinyHead(), NAME: plain_face()}


@pytest.fixture(scope="module")
def scanned(models):
    """A face whose scan lies 1 mm in front of it, with a red texture."""
    codes = {name: np.zeros(DIMS, np.float32) for name in SPACES}
    mesh = models[NAME].mesh(codes)
    face = mesh.vertices[:, 2] > 0.03
    scan = (mesh.vertices + np.float32(0.001) * mesh.normals)[face]
    texture = np.zeros((16, 16, 3), np.uint8)
    texture[..., 0] = 200
    return Face("Scan", NAME, codes, origin=Origin("scan", "scan.ply", scan_points=scan), refinement={TEXTURE: texture})


@pytest.fixture
def session(qapp, models):
    poster = Poster()
    session = Session(Settings(model=TINY), deliver=poster.deliver, load=lambda name, device: models[name])
    yield session
    session.close()


@pytest.fixture
def window(qtbot, session, told, monkeypatch, scanned):
    """The tiny face Ann first, then the face of the scan, which is shown."""
    plain = scanned.replace(name="Plain", origin=Origin(), refinement={})
    monkeypatch.setattr(session, "samples", lambda: session.document.populate([tiny_face("Ann", 0), scanned, plain]))
    with shown(qtbot, session, monkeypatch) as window:
        session.load(NAME)
        with qtbot.waitSignal(window.presenter.settled, timeout=60_000):
            session.document.select(session.document.ids[1])
        window.inspector.finish_building()
        yield window


def settled(qtbot, window):
    with qtbot.waitSignal(window.presenter.settled, timeout=60_000):
        window.presenter.refresh(moving=False, edited=True)


def surface(window):
    return to_array(window.viewport.layers.surface).astype(int)


def test_a_scans_face_is_shown_as_a_surface_and_others_as_they_look(qtbot, window, session):
    assert window.viewport.mode is Mode.SURFACE
    assert (surface(window)[..., 3] > 0).mean() > 0.1
    session.document.select(session.document.ids[0])
    assert window.viewport.mode is Mode.LOOK
    session.document.select(session.document.ids[1])
    window.actions_by_name["look"].trigger()
    session.document.select(session.document.ids[2])
    assert window.viewport.mode is Mode.LOOK


def test_the_heat_map_tells_the_distance_to_the_scan(qtbot, window, session):
    heat = window.actions_by_name["heat"]
    clay = surface(window)
    window.actions_by_name["look"].trigger()
    heat.trigger()
    assert window.viewport.mode is Mode.SURFACE
    settled(qtbot, window)
    legend = window.viewport.layers.legend
    assert legend.mean_mm == pytest.approx(1.0, abs=0.25)
    coloured = surface(window)
    middle = coloured.shape[0] // 2
    assert np.abs(coloured - clay)[middle - 40 : middle + 40, middle - 20 : middle + 20].max() > 60
    blue = coloured[..., 2] > coloured[..., 0] + 40
    assert blue.mean() > 0.02
    heat.trigger()
    assert window.presenter.surface.finish.shading is Shading.CLAY
    settled(qtbot, window)
    assert np.abs(surface(window) - clay).mean() < 0.5
    session.document.select(session.document.ids[2])
    assert not heat.isEnabled()


def test_albedo_is_the_faces_texture_and_stays_while_a_slider_moves(qtbot, window, session):
    window.presenter.set_shading(Shading.ALBEDO)
    settled(qtbot, window)
    for moving in (False, True):
        with qtbot.waitSignal(session.drawn, timeout=60_000):
            window.presenter.refresh(moving=moving, edited=True)
        qtbot.wait(50)
        picture = surface(window)
        there = picture[..., 3] > 250
        assert np.abs(picture[there][:, :3] - [200, 0, 0]).max(1).mean() < 4


def test_the_scan_stands_beside_the_surface(qtbot, window, session):
    alone = surface(window)
    window.presenter.set_scan(Beside.BESIDE)
    qtbot.waitUntil(lambda: np.abs(surface(window) - alone).max() > 60, timeout=60_000)
    half = alone.shape[1] // 2
    qtbot.waitUntil(lambda: (surface(window)[..., 3] > 0)[:, half + 40 :].mean() > 0.05, timeout=60_000)
    session.document.select(session.document.ids[2])
    settled(qtbot, window)
    assert np.abs(surface(window) - alone).mean() < 0.5


def test_detail_is_switched_off_and_on_by_undo(qtbot, window, session):
    face = session.document.current
    switch = window.inspector._switches["detail.amount"]
    assert switch.box.isChecked()
    QTest.mouseClick(switch.box, Qt.MouseButton.LeftButton, pos=QPoint(8, switch.box.height() // 2))
    assert session.value(face, "detail.amount") == 0
    assert window.inspector.row("detail.amount").value == 0
    assert session.changed(face) == {"detail.amount"}
    session.document.undo()
    assert session.value(face, "detail.amount") == 1
    assert switch.box.isChecked()
    assert TEXTURE in session.document[face].refinement


def test_only_what_two_faces_share_can_be_transferred(qtbot, window, session):
    ann, scan, plain = session.document.ids
    session.document.select(plain)
    panel = window.transfer
    panel.source.setCurrentIndex(panel.source.findData(scan))
    assert {part for part, box in panel.parts.items() if box.isEnabled()} == {
        "identity", "expression", "pose", "detail", "texture",
    }  # fmt: skip
    for part, box in panel.parts.items():
        box.setChecked(part == "texture")
    panel.all.click()
    assert np.array_equal(session.document[plain].refinement[TEXTURE], session.document[scan].refinement[TEXTURE])
    panel.source.setCurrentIndex(panel.source.findData(ann))
    assert {part for part, box in panel.parts.items() if box.isEnabled()} == {"pose"}
    assert [action.text() for action in window.gallery.gift_menu(ann, plain).actions()] == ["Pose"]


def test_dice_throw_another_face(qtbot, window, session):
    face = session.document.current
    window.actions_by_name["random"].trigger()
    assert {name for name in SPACES if session.document[face].codes[name].any()} >= {"identity", "detail"}
    settled(qtbot, window)


def streaming(session, faces):
    def work(step):
        for number in range(2000):
            step(number / 2000, "Fitting", faces[number % len(faces)])
            time.sleep(0.02)

    return session.engine.submit("Fit", work)


def test_a_fit_streams_its_surface_which_can_be_turned(qtbot, window, session, scanned):
    before, history = session.document.ids, session.document.history
    wide = scanned.codes["expression"].copy()
    wide[:] = 0.5
    job = streaming(session, [scanned, scanned.replace(codes={**scanned.codes, "expression": wide})])
    window.presenter.follow_fit(job)
    qtbot.waitUntil(lambda: window.viewport.layers.instead is not None, timeout=60_000)
    assert window.viewport.layers.instead_name == "Fitting"
    first = to_array(window.viewport.layers.instead).astype(int)
    view = session.view(session.document.current)
    middle = window.viewport.rect().center()
    QTest.mousePress(window.viewport, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(window.viewport, middle + QPoint(120, 0))
    QTest.mouseRelease(window.viewport, Qt.MouseButton.LeftButton, pos=middle + QPoint(120, 0))
    assert np.abs(to_array(window.viewport.layers.instead).astype(int) - first).max() > 60
    assert session.view(session.document.current) == view
    job.cancel()
    qtbot.waitUntil(lambda: window.viewport.layers.instead is None)
    assert session.document.ids == before
    assert session.document.history == history


def test_a_surface_is_exported_as_fine_as_asked(qtbot, window, session, monkeypatch, tmp_path, told):
    action = window.actions_by_name["export_surface"]
    monkeypatch.setattr(dialogs.ResolutionDialog, "exec", lambda self: self.DialogCode.Accepted)
    sizes = []
    for resolution in (24, 48):
        path = tmp_path / f"{resolution}.ply"
        monkeypatch.setattr(dialogs.ResolutionDialog, "resolution", lambda self, resolution=resolution: resolution)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        action.trigger()
        qtbot.waitUntil(lambda: not session.jobs, timeout=120_000)
        sizes.append(len(read_scan(path).vertices))
    assert told == []
    assert sizes[1] > 3 * sizes[0] > 300
    session.document.select(session.document.ids[0])
    assert not action.isEnabled()
