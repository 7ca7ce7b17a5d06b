import time

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest

from faceeditor.gui import dialogs
from faceeditor.gui.bridge import to_array
from faceeditor.gui.presenter import Versus
from faceeditor.gui.viewport import Mode
from faceeditor.gui.window import Window
from tests.gui.conftest import SCREEN
from tests.gui.watch import Watch
from tests.tiny import tiny_face

LEFT = Qt.MouseButton.LeftButton
SHIFT = Qt.KeyboardModifier.ShiftModifier


def drag(widget, start, end, modifier=Qt.KeyboardModifier.NoModifier, steps=12):
    QTest.mousePress(widget, LEFT, modifier, start)
    for step in range(1, steps + 1):
        QTest.mouseMove(widget, start + (end - start) * step / steps)
        QTest.qWait(8)
    QTest.mouseRelease(widget, LEFT, modifier, end)


def drag_slider(window, key, value):
    track = window.inspector.row(key).track
    middle = track.height() // 2
    drag(track, QPoint(round(track.handle_x()), middle), QPoint(round(track.handle_x(value)), middle))


def look(window):
    return to_array(window.viewport.layers.look).astype(int)


def settled(qtbot, window):
    with qtbot.waitSignal(window.presenter.settled, timeout=10_000):
        window.presenter.refresh(moving=False, edited=True)


def test_the_first_face_and_its_sliders_are_shown(window, session):
    assert session.document.current == session.document.ids[0]
    assert look(window).std() > 20
    for name in session.spaces("tiny"):
        assert window.inspector.section(name).isVisible()
    assert window.gallery.count() == 3
    assert window.windowTitle().startswith("Ann")


def test_a_drag_opens_the_mouth_in_the_picture_and_is_one_step(qtbot, window, session):
    face = session.document.current
    session.set_slider(face, "expression.jawOpen", 0.0)
    settled(qtbot, window)
    before = look(window)
    steps = len(session.document.history)
    drag_slider(window, "expression.jawOpen", 1.0)
    assert session.value(face, "expression.jawOpen") == pytest.approx(1.0, abs=0.03)
    assert len(session.document.history) == steps + 1
    settled(qtbot, window)
    size = len(before)
    changed = np.abs(look(window) - before).sum(-1) > 60
    mouth = changed[int(size * 0.55) : int(size * 0.75), int(size * 0.4) : int(size * 0.6)]
    assert mouth.mean() > 0.2
    assert changed[: int(size * 0.45)].mean() < 0.01
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.value(face, "expression.jawOpen") == pytest.approx(0.0)
    settled(qtbot, window)
    assert np.abs(look(window) - before).max() <= 2


def test_orbit_pan_and_zoom_move_the_view_and_not_the_history(qtbot, window, session):
    face, view = session.document.current, window.viewport
    middle = view.rect().center()
    before = session.view(face)
    drag(view, middle, middle + QPoint(80, 0))
    assert session.view(face).yaw < before.yaw - 5
    drag(view, middle, middle + QPoint(0, 40), SHIFT)
    assert session.view(face).pan[1] > before.pan[1]
    QTest.keyClick(window, Qt.Key.Key_2)
    assert session.view(face).yaw == 90
    QTest.keyClick(window, Qt.Key.Key_F)
    assert session.view(face) == session.document[face].camera
    assert session.document.history == ()


def test_every_mode_paints_something_else(qtbot, window, session):
    session.set_slider(session.document.current, "identity.width", 2.0)
    pictures = {}
    for mode in Mode:
        if mode in (Mode.SURFACE, Mode.BOTH) and not SCREEN:
            continue
        window.actions_by_name[mode.value].trigger()
        if mode in (Mode.SURFACE, Mode.BOTH):
            qtbot.waitUntil(lambda: window.viewport.layers.surface is not None)
        if mode is Mode.WIPE:
            window.presenter.set_versus(Versus.START)
            qtbot.waitUntil(lambda: window.viewport.layers.other is not None)
        qtbot.wait(250)
        pictures[mode] = to_array(window.viewport.grab().toImage()).astype(int)
    names = list(pictures)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert np.abs(pictures[first] - pictures[second]).max() > 40, (first, second)


def test_the_divider_of_the_wipe_can_be_dragged(qtbot, window):
    window.actions_by_name["wipe"].trigger()
    view = window.viewport
    start = view.stage.center().toPoint()
    drag(view, start, start + QPoint(round(view.stage.width() / 4), 0))
    assert view._divider == pytest.approx(0.75, abs=0.02)


