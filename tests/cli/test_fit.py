"""A real photo through the command line."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from faceeditor.files.marks import read_provenance
from faceeditor.files.project import read_face


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "astronaut.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path, quality=92)
    return path


def test_a_photo_becomes_a_face_that_can_be_shown_over_it(line, photo, tmp_path):
    out = tmp_path / "eileen.face"
    facts = line.json("fit", photo, "--out", out, "--quality", "draft")
    assert facts["out"] == str(out)
    assert facts["seconds"] > 0
    assert all(np.isfinite(facts[name]) for name in ("psnr", "ssim", "landmark_error_percent"))
    face = read_face(out).face
    assert (face.name, face.origin.kind, face.origin.source) == ("astronaut", "photo", "astronaut.jpg")
    assert face.origin.figures["psnr"] == facts["psnr"]
    assert face.origin.photo_srgb.shape[0] == face.origin.photo_srgb.shape[1]
    line.json("render", out, "--out", tmp_path / "a.png", "--background", "photo", "--size", 128)
    assert read_provenance(tmp_path / "a.png").composite


def test_a_picture_without_a_face_is_told(line, tmp_path):
    Image.fromarray(np.full((200, 300, 3), 120, np.uint8)).save(tmp_path / "grey.png")
    assert "No face was found" in line.refused("fit", tmp_path / "grey.png", "--out", tmp_path / "a.face")
    assert not (tmp_path / "a.face").exists()


def test_what_a_fit_is_asked_must_make_sense(line, photo, tmp_path):
    words = ["fit", photo, "--out", tmp_path / "a.face"]
    assert "draft, standard, best" in line.refused(*words, "--quality", "superb")
    assert "not a box" in line.refused(*words, "--box", "1,2,3")
    assert "no model named nobody" in line.refused(*words, "--model", "nobody")
    assert not (tmp_path / "a.face").exists()
