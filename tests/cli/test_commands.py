import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from faceeditor.files.marks import read_provenance
from faceeditor.files.project import FaceFile, read_face, write_face
from faceeditor.files.video import read_frames
from tests.tiny import DIMS, NAME


@pytest.mark.alone
def test_help_names_every_command_and_is_quick():
    began = time.monotonic()
    said = subprocess.run([sys.executable, "-c", ONLY_HELP], capture_output=True, text=True, check=True).stdout
    assert time.monotonic() - began < 5
    for word in "info fit random edit render mesh transfer interpolate turntable bench doctor gui".split():
        assert word in said
    assert said.splitlines()[-1] == "[]"


ONLY_HELP = """
import sys
from faceeditor.cli import run
assert run(["--help"]) == 0
print([name for name in ("torch", "numpy", "scipy", "PySide6", "PIL") if name in sys.modules])
"""


def test_info_lists_models_with_spaces_capabilities_and_hash(line, tiny, ann):
    facts = line.json("info", ann)
    model = next(model for model in facts["models"] if model["name"] == NAME)
    assert model["capabilities"] == ["radiance", "mesh"]
    assert {name: space["dims"] for name, space in model["spaces"].items()} == DIMS
    assert "jawOpen" in model["spaces"]["expression"]["directions"]
    assert model["spaces"]["hair"]["choices"] == {"style": ["afro", "bob"]}
    assert model["hash"] == json.loads((tiny / "bundle.json").read_text())["hash"] == facts["face"]["model_hash"]


def test_the_same_seed_gives_the_same_file(line, tiny, ann, tmp_path):
    again, other = tmp_path / "again" / "ann.face", tmp_path / "other.face"
    again.parent.mkdir()
    line.json("random", "--seed", 1, "--out", again, "--model", NAME, "--spaces", "all")
    line.json("random", "--seed", 2, "--out", other, "--model", NAME, "--spaces", "all")
    assert again.read_bytes() == ann.read_bytes()
    assert not np.array_equal(read_face(other).face.codes["identity"], read_face(ann).face.codes["identity"])


def test_a_random_person_looks_neutral_unless_all_is_asked_for(line, tiny, tmp_path):
    line.json("random", "--seed", 3, "--out", tmp_path / "a.face", "--model", NAME)
    codes = read_face(tmp_path / "a.face").face.codes
    assert codes["identity"].any()
    assert not codes["expression"].any()


def test_render_obeys_size_camera_background_and_set(line, ann, tmp_path):
    def drawn(name, *words):
        facts = line.json("render", ann, "--out", tmp_path / name, "--size", 64, *words)
        assert facts["model"] == NAME
        return np.asarray(Image.open(tmp_path / name))

    plain = drawn("a.png")
    assert plain.shape == (64, 64, 3)
    assert plain[0, 0].tolist() == [255, 255, 255]
    assert drawn("b.png", "--background", "transparent")[0, 0, 3] == 0
    assert drawn("c.png", "--background", "#102030")[0, 0].tolist() == [16, 32, 48]
    turned = drawn("d.png", "--yaw", "40")
    columns = [np.nonzero((picture < 250).any((0, 2)))[0].mean() for picture in (plain, turned)]
    assert columns[1] < columns[0] - 5
    shut, wide = (drawn("e.png", "--set", f"expression.jawOpen={jaw}") for jaw in (0, 1.5))
    assert (wide.max(-1) < 80).sum() > (shut.max(-1) < 80).sum() + 20
    bald = drawn("f.jpg", "--set", "hair.style=bald", "--set", "skin.0=0.5")
    assert bald.shape == (64, 64, 3)


def test_a_face_keeps_its_place_when_only_rendered(line, ann, tmp_path):
    before = ann.read_bytes()
    line.json("render", ann, "--out", tmp_path / "a.png", "--size", 32, "--set", "expression.jawOpen=1")
    assert ann.read_bytes() == before


def test_transfer_writes_a_third_face(line, ann, tmp_path):
    ben, out = tmp_path / "ben.face", tmp_path / "out.face"
    line.json("random", "--seed", 2, "--out", ben, "--model", NAME, "--spaces", "all")
    words = ["transfer", "--what", "expression", "--from", ann, "--to", ben, "--out", out, "--amount"]
    line.json(*words, 1)
    codes = [read_face(path).face.codes for path in (ann, ben, out)]
    assert np.array_equal(codes[2]["expression"], codes[0]["expression"])
    assert np.array_equal(codes[2]["identity"], codes[1]["identity"])
    line.json(*words, 0.5)
    half = (codes[0]["expression"] + codes[1]["expression"]) / 2
    assert read_face(out).face.codes["expression"] == pytest.approx(half, abs=1e-6)