def test_holding_b_shows_how_the_face_started(qtbot, window, session):
    session.set_slider(session.document.current, "expression.jawOpen", 2.0)
    settled(qtbot, window)
    window.setFocus()
    QTest.keyPress(window, Qt.Key.Key_B)
    qtbot.waitUntil(lambda: window.viewport.layers.instead is not None)
    qtbot.waitUntil(lambda: window.viewport.layers.instead.size() == window.viewport.layers.look.size())
    started = to_array(window.viewport.layers.instead).astype(int)
    assert np.abs(started - look(window)).max() > 60
    QTest.keyRelease(window, Qt.Key.Key_B)
    assert window.viewport.layers.instead is None


def test_the_search_leaves_what_it_finds(window):
    window.inspector.search.setText("smile left")
    rows = window.inspector
    assert rows.row("expression.mouthSmileLeft").isVisible()
    assert not rows.row("expression.jawOpen").isVisible()
    assert not rows.section("identity").isVisible()
    window.inspector.search.clear()
    assert rows.row("expression.jawOpen").isVisible()


def test_changed_only_shows_what_was_changed(window, session):
    session.set_slider(session.document.current, "expression.jawOpen", 1.9)
    window.inspector.changed_only.setChecked(True)
    assert window.inspector.row("expression.jawOpen").isVisible()
    assert not window.inspector.row("expression.mouthSmileLeft").isVisible()


def test_dice_respect_the_lock_and_reset_undoes_them(window, session):
    face = session.document.current
    start = session.document[face].codes["identity"]
    section = window.inspector.section("identity")
    section.set_locked(True)
    assert session.locks == {"identity"}
    window.actions_by_name["random"].trigger()
    assert np.array_equal(session.document[face].codes["identity"], start)
    section.set_locked(False)
    section.randomise_asked.emit("identity")
    assert not np.array_equal(session.document[face].codes["identity"], start)
    section.reset_asked.emit("identity")
    assert np.allclose(session.document[face].codes["identity"], start)


def test_symmetry_moves_both_sides(window, session):
    window.inspector.symmetry.setChecked(True)
    drag_slider(window, "expression.mouthSmileLeft", 1.5)
    values = [session.value(session.document.current, f"expression.mouthSmile{side}") for side in ("Left", "Right")]
    assert values[0] == pytest.approx(values[1])
    assert window.inspector.row("expression.mouthSmileRight").value == pytest.approx(values[0])


def test_a_choice_is_a_step(window, session):
    row = window.inspector._choices["hair.style"]
    row.box.setCurrentIndex(row.box.findData("bald"))
    row.box.activated.emit(row.box.currentIndex())
    assert session.choice(session.document.current, "hair.style") == "bald"
    assert len(session.document.history) == 1


def test_raw_components_are_editable(qtbot, window, session):
    window.inspector.advanced.toggle()
    window.inspector.advanced.box.setCurrentIndex(window.inspector.advanced.box.findData("identity"))
    window.inspector.advanced._building.finish()
    row = window.inspector.advanced._rows[2]
    row.number.setValue(1.25)
    assert session.document[session.document.current].codes["identity"][2] == pytest.approx(1.25, abs=0.01)


def drop_on(window, source, target):
    """Drags one face of the gallery over another and drops it there; what is told on the way."""
    gallery = window.gallery
    told = gallery.would(source, target)
    where = QPointF(gallery.visualItemRect(gallery.item_of(target)).center())
    mime, copy, no = (
        gallery.mimeData([gallery.item_of(source)]),
        Qt.DropAction.CopyAction,
        Qt.KeyboardModifier.NoModifier,
    )
    over = QDragMoveEvent(where.toPoint(), copy, mime, LEFT, no)
    gallery.dragMoveEvent(over)
    assert over.isAccepted()
    gallery.dropEvent(QDropEvent(where, copy, mime, LEFT, no))
    return told


