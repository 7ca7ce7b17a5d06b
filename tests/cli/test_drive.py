"""Videos drive faces through the command line: films of the program's own head, whose expressions are known."""

import csv

import numpy as np
import pytest

from faceeditor.engine.jobs import Cancelled
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.files.marks import read_provenance
from faceeditor.files.project import FaceFile, write_face
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import read_frames, read_video_facts, write_video
from faceeditor.models.bundle import load_model
from faceeditor.session import Session
from faceeditor.settings import Settings

FPS, FRAMES, SIZE = 25, 26, 192
MODEL = "guided-studio"
PHASE = np.arange(FRAMES) / FRAMES * 2 * np.pi
JAW = 0.4 - 0.4 * np.cos(PHASE)
BLINK = 0.5 - 0.5 * np.cos(2 * PHASE)
YAW = 12 * np.sin(PHASE)


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


def person(model, seed):
    """The codes of somebody neutral."""
    generator = np.random.default_rng(seed)
    codes = {name: space.mean for name, space in model.spaces.items()}
    return codes | {name: model.spaces[name].random(generator) for name in ("identity", "skin", "hair")}


def acted(model, codes, jaw=JAW, size=SIZE):
    """Pictures of a mouth and eyes that open and close while the head turns."""
    for opened, closed, yaw in zip(jaw, BLINK, YAW, strict=True):
        expression = np.zeros(64, np.float32)
        expression[EXPRESSION_COMPONENTS.index("jawOpen")] = opened
        for side in ("eyeBlinkLeft", "eyeBlinkRight"):
            expression[EXPRESSION_COMPONENTS.index(side)] = closed
        yield model.render({**codes, "expression": expression}, Camera(yaw=float(yaw)), size).over((0.2, 0.3, 0.4))


def written(path, pictures):
    pictures = list(pictures)
    with write_video(path, pictures[0].shape[1::-1], FPS, Provenance()) as add:
        for picture in pictures:
            add(picture)
    return path


@pytest.fixture(scope="module")
def pictures(model):
    return list(acted(model, person(model, 3)))


@pytest.fixture(scope="module")
def film(pictures, tmp_path_factory):
    return written(tmp_path_factory.mktemp("films") / "film.mp4", pictures)


