"""Landmarks as a linear function of codes: what the model itself says, from every side."""

import numpy as np
import pytest

from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.fitting.linear_landmarks import LinearLandmarks
from faceeditor.models.bundle import load_model
from faceeditor.models.layers import tensors
from tests.drawn_portrait import head


@pytest.mark.parametrize("yaw", [0.0, 15.0, 45.0, -70.0])
def test_they_are_the_models_own(yaw):
    model = load_model("guided-studio")
    codes = head(model, seed=3, jawOpen=0.5, mouthSmileLeft=0.3)
    lines = LinearLandmarks.of(model, yaw)
    own = model.landmarks(tensors(codes), yaw).double().numpy()
    assert np.abs(lines.at(np.concatenate([codes[IDENTITY], codes[EXPRESSION]])) - own).max() < 1e-6
    moved = lines.mean + lines.identity @ codes[IDENTITY] + lines.expression @ codes[EXPRESSION]
    assert np.abs(moved - own).max() < 1e-6
    assert LinearLandmarks.of(model, yaw * 1.01) is lines
