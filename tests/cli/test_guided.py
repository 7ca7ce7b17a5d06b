"""The shipped model through the command line, from a random face to every kind of export."""

import json

import numpy as np
import pytest
from PIL import Image

from faceeditor.files.marks import read_provenance
from faceeditor.files.project import read_face
from faceeditor.files.video import read_frames

MODEL = "guided-studio"


@pytest.fixture
def people(line, tmp_path):
    """Two faces of the shipped model."""
    paths = [tmp_path / "ann.face", tmp_path / "ben.face"]
    for seed, path in enumerate(paths):
        assert line.json("random", "--seed", seed, "--out", path)["model"] == MODEL
    return paths


def test_info_tells_of_the_shipped_models(line):
    models = {model["name"]: model for model in line.json("info")["models"]}
    guided = models[MODEL]
    assert {"radiance", "mesh", "fitting"} <= set(guided["capabilities"])
    sizes = {name: space["dims"] for name, space in guided["spaces"].items()}
    assert sizes == {"identity": 100, "expression": 64, "skin": 80, "light": 27, "hair": 16}
    assert len(guided["spaces"]["expression"]["directions"]) == 51
    assert len(guided["hash"]) == 64
    assert all("error" not in model for model in models.values())


def test_from_a_random_face_to_every_export(line, people, tmp_path):
    ann, ben = people

    def drawn(face, *words):
        line.json("render", face, "--out", tmp_path / "a.png", "--size", 128, *words)
        return np.asarray(Image.open(tmp_path / "a.png")).astype(int)

    shut, wide, other = drawn(ann), drawn(ann, "--set", "expression.jawOpen=1"), drawn(ben)
    assert (shut < 250).any(-1).mean() > 0.15
    difference = np.abs(wide - shut).sum(-1)
    rows = np.nonzero(difference > 60)[0]
    assert len(rows) > 30
    assert np.percentile(rows, 10) > 45
    assert np.abs(other - shut).mean() > 3
    assert read_provenance(tmp_path / "a.png") is not None

    merged = tmp_path / "c.face"
    line.json("transfer", "--what", "identity", "--from", ann, "--to", ben, "--out", merged)
    codes = [read_face(path).face.codes for path in (ann, ben, merged)]
    assert np.array_equal(codes[2]["identity"], codes[0]["identity"])
    assert np.array_equal(codes[2]["skin"], codes[1]["skin"])

    line.json("interpolate", ann, ben, "--out", tmp_path / "a.mp4", "--frames", 3, "--size", 64)
    line.json("turntable", ann, "--out", tmp_path / "a.gif", "--frames", 3, "--size", 64, "--fps", 10)
    assert [len(list(read_frames(tmp_path / name))) for name in ("a.mp4", "a.gif")] == [3, 3]

    line.json("mesh", ann, "--out", tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    gltf = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    names = gltf["meshes"][0]["extras"]["targetNames"]
    assert len(names) == 51
    assert {"jawOpen", "eyeBlinkLeft", "browInnerUp"} <= set(names)
    assert gltf["images"]
    assert read_provenance(tmp_path / "a.glb") is not None
