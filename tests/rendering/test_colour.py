"""The transfer function is that of IEC 61966-2-1, and its four forms agree."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.rendering.colour import (
    linear_to_srgb,
    linear_to_srgb8,
    linear_to_srgb_torch,
    srgb8_to_linear,
    srgb_to_linear,
)

UNIT = st.floats(0, 1, width=32)


@given(UNIT)
def test_round_trip(value):
    there = linear_to_srgb(srgb_to_linear(np.array([value], np.float32)))
    assert there[0] == pytest.approx(value, abs=2e-6)


@given(UNIT)
def test_torch_agrees_with_numpy(value):
    by_torch = linear_to_srgb_torch(torch.tensor([value], dtype=torch.float32)).item()
    assert by_torch == pytest.approx(linear_to_srgb(np.array([value], np.float32))[0], abs=2e-6)


@given(UNIT)
def test_the_table_is_at_most_a_level_off(value):
    linear = np.array([value], np.float32)
    assert abs(int(linear_to_srgb8(linear)[0]) - float(linear_to_srgb(linear)[0]) * 255) <= 1


def test_every_level_comes_back():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(linear_to_srgb8(srgb8_to_linear(levels)), levels)


def test_known_values():
    assert srgb8_to_linear(np.array([0, 10, 128, 255], np.uint8)) == pytest.approx(
        [0, 0.0030353, 0.2158605, 1], abs=1e-6
    )


def test_gradient_is_finite_everywhere():
    linear = torch.tensor([0.0, 1e-8, 0.0031308, 0.5, 1.0, 3.0], requires_grad=True)
    linear_to_srgb_torch(linear).sum().backward()
    assert torch.isfinite(linear.grad).all()
    assert (linear.grad > 0).all()
