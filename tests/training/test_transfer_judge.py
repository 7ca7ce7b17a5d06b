"""What judges transfers: it sees in pictures what was changed, and does not let steps forth and back make up."""

import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.models.bundle import load_model
from tests.drawn_portrait import head
from training.attribute_scores import ATTRIBUTES, POSE, drawn, with_attribute
from training.transfer_judge import PATCHES, TransferJudge, missed, moved, patches, shares

FLAT = {name: np.zeros((2, 2)) for name in ATTRIBUTES}


def test_steps_are_shares_of_the_way():
    goal = {name: np.array([[1.0, 0.0], [0.0, 3.0]]) for name in ATTRIBUTES}
    halfway = {name: 0.5 * way for name, way in goal.items()}
    assert shares(SKIN, FLAT, halfway, goal) == pytest.approx(dict.fromkeys(ATTRIBUTES, 0.5))
    aside = {name: way[:, ::-1] for name, way in goal.items()}
    assert shares(SKIN, FLAT, aside, goal) == pytest.approx(dict.fromkeys(ATTRIBUTES, 0.0))


def test_what_should_stay_is_not_excused_by_steps_back():
    goal = {name: np.array([[1.0, 0.0], [1.0, 0.0]]) for name in ATTRIBUTES}
    forth_and_back = {name: np.array([[0.4, 0.0], [-0.4, 0.0]]) for name in ATTRIBUTES}
    found = shares(SKIN, FLAT, forth_and_back, goal)
    assert found.pop(SKIN) == pytest.approx(0.0)
    assert found == pytest.approx(dict.fromkeys(found, 0.4))


def test_patches_have_the_colours_within_their_landmarks():
    places = np.random.default_rng(0).uniform(0, 1, (68, 2))
    places[list(PATCHES["nose"])] = [(0.6, 0.1), (0.9, 0.1), (0.9, 0.4), (0.75, 0.4), (0.6, 0.4)]
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, 32:] = (255, 0, 0)
    nose = list(PATCHES).index("nose")
    assert patches(picture, places, np.ones((64, 64), bool))[nose] == pytest.approx([1, 0, 0], abs=1e-6)
    picture[:, 52:] = (0, 255, 0)
    assert patches(picture, places, np.arange(64) < np.full((64, 1), 50))[nose] == pytest.approx([1, 0, 0], abs=1e-6)


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def pair(model):
    lights = [model.spaces[LIGHT].random(np.random.default_rng(seed)) for seed in (1, 2)]
    first = head(model, seed=2, style=4, jawOpen=0.6) | {LIGHT: lights[0]}
    second = head(model, seed=9, style=1, mouthSmileLeft=0.9, mouthSmileRight=0.9) | {LIGHT: lights[1]}
    skins = [np.zeros_like(first[SKIN]) for _ in range(2)]
    for code, number in zip(skins, (0, 15), strict=True):
        code[number] = 1.0
    return (
        Face("a", model.name, first | {SKIN: skins[0]}, Camera(yaw=20)),
        Face("b", model.name, second | {SKIN: skins[1]}, Camera(yaw=-25, pitch=8)),
    )


@pytest.mark.parametrize("what", [IDENTITY, EXPRESSION, SKIN, LIGHT, HAIR, POSE])
def test_it_sees_which_attribute_was_taken(model, pair, what):
    judge = TransferJudge(lambda face: drawn(model, face), load_model("portrait-studio"))
    seen = judge.features([pair[0], with_attribute(pair[0], what, pair[1]), pair[1]])
    before, after, goal = ({name: value[[row]] for name, value in seen.items()} for row in range(3))
    found = shares(what, before, after, goal)
    assert found[what] > 0.6
    assert max(value for name, value in found.items() if name != what) < 0.4


def test_the_bar_is_missed_by_what_moves_too_little_and_what_should_stay():
    good = {what: {name: 0.8 if name == what else 0.15 for name in ATTRIBUTES} for what in ATTRIBUTES}
    assert missed(good) == []
    assert missed(good | {SKIN: good[SKIN] | {SKIN: 0.79}}) == ["skin: skin 0.790"]
    assert missed(good | {HAIR: good[HAIR] | {LIGHT: 0.16}}) == ["hair: light 0.160"]


class CodesThemselves:
    """Reads codes, not pictures."""

    def features(self, faces):
        seen = {name: np.stack([face.codes[name] for face in faces]) for name in ATTRIBUTES if name != POSE}
        return seen | {POSE: np.array([(face.camera.yaw, face.camera.pitch) for face in faces])}


def test_a_transfer_gives_what_it_names_and_one_that_gives_all_is_told(pair, monkeypatch):
    for what, found in moved(pair, CodesThemselves()).items():
        assert found == pytest.approx({name: float(name == what) for name in ATTRIBUTES}, abs=1e-6)
    monkeypatch.setattr("training.transfer_judge.transfer", lambda what, source, face: source)
    for found in moved(pair, CodesThemselves()).values():
        assert found == pytest.approx(dict.fromkeys(ATTRIBUTES, 1.0))
