"""The expected place under a map of chances, also where networks run in 16 bits."""

import pytest
import torch

from faceeditor.models.pyramid import expectation


@pytest.mark.parametrize("short", [False, True])
def test_places_are_told_between_cells_in_full_numbers(short):
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    wanted = torch.rand(4, 5, 2) * 0.6 + 0.2
    away = torch.stack([columns, rows], -1) / 32 - wanted[:, :, None, None]
    heat = -away.square().sum(-1) / (2 * 0.03**2)
    with torch.autocast("cpu", torch.bfloat16, enabled=short):
        found = expectation(heat)
    assert found.dtype is torch.float32
    assert (found - wanted).abs().max() < 1e-4
