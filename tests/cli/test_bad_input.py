"""Whatever is wrong: one sentence on stderr, exit code 2, nothing half-written."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.tiny import NAME


@pytest.fixture
def folder(tmp_path):
    """An empty folder to write to."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def jpeg(**facts):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", **facts)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.png", b"hello, I am no picture", "not a picture"),
        ("cut.jpg", jpeg()[:700], "damaged"),
        ("empty.png", b"", "0 bytes"),
        ("missing.png", None, "no file"),
    ],
)
def test_photos_that_cannot_be_read(line, tiny, tmp_path, folder, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert words in line.refused("fit", tmp_path / name, "--out", folder / "a.face", "--model", NAME)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", ["hello", "[[1, 2], [3]]", '{"a": 1}'])
def test_landmarks_that_cannot_be_read(line, tiny, tmp_path, content):
    (tmp_path / "marks.json").write_text(content)
    words = ["fit", tmp_path / "a.png", "--out", tmp_path / "a.face", "--landmarks", tmp_path / "marks.json"]
    assert "68 landmarks" in line.refused(*words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--size", "8"], "between 16 and 4096"),
        (["--size", "100000"], "between 16 and 4096"),
        (["--size", "big"], "--size"),
        (["--fov", "0"], "field of view"),
        (["--background", "puce"], "not a background"),
        (["--background", "photo"], "not made from a photo"),
        (["--set", "expression.jawOpn=1"], "did you mean expression.jawOpen"),
        (["--set", "expression.jawOpen"], "form"),
        (["--set", "expression.jawOpen=wide"], "number"),
        (["--set", "hair.style=mohawk"], "afro, bob"),
        (["--device", "tpu"], "not a device"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_renders_that_cannot_be_meant(line, ann, folder, words, told):
    assert told in line.refused("render", ann, "--out", folder / "a.png", *words)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["random", "--seed", "1", "--out", "a.txt"],
        ["render", "ann.face", "--out", "a.face"],
        ["render", "ann.face", "--out", "a"],
        ["mesh", "ann.face", "--out", "a.png"],
        ["turntable", "ann.face", "--out", "a.png"],
        ["interpolate", "ann.face", "ann.face", "--out", "a.face"],
        ["transfer", "--what", "skin", "--from", "ann.face", "--to", "ann.face", "--out", "a.png"],
    ],
)
def test_outputs_with_the_wrong_suffix(line, ann, folder, words):
    words = [str(ann) if word == "ann.face" else word for word in words]
    words[words.index("--out") + 1] = str(folder / words[words.index("--out") + 1])
    assert "end" in line.refused(*words)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["interpolate", "A", "A", "--frames", "1"], "between 2 and 10000"),
        (["turntable", "A", "--fps", "0"], "between 1 and 240"),
        (["turntable", "A", "--background", "transparent"], "cannot be transparent"),
    ],
)
def test_films_that_cannot_be_meant(line, ann, folder, words, told):
    words = [str(ann) if word == "A" else word for word in words]
    assert told in line.refused(*words, "--out", folder / "a.mp4")
    assert list(folder.iterdir()) == []


def test_transfers_and_randoms_that_cannot_be_meant(line, ann, folder):
    both = ["--from", ann, "--to", ann, "--out", folder / "a.face"]
    assert "choose one of" in line.refused("transfer", "--what", "mood", *both)
    assert "finite" in line.refused("transfer", "--what", "skin", *both, "--amount", "nan")
    assert "negative" in line.refused("random", "--seed", "-1", "--out", folder / "a.face")
    assert "no space" in line.refused(
        "random", "--seed", 1, "--spaces", "mood", "--out", folder / "a.face", "--model", NAME
    )
    assert "no model named nobody" in line.refused(
        "random", "--seed", 1, "--out", folder / "a.face", "--model", "nobody"
    )
    assert list(folder.iterdir()) == []


def edited(path, **changes):
    """Rewrites the description of a .face file."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["face.json"] = json.dumps(json.loads(members["face.json"]) | changes).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)


@pytest.mark.skipif(sys.platform != "linux", reason="a display server is Linux")
def test_a_window_without_a_screen(line, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert "no screen" in line.refused("gui")


def test_faces_that_cannot_be_opened(line, ann, tmp_path, folder):
    out = ["--out", folder / "a.png"]
    assert "no file" in line.refused("render", tmp_path / "none.face", *out)
    assert "folder" in line.refused("render", tmp_path, *out)
    (tmp_path / "text.face").write_text("hello")
    assert "text.face" in line.refused("render", tmp_path / "text.face", *out)
    (tmp_path / "cut.face").write_bytes(ann.read_bytes()[:300])
    assert "cut.face" in line.refused("render", tmp_path / "cut.face", *out)
    edited(ann, model="nobody")
    assert "nobody" in line.refused("render", ann, *out)
    edited(ann, format=99)
    assert "version 99" in line.refused("render", ann, *out)
    assert list(folder.iterdir()) == []


def test_a_bundle_with_a_wrong_hash_is_told_and_the_others_still_load(line, tiny, ann, folder):
    weights = tiny / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert "hash" in line.refused("render", ann, "--out", folder / "a.png")
    models = {model["name"]: model for model in line.json("info")["models"]}
    assert "hash" in models[NAME]["error"]
    assert "error" not in models["template-studio"]
    (tiny / "bundle.json").write_text('{"format": 12}')
    assert "update the program" in line.refused("render", ann, "--out", folder / "a.png")
    (tiny / "bundle.json").write_text("{")
    assert "install" in line.refused("render", ann, "--out", folder / "a.png")


def test_folders_that_cannot_be_written_to(line, ann, folder):
    for command in (["render", ann], ["mesh", ann], ["turntable", ann, "--frames", 2, "--size", 32]):
        suffix = {"render": "png", "mesh": "glb", "turntable": "mp4"}[command[0]]
        assert "no folder" in line.refused(*command, "--out", folder / "none" / f"a.{suffix}")
        if sys.platform == "linux":
            assert "/proc" in line.refused(*command, "--out", f"/proc/a.{suffix}")
    assert "no folder" in line.refused("random", "--seed", 1, "--model", NAME, "--out", folder / "none" / "a.face")


SHORT_OF_DISK = """
import contextlib, io, json, resource, sys, pytest
from pathlib import Path
from faceeditor.cli import run
from tests.tiny import install_tiny
install_tiny(Path(sys.argv[1]), pytest.MonkeyPatch())
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
for words in json.loads(sys.argv[2]):
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        code = run(words)
    print(json.dumps([code, told.getvalue()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files by a Linux call")
def test_a_full_disk_is_told_and_leaves_the_old_files(ann, user_home, folder):
    commands = {
        **{name: ["render", str(ann), "--size", "64"] for name in ("a.png", "a.jpg", "a.exr")},
        **{name: ["mesh", str(ann)] for name in ("a.glb", "a.obj", "a.ply", "a.stl")},
        **{name: ["turntable", str(ann), "--frames", "3", "--size", "64"] for name in ("a.mp4", "a.gif")},
        "a.face": ["random", "--seed", "1", "--model", NAME],
    }
    for name in commands:
        (folder / name).write_bytes(b"old")
    lines = json.dumps([[*words, "--out", str(folder / name)] for name, words in commands.items()])
    words = [sys.executable, "-c", SHORT_OF_DISK, str(user_home / "data"), lines]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for code, told in map(json.loads, said.splitlines()):
        assert code == 2, told
        assert "disk is full" in told
        assert told.count("\n") == 1
    assert said.count("\n") == len(commands)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == dict.fromkeys(commands, b"old")