@pytest.fixture(scope="module")
def face(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("faces") / "bob.face"
    write_face(path, FaceFile(Face("bob", MODEL, person(model, 8)), ""))
    return path


def correlation(told, true):
    return np.corrcoef(np.asarray(told, float), true)[0, 1]


def curves(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_a_face_does_what_the_video_shows(line, film, face, tmp_path):
    out, table = tmp_path / "out.mp4", tmp_path / "curves.csv"
    facts = line.json("drive", film, face, "--out", out, "--pose", "--size", 64, "--curves", table)
    assert (facts["frames"], facts["frames_without_face"], facts["fps"]) == (FRAMES, 0, FPS)
    told = curves(table)
    assert correlation(told["jawOpen"], JAW) > 0.9
    assert correlation(told["headYaw"], YAW) > 0.97
    assert np.abs(told["headYaw"] - YAW).mean() < 4
    assert len(told) == 1 + 51 + 3
    assert read_video_facts(out).size == (64, 64)
    pictures = np.stack(list(read_frames(out))).astype(int)
    assert len(pictures) == FRAMES
    assert np.abs(pictures[FRAMES // 2] - pictures[0]).mean() > 1
    mark = read_provenance(out)
    assert mark.bundle_hash == facts["provenance"]["bundleHash"]
    assert mark.extras()["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["curves.csv", "out.mp4"]


def test_who_it_is_never_changes(film, face):
    from faceeditor.editing.driving import driven

    session = Session(Settings(), autosave=False)
    try:
        performance = session.wait(session.watch_video(film)).smoothed()
        bob = session.document[session.open(face)]
        faces = [driven(bob, session.spaces(MODEL), performance, frame, pose=True) for frame in range(FRAMES)]
    finally:
        session.close()
    for one in faces:
        assert all(one.codes[name] is bob.codes[name] for name in bob.codes if name != "expression")
        assert one.camera.distance == bob.camera.distance
        assert 0 <= one.codes["expression"].min() <= one.codes["expression"].max() <= 1
    blinks = [one.codes["expression"][EXPRESSION_COMPONENTS.index("eyeBlinkLeft")] for one in faces]
    assert correlation(blinks, BLINK) > 0.6


def test_frames_without_a_face_hold_what_was_seen_last(line, pictures, face, tmp_path):
    wall = np.full_like(pictures[0], 90)
    film = written(tmp_path / "gap.mp4", [wall, *pictures[:8], wall, wall, wall, *pictures[12:16]])
    table = tmp_path / "curves.csv"
    words = ("drive", film, face, "--out", tmp_path / "a.gif", "--size", 32, "--curves", table, "--smoothing", 0)
    code, _, err = line(*words)
    assert code == 0, err
    assert "No face was seen in 4 of 16 frames; they hold what was seen last." in err
    jaw = curves(table)["jawOpen"]
    assert jaw[0] == jaw[1]
    assert (jaw[9:12] == jaw[8]).all()
    assert jaw[12] != jaw[8]


def test_of_two_faces_the_larger_one_is_followed(model, pictures, line, face, tmp_path):
    other = acted(model, person(model, 4), jaw=0.8 - JAW, size=SIZE // 2)
    both = [np.concatenate([one, np.pad(small, ((48, 48), (0, 0), (0, 0)), mode="edge")], axis=1)
            for one, small in zip(pictures, other, strict=True)]  # fmt: skip
    film, table = written(tmp_path / "two.mp4", both), tmp_path / "curves.csv"
    line.json("drive", film, face, "--out", tmp_path / "a.mp4", "--size", 32, "--curves", table)
    assert correlation(curves(table)["jawOpen"], JAW) > 0.8


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no file"),
        (b"", "is empty"),
        (b"This is no video.\n" * 50, "is not a video that can be read"),
    ],
)
def test_what_is_no_video_is_one_sentence(line, face, tmp_path, content, said):
    film = tmp_path / "in.mp4"
    if content is not None:
        film.write_bytes(content)
    assert said in line.refused("drive", film, face, "--out", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_video_without_a_face_is_one_sentence(line, face, tmp_path):
    noise = np.random.default_rng(0).integers(60, 200, (8, 12, 12, 3), np.uint8)
    film = written(tmp_path / "in.mp4", noise.repeat(8, 1).repeat(8, 2))
    said = line.refused("drive", film, face, "--out", tmp_path / "out.mp4")
    assert said == "No face was found in the video; take one in which a face is larger and clearer."
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "a.avi"), "a.avi does not end like a video"),
        (("--out", "a.mp4", "--smoothing", "9"), "Smoothing takes between 0 and 2 seconds."),
        (("--out", "a.mp4", "--curves", "a.txt"), "a.txt does not end in .csv"),
        (("--out", "a.mp4", "--size", "7"), "size must lie between"),
    ],
)
def test_mistakes_are_told_before_the_video_is_read(line, face, tmp_path, words, said):
    assert said in line.refused("drive", tmp_path / "nothing.mp4", face, *words)


def test_without_a_camera_a_sentence_says_so(line, face, tmp_path):
    said = line.refused("drive", "camera:97", face, "--out", tmp_path / "out.mp4")
    assert said == "There is no working camera 97 on this machine; connect one, or use a video."
    assert "half a second" in line.refused("drive", "camera", face, "--out", tmp_path / "out.mp4", "--seconds", 0)


def test_a_camera_is_watched_for_some_seconds(line, pictures, face, tmp_path, monkeypatch):
    from faceeditor.engine import driving

    def camera(number):
        while True:
            yield from (None, pictures[0], pictures[13])

    monkeypatch.setattr(driving, "read_camera", camera)
    out = tmp_path / "out.mp4"
    facts = line.json("drive", "camera", face, "--out", out, "--size", 32, "--seconds", 2)
    assert facts["frames"] == len(list(read_frames(out)))
    assert 10 <= facts["frames"] <= 80
    assert facts["fps"] == 25


def test_cancel_ends_it_and_leaves_nothing(film, face, tmp_path):
    session = Session(Settings(), autosave=False)
    try:
        face_id = session.open(face)
        job = session.watch_video(film)
        job.previewed.connect(lambda _seen: job.cancel())
        with pytest.raises(Cancelled):
            session.wait(job)
        assert job.progress < 0.5
        performance = session.wait(session.watch_video(film))
        record = session.export_driven(face_id, performance, tmp_path / "out.mp4", size=64)
        record.changed.connect(lambda: record.cancel() if record.progress > 0.1 else None)
        with pytest.raises(Cancelled):
            session.wait(record)
    finally:
        session.close()
    assert list(tmp_path.iterdir()) == []
