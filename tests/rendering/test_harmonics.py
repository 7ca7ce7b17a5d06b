import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.rendering.harmonics import ambient, basis, directional, irradiance, key_light

_ANGLES = st.tuples(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))


def _unit(angles):
    turn, rise = angles
    return np.array([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)])


def test_the_basis_is_orthonormal():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200_000, 3))
    values = basis(directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float64)
    assert values.T @ values / len(values) * 4 * np.pi == pytest.approx(np.eye(9), abs=0.05)


@given(_ANGLES)
def test_a_lamp_lights_what_faces_it(angles):
    towards, colour = _unit(angles), np.array([1.0, 0.7, 0.4])
    table = directional(towards, colour).ravel()
    turned = [_unit((angles[0] + offset, 0)) for offset in np.linspace(-3, 3, 13)]
    clamped = np.maximum(np.array(turned) @ towards, 0)[:, None] * colour
    assert np.abs(irradiance(table, np.array(turned)) - clamped).max() < 0.11  # what nine harmonics leave of the cosine
    assert irradiance(table, towards) == pytest.approx(colour, rel=0.07)


@given(_ANGLES)
def test_the_key_is_found_again_under_ambience(angles):
    towards, colour = _unit(angles), np.array([0.9, 0.8, 0.6])
    found, found_colour = key_light((directional(towards, colour) + ambient(np.array([0.3, 0.4, 0.5]))).ravel())
    assert found == pytest.approx(towards, abs=1e-3)
    assert found_colour == pytest.approx(colour, abs=1e-3)


def test_ambience_is_the_same_all_around():
    normals = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    assert irradiance(ambient(np.array([0.2, 0.4, 0.6])).ravel(), normals) == pytest.approx(
        np.tile([0.2, 0.4, 0.6], (3, 1)), abs=1e-6
    )


def test_no_light_has_a_harmless_key():
    direction, colour = key_light(np.zeros(27))
    assert np.linalg.norm(direction) == pytest.approx(1)
    assert not colour.any()
