"""Surface models on the command line: meshes of one topology or any fineness, sets of expressions, transfers."""

import json

import numpy as np
import pygltflib
import pytest
import trimesh

from faceeditor.faces.face import Face
from faceeditor.faces.layout import ARKIT
from faceeditor.files.project import FaceFile, read_face, write_face
from tests.plain_face import NAME, install_plain


@pytest.fixture
def plain(user_home):
    install_plain(user_home / "data")


@pytest.fixture
def faces(plain, tmp_path):
    """Two face files with codes and textures of their own."""
    random = np.random.default_rng(0)
    paths = []
    for name in ("ann", "ben"):
        codes = {space: (0.3 * random.random(160)).astype(np.float32) for space in ("identity", "expression", "detail")}
        picture = random.integers(0, 256, (16, 16, 3), np.uint8)
        paths.append(tmp_path / f"{name}.face")
        write_face(paths[-1], FaceFile(Face(name, NAME, codes, refinement={"texture_srgb": picture})))
    return paths


def test_a_glb_has_texture_places_and_all_morphs(line, faces, tmp_path):
    line.json("mesh", faces[0], "--out", tmp_path / "a.glb")
    document = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    (mesh,) = document.meshes
    assert mesh.extras["targetNames"] == list(ARKIT)
    assert mesh.primitives[0].attributes.TEXCOORD_0 is not None
    assert len(document.images) == 1


def test_topology_is_the_same_for_all_faces_and_expressions(line, faces, tmp_path):
    line.json("mesh", faces[0], "--out", tmp_path / "a.ply")
    line.json("mesh", faces[1], "--out", tmp_path / "b.ply", "--set", "expression.jawOpen=1")
    first, second = (trimesh.load(tmp_path / name, process=False) for name in ("a.ply", "b.ply"))
    assert np.array_equal(first.faces, second.faces)
    assert len(first.vertices) == len(second.vertices) > 10_000


def test_a_resolution_gives_the_fields_own_surface(line, faces, tmp_path):
    facts = line.json("mesh", faces[0], "--out", tmp_path / "a.obj", "--resolution", 24)
    assert facts["resolution"] == 24
    mesh = trimesh.load(tmp_path / "a.obj", process=False)
    assert 100 < len(mesh.vertices) < 8000
    assert (tmp_path / "a.png").is_file()
    assert "between 16 and 512" in line.refused("mesh", faces[0], "--out", tmp_path / "a.obj", "--resolution", 9999)


def test_expressions_go_to_a_folder_with_one_topology(line, faces, tmp_path):
    facts = line.json("mesh", faces[0], "--expressions", tmp_path / "set")
    assert facts["files"] == [f"{name}.obj" for name in ("neutral", *ARKIT)]
    triangles = [
        [row for row in (tmp_path / "set" / f"{name}.obj").read_text().splitlines() if row.startswith("f ")]
        for name in ("neutral", "jawOpen", "eyeBlinkLeft")
    ]
    assert triangles[0] == triangles[1] == triangles[2]
    assert (tmp_path / "set" / "neutral.png").is_file()


def test_where_to_write_must_be_said(line, faces):
    assert "--expressions" in line.refused("mesh", faces[0])


@pytest.mark.parametrize("what", ["expression", "detail", "texture"])
def test_a_transfer_changes_what_it_names_and_nothing_else(line, faces, tmp_path, what):
    out = tmp_path / "c.face"
    line.json("transfer", "--what", what, "--from", faces[0], "--to", faces[1], "--amount", 0.5, "--out", out)
    given, before = read_face(out).face, read_face(faces[1]).face
    for space, code in before.codes.items():
        assert np.array_equal(given.codes[space], code) == (space != what)
    same = np.array_equal(given.refinement["texture_srgb"], before.refinement["texture_srgb"])
    assert same == (what != "texture")
    assert json.dumps(given.camera.yaw) == json.dumps(before.camera.yaw)
