"""Losses and measures against their definitions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.losses import dilated, eroded, gradient_l1, psnr


def picture(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_edges_do_not_see_a_constant_but_a_step():
    first = picture(0, 3, 8, 9)
    assert float(gradient_l1(first, first + 0.3)) == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 4, 5)
    step[..., 3:] = 1
    assert float(gradient_l1(step, torch.zeros(1, 4, 5))) == pytest.approx(1 / 4)


@given(st.floats(0.001, 0.5))
def test_psnr_of_a_known_error(error):
    true = picture(1, 3, 6, 6)
    assert psnr(true + error, true) == pytest.approx(-20 * torch.log10(torch.tensor(error)).item(), abs=1e-2)


def test_psnr_looks_only_where_the_mask_is():
    true, wrong = picture(2, 3, 6, 6), picture(2, 3, 6, 6)
    wrong[:, :3] += 0.5
    upper = torch.zeros(6, 6, dtype=torch.bool)
    upper[:3] = True
    assert psnr(wrong, true, upper) == pytest.approx(6.02, abs=0.01)
    assert psnr(wrong, true, ~upper) >= 99
    assert psnr(true, true) == pytest.approx(100, abs=0.01)


@given(st.integers(1, 3), st.integers(0, 100))
def test_masks_grow_and_shrink_by_pixels(pixels, seed):
    mask = picture(seed, 12, 12) > 0.9
    grown = dilated(mask, pixels)
    rows, columns = mask.nonzero(as_tuple=True)
    expected = torch.zeros_like(mask)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        expected[max(row - pixels, 0) : row + pixels + 1, max(column - pixels, 0) : column + pixels + 1] = True
    assert torch.equal(grown, expected)
    assert torch.equal(eroded(~mask, pixels), ~grown)
