import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from faceeditor.editing.views import STANDARD_VIEWS
from faceeditor.engine.jobs import Job
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.files.marks import read_provenance
from faceeditor.files.project import FaceFile, read_face, write_face, write_gallery
from faceeditor.models.contract import Quality
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.tiny import NAME, TinyHead, tiny_face


def load(name, device):
    if name != NAME:
        raise UserError(f"There is no model named {name}.")
    return TinyHead(name, device)


@pytest.fixture
def session():
    session = Session(Settings(model=NAME, autosave_seconds=0.05), load=load)
    yield session
    session.close()


def until(session, true, seconds=5.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing came in time"
        session.process()
        time.sleep(0.005)


@pytest.fixture
def ann(session):
    return session.document.add(tiny_face("Ann", 1), "add")


def test_one_drag_of_a_slider_is_one_named_step(session, ann):
    before = session.document[ann]
    for value in np.linspace(0, 1, 30):
        session.set_slider(ann, "expression.jawOpen", value, gesture=1)
    session.set_slider(ann, "expression.jawOpen", 0.5, gesture=2)
    assert session.document.history == ("add", "jawOpen 1.00", "jawOpen 0.50")
    session.document.go_to(1)
    assert session.document[ann] is before
    assert session.value(ann, "expression.jawOpen") == pytest.approx(float(before.codes["expression"][0]))


def test_symmetry_is_a_setting(session, ann):
    session.settings.symmetry = True
    session.set_slider(ann, "expression.mouthSmileRight", 0.4)
    assert session.value(ann, "expression.mouthSmileLeft") == pytest.approx(0.4)


def test_choices_components_reset_and_changed(session, ann):
    session.set_choice(ann, "hair.style", "bald")
    session.set_component(ann, "skin", 2, 0.9)
    session.set_slider(ann, "expression.jawOpen", 1.9)
    assert session.changed(ann) == {"hair.style", "expression.jawOpen"}
    session.reset(ann, "hair.style")
    session.reset(ann, "expression.jawOpen")
    assert session.changed(ann) == frozenset()
    assert session.document[ann].codes["skin"][2] == pytest.approx(0.9)
    session.reset(ann, "all", to="neutral")
    assert not session.document[ann].codes["skin"].any()


def test_locked_spaces_stay_when_all_is_randomised(session, ann):
    before = session.document[ann]
    session.locks = {"skin", "hair"}
    session.randomise(ann, seed=4)
    after = session.document[ann]
    same = {space for space in before.codes if np.array_equal(before.codes[space], after.codes[space])}
    assert same == {"skin", "hair"}


def test_dragging_a_transfer_does_not_add_up(session, ann):
    ben = session.document.add(tiny_face("Ben", 2), "add")
    start = session.document[ben]
    for amount in (0.2, 0.9, 0.5):
        session.transfer("skin", ann, ben, amount, gesture="drag")
    middle = (start.codes["skin"] + session.document[ann].codes["skin"]) / 2
    assert session.document[ben].codes["skin"] == pytest.approx(middle, abs=1e-6)
    assert len(session.document.history) == 3
    session.transfer("skin", ann, ben, 1.0, gesture="another")
    assert np.array_equal(session.document[ben].codes["skin"], session.document[ann].codes["skin"])


def test_the_view_is_not_history_but_follows_a_transferred_pose(session, ann):
    ben = session.document.add(tiny_face("Ben", 30), "add")
    steps = session.document.history
    session.standard_view(ann, "left")
    assert session.view(ann).yaw == STANDARD_VIEWS["left"][0]
    assert session.document.history == steps
    session.set_slider(ann, "expression.jawOpen", 1.0)
    assert session.view(ann).yaw == 90
    session.transfer("pose", ben, ann)
    assert session.view(ann).yaw == 30
    session.look(ann, Camera(yaw=5))
    session.reset_view(ann)
    assert session.view(ann).yaw == 30


def test_saving_and_opening_keeps_everything_and_knows_what_is_unsaved(session, ann, tmp_path):
    with pytest.raises(UserError, match="no file yet"):
        session.save(ann)
    path = session.save(ann, tmp_path / "ann.face")
    assert not session.document.dirty
    session.set_slider(ann, "expression.jawOpen", 1.0)
    assert session.document.unsaved == (ann,)
    assert session.save(ann) == path
    again = session.open(path)
    assert all(
        np.array_equal(session.document[again].codes[space], code)
        for space, code in session.document[ann].codes.items()
    )
    assert session.path(again) == path
    assert session.settings.recent == [path.resolve()]
    session.save_gallery(tmp_path / "all.faces")
    assert len(session.import_any([tmp_path / "all.faces", path])) == 3


def test_a_thumbnail_that_was_drawn_goes_into_the_file(session, ann, tmp_path):
    session.draw(ann, 64, target=f"thumbnail:{ann}")
    until(session, lambda: session.engine.idle and session._thumbnails)
    assert read_face(session.save(ann, tmp_path / "a.face")).thumbnail_srgb.shape == (64, 64, 3)


def test_opening_tells_of_other_hashes_and_refuses_other_models_and_sizes(session, tmp_path):
    heard = []
    session.notice.connect(heard.append)
    path = tmp_path / "a.face"
    write_face(path, FaceFile(tiny_face(), model_hash="other"))
    session.open(path)
    assert "another version" in heard[0]
    write_face(path, FaceFile(tiny_face().with_code("skin", np.zeros(7))))
    with pytest.raises(UserError, match="another size"):
        session.open(path)
    write_face(path, FaceFile(tiny_face().replace(model="nobody")))
    with pytest.raises(UserError, match="nobody"):
        session.open(path)
    assert len(session.document) == 1


def test_what_is_drawn_arrives_with_the_view_and_only_on_the_owners_thread(session, ann):
    got = []
    session.drawn.connect(got.append)
    session.look(ann, Camera(yaw=12))
    session.draw(ann, 96, background=None)
    time.sleep(0.3)
    assert got == []
    until(session, lambda: got and got[-1].final)
    assert got[-1].request.camera.yaw == 12
    assert got[-1].quality is Quality.FULL
    assert got[-1].picture_srgb.shape == (96, 96, 4)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".exr"])
