import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import as_code
from faceeditor.faces.similarity import Similarity
from faceeditor.files.project import (
    FORMAT,
    FaceFile,
    face_bytes,
    face_from_bytes,
    migrate,
    read_face,
    read_gallery,
    write_face,
    write_gallery,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
REAL = st.floats(allow_nan=False, allow_infinity=False)
CODES = st.dictionaries(st.text("abcdefgh", min_size=1), hnp.arrays(np.float32, st.integers(1, 40), elements=FLOATS))
ARRAYS = st.dictionaries(
    st.text("abc/", min_size=1, max_size=4),
    hnp.arrays(st.sampled_from([np.float32, np.float16, np.int32]), hnp.array_shapes(min_dims=1, max_dims=3)),
    max_size=3,
)
PHOTOS = st.none() | hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
FACES = st.builds(
    Face,
    name=st.text(max_size=20),
    model=st.text(max_size=10),
    codes=CODES.map(lambda codes: {name: as_code(code) for name, code in codes.items()}),
    camera=st.builds(Camera, REAL, REAL, REAL, REAL, REAL, st.tuples(REAL, REAL), st.tuples(REAL, REAL)),
    origin=st.builds(Origin, st.text(), st.text(), PHOTOS, st.dictionaries(st.text(), REAL, max_size=3)),
    refinement=ARRAYS,
    notes=st.text(),
)


def some_face() -> Face:
    return Face("Ann", "tiny", {"skin": as_code([0.1, 0.2, 0.3])}, refinement={"map": np.ones((4, 4), np.float32)})


def same(first, second) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


@given(FACES, PHOTOS)
def test_a_face_comes_back_bit_for_bit(face, thumbnail):
    found = face_from_bytes(face_bytes(FaceFile(face, "hash", thumbnail)), "x.face")
    back = found.face
    assert (back.name, back.model, back.notes, back.camera) == (face.name, face.model, face.notes, face.camera)
    assert back.origin == face.origin
    for mine, theirs in ((face.codes, back.codes), (face.refinement, back.refinement)):
        assert mine.keys() == theirs.keys()
        assert all(same(mine[name], theirs[name]) for name in mine)
    for mine, theirs in ((face.origin.photo_srgb, back.origin.photo_srgb), (thumbnail, found.thumbnail_srgb)):
        assert (mine is None) == (theirs is None)
        assert mine is None or same(mine, theirs)
    assert found.model_hash == "hash"


def scanned_face() -> Face:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    placement = Similarity(0.001, turn, np.array([0.1, 0.2, 0.3]))
    return some_face().replace(origin=Origin("scan", "head.obj", placement=placement, scan_points=points))


def test_where_a_scan_lay_and_its_points_come_back():
    face = scanned_face()
    back = face_from_bytes(face_bytes(FaceFile(face)), "x.face").face.origin
    assert back == face.origin
    assert back.placement.document() == face.origin.placement.document()
    assert same(back.scan_points, face.origin.scan_points)


@pytest.mark.parametrize(
    "member",
    [
        {"scan.safetensors": save({"points": np.full((4, 3), np.nan, np.float32)})},
        {"scan.safetensors": save({"points": np.zeros((4, 2), np.float32)})},
        {"scan.safetensors": save({"other": np.zeros((4, 3), np.float32)})},
        {"scan.safetensors": b"points"},
        {"placement": {"scale": -1, "rotation": list(range(9)), "translation": [0, 0, 0]}},
        {"placement": {"scale": 1}},
    ],
)
def test_damage_to_what_is_known_of_a_scan_is_one_sentence(member):
    with zipfile.ZipFile(io.BytesIO(face_bytes(FaceFile(scanned_face())))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if "placement" in member:
        description = json.loads(members["face.json"])
        description["origin"]["placement"] = member["placement"]
        member = {"face.json": json.dumps(description).encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**members, **member}.items():
            archive.writestr(name, data)
    with pytest.raises(UserError, match="x.face is damaged"):
        face_from_bytes(buffer.getvalue(), "x.face")


def test_nothing_in_a_face_is_a_pickle_and_equal_faces_give_equal_files(tmp_path):
    write_face(tmp_path / "a.face", FaceFile(some_face()))
    write_face(tmp_path / "b.face", FaceFile(some_face()))
    assert (tmp_path / "a.face").read_bytes() == (tmp_path / "b.face").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.face") as archive:
        assert set(archive.namelist()) == {"face.json", "codes.safetensors", "refinement.safetensors"}


@given(st.integers(0, 2000), st.integers(1, 255))
def test_one_wrong_byte_is_one_sentence_or_harmless(position, change):
    data = bytearray(face_bytes(FaceFile(some_face())))
    data[position % len(data)] ^= change
    opened = tried(bytes(data))
    if isinstance(opened, str):
        assert opened.startswith("x.face")
        assert "\n" not in opened
    else:
        assert same(opened.codes["skin"], some_face().codes["skin"])


def tried(data: bytes) -> Face | str:
    """The face, or what the user is told instead."""
    try:
        return face_from_bytes(data, "x.face").face
    except UserError as error:
        return str(error)


@given(st.integers(0, 2000))
def test_a_truncated_file_is_one_sentence(length):
    data = face_bytes(FaceFile(some_face()))
    with pytest.raises(UserError, match=r"x\.face"):
        face_from_bytes(data[: length % len(data)], "x.face")


def rewritten(members: dict[str, bytes | None]) -> bytes:
    """A good file with some members replaced or left out."""
    old = zipfile.ZipFile(io.BytesIO(face_bytes(FaceFile(some_face()))))
    everything = {name: old.read(name) for name in old.namelist()} | members
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in everything.items():
            if data is not None:
                archive.writestr(name, data)
    return buffer.getvalue()


def described(**changes) -> bytes:
    old = zipfile.ZipFile(io.BytesIO(face_bytes(FaceFile(some_face()))))
    return json.dumps(json.loads(old.read("face.json")) | changes).encode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"face.json": None}, "does not hold"),
        ({"face.json": b"[1]"}, "damaged"),
        ({"face.json": b"{"}, "damaged"),
        ({"face.json": described(format=99)}, "version 99"),
        ({"face.json": described(format="new")}, "version 'new'"),
        ({"face.json": described(camera={"yaw": "north"})}, "damaged"),
        ({"face.json": described(name=None)}, "damaged"),
        ({"codes.safetensors": None}, "damaged"),
        ({"codes.safetensors": b"\x80\x04\x95pickle"}, "damaged"),
        ({"photo.png": b"GIF89a"}, "damaged"),
        ({"face.json": b" " * (5 << 20)}, "does not hold"),
        ({"surprise.exe": b"x"}, "does not hold"),
    ],
)
def test_what_is_no_face_is_told_in_one_sentence(members, words):
    with pytest.raises(UserError, match=words):
        face_from_bytes(rewritten(members), "x.face")


