"""The figures of driving: right for a perfect reading, low for a wrong one, over films whose faces move smoothly."""

from dataclasses import replace

import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.models.bundle import load_model
from training.drive_measures import FPS, STRONGEST, acting, compare, correlation, steadiness


@pytest.fixture(scope="module")
def acted():
    return acting(np.random.default_rng(2), 3.0, Camera(yaw=30))


def test_acting_is_smooth_and_within_the_weights(acted):
    assert len(acted) == 3 * FPS
    assert 0 <= acted.expressions.min() < acted.expressions.max() <= 1
    assert np.abs(np.diff(acted.expressions, axis=0)).max() < 0.2
    assert np.abs(np.diff(acted.poses, axis=0)).max() < 3
    assert acted.poses[:, 0].mean() == pytest.approx(10, abs=12)


def test_a_perfect_reading_has_correlation_one(acted):
    figures = compare(acted, acted)
    assert figures["correlation"] == pytest.approx(1)
    assert len(figures["of_each"]) == STRONGEST
    assert figures["mean_error"] == figures["yaw_degrees"] == 0


def test_wrong_readings_are_told(acted):
    backwards = replace(acted, expressions=1 - acted.expressions, poses=acted.poses + np.array([3, 0, 0]))
    figures = compare(backwards, acted)
    assert figures["correlation"] == pytest.approx(-1)
    assert figures["yaw_degrees"] == pytest.approx(3)
    still = replace(acted, expressions=np.zeros_like(acted.expressions))
    assert compare(still, acted)["correlation"] == 0
    assert correlation(np.array([0.0, 1, 0, 1]), np.array([0.0, 2, 0, 2])) == pytest.approx(1)


def test_a_driven_face_keeps_its_identity():
    model = load_model("guided-studio")
    acted = acting(np.random.default_rng(3), 0.5, Camera())
    short = replace(acted, **{name: getattr(acted, name)[::4] for name in ("expressions", "poses", "seen")})
    face = Face("a", model.name, {name: space.mean for name, space in model.spaces.items()})
    figures = steadiness(model, face, short, short)
    assert figures["driven_identity_jump"] == 0
    assert figures["driven_picture_jump"] == figures["true_picture_jump"] > 0
