"""A real photo at one glance, through the command line and as the first picture of a fit."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from faceeditor.engine import exports
from faceeditor.engine.jobs import Cancelled
from faceeditor.files.project import read_face
from faceeditor.models.catalogue import catalogue
from faceeditor.session import Session
from tests.tiny_encoder import install_encoder


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "astronaut.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path, quality=92)
    return path


@pytest.fixture
def blind(monkeypatch):
    """No encoder is installed."""
    others = [info for info in catalogue() if info.architecture != exports.ENCODER]
    monkeypatch.setattr(exports, "catalogue", lambda: others)


def test_a_photo_becomes_a_face_at_one_glance(line, photo, tmp_path, user_home):
    install_encoder(user_home / "data")
    facts = line.json("fit", photo, "--out", tmp_path / "a.face", "--quality", "glance")
    face = read_face(tmp_path / "a.face").face
    assert (face.name, face.origin.kind, face.origin.source) == ("astronaut", "photo", "astronaut.jpg")
    assert np.isfinite(facts["psnr"])
    assert facts["landmark_error_percent"] < 5  # however little the encoder has learned
    line.json("render", tmp_path / "a.face", "--out", tmp_path / "a.png", "--background", "photo", "--size", 64)


def test_without_an_encoder_a_glance_is_refused_and_not_offered(line, photo, tmp_path, blind):
    said = line.refused("fit", photo, "--out", tmp_path / "a.face", "--quality", "glance")
    assert said == "The model that a glance needs is not installed; choose draft, standard, best."
    session = Session(autosave=False)
    try:
        assert session.photo_qualities() == ("draft", "standard", "best")
        assert not session.glances()
    finally:
        session.close()


def test_a_scan_is_not_glanced_at(line, tmp_path):
    (tmp_path / "head.ply").write_bytes(b"ply\n")
    said = line.refused("fit", tmp_path / "head.ply", "--out", tmp_path / "a.face", "--quality", "glance")
    assert said == "glance is not a quality; choose draft, standard, best."


def test_a_fit_shows_the_glance_first(photo, user_home):
    install_encoder(user_home / "data")
    session = Session(autosave=False)
    try:
        assert session.photo_qualities()[0] == "glance"
        job = session.fit_photo(photo, quality="draft")
        seen = []
        job.previewed.connect(lambda picture: seen.append((job.message, picture.shape)))

        def enough():
            if len(seen) > 2:
                job.cancel()

        job.changed.connect(enough)
        with pytest.raises(Cancelled):
            session.wait(job)
    finally:
        session.close()
    assert [shape for _, shape in seen[:3]] == [(512, 512, 3), (512, 512, 3), (256, 256, 3)]


def test_one_of_several_faces_is_chosen_by_its_number(line, photo, tmp_path, user_home):
    install_encoder(user_home / "data")
    person = skimage.data.astronaut()[:, 52:392]
    Image.fromarray(np.concatenate([person, person[:, ::-1]], axis=1)).save(tmp_path / "two.png")
    out = tmp_path / "a.face"
    words = ["fit", tmp_path / "two.png", "--out", out, "--quality", "glance"]
    assert "no face 3: 2 faces were found" in line.refused(*words, "--face", 3)
    assert "not by both" in line.refused(*words, "--face", 1, "--box", "1,2,30,40")
    assert not out.exists()
    line.json(*words, "--face", 2)
    assert "leave --face out" in line.refused("fit", out, "--out", tmp_path / "b.face", "--face", 1)
    line.json("fit", out, "--out", tmp_path / "b.face", "--quality", "glance")
    first, again = (read_face(path).face for path in (out, tmp_path / "b.face"))
    assert np.abs(first.origin.photo_srgb.astype(int) - again.origin.photo_srgb).mean() < 6
