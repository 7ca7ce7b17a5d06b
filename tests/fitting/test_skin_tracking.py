"""Expressions are told by the skin's own texture where landmarks say nothing, and never by hair."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.fitting.expressions import USED, ExpressionSolver, Landmarks, within
from faceeditor.fitting.portrait import LOOK, Look
from faceeditor.fitting.skin_points import SkinPoints
from faceeditor.fitting.skin_tracking import WINDOW, Skin, followed
from faceeditor.models.bundle import load_model
from faceeditor.models.portrait import STYLES, Reading
from tests.drawn_portrait import head, portrait_of

FRAMES = 9
MOVED = ("browInnerUpLeft", "browInnerUpRight", "mouthSmileLeft", "mouthSmileRight")
WEIGHTS = 0.3 - 0.3 * np.cos(np.linspace(0, 2 * np.pi, FRAMES))


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def skin_points(model):
    return SkinPoints.of(model)


@pytest.fixture(scope="module")
def film(model):
    """Pictures of somebody who smiles with raised brows, and what a reader says who overlooks it."""
    told = []
    still = portrait_of(model, head(model, seed=5), Camera(), size=LOOK)
    random = np.random.default_rng(0)
    for weight in WEIGHTS:
        shown = portrait_of(model, head(model, seed=5, **dict.fromkeys(MOVED, weight)), Camera(), size=LOOK)
        landmarks = Landmarks(
            places=still.landmarks / LOOK + random.normal(0, 0.001, (points.COUNT, 2)),
            spread=np.full(points.COUNT, 0.006),
            rotation=Camera().rotation(),
            expression=np.zeros(64, np.float32),
        )
        told.append((landmarks, skin_of(shown.crop_srgb)))
    return told


def reading(free, hair):
    """What a reader says of a head of 64 x 64 cells."""
    return Reading(
        landmarks=np.zeros((1, points.COUNT, 2)),
        spread=np.ones((1, points.COUNT)),
        mask=free[None].astype(np.float32),
        hair=hair[None].astype(np.float32),
        style=np.full((1, STYLES), 1 / STYLES),
        rotation=np.eye(3)[None],
        presence=np.ones(1),
    )


def skin_of(crop_srgb, hair=None):
    everywhere = np.ones((64, 64))
    return Skin.of(crop_srgb, Look(np.eye(3), reading(everywhere, 0 * everywhere if hair is None else hair)), np.eye(3))


def solved(model, skin_points, film):
    solver = ExpressionSolver(model)
    guesses = [solver.solve(landmarks) for landmarks, _ in film]
    frames = [(landmarks, guess, skin) for (landmarks, skin), guess in zip(film, guesses, strict=True)]
    return guesses, followed(solver, skin_points, frames)


def weights(guesses):
    columns = [EXPRESSION_COMPONENTS.index(name) for name in MOVED]
    return np.stack([guess.code()[columns].mean() for guess in guesses])


def test_what_landmarks_overlook_the_skin_tells(model, skin_points, film):
    before, after = solved(model, skin_points, film)
    assert np.ptp(weights(before)) < 0.1
    assert np.corrcoef(weights(after), WEIGHTS)[0, 1] > 0.9
    assert np.ptp(weights(after)) > 0.12


def test_hair_tells_nothing(model, skin_points, film):
    covered = [(landmarks, replace(skin, bare=np.zeros_like(skin.bare))) for landmarks, skin in film]
    before, after = solved(model, skin_points, covered)
    assert np.abs(weights(after) - weights(before)).max() < 0.02


def test_one_frame_alone_is_as_its_landmarks_say(model, skin_points, film):
    before, after = solved(model, skin_points, film[:1])
    assert before == after


def test_hair_is_where_it_was_read_in_the_crop():
    hair = np.zeros((64, 64))
    hair[:20] = 1
    look = Look(np.diag([2.0, 2.0, 1.0]), reading(np.ones((64, 64)), hair))
    skin = Skin.of(np.full((LOOK, LOOK, 3), 90, np.uint8), look, np.eye(3))
    assert skin.grey.shape == (WINDOW.stop - WINDOW.start,) * 2
    assert (skin.grey == 90).all()
    assert list(skin.shows(np.array([[0.5, 0.1], [0.5, 0.14], [0.5, 0.18], [0.5, 0.9]]))) == [False, False, True, True]


def test_landmarks_under_hair_are_doubted_but_not_those_on_the_outline():
    hair = np.zeros((64, 64))
    hair[:32] = 1
    skin = Skin.of(np.full((LOOK, LOOK, 3), 90, np.uint8), Look(np.eye(3), reading(np.ones((64, 64)), hair)), np.eye(3))
    places = np.full((points.COUNT, 2), 0.8)
    places[[0, 17, 36], 1] = 0.2
    doubted = np.flatnonzero(skin.doubts(places) > 1)
    assert list(doubted) == [17, 36]


def test_detail_does_not_see_how_bright_it_is():
    random = np.random.default_rng(1)
    crop = random.integers(60, 120, (LOOK // 8, LOOK // 8, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8)
    dark, bright = skin_of(crop).detail(), skin_of(2 * crop).detail()
    assert np.abs(dark).max() > 1
    assert np.corrcoef(dark.ravel(), bright.ravel())[0, 1] > 0.999


def test_weights_end_where_they_may():
    random = np.random.default_rng(2)
    rows, aim = random.normal(size=(200, USED + 6)), random.normal(size=200)
    low, high = np.r_[np.zeros(USED), np.full(6, -np.inf)], np.r_[np.ones(USED), np.full(6, np.inf)]
    best = lsq_linear(rows, aim, (low, high)).x
    found = within(rows.T @ rows, rows.T @ aim)
    assert np.abs(found - best).max() < 1e-3
    assert (found[:USED] == 0).any()
    assert 0 <= found[:USED].min() <= found[:USED].max() <= 1
