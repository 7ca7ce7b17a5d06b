"""Points of the skin move with codes as the head does."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from faceeditor.faces import landmarks
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.fitting.skin_points import SkinPoints
from faceeditor.models.bundle import load_model
from faceeditor.models.layers import tensors
from tests.drawn_portrait import head


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def skin(model):
    return SkinPoints.of(model)


def test_they_lie_on_the_head_whatever_its_codes_say(model, skin):
    codes = head(model, seed=2, style=3, jawOpen=0.6, eyeLookInLeft=0.7)
    surface = model.surface(tensors(codes))
    far, _ = cKDTree(surface.head.numpy()).query(skin.at(codes[IDENTITY], codes[EXPRESSION]))
    assert far.max() < 1e-5


def test_they_look_forward_between_chin_and_brows_once_each(model, skin):
    marks = model.landmarks(tensors(head(model))).numpy()
    assert len(np.unique(skin.mean, axis=0)) == len(skin.mean) > 3000
    assert skin.mean[:, 1].min() > marks[landmarks.CHIN, 1] - 0.02
    assert skin.normals[:, 2].min() > 0.2
    np.testing.assert_allclose(np.linalg.norm(skin.normals, axis=1), 1, atol=1e-6)


def test_some_are_of_the_eyes_and_turn_with_the_gaze(model, skin):
    codes = head(model, eyeLookInLeft=1.0, eyeLookOutRight=1.0)
    moved = np.linalg.norm(skin.expression @ codes[EXPRESSION][: skin.expression.shape[-1]], axis=-1)
    assert 300 < (moved > 0.003).sum() < 1000


def test_they_are_made_once(model, skin):
    assert SkinPoints.of(model) is skin
