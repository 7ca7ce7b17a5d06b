"""Meshes are written so that nothing is lost: read back by other programs' eyes, and by glTF's own rules."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.faces.layout import ARKIT, DIMS, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.mesh import Mesh
from faceeditor.files.marks import read_provenance
from faceeditor.files.meshes import write_mesh
from faceeditor.files.provenance import Provenance
from faceeditor.models.bundle import load_model

MARK = Provenance(bundle_hash="ab" * 32, codes_hash="cd" * 32)
TYPES = {5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


def ball(seed=0, *, textured=True, channels=3, morphs=3):
    """A round mesh with a seam, morphs (one of them still, one that moves everything) and a texture."""
    rng = np.random.default_rng(seed)
    shape = trimesh.creation.icosphere(2, radius=0.1)
    points, faces = np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32)
    copies = np.unique(faces[:40])
    faces[:40] = len(points) + np.searchsorted(copies, faces[:40])
    points = np.concatenate([points, points[copies]])
    used = np.unique(faces)
    number = np.zeros(len(points), np.int32)
    number[used] = np.arange(len(used))
    points, faces = points[used], number[faces]
    few = np.where(points[:, :1] > 0.06, 0.01 * points, 0)
    moves = [few, np.zeros_like(points), 0.5 * points + 0.01]
    return Mesh(
        vertices=points,
        faces=faces,
        uv=rng.random((len(points), 2)).astype(np.float32),
        normals=points / np.linalg.norm(points, axis=1, keepdims=True),
        texture_srgb=rng.integers(0, 256, (8, 16, channels), np.uint8) if textured else None,
        morphs={f"move{i}": np.asarray(move, np.float32) for i, move in enumerate(moves[:morphs])},
        parts={"front": (0, 40), "back": (40, len(faces))},
    )


class Glb:
    """A GLB read by the rules of glTF 2.0; every accessor that is read is also checked."""

    def __init__(self, path):
        self.document = pygltflib.GLTF2().load(str(path))
        self.blob = self.document.binary_blob()
        assert len(self.blob) - self.document.buffers[0].byteLength in range(4)
        for view in self.document.bufferViews:
            assert (view.byteOffset or 0) + view.byteLength <= len(self.blob)

    def part(self, view, kind, count, width):
        view = self.document.bufferViews[view]
        start = view.byteOffset or 0
        assert start % 4 == 0
        assert count * width * np.dtype(kind).itemsize == view.byteLength
        return np.frombuffer(self.blob, kind, count * width, start).reshape(count, width)

    def array(self, index):
        accessor = self.document.accessors[index]
        kind, width = TYPES[accessor.componentType], WIDTHS[accessor.type]
        if accessor.bufferView is None:
            values = np.zeros((accessor.count, width), kind)
            sparse = accessor.sparse
            rows = self.part(sparse.indices.bufferView, TYPES[sparse.indices.componentType], sparse.count, 1)[:, 0]
            assert (np.diff(rows.astype(int)) > 0).all()
            values[rows] = self.part(sparse.values.bufferView, kind, sparse.count, width)
        else:
            values = self.part(accessor.bufferView, kind, accessor.count, width)
        assert np.isfinite(values).all()
        for given_limits, real in ((accessor.min, values.min(0)), (accessor.max, values.max(0))):
            if given_limits:
                assert np.array_equal(np.float32(given_limits), real)
        return values

    def image(self):
        view = self.document.bufferViews[self.document.images[0].bufferView]
        return Image.open(io.BytesIO(self.blob[view.byteOffset : view.byteOffset + view.byteLength]))


def check(path, mesh):
    """Everything of ``mesh`` is in the GLB, exactly; where Khronos' validator is installed it has its say too."""
    read = Glb(path)
    (shape,) = read.document.meshes
    (primitive,) = shape.primitives
    attributes = primitive.attributes
    assert np.array_equal(read.array(attributes.POSITION), mesh.vertices)
    assert read.document.accessors[attributes.POSITION].min
    assert np.array_equal(read.array(primitive.indices).reshape(-1, 3), mesh.faces)
    np.testing.assert_allclose(np.linalg.norm(read.array(attributes.NORMAL), axis=1), 1, atol=1e-5)
    if mesh.uv is not None:
        np.testing.assert_allclose(read.array(attributes.TEXCOORD_0), np.stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]], 1))
    assert shape.extras.get("targetNames", []) == list(mesh.morphs)
    assert len(primitive.targets) == len(mesh.morphs) == len(shape.weights or [])
    for target, offsets in zip(primitive.targets, mesh.morphs.values(), strict=True):
        assert read.document.accessors[target["POSITION"]].min
        np.testing.assert_allclose(read.array(target["POSITION"]), offsets, atol=1e-6)
        turned = read.array(attributes.NORMAL) + read.array(target["NORMAL"])
        assert turned.shape == mesh.vertices.shape
    assert {name: tuple(limits) for name, limits in shape.extras.get("parts", {}).items()} == dict(mesh.parts)
    if mesh.texture_srgb is not None:
        assert np.array_equal(np.asarray(read.image()), mesh.texture_srgb)
    assert read_provenance(path) == MARK
    ask_khronos(path)
    return read