def test_pictures_are_exported_through_the_view_with_the_mark(session, ann, tmp_path, suffix):
    path = session.wait(session.export_picture(ann, tmp_path / f"a{suffix}", 48))
    mark = read_provenance(path)
    assert mark is not None
    assert not mark.composite
    assert mark.codes_hash == session.provenance(session.document[ann]).codes_hash
    if suffix != ".exr":
        assert Image.open(path).size == (48, 48)


def test_a_picture_over_a_photo_is_marked_as_a_composite(session, ann, tmp_path):
    photo = np.full((30, 30, 3), 90, np.uint8)
    path = session.wait(session.export_picture(ann, tmp_path / "a.png", 48, background=photo))
    assert read_provenance(path).composite
    assert np.asarray(Image.open(path))[0, 0].tolist() == [90, 90, 90]


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_meshes_carry_the_mark(session, ann, tmp_path, suffix):
    path = session.wait(session.export_mesh(ann, tmp_path / f"a{suffix}"))
    assert read_provenance(path) is not None


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_films_are_recorded_frame_by_frame_with_the_mark(session, ann, tmp_path, suffix):
    ben = session.document.add(tiny_face("Ben", 9), "add")
    job = session.export_interpolation(ann, ben, tmp_path / f"a{suffix}", frames=5, fps=10, size=32)
    assert read_provenance(session.wait(job)) is not None
    job = session.export_turntable(ann, tmp_path / f"b{suffix}", frames=6, fps=10, size=32)
    session.wait(job)
    assert job.progress == 1.0


@pytest.mark.alone
def test_a_cancelled_film_leaves_nothing_behind(session, ann, tmp_path):
    job = session.export_turntable(ann, tmp_path / "a.mp4", frames=5000, size=64)
    until(session, lambda: job.progress > 0)
    began = time.monotonic()
    job.cancel()
    until(session, lambda: job.ended)
    assert time.monotonic() - began < 0.5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"), [("a.txt", "does not end"), ("none/a.png", "no folder"), (".png", "does not end")]
)
def test_an_export_that_cannot_be_written_is_told_and_leaves_nothing(session, ann, tmp_path, name, words):
    with pytest.raises(UserError, match=words):
        session.wait(session.export_picture(ann, tmp_path / name, 32))
    assert list(tmp_path.iterdir()) == []


