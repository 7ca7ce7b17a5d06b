"""Light with gradients is the same light as the studio's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from faceeditor.models.layers import key_light, mlp, reflected
from faceeditor.rendering import harmonics

LIGHTS = arrays(np.float32, 27, elements=st.floats(-2, 2, width=32))


def normals(count=50, seed=0):
    directions = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


@given(LIGHTS)
def test_reflected_light_is_the_studios(light):
    found = reflected(torch.from_numpy(light), torch.from_numpy(normals())).numpy()
    assert found == pytest.approx(harmonics.irradiance(light, normals()), abs=1e-5)


@given(LIGHTS)
def test_softness_only_scales_the_second_band(light):
    table = light.reshape(9, 3).copy()
    table[4:] *= [0.5, 0.7, 0.9]
    softness = torch.tensor([[0.5, 0.7, 0.9]]).expand(50, -1)
    found = reflected(torch.from_numpy(light), torch.from_numpy(normals()), softness).numpy()
    assert found == pytest.approx(harmonics.irradiance(table, normals()), abs=1e-5)


@given(LIGHTS)
def test_the_key_is_the_studios(light):
    towards, colour = key_light(torch.from_numpy(light))
    expected_towards, expected_colour = harmonics.key_light(light)
    luminance = np.abs(light.reshape(9, 3)[1:4] @ [0.2126, 0.7152, 0.0722]).max()
    if luminance > 1e-3:
        assert towards.numpy() == pytest.approx(expected_towards, abs=2e-3)
        assert colour.numpy() == pytest.approx(expected_colour, abs=5e-3)
    assert float(towards.norm()) == pytest.approx(1, abs=1e-4)


def test_light_has_true_gradients():
    light = torch.rand(27, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    light = light.requires_grad_()
    directions = torch.from_numpy(normals(6)).double().requires_grad_()
    assert torch.autograd.gradcheck(reflected, (light, directions))
    assert torch.autograd.gradcheck(key_light, (light,))


def test_no_light_has_gradients_that_are_numbers():
    light = torch.zeros(27, requires_grad=True)
    towards, colour = key_light(light)
    (towards.sum() + colour.sum() + reflected(light, torch.from_numpy(normals())).sum()).backward()
    assert torch.isfinite(light.grad).all()


def test_a_network_may_start_at_zero():
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert (mlp(3, 8, 8, 2, zero_last=True)(inputs) == 0).all()
    assert (mlp(3, 8, 2)(inputs) != 0).any()
    assert mlp(3, 8, 2)(inputs).shape == (5, 2)