VALIDATOR = """
const validator = require('gltf-validator');
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[1]));
validator.validateBytes(bytes).then(report => console.log(JSON.stringify(report.issues)));
"""


def ask_khronos(path):
    """Runs Khronos' validator where node finds it: in the virtual environment, where dev.py puts it, or in a project's
    folder; nothing to ask otherwise.
    """
    node = shutil.which("node")
    asked = [node or "", "-e", "require.resolve('gltf-validator')"]
    places = [str(Path(sys.prefix) / "node_modules"), os.environ.get("NODE_PATH", "")]
    surroundings = {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, places))}
    if node is None or subprocess.run(asked, capture_output=True, check=False, env=surroundings).returncode:
        return
    command = [node, "-e", VALIDATOR, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=surroundings)
    issues = json.loads(answer.stdout)
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"][:5]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), textured=st.booleans(), channels=st.sampled_from([3, 4]), morphs=st.integers(0, 3))
def test_glb_keeps_everything(tmp_path_factory, seed, textured, channels, morphs):
    mesh = ball(seed, textured=textured, channels=channels, morphs=morphs)
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    write_mesh(path, mesh, MARK)
    check(path, mesh)


def test_glb_of_a_bare_surface(tmp_path):
    mesh = Mesh(vertices=ball().vertices, faces=ball().faces)
    write_mesh(tmp_path / "a.glb", mesh, MARK)
    read = check(tmp_path / "a.glb", mesh)
    normals = read.array(read.document.meshes[0].primitives[0].attributes.NORMAL)
    np.testing.assert_allclose(normals, mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True), atol=0.05)


def test_normals_of_morphs_turn_with_the_surface_and_have_no_seam(tmp_path):
    mesh = ball(morphs=0)
    tilt = np.float32([[1, 0, 0], [0.5, 1, 0], [0, 0, 1]])
    mesh = replace(mesh, morphs={"tilt": mesh.vertices @ (tilt - np.eye(3, dtype="f4"))})
    write_mesh(tmp_path / "a.glb", mesh, MARK)
    read = Glb(tmp_path / "a.glb")
    primitive = read.document.meshes[0].primitives[0]
    change = read.array(primitive.targets[0]["NORMAL"])
    wanted = mesh.normals @ np.linalg.inv(tilt).T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.normals + change, wanted, atol=0.06)
    _, twins = np.unique(mesh.vertices, axis=0, return_inverse=True)
    for number in np.flatnonzero(np.bincount(twins.ravel()) > 1)[:20]:
        first, second = change[twins.ravel() == number][:2]
        np.testing.assert_array_equal(first, second)


@pytest.fixture(scope="module")
def head():
    template = load_model("template-studio")
    vertices = template.vertices(torch.zeros(1, DIMS[IDENTITY]), torch.zeros(1, DIMS[EXPRESSION]))
    moves = {
        name: template.expression_basis[[EXPRESSION_COMPONENTS.index(part) for part in components]].sum(0)
        for name, components in ARKIT.items()
    }
    return Mesh(
        vertices=vertices[0, template.render_vertex].numpy(),
        faces=template.faces[: template.cards_from].numpy().astype(np.int32),
        uv=template.uv.numpy(),
        normals=template.normals(vertices)[0, template.render_vertex].numpy(),
        texture_srgb=np.full((64, 64, 3), 180, np.uint8),
        morphs={name: offsets[template.render_vertex].numpy() for name, offsets in moves.items()},
        parts={name: ends for name, ends in template.parts.items() if ends[1] <= template.cards_from},
    )