def test_a_dropped_picture_becomes_a_fit(session, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    (job,) = session.import_any([tmp_path / "a.png"])
    assert isinstance(job, Job)
    with pytest.raises(UserError, match="not a picture"):
        session.wait(job)
    assert len(session.document) == 0


def test_work_is_saved_by_itself_and_gone_after_a_clean_end(user_home):
    session = Session(Settings(model=NAME, autosave_seconds=0.05), load=load)
    face_id = session.document.add(tiny_face(), "add")
    folder = user_home / "data" / "recovery"
    until(session, lambda: list(folder.glob("*.faces")))
    assert session.recovery() == ()
    session.set_slider(face_id, "expression.jawOpen", 1.5)
    session.close()
    assert list(folder.iterdir()) == []


CRASHER = """
import os, sys, time
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.test_session import load
from tests.tiny import NAME, tiny_face
session = Session(Settings(model=NAME, autosave_seconds=0.05), load=load)
session.document.populate([tiny_face("sample")])
face_id = session.document.add(tiny_face("Ann"), "add")
session.set_slider(face_id, "expression.jawOpen", 1.25)
while not session._autosaver.path.exists():
    time.sleep(0.01)
time.sleep(0.3)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a POSIX signal")
def test_a_crash_loses_nothing_that_was_unsaved(session):
    subprocess.run([sys.executable, "-c", CRASHER], check=False, timeout=60)
    (left,) = session.recovery()
    (face_id,) = session.recover(left)
    assert session.document[face_id].name == "Ann"
    assert session.value(face_id, "expression.jawOpen") == pytest.approx(1.25)
    assert session.document.unsaved == (face_id,)
    assert session.recovery() == ()


def test_a_damaged_recovery_file_is_told_and_can_be_thrown_away(session, user_home):
    path = user_home / "data" / "recovery" / "x.faces"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK rubbish")
    with pytest.raises(UserError, match="damaged"):
        session.recover(path)
    session.discard_recovery(path)
    assert session.recovery() == ()


def test_samples_count_as_saved_and_broken_ones_are_left_out(session, tmp_path, monkeypatch):
    for number in range(3):
        write_face(tmp_path / f"{number}.face", FaceFile(tiny_face(str(number))))
    (tmp_path / "9.face").write_bytes(b"broken")
    monkeypatch.setattr("faceeditor.session.resource_path", lambda *parts: tmp_path)
    heard = []
    session.notice.connect(heard.append)
    assert len(session.samples()) == 3
    assert not session.document.dirty
    assert session.document.history == ()
    assert "9.face" in heard[0]


def test_settings_survive_and_damage_gives_the_defaults(user_home):
    settings = Settings(symmetry=True, background="#112233")
    settings.save()
    assert Settings.load() == settings
    with pytest.raises(ValueError, match="pattern"):
        settings.background = "puce"
    (user_home / "config" / "settings.json").write_text("{]")
    assert Settings.load() == Settings()


def test_a_gallery_with_a_face_of_another_model_is_refused_whole(session, tmp_path):
    write_gallery(tmp_path / "g.faces", [FaceFile(tiny_face()), FaceFile(tiny_face().replace(model="nobody"))])
    with pytest.raises(UserError, match="nobody"):
        session.open_gallery(tmp_path / "g.faces")
    assert len(session.document) == 0


def test_changing_the_device_loads_the_models_again(session, ann):
    session.spaces(NAME)
    assert session.wait(session.set_device("cpu")) == "cpu"
    assert session.settings.device == "cpu"
    assert session.capabilities(NAME) == ("radiance", "mesh")


@pytest.mark.alone
def test_looking_for_a_face_where_there_is_none_can_be_cancelled(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    session = Session(Settings())
    try:
        job = session.find_head(tmp_path / "noise.jpg")
        until(session, lambda: job.message == "Finding the face", 30)
        began = time.monotonic()
        job.cancel()
        until(session, lambda: job.ended, 10)
        assert time.monotonic() - began < 1.0
        assert job.state == "cancelled"
    finally:
        session.close()
