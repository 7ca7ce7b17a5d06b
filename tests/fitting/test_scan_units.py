"""Which unit a scan is believed to be in."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.fitting.scan_units import LIKELY, off_unit

NEAR = st.floats(-0.9 * LIKELY, 0.9 * LIKELY)


@given(st.integers(-7, 4), NEAR)
def test_powers_of_ten_are_believed_and_tell_how_far_off_the_scale_is(power, off):
    assert off_unit(10.0**power * math.exp(off)) == pytest.approx(off, abs=1e-9)


@given(NEAR)
def test_inches_are_believed(off):
    assert off_unit(0.0254 * math.exp(off)) == pytest.approx(off, abs=1e-9)


@pytest.mark.parametrize("scale", [0.3, 0.0033, 5.0, 0.07])
def test_any_other_scale_says_nothing(scale):
    assert off_unit(scale) is None
