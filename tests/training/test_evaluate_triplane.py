"""The tables of whole heads: which levels of noise are measured, and means that tell of heads that were lost."""

import pytest

from faceeditor.errors import UserError
from training.evaluate_triplane import KNOWN, NOISES, USUAL, Row, means, noises


def test_levels_of_noise_are_chosen_by_name():
    assert list(noises([])) == [USUAL]
    assert noises(["all"]) == NOISES
    assert noises(["sigma 1 mm", USUAL])["sigma 1 mm"].sigma == 0.001
    with pytest.raises(UserError, match="'much' is no level of noise; choose usual, sigma 0 mm"):
        noises(["much"])


def test_means_are_of_heads_that_were_found():
    rows = [
        Row(4, "full", KNOWN, {"chamfer_l1_mm": 1.0}),
        Row(4, "full", USUAL, {"chamfer_l1_mm": 2.0}),
        Row(5, "full", KNOWN, {"chamfer_l1_mm": 3.0}),
        Row(5, "full", USUAL, None),
    ]
    assert means(rows) == {"full": {KNOWN: {"lost": 0, "chamfer_l1_mm": 2.0}, USUAL: {"lost": 1, "chamfer_l1_mm": 2.0}}}
    assert means([Row(4, "npm", USUAL, None)]) == {"npm": {USUAL: {"lost": 1}}}
