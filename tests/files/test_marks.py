"""Marks are found in meshes and texts too, and a file of another kind is refused by one sentence."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.files.marks import read_provenance
from faceeditor.files.provenance import Provenance

MARK = Provenance(bundle_hash="ab" * 32, codes_hash="cd" * 32)
ASSET = {"asset": {"version": "2.0", "extras": MARK.extras()}}


def glb(document):
    content = json.dumps(document).encode()
    content += b" " * (-len(content) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(content), len(content), 0x4E4F534A) + content


FILES = {
    "a.glb": glb(ASSET),
    "a.gltf": json.dumps(ASSET).encode(),
    "a.obj": f"# {MARK.line()}\nv 0 0 0\n".encode(),
    "a.ply": f"ply\nformat binary_little_endian 1.0\ncomment {MARK.line()}\nend_header\n".encode() + b"\xff\0\x80",
}


@pytest.mark.parametrize("name", FILES)
def test_meshes(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    assert read_provenance(tmp_path / name) == MARK


UNMARKED = {
    "a.glb": glb({"asset": {"version": "2.0"}}),
    "a.obj": b"v 0 0 0\n",
    "a.mp4": b"\0\0\0\x08free",
    "a.gif": b"GIF",
}


@pytest.mark.parametrize("name", UNMARKED)
def test_without_a_mark(tmp_path, name):
    (tmp_path / name).write_bytes(UNMARKED[name])
    assert read_provenance(tmp_path / name) is None


def test_a_picture_without_a_mark(tmp_path):
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(tmp_path / "a.png")
    assert read_provenance(tmp_path / "a.png") is None


@pytest.mark.parametrize("name", ["a.png", "a.exr", "a.glb", "a.gltf"])
def test_another_kind_than_the_suffix_says(tmp_path, name):
    (tmp_path / name).write_bytes(b"only words" * 20)
    with pytest.raises(UserError, match=name):
        read_provenance(tmp_path / name)
