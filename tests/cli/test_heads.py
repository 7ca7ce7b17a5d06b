"""Whole heads of a tri-plane model on the command line: by what the model can do, every command works with one."""

import numpy as np
import pygltflib
import pytest
import trimesh
from PIL import Image

from faceeditor.faces.layout import ARKIT, EXPRESSION, IDENTITY
from faceeditor.files.project import read_face
from faceeditor.models.contract import Quality
from faceeditor.models.triplane_mesh import RESOLUTION
from tests.plain_head import NAME, STYLES, install_head


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    for quality in Quality:
        monkeypatch.setitem(RESOLUTION, quality, 32)


@pytest.fixture
def heads(line, user_home, tmp_path):
    """Two random people."""
    install_head(user_home / "data")
    paths = [tmp_path / f"{name}.face" for name in ("ann", "ben")]
    for seed, path in enumerate(paths):
        assert line.json("random", "--model", NAME, "--seed", seed, "--out", path)["model"] == NAME
    return paths


def codes(path):
    return read_face(path).face.codes


def loaded(path):
    return trimesh.load(path, process=False)


def test_the_models_capabilities_are_told(line, heads):
    (told,) = [model for model in line.json("info")["models"] if model["name"] == NAME]
    assert set(told["capabilities"]) == {"radiance", "mesh", "surface"}
    assert told["spaces"][IDENTITY]["choices"] == {"style": list(STYLES)}


def test_random_people_are_neutral_and_have_one_style_or_none(line, heads, tmp_path):
    for path in heads:
        assert not codes(path)[EXPRESSION].any()
        assert sorted(codes(path)[IDENTITY][4:]) in ([0, 0], [0, 1])
    assert not np.array_equal(*(codes(path)[IDENTITY] for path in heads))
    line.json("random", "--model", NAME, "--seed", 0, "--out", tmp_path / "again.face")
    assert np.array_equal(codes(tmp_path / "again.face")[IDENTITY], codes(heads[0])[IDENTITY])


def test_a_glb_has_normals_texture_places_and_all_morphs(line, heads, tmp_path):
    line.json("mesh", heads[0], "--out", tmp_path / "a.glb")
    document = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    (mesh,) = document.meshes
    assert mesh.extras["targetNames"] == list(ARKIT)
    assert mesh.primitives[0].attributes.TEXCOORD_0 is not None
    assert mesh.primitives[0].attributes.NORMAL is not None


def test_expressions_move_a_person_and_keep_the_topology(line, heads, tmp_path):
    line.json("mesh", heads[0], "--out", tmp_path / "a.ply")
    line.json("mesh", heads[0], "--out", tmp_path / "b.ply", "--set", "expression.jawOpen=1")
    line.json("mesh", heads[1], "--out", tmp_path / "c.ply")
    first, second, other = (loaded(tmp_path / f"{name}.ply") for name in "abc")
    assert np.array_equal(first.faces, second.faces)
    assert 0.0005 < np.abs(first.vertices - second.vertices).max() < 0.05
    assert first.faces.shape != other.faces.shape or not np.allclose(first.vertices, other.vertices)
    assert len(line.json("mesh", heads[0], "--expressions", tmp_path / "set")["files"]) == 1 + len(ARKIT)


def test_a_resolution_gives_a_finer_surface_of_the_posed_head(line, heads, tmp_path):
    for cells in (24, 48):
        out = tmp_path / f"{cells}.ply"
        facts = line.json("mesh", heads[0], "--out", out, "--resolution", cells, "--set", "expression.jawOpen=1")
        assert facts["resolution"] == cells
    coarse, fine = (loaded(tmp_path / f"{cells}.ply") for cells in (24, 48))
    assert 3.5 < len(fine.faces) / len(coarse.faces) < 4.5
    line.json("mesh", heads[0], "--out", tmp_path / "shown.ply", "--set", "expression.jawOpen=1")
    np.testing.assert_allclose(loaded(tmp_path / "shown.ply").bounds, fine.bounds, atol=0.002)
    assert "between 16 and 512" in line.refused("mesh", heads[0], "--out", tmp_path / "a.ply", "--resolution", 9999)


def test_pictures_and_films_show_the_mesh(line, heads, tmp_path):
    line.json("render", heads[0], "--out", tmp_path / "a.png", "--size", 64)
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    assert 0.1 < (picture.sum(-1) < 700).mean() < 0.9
    few = ("--frames", 3, "--size", 32)
    assert line.json("interpolate", *heads, "--out", tmp_path / "i.gif", *few)["frames"] == 3
    assert line.json("turntable", heads[0], "--out", tmp_path / "t.gif", *few)["frames"] == 3


def test_codes_are_edited_transferred_and_blended(line, heads, tmp_path):
    ann, ben = heads
    smiling, given, between = (tmp_path / f"{name}.face" for name in ("smiling", "given", "between"))
    asked = ("--set", "expression.mouthSmileLeft=0.7", "--set", "identity.style=bob")
    changed = line.json("edit", ann, "--out", smiling, *asked)["changed"]
    assert "expression.mouthSmileLeft" in changed
    assert list(codes(smiling)[IDENTITY][4:]) == [0, 1]
    for what, other in ((EXPRESSION, IDENTITY), (IDENTITY, EXPRESSION)):
        line.json("transfer", "--what", what, "--from", smiling, "--to", ben, "--out", given)
        assert np.array_equal(codes(given)[what], codes(smiling)[what])
        assert np.array_equal(codes(given)[other], codes(ben)[other])
    line.json("interpolate", smiling, ben, "--at", 0.5, "--out", between)
    for space in (IDENTITY, EXPRESSION):
        middle = (codes(smiling)[space] + codes(ben)[space]) / 2
        np.testing.assert_allclose(codes(between)[space], middle, atol=1e-6)


def test_a_photo_cannot_be_fitted_and_that_is_one_sentence(line, heads, tmp_path):
    picture = tmp_path / "p.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(picture)
    assert line.refused("fit", picture, "--model", NAME, "--out", tmp_path / "p.face")