def test_transfer_gives_several_parts_each_by_its_own_amount(line, ann, tmp_path):
    ben, out = tmp_path / "ben.face", tmp_path / "out.face"
    line.json("random", "--seed", 2, "--out", ben, "--model", NAME, "--spaces", "all")
    line.json("edit", ann, "--out", ann, "--set", "hair.style=afro")
    turned = read_face(ann)
    camera = turned.face.camera.replace(yaw=30.0, roll=-10.0)
    write_face(ann, FaceFile(turned.face.replace(camera=camera), turned.model_hash))
    line.json("transfer", "--what", "shape,hair=1,pose=0.5", "--from", ann, "--to", ben, "--amount", 0, "--out", out)
    given, giver, taker = (read_face(path).face for path in (out, ann, ben))
    assert (given.camera.yaw, given.camera.roll) == (15.0, -5.0)
    assert np.array_equal(given.codes["hair"], giver.codes["hair"])
    for space in ("identity", "skin", "light", "expression"):
        assert np.array_equal(given.codes[space], taker.codes[space])
    assert "'much'" in line.refused(
        "transfer", "--what", "hair=much", "--from", ann, "--to", ben, "--out", tmp_path / "no.face"
    )
    assert not (tmp_path / "no.face").exists()


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_films_have_the_frames_asked_for_and_the_mark(line, ann, tmp_path, suffix):
    ben, film, table = tmp_path / "ben.face", tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    line.json("random", "--seed", 2, "--out", ben, "--model", NAME)
    line.json("interpolate", ann, ben, "--out", film, "--frames", 7, "--fps", 10, "--size", 32)
    line.json("turntable", ann, "--out", table, "--frames", 6, "--fps", 10, "--size", 32)
    assert len(list(read_frames(film))) == 7
    assert len(list(read_frames(table))) == 6
    assert read_provenance(film) is not None
    assert read_provenance(table) is not None


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_meshes_have_the_mark(line, ann, tmp_path, suffix):
    facts = line.json("mesh", ann, "--out", tmp_path / f"a{suffix}")
    assert read_provenance(tmp_path / f"a{suffix}").extras() == facts["provenance"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".exr"])
def test_pictures_have_the_mark(line, ann, tmp_path, suffix):
    facts = line.json("render", ann, "--out", tmp_path / f"a{suffix}", "--size", 32)
    assert read_provenance(tmp_path / f"a{suffix}").extras() == facts["provenance"]


def test_without_json_a_command_says_what_it_did(line, ann, tmp_path):
    code, out, err = line("render", ann, "--out", tmp_path / "a.png", "--size", 32)
    assert (code, err) == (0, "")
    assert str(tmp_path / "a.png") in out


def test_doctor_finds_everything_well_and_a_damaged_bundle_not(line, tiny):
    facts = line.json("doctor")
    assert facts["ok"]
    assert {"torch", "off-screen drawing", "ffmpeg", f"model {NAME}"} <= {check["what"] for check in facts["checks"]}
    (tiny / "weights.safetensors").write_bytes(b"x")
    code, out, _ = line("doctor", "--json")
    assert code == 2
    (bad,) = [check for check in json.loads(out)["checks"] if not check["ok"]]
    assert bad["what"] == f"model {NAME}"
    assert str(tiny) in bad["mend"]


def test_edit_resets_sets_and_mirrors_into_another_file(line, ann, tmp_path):
    out = tmp_path / "b.face"
    words = ["--reset", "expression", "--set", "expression.mouthSmileLeft=0.5", "--set", "hair.style=bald", "--mirror"]
    facts = line.json("edit", ann, "--out", out, *words)
    assert {"expression.mouthSmileRight", "hair.style"} <= set(facts["changed"])
    assert read_face(out).face.codes["expression"] == pytest.approx([0, 0, 0.5, 0, 0], abs=1e-6)
    assert read_face(ann).face.codes["expression"].any()


def test_one_face_between_two(line, ann, tmp_path):
    ben, out = tmp_path / "ben.face", tmp_path / "mid.face"
    line.json("random", "--seed", 2, "--out", ben, "--model", NAME, "--spaces", "all")
    line.json("interpolate", ann, ben, "--at", 0.25, "--out", out)
    codes = [read_face(path).face.codes["identity"] for path in (ann, ben, out)]
    assert codes[2] == pytest.approx(0.75 * codes[0] + 0.25 * codes[1], abs=1e-6)
    assert "finite" in line.refused("interpolate", ann, ben, "--at", "nan", "--out", tmp_path / "c.face")
    assert "end in .face" in line.refused("interpolate", ann, ben, "--at", "0.5", "--out", tmp_path / "c.mp4")
