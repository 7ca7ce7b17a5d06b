"""The sliders that training finds: each reads back what it writes, and lengthens what it is named after."""

import itertools

import numpy as np
import pytest
import torch

from faceeditor.faces import layout
from faceeditor.faces.layout import DIMS
from faceeditor.models.bundle import load_model
from faceeditor.rendering import harmonics
from training import directions
from training.guided_spaces import make_spaces
from training.studio.assets import SKINS

MADE = {
    layout.LIGHT: directions.light_directions(),
    layout.HAIR: directions.hair_directions(),
    layout.SKIN: directions.skin_directions(SKINS),
    layout.EXPRESSION: directions.expression_directions(),
}


@pytest.fixture(scope="module")
def template():
    return load_model("template-studio")


@pytest.fixture(scope="module")
def landmarks_of(template):
    rest = torch.zeros(1, DIMS[layout.EXPRESSION])
    return lambda codes: template.landmarks(template.vertices(codes, rest.expand(len(codes), -1)))


@pytest.fixture(scope="module")
def shapes(landmarks_of):
    return directions.identity_directions(landmarks_of)


@pytest.mark.parametrize("space", MADE)
def test_every_slider_reads_back_what_it_writes(space):
    for direction in MADE[space]:
        assert direction.space == space
        assert len(direction.vector) == len(direction.reader) == DIMS[space]
        assert direction.reader @ direction.vector == pytest.approx(1, abs=1e-4)
        assert direction.low < direction.high
        assert direction.low <= 0 <= direction.high
        assert direction.group
        assert direction.label[0].isupper()
    assert len({direction.name for direction in MADE[space]}) == len(MADE[space])


@pytest.mark.parametrize("space", [layout.LIGHT, layout.HAIR, layout.EXPRESSION])
def test_no_slider_moves_another(space):
    for first, second in itertools.permutations(MADE[space], 2):
        assert first.reader @ second.vector == pytest.approx(0, abs=1e-4), (first.name, second.name)


def test_expressions_are_the_arkit_names_and_set_their_components():
    named = {direction.name: direction for direction in MADE[layout.EXPRESSION]}
    assert list(named) == list(layout.ARKIT)
    for name, direction in named.items():
        on = [layout.EXPRESSION_COMPONENTS[i] for i in np.flatnonzero(direction.vector)]
        assert tuple(on) == layout.ARKIT[name]
        assert direction.vector.max() == direction.high == 1
        assert direction.low == 0


def test_labels_are_words():
    assert directions.words("mouthSmileLeft") == "Mouth smile left"
    assert directions.words("ambient") == "Ambient"


def test_lamps_light_the_side_they_are_named_after():
    named = {direction.name: direction.vector for direction in MADE[layout.LIGHT]}
    sides = {"Front": [0, 0, 1], "Left": [1, 0, 0], "Right": [-1, 0, 0], "Above": [0, 1, 0], "Below": [0, -1, 0]}
    for side, normal in sides.items():
        light = named[f"lamp{side}"]
        towards, away = (harmonics.irradiance(light, sign * np.array(normal, float)).mean() for sign in (1, -1))
        assert towards > 0.6
        assert away < 0.35 * towards
    warm = harmonics.irradiance(named["warmth"] + named["ambient"], np.array([0.0, 0, 1]))
    assert warm[0] > warm[1] > warm[2]


def test_skin_labels_keep_the_sum_of_the_weights():
    named = {direction.name: direction for direction in MADE[layout.SKIN]}
    for label in ("age", "darkness", "femininity"):
        vector = named[label].vector
        assert vector[layout.SKIN_WEIGHTS].sum() == pytest.approx(0, abs=1e-5)
        assert not vector[layout.SKIN_WEIGHTS.stop :].any()
    aged = dict(zip(SKINS, named["age"].vector, strict=False))
    assert min(v for n, v in aged.items() if n.startswith("old")) > max(v for n, v in aged.items() if n.startswith("y"))


def test_a_shape_slider_lengthens_what_it_is_named_after(shapes, landmarks_of):
    """On people the regression has not seen, by one standard deviation a unit, and more than any other slider does."""
    people = torch.from_numpy(np.random.default_rng(99).normal(0, 0.8, (50, DIMS[layout.IDENTITY])).astype(np.float32))
    before = landmarks_of(people).numpy()
    spread = {name: measure(before).std() for name, (_, measure) in directions.SHAPES.items()}
    assert {direction.name for direction in shapes} == set(directions.SHAPES)
    for direction in shapes:
        measure = directions.SHAPES[direction.name][1]
        after = landmarks_of(people + torch.from_numpy(direction.vector.copy())).numpy()
        change = measure(after) - measure(before)
        assert (change > 0).all(), direction.name
        assert change.mean() == pytest.approx(spread[direction.name], rel=0.5), direction.name
        assert direction.reader @ direction.vector == pytest.approx(1, abs=1e-4)


def test_shape_sliders_of_a_symmetric_head_are_symmetric(shapes, template):
    """No slider named after a shape makes the face lopsided."""
    signs = template.identity_signs.numpy()
    for direction in shapes:
        assert np.abs(direction.vector[signs < 0]).max(initial=0) < 0.15 * np.abs(direction.vector).max(), (
            direction.name
        )


def test_spaces_tell_the_training_codes(template, monkeypatch):
    monkeypatch.setattr("training.guided_spaces.DRAWS", 300)
    spaces = make_spaces(template, 0)
    assert {name: space.dims for name, space in spaces.items()} == DIMS
    for space in spaces.values():
        assert (space.low <= space.mean + 1e-6).all()
        assert (space.mean <= space.high + 1e-6).all()
        covariance = space.factor @ space.factor.T
        assert np.sqrt(np.diag(covariance)) == pytest.approx(space.scale, rel=0.05, abs=5e-3)
        assert np.isfinite(space.random(np.random.default_rng(0))).all()
        for choice in space.choices:
            assert choice.start + len(choice.options) <= space.dims
            assert choice.read(space.mean) in (*choice.options, choice.none)
    assert [choice.name for choice in spaces[layout.SKIN].choices] == ["skin", "brows", "iris"]
    assert spaces[layout.HAIR].choices[0].none == "bald"
    drawn = spaces[layout.IDENTITY].random(np.random.default_rng(1))
    assert 5 < np.linalg.norm(drawn / spaces[layout.IDENTITY].scale) < 13.1
