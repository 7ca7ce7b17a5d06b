import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import (
    BROW_STYLES,
    DIMS,
    EXPRESSION_COMPONENTS,
    HAIR_COLOUR,
    HAIR_STYLES,
    IRIS_WEIGHTS,
    SHEEN,
    SKIN_WEIGHTS,
)
from faceeditor.rendering.harmonics import irradiance
from training.studio.factors import StudioFactors, skin_code, tint_gain
from training.studio.sampling import FACE_NORMALS, HEAD_HEIGHT, kelvin, sample_factors

DRAWN = [sample_factors(np.random.default_rng(seed)) for seed in range(400)]


def _weight(factors, name):
    return factors.expression[EXPRESSION_COMPONENTS.index(name)]


def test_the_same_seed_draws_the_same_head():
    first, again = (sample_factors(np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(first.codes[name], again.codes[name]) for name in DIMS)
    assert first.camera == again.camera


def test_codes_go_round(head):
    for factors in DRAWN[:20]:
        again = StudioFactors.from_codes(factors.codes, factors.camera)
        assert all(np.array_equal(again.codes[name], factors.codes[name]) for name in DIMS)


def test_a_code_of_the_wrong_length_is_refused():
    codes = StudioFactors().codes | {"hair": np.zeros(5, np.float32)}
    with pytest.raises(ValueError, match="hair code has 5"):
        StudioFactors.from_codes(codes, Camera())


def test_codes_keep_to_their_layout():
    for factors in DRAWN:
        assert {name: code.shape for name, code in factors.codes.items()} == {n: (d,) for n, d in DIMS.items()}
        assert factors.expression.min() >= 0
        assert factors.expression.max() <= 1
        assert not factors.expression[53:].any()
        assert factors.skin[SKIN_WEIGHTS].sum() == pytest.approx(1, abs=1e-5)
        assert factors.skin[BROW_STYLES].sum() == 1
        assert factors.skin[IRIS_WEIGHTS].sum() == 1
        assert 0 <= factors.skin[SHEEN] <= 1
        assert not factors.skin[SHEEN + 1 :].any()
        assert factors.hair[HAIR_STYLES].sum() in (0, 1)
        assert not factors.hair[14:].any()


def test_all_is_drawn_and_some_are_bald():
    styles = np.array([factors.hair[HAIR_STYLES] for factors in DRAWN])
    assert (styles.sum(axis=0) > 0).all()
    assert 0.03 < (styles.sum(axis=1) == 0).mean() < 0.15
    moved = np.array([factors.expression[:53] for factors in DRAWN])
    assert (moved > 0).any(axis=0).all()
    assert 0.02 < (moved.max(axis=1) == 0).mean() < 0.2


def test_eyes_turn_together_and_closed_lids_do_not_look_up():
    for factors in DRAWN:
        for side, other in (("Left", "Right"), ("Right", "Left")):
            assert _weight(factors, f"eyeLookOut{side}") == _weight(factors, f"eyeLookIn{other}")
        if _weight(factors, "eyeBlinkLeft") == 1:
            assert _weight(factors, "eyeLookUpLeft") == 0


def test_tints_and_hair_stay_natural():
    for factors in DRAWN:
        red, green, blue = tint_gain(factors.skin)
        assert 0.7 < red / green < 1.5
        assert 0.7 < green / blue < 1.4
        red, green, blue = factors.hair[HAIR_COLOUR]
        assert red > 0.8 * green > 0.6 * blue
    assert tint_gain(skin_code({0: 1.0})) == pytest.approx(1)


def test_faces_are_neither_black_nor_burnt():
    levels = np.array([irradiance(factors.light, FACE_NORMALS).mean() for factors in DRAWN])
    assert levels.min() > 0.25
    assert levels.max() < 1.6
    tinted = [irradiance(factors.light, FACE_NORMALS).mean(axis=0) for factors in DRAWN]
    assert max(colour.max() / colour.min() for colour in tinted) < 1.8


def test_warm_lamps_are_red_and_cold_ones_blue():
    warm, white, cold = kelvin(3000), kelvin(6500), kelvin(10000)
    assert white == pytest.approx([1, 1, 1])
    assert warm[0] > 1.2 > 0.6 > warm[2]
    assert cold[0] < 0.95 < 1.1 < cold[2]


def test_the_head_fills_the_frame():
    cameras = [factors.camera for factors in DRAWN]
    share = np.array([HEAD_HEIGHT * camera.focal / camera.distance for camera in cameras])
    assert share.min() >= 0.549
    assert share.max() <= 0.851
    assert max(abs(camera.yaw) for camera in cameras) > 75
    assert all(abs(camera.yaw) <= 90 and abs(camera.pitch) <= 40 for camera in cameras)
    assert all(12 <= camera.field_of_view <= 45 for camera in cameras)
    assert np.median([abs(camera.yaw) for camera in cameras]) < 35