def test_a_drop_in_the_gallery_gives_what_the_panel_says_in_one_step(window, session):
    ann, bob, _ = session.document.ids
    before = session.document[bob]
    for part in ("pose", "hair"):
        window.transfer.parts[part].setChecked(True)
    assert drop_on(window, ann, bob) == "Give the expression, hair and pose of Ann to Bob"
    given = session.document[bob]
    assert session.document.current == bob
    assert len(session.document.history) == 1
    assert given.camera.yaw == session.document[ann].camera.yaw != before.camera.yaw
    assert session.view(bob).yaw == given.camera.yaw
    for space, code in given.codes.items():
        giver = session.document[ann] if space in ("expression", "hair") else before
        assert np.array_equal(code, giver.codes[space])
    window.transfer.amount.moved.emit(0.25)
    assert len(session.document.history) == 1
    half = session.document[bob]
    expected = 0.75 * before.codes["hair"] + 0.25 * session.document[ann].codes["hair"]
    assert np.allclose(half.codes["hair"], expected, atol=1e-6)
    session.document.undo()
    assert session.document[bob] is before


def test_a_drop_that_gives_nothing_is_told(window, session, told):
    ann, bob, _ = session.document.ids
    window.transfer.parts["expression"].setChecked(False)
    assert "nothing is ticked" in drop_on(window, ann, bob)
    assert len(told) == 1
    assert "tick something" in told[0]
    assert session.document.history == ()


def test_a_face_given_to_another_by_its_menu(window, session):
    ann, bob, _ = session.document.ids
    menu = window.gallery.gift_menu(bob, ann)
    next(action for action in menu.actions() if action.text() == "Expression").trigger()
    assert np.allclose(session.document[ann].codes["expression"], session.document[bob].codes["expression"])
    assert not np.allclose(session.document[ann].codes["identity"], session.document[bob].codes["identity"])


def test_a_transfer_by_amount_is_one_step_and_exact(window, session):
    ann, bob, _ = session.document.ids
    start = session.document[ann]
    panel = window.transfer
    panel.source.setCurrentIndex(panel.source.findData(bob))
    panel.parts["identity"].setChecked(True)
    amount = panel.amount.track
    middle = amount.height() // 2
    drag(amount, QPoint(round(amount.handle_x(0)), middle), QPoint(round(amount.handle_x(0.5)), middle))
    share = panel.amount.value
    assert 0.4 < share < 0.6
    for what in ("identity", "expression"):
        expected = (1 - share) * start.codes[what] + share * session.document[bob].codes[what]
        assert np.allclose(session.document[ann].codes[what], expected, atol=1e-4)
    assert len(session.document.history) == 1
    session.document.undo()
    assert session.document[ann] is start


def test_the_history_goes_where_it_is_clicked(window, session):
    face = session.document.current
    for value in (0.5, 1.0, 1.5):
        session.set_slider(face, "expression.jawOpen", value)
    assert [window.history.item(row).text() for row in range(4)] == ["Start", *session.document.history]
    window.history.itemClicked.emit(window.history.item(1))
    assert session.value(face, "expression.jawOpen") == pytest.approx(0.5)
    assert window.history.currentRow() == 1


def test_names_are_edited_in_the_gallery(window, session):
    item = window.gallery.item(1)
    item.setText("Robert")
    assert session.document[session.document.ids[1]].name == "Robert"


def test_thumbnails_are_drawn(qtbot, window):
    def drawn():
        picture = window.gallery.item(2).icon().pixmap(84).toImage()
        return to_array(picture)[..., :3].astype(int).std() > 20

    qtbot.waitUntil(drawn, timeout=8000)


def test_a_dropped_face_file_opens(window, session, tmp_path):
    path = session.save(session.document.current, tmp_path / "ann.face")
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(20, 20), Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier
    )  # fmt: skip
    window.dropEvent(event)
    assert len(session.document.ids) == 4
    assert window.windowTitle().startswith("Ann")


def test_a_damaged_file_is_told_in_one_sentence(window, session, told, tmp_path):
    path = tmp_path / "broken.face"
    path.write_bytes(b"not a face")
    window.commands.open_files([path])
    assert len(told) == 1
    assert "broken.face" in told[0]
    assert len(session.document.ids) == 3


def test_playing_between_two_faces_leaves_the_document_alone(qtbot, window, session):
    before = {face: session.document[face] for face in session.document.ids}
    still = look(window)
    window.timeline.go_to(1.0)
    qtbot.waitUntil(lambda: look(window).shape == still.shape and np.abs(look(window) - still).max() > 30)
    window.timeline.stop()
    assert {face: session.document[face] for face in session.document.ids} == before
    window.timeline.between.show_value(0.5)
    window.timeline.keep.click()
    assert len(session.document.ids) == 4


