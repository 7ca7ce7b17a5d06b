"""Checkpoints of a model's authors on the command line: imported, they are models like any other."""

import numpy as np
import pytest
from PIL import Image

from tests.headnerf_files import checkpoint, code_files


@pytest.fixture
def released(tmp_path):
    return checkpoint(tmp_path / "model_Reso32.pth")


def test_an_imported_checkpoint_is_a_model_like_any_other(line, released, user_home, tmp_path):
    out = user_home / "data" / "models" / "headnerf-reso32"
    codes = code_files(tmp_path / "codes", 6)
    facts = line.json("import-checkpoint", "headnerf", released, "--codes", codes, "--out", out)
    assert facts == {"out": str(out), "model": "headnerf-reso32", "at_hand": True, "size": 16}
    told = {model["name"]: model for model in line.json("info")["models"]}["headnerf-reso32"]
    assert told["capabilities"] == ["radiance"]
    assert {name: space["dims"] for name, space in told["spaces"].items()} == {
        "identity": 100,
        "expression": 79,
        "skin": 100,
        "light": 27,
    }
    faces = [tmp_path / name for name in ("ann.face", "ben.face")]
    for seed, face in enumerate(faces):
        line.json("random", "--seed", seed, "--out", face, "--model", "headnerf-reso32", "--spaces", "all")
    line.json("transfer", "--what", "light", "--from", faces[1], "--to", faces[0], "--out", tmp_path / "c.face")
    moved = ["--set", "identity.variation1=2", "--yaw", "30"]
    line.json("render", tmp_path / "c.face", "--out", tmp_path / "c.png", "--size", "64", *moved)
    assert np.asarray(Image.open(tmp_path / "c.png")).shape == (64, 64, 3)
    line.json("edit", tmp_path / "c.face", "--mirror", "--out", tmp_path / "d.face")


def test_elsewhere_it_is_told_where_to_put_the_bundle(line, released, tmp_path):
    code, out, _ = line("import-checkpoint", "headnerf", released, "--out", tmp_path / "bundle")
    assert code == 0
    assert "move it to" in out
    assert (tmp_path / "bundle" / "bundle.json").is_file()


def test_what_cannot_be_imported_is_one_sentence(line, released, tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    out = ["--out", tmp_path / "bundle"]
    assert "is not a checkpoint of HeadNeRF" in line.refused(
        "import-checkpoint", "headnerf", tmp_path / "text.pth", *out
    )
    assert "choose one of: headnerf" in line.refused("import-checkpoint", "nerf", released, *out)
    assert "no latent codes" in line.refused(
        "import-checkpoint", "headnerf", released, "--codes", tmp_path / "none", *out
    )
    assert "no file" in line.refused("import-checkpoint", "headnerf", tmp_path / "none.pth", *out)
    assert not (tmp_path / "bundle").exists()
