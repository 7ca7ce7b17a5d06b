"""Compositing: light that is stopped once is not stopped again, and the nearest sample comes first."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.rendering.volume import opacity, weights

ALPHAS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8).map(torch.tensor)


@given(ALPHAS)
def test_weights_and_what_passes_make_one(alpha):
    weight = weights(alpha)
    assert (weight >= 0).all()
    assert float(weight.sum() + (1 - alpha).prod()) == pytest.approx(1, abs=1e-5)
    assert float(weight.sum()) <= 1 + 1e-5


@given(ALPHAS)
def test_weights_are_the_equation(alpha):
    passed = 1.0
    for weight, own in zip(weights(alpha).tolist(), alpha.tolist(), strict=True):
        assert weight == pytest.approx(own * passed, abs=1e-5)
        passed *= 1 - own


def test_the_front_hides_what_is_behind():
    assert weights(torch.tensor([1.0, 1.0, 0.5])).tolist() == [1, 0, 0]
    assert weights(torch.tensor([0.0, 0.5, 0.5])).tolist() == [0, 0.5, 0.25]
    assert weights(torch.tensor([0.25, 1.0])).tolist() == [0.25, 0.75]


def test_batches_are_composited_alone():
    alpha = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    for row in range(2):
        for column in range(3):
            torch.testing.assert_close(weights(alpha)[row, column], weights(alpha[row, column]))


@given(st.floats(0, 20), st.floats(0, 20))
def test_optical_depths_add_up(first, second):
    alpha = opacity(torch.tensor([first, second], dtype=torch.float64))
    whole = opacity(torch.tensor(first + second, dtype=torch.float64))
    assert float(weights(alpha).sum()) == pytest.approx(float(whole), abs=1e-9)


def test_gradients_are_true_and_nothing_is_clear():
    assert float(opacity(torch.tensor(0.0))) == 0
    depth = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: weights(opacity(given)), depth)
