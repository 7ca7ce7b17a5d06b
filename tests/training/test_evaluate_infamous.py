"""Measuring INFAMOUS-NeRF's fits: starts are found once and kept."""

import numpy as np
import pytest

from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import DIMS
from training.evaluate_infamous import kept


def test_a_start_is_made_once_and_comes_back_as_it_was(tmp_path):
    random = np.random.default_rng(0)
    codes = {name: as_code(random.standard_normal(dims)) for name, dims in DIMS.items()}
    gains = {"offsets": random.standard_normal((5, 3)).astype(np.float16)}
    path = tmp_path / "starts" / "0.npz"
    first = kept(path, lambda: (codes, gains))
    again = kept(path, lambda: pytest.fail("it is kept"))
    for found in (first, again):
        assert set(found[0]) == set(codes)
        assert all(np.array_equal(found[0][name], code) for name, code in codes.items())
        assert found[1].keys() == gains.keys()
        assert np.array_equal(found[1]["offsets"], gains["offsets"])
        assert found[1]["offsets"].dtype == np.float16
