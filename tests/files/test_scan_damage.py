"""Whatever is wrong with a file is said in one sentence, soon and in little memory; nothing leads out of its folder."""

import json
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.files.scans import read_scan
from tests.files.scan_files import MESHES, ball_depth, big_ply, exr, glb, npy, write


def bad_ply(head, **counts):
    text = big_ply(head.vertices, head.faces)
    for name, count in counts.items():
        old = len(head.vertices) if name == "vertex" else len(head.faces)
        text = text.replace(f"element {name} {old}".encode(), f"element {name} {count}".encode())
    return text


def gltf_claim(count):
    header = {
        "asset": {"version": "2.0"},
        "accessors": [{"componentType": 5126, "count": count, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    return glb(header, b"")


def ball_with(value):
    mesh = trimesh.creation.icosphere(2)
    mesh.vertices[7, 1] = value
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def out_of_range():
    vertices, faces = ball_with(0.0)
    faces[3, 1] = len(vertices)
    return big_ply(vertices, faces)


def cyclic():
    nodes = [{"children": [1]}, {"children": [0], "mesh": 0}]
    return glb({"asset": {"version": "2.0"}, "nodes": nodes, "scenes": [{"nodes": [0]}], "meshes": []}, b"")


BAD = {
    "empty.obj": lambda head: b"",
    "nothing.obj": lambda head: b"# nothing\n",
    "nothing.ply": lambda head: b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n",
    "nan.ply": lambda head: big_ply(*ball_with(np.nan)),
    "infinite.ply": lambda head: big_ply(*ball_with(np.inf)),
    "immense.ply": lambda head: big_ply(*ball_with(1e200)),
    "nan.obj": lambda head: b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "point.obj": lambda head: b"v 1 1 1\n" * 3 + b"f 1 2 3\n",
    "range.obj": lambda head: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n",
    "range.ply": lambda head: out_of_range(),
    "cut.ply": lambda head: big_ply(head.vertices, head.faces)[:-500],
    "cut.stl": lambda head: head.export(file_type="stl")[:-500],
    "cut2.stl": lambda head: trimesh.exchange.stl.export_stl_ascii(head)[:-500].encode(),
    "cut.glb": lambda head: head.export(file_type="glb")[:-500],
    "cut.off": lambda head: head.export(file_type="off")[:-500].encode(),
    "half.glb": lambda head: head.export(file_type="glb")[:30],
    "two.ply": lambda head: (
        b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n0 0 0\n1 1 1\n"
    ),
    "two.xyz": lambda head: b"0 0 0\n1 1 1\n",
    "claim.ply": lambda head: bad_ply(head, vertex=3 * 2**30),
    "claim2.ply": lambda head: bad_ply(head, face=10**15),
    "claim.glb": lambda head: gltf_claim(10**9),
    "claim.stl": lambda head: b"\0" * 80 + b"\xff\xff\xff\xff" + b"\0" * 500,
    "claim.npy": lambda head: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 3), }".ljust(117)
        + b"\n"
        + b"\0" * 300
    ),
    "pickle.npy": lambda head: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (100, 3), }".ljust(117)
        + b"\n\x80\x04K\x01."
    ),
    "text.glb": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.ply": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.stl": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.off": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.xyz": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.npy": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.exr": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "cut.exr": lambda head: exr({"Z": ball_depth()})[:-500],
    "text.png": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "binary.obj": lambda head: bytes(range(256)) * 20,
    "cyclic.glb": lambda head: cyclic(),
    "packed.glb": lambda head: glb(
        {"asset": {"version": "2.0"}, "extensionsRequired": ["EXT_meshopt_compression"]}, b""
    ),
    "deep.gltf": lambda head: b"[" * 200_000,
    "head.blend": lambda head: b"BLENDER",
    "nocamera.npy": lambda head: npy(ball_depth()),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_sentence(head, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name](head))
    started = time.monotonic()
    tracemalloc.start()
    with pytest.raises(UserError) as told:
        read_scan(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert time.monotonic() - started < 5
    assert path.stem in str(told.value)
    assert "\n" not in str(told.value)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize("name", ["cut.ply", "cut.stl", "cut2.stl", "cut.off", "cut.glb", "claim.ply", "claim.stl"])
def test_what_was_cut_off_is_called_so(head, tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name](head))
    with pytest.raises(UserError, match="cut off"):
        read_scan(tmp_path / name)


def test_names_in_a_file_lead_nowhere_else(tmp_path):
    """Neither out of the scan's folder, nor to the network, nor to a decoder that starts programs."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (2, 2)).save(secret)
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "trick.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    for name in (
        "../secret.png",
        str(secret),
        "https://example.com/a.png",
        "file:///etc/passwd",
        "trick.png",
        "none.png",
    ):
        (folder / "a.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
        (folder / "a.obj").write_text(
            "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl a\nf 1/1 2/2 3/3\n"
        )
        scan = read_scan(folder / "a.obj")
        assert scan.texture_srgb is None
        assert len(scan.faces) == 1
    (folder / "b.gltf").write_text(json.dumps({**json.loads('{"asset": {"version": "2.0"}}'), **outside()}))
    with pytest.raises(UserError):
        read_scan(folder / "b.gltf")


def outside():
    """A glTF whose numbers are said to lie in another folder."""
    return {
        "buffers": [{"byteLength": 36, "uri": "../secret.png"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small ball's file of each kind, as bytes."""
    folder = tmp_path_factory.mktemp("small")
    ball = trimesh.creation.icosphere(2)
    ball.visual.vertex_colors = np.full((len(ball.vertices), 4), 90, np.uint8)
    return folder, {kind: write(ball, folder, kind).read_bytes() for kind in MESHES}


@settings(max_examples=150)
@given(kind=st.sampled_from(MESHES), data=st.data())
def test_damaged_bytes_give_a_scan_or_one_sentence(small, kind, data):
    folder, files = small
    content = bytearray(files[kind])
    head_or_all = data.draw(st.sampled_from([min(800, len(content)), len(content)]))
    for place in data.draw(st.lists(st.integers(0, head_or_all - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content))) :]
    path = folder / f"damaged.{kind}"
    path.write_bytes(content)
    started = time.monotonic()
    with suppress(UserError):
        scan = read_scan(path)
        assert np.isfinite(scan.vertices).all()
        assert scan.faces is None or (scan.faces.min() >= 0 and scan.faces.max() < len(scan.vertices))
    assert time.monotonic() - started < 5
