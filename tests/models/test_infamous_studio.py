"""The shipped INFAMOUS-NeRF: what its guided samples lose against dense ones."""

import numpy as np
import pytest
import torch

from faceeditor.faces.camera import Camera
from faceeditor.models.bundle import load_model
from faceeditor.models.infamous_dense import draw_densely
from faceeditor.models.layers import tensors
from faceeditor.rendering.colour import linear_to_srgb
from faceeditor.rendering.harmonics import ambient, directional
from tests.drawn_portrait import head

CAMERA = Camera(yaw=20.0, pitch=-10.0, distance=0.9, field_of_view=26.0)
SIZE = 80
LIGHT = ambient(np.full(3, 0.5)) + directional(np.array([0.6, 0.4, 0.69]), np.full(3, 0.6))


def over_white(drawing):
    rgb = drawing.rgb_linear + (1 - drawing.alpha)
    return linear_to_srgb(rgb.permute(1, 2, 0).numpy())


def psnr(drawn, true):
    return -10 * np.log10(np.square(drawn - true).mean())


@pytest.mark.parametrize("style", [None, 4])
def test_guided_samples_are_within_a_decibel_of_dense_ones(style):
    """The real-time head, with many rays a pixel, stands for the truth that both are held against."""
    model, truth = load_model("infamous-studio"), load_model("guided-studio")
    codes = tensors(head(model, 3, style=style, light=LIGHT.ravel(), mouthSmileLeft=0.7, jawOpen=0.4))
    with torch.no_grad():
        true = over_white(truth.draw(codes, CAMERA, SIZE, rays_a_side=4))
        guided = over_white(model.draw(codes, CAMERA, SIZE))
        dense = over_white(draw_densely(model, codes, CAMERA, SIZE, samples=384))
    assert psnr(dense, true) > 20
    assert psnr(guided, true) > psnr(dense, true) - 1