def test_the_head_with_all_arkit_morphs(tmp_path, head):
    write_mesh(tmp_path / "head.glb", head, MARK)
    read = check(tmp_path / "head.glb", head)
    assert read.document.meshes[0].extras["targetNames"] == list(ARKIT)
    assert len(ARKIT) == 51
    assert (tmp_path / "head.glb").stat().st_size < 8e6
    scene = trimesh.load(tmp_path / "head.glb", process=False)
    (shape,) = scene.geometry.values()
    assert np.array_equal(np.asarray(shape.vertices, np.float32), head.vertices)
    assert 0.2 < np.ptp(head.vertices[:, 1]) < 0.5


def test_obj_keeps_order_places_and_normals(tmp_path):
    mesh = ball(morphs=0)
    write_mesh(tmp_path / "a.obj", mesh, MARK)
    text = (tmp_path / "a.obj").read_text()
    rows = {
        word: [line.split()[1:] for line in text.splitlines() if line.startswith(word + " ")]
        for word in ("v", "vt", "vn", "f")
    }
    assert np.array_equal(np.float32(rows["v"]), mesh.vertices)
    assert np.array_equal(np.float32(rows["vt"]), mesh.uv)
    assert np.array_equal(np.float32(rows["vn"]), mesh.normals)
    assert [[corner.split("/") for corner in face] for face in rows["f"]] == [
        [[str(v + 1)] * 3 for v in face] for face in mesh.faces.tolist()
    ]
    assert [line.split()[1] for line in text.splitlines() if line.startswith("g ")] == ["front", "back"]
    assert "mtllib a.mtl" in text
    assert "map_Kd a.png" in (tmp_path / "a.mtl").read_text()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), mesh.texture_srgb)
    assert read_provenance(tmp_path / "a.obj") == read_provenance(tmp_path / "a.png") == MARK


def test_obj_without_texture_or_normals(tmp_path):
    mesh = Mesh(vertices=ball().vertices, faces=ball().faces)
    write_mesh(tmp_path / "a.obj", mesh, MARK)
    read = trimesh.load(tmp_path / "a.obj", process=False)
    assert np.array_equal(np.asarray(read.faces), mesh.faces)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.obj"]


def test_ply_keeps_order_places_and_normals(tmp_path):
    mesh = ball(morphs=0)
    write_mesh(tmp_path / "a.ply", mesh, MARK)
    read = trimesh.load(tmp_path / "a.ply", process=False)
    assert np.array_equal(np.asarray(read.vertices, np.float32), mesh.vertices)
    assert np.array_equal(np.asarray(read.faces), mesh.faces)
    table = read.metadata["_ply_raw"]["vertex"]["data"]
    assert np.array_equal(np.stack([table[name] for name in ("nx", "ny", "nz")], 1).reshape(-1, 3), mesh.normals)
    assert np.array_equal(np.stack([table[name] for name in ("s", "t")], 1).reshape(-1, 2), mesh.uv)
    assert read_provenance(tmp_path / "a.ply") == MARK


def test_stl_keeps_the_triangles(tmp_path):
    mesh = ball(morphs=0)
    write_mesh(tmp_path / "a.stl", mesh, MARK)
    read = trimesh.load(tmp_path / "a.stl", process=False)
    assert np.array_equal(np.asarray(read.triangles, np.float32), mesh.vertices[mesh.faces])
    assert (np.einsum("ij,ij->i", read.face_normals, read.triangles.mean(axis=1)) > 0).all()
    assert read_provenance(tmp_path / "a.stl") == MARK


@pytest.mark.parametrize("name", ["a.fbx", "a", "a.glb.txt"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"\.glb"):
        write_mesh(tmp_path / name, ball(), MARK)
    assert not list(tmp_path.iterdir())


def test_no_surface_is_refused(tmp_path):
    with pytest.raises(UserError, match="no surface"):
        write_mesh(tmp_path / "a.glb", Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)), MARK)


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    target = tmp_path / f"a{suffix}"
    target.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="full"):
        write_mesh(target, ball(textured=False), MARK)
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [target.name]
