"""``--enhance`` on the command line: what it changes, that it obeys its seed, and what is said where it cannot work."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from faceeditor.engine import exports
from faceeditor.files.marks import read_provenance
from faceeditor.files.video import read_frames
from faceeditor.models.catalogue import catalogue
from faceeditor.settings import Settings
from tests.tiny import NAME
from tests.tiny_refiner import NAME as REFINER
from tests.tiny_refiner import install_refiner


@pytest.fixture
def drawn(line, ann, tmp_path):
    """Draws a picture with more words and reads it back."""

    def draw(name, *words):
        line.json("render", ann, "--out", tmp_path / name, "--size", 64, *words)
        return np.asarray(Image.open(tmp_path / name)).astype(int)

    return draw


@pytest.fixture
def installed(user_home):
    install_refiner(user_home / "data")


def test_it_changes_the_head_alone_and_obeys_its_seed(installed, drawn):
    plain, fine, again, other = (
        drawn(f"{number}.png", *words)
        for number, words in enumerate(((), ("--enhance",), ("--enhance",), ("--enhance", "--enhance-seed", "7")))
    )
    np.testing.assert_array_equal(fine, again)
    assert np.abs(fine - plain).max() > 3
    assert np.abs(fine - other).max() > 3
    assert np.abs(fine - plain)[(plain == 255).all(-1)].max() == 0


def test_what_the_window_was_told_does_not_count(installed, drawn):
    before = drawn("a.png")
    Settings(enhance=True).save()
    np.testing.assert_array_equal(drawn("b.png"), before)


def test_films_are_enhanced_too(installed, line, ann, tmp_path):
    films = []
    for name, words in (("a.gif", ()), ("b.gif", ("--enhance",))):
        line.json("turntable", ann, "--out", tmp_path / name, "--size", 32, "--frames", 3, *words)
        films.append(np.stack(list(read_frames(tmp_path / name))).astype(int))
    assert films[0].shape == films[1].shape
    assert np.abs(films[0] - films[1]).max() > 3


def test_without_a_refiner_one_sentence_says_so(line, ann, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "catalogue", lambda: ())
    said = line.refused("render", ann, "--out", tmp_path / "a.png", "--enhance")
    assert said == "No refiner is installed, so pictures cannot be enhanced; put one into the models folder."
    assert not (tmp_path / "a.png").exists()


def test_a_seed_below_nothing_is_refused(installed, line, ann, tmp_path):
    said = line.refused("render", ann, "--out", tmp_path / "a.png", "--enhance", "--enhance-seed", "-1")
    assert "seed" in said


def test_a_picture_tells_which_refiner_enhanced_it(installed, line, ann, tmp_path):
    marks = {}
    for name, words in (("plain", ()), ("fine", ("--enhance",))):
        line.json("render", ann, "--out", tmp_path / f"{name}.png", "--size", 32, *words)
        marks[name] = read_provenance(tmp_path / f"{name}.png")
    refiner = next(info for info in catalogue() if info.name == REFINER)
    assert marks["fine"] == replace(marks["plain"], refiner_hash=refiner.hash)
    assert "refinerHash" not in marks["plain"].extras()


def test_pictures_of_models_that_no_refiner_serves_stay_as_they_are(user_home, line, ann, drawn, tmp_path):
    install_refiner(user_home / "data", serves=("another",))
    before = drawn("a.png")
    code, _, said = line("render", ann, "--out", tmp_path / "b.png", "--size", 64, "--enhance")
    assert code == 0
    assert said.strip() == exports.unserved(NAME)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), before)
    assert exports.refiner_of("another") == REFINER