def test_a_zip_bomb_is_not_unpacked():
    bomb = rewritten({"refinement.safetensors": bytes(600 << 20)})
    assert len(bomb) < 2 << 20
    with pytest.raises(UserError, match="not opened"):
        face_from_bytes(bomb, "x.face")


def test_missing_and_empty_files_are_told(tmp_path):
    (tmp_path / "empty.face").touch()
    for name in ("none.face", "empty.face", "."):
        with pytest.raises(UserError):
            read_face(tmp_path / name)
    (tmp_path / "text.face").write_text("hello")
    with pytest.raises(UserError, match=r"text\.face"):
        read_face(tmp_path / "text.face")


def test_older_versions_are_brought_up_step_by_step():
    steps = {1: lambda old: {**old, "b": old["a"] + 1}, 2: lambda old: {**old, "c": old["b"] + 1}}
    assert migrate({"format": 1, "a": 1}, "x", steps, 3) == {"format": 3, "a": 1, "b": 2, "c": 3}
    assert migrate({"format": FORMAT}, "x") == {"format": FORMAT}
    with pytest.raises(UserError, match="version 4"):
        migrate({"format": 4}, "x", steps, 3)
    with pytest.raises(UserError, match="version None"):
        migrate({}, "x", steps, 3)


def test_a_gallery_keeps_order_and_current(tmp_path):
    faces = [some_face().replace(name=str(index)) for index in range(12)]
    write_gallery(tmp_path / "g.faces", [FaceFile(face) for face in faces], current=7)
    files, current = read_gallery(tmp_path / "g.faces")
    assert [file.face.name for file in files] == [face.name for face in faces]
    assert current == 7
    with pytest.raises(UserError, match="does not hold"):
        read_face(tmp_path / "g.faces")


SAVER = """
import sys, itertools
from pathlib import Path
import numpy as np
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.similarity import Similarity
from faceeditor.files.project import FaceFile, write_face
print("ready", flush=True)
for number in itertools.count():
    face = Face(str(number), "tiny", {"skin": as_code(np.full(200_000, number))})
    write_face(Path(sys.argv[1]), FaceFile(face))
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="kills by a POSIX signal")
def test_a_kill_while_saving_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.face"
    write_face(path, FaceFile(some_face()))
    for attempt in range(4):
        process = subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.037 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        face = read_face(path).face
        assert face.name == "Ann" or np.array_equal(face.codes["skin"], np.full(200_000, int(face.name)))