def test_closing_asks_about_what_is_not_saved(window, session, monkeypatch):
    asked = []
    session.set_slider(session.document.current, "expression.jawOpen", 1.0)
    monkeypatch.setattr(dialogs, "ask_unsaved", lambda parent, names: asked.append(names) or dialogs.Answer.CANCEL)
    assert not window.close()
    assert asked == [["Ann"]]
    monkeypatch.setattr(dialogs, "ask_unsaved", lambda parent, names: dialogs.Answer.DISCARD)
    assert window.close()


@pytest.mark.skipif(not SCREEN, reason="the off-screen screen is too small")
def test_the_layout_is_remembered(qtbot, window, session, qapp):
    window.resize(1234, 777)
    qtbot.wait(50)
    window.close()
    again = Window(session)
    qtbot.addWidget(again)
    assert (again.width(), again.height()) == (1234, 777)
    again.session.document.go_to(0)


def test_all_that_can_be_clicked_has_a_name(window):
    from PySide6.QtWidgets import QAbstractButton

    nameless = [
        button
        for button in window.findChildren(QAbstractButton)
        if button.isVisible() and not (button.text() or button.accessibleName() or button.toolTip())
        and not button.objectName().startswith("qt_")
    ]  # fmt: skip
    assert nameless == []


@pytest.mark.alone
def test_the_window_stays_awake_while_a_slider_is_dragged(qtbot, window, session, head):
    head.pause = 0.08
    with Watch() as watch:
        for value in (2.0, 0.0, 1.5):
            drag_slider(window, "expression.jawOpen", value)
        qtbot.wait(300)
    assert len(watch.gaps) > 20
    assert watch.busy < 0.05
    assert np.percentile(watch.gaps, 98) < 0.05


def test_a_job_shows_its_progress_and_can_be_cancelled(qtbot, window, session):
    def work(step):
        for i in range(1000):
            step(i / 1000, f"Part {i}")
            time.sleep(0.01)

    job = session.engine.submit("Count", work)
    qtbot.waitUntil(lambda: window.status.work.isVisible() and window.status.bar.value() > 5)
    assert "Count: Part" in window.status.label.text()
    began = time.monotonic()
    QTest.mouseClick(window.status.cancel, LEFT)
    qtbot.waitUntil(lambda: not window.status.work.isVisible())
    assert time.monotonic() - began < 0.5
    assert job.state == "cancelled"
    assert "cancelled" in window.status.currentMessage()


def test_a_frame_that_cannot_be_drawn_is_told_once(qtbot, window, session, head, told):
    head.fail = RuntimeError("broken")
    window.presenter.refresh(moving=False)
    qtbot.waitUntil(lambda: len(told) == 1)
    settled(qtbot, window)
    assert look(window).std() > 20


def test_an_empty_gallery_invites_and_undo_brings_the_faces_back(qtbot, window, session):
    for face in session.document.ids:
        session.remove(face)
    assert session.document.current is None
    assert "Drop a photo" in window.viewport.message
    assert not window.inspector.isEnabled()
    session.document.undo()
    assert window.inspector.isEnabled()
    assert window.viewport.message == ""


def test_pictures_of_another_face_never_show_after_a_switch(qtbot, window, session, head):
    ann, bob, _ = session.document.ids
    session.set_slider(bob, "identity.width", -2.0)
    session.set_slider(ann, "identity.width", 2.0)
    settled(qtbot, window)
    head.pause = 0.15
    window.presenter.refresh(moving=False, edited=True)
    shown = []
    session.document.select(bob)
    session.drawn.connect(lambda drawn: shown.append(window.viewport.layers.look))
    with qtbot.waitSignal(window.presenter.settled, timeout=10_000):
        pass
    widths = []
    for image in filter(None, shown):
        row = to_array(image)[image.height() // 2, :, 2] < 250
        widths.append(np.flatnonzero(row).size / image.width())
    assert widths
    assert max(widths) - min(widths) < 0.05


def test_files_of_the_command_line_are_opened_instead_of_the_samples(qtbot, session, told, tmp_path):
    from faceeditor.files.project import FaceFile, write_face

    write_face(tmp_path / "dot.face", FaceFile(tiny_face("Dot", 3)))
    window = Window(session, [tmp_path / "dot.face"])
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.presenter.settled, timeout=10_000):
        window.show()
    assert [session.document[face].name for face in session.document.ids] == ["Dot"]
    assert told == []
    window.close()


def test_another_model_that_gets_ready_leaves_the_picture_alone(window, session):
    before = window.viewport.layers.look
    session.model_ready.emit("portrait")
    assert window.viewport.layers.look is before
