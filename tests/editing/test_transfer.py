import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.editing.transfer import TRANSFERS, blend, mirror, transfer
from faceeditor.errors import UserError
from tests.tiny import SPACES, tiny_face

ANN = tiny_face("Ann", 1, refinement={"tint": np.full((2, 2), 4.0, np.float32)})
BEN = tiny_face("Ben", 2)


@pytest.mark.parametrize("what", TRANSFERS)
def test_all_of_a_part_arrives_exactly_and_nothing_else_changes(what):
    given_away = transfer(what, ANN, BEN)
    for space in SPACES:
        source = ANN if space == what else BEN
        assert np.array_equal(given_away.codes[space], source.codes[space])
    assert given_away.camera.yaw == (ANN if what == "pose" else BEN).camera.yaw
    assert ("tint" in given_away.refinement) == (what == "skin")


@given(st.floats(0, 1))
def test_the_amount_is_linear(amount):
    code = transfer("skin", ANN, BEN, amount).codes["skin"]
    expected = BEN.codes["skin"] + amount * (ANN.codes["skin"] - BEN.codes["skin"])
    assert code == pytest.approx(expected, abs=1e-5)


def test_half_a_skin_brings_half_the_refinement():
    assert transfer("skin", ANN, BEN, 0.5).refinement["tint"] == pytest.approx(np.full((2, 2), 2.0))


def test_no_amount_changes_nothing_exactly():
    for what in TRANSFERS:
        same = transfer(what, ANN, BEN, 0.0)
        assert all(np.array_equal(same.codes[space], BEN.codes[space]) for space in SPACES)
        assert same.camera == BEN.camera


def test_blend_meets_both_ends_exactly():
    for amount, end in ((0.0, ANN), (1.0, BEN)):
        face = blend(ANN, BEN, amount)
        assert all(np.array_equal(face.codes[space], end.codes[space]) for space in SPACES)
        assert face.camera == end.camera
        assert face.refinement.keys() == end.refinement.keys()


def test_mirror_twice_is_the_face_again_and_once_swaps_sides():
    once = mirror(ANN, SPACES)
    assert once.codes["expression"][1:3] == pytest.approx(ANN.codes["expression"][1:3][::-1])
    assert once.codes["light"].reshape(9, 3)[3] == pytest.approx(-ANN.codes["light"].reshape(9, 3)[3])
    assert once.camera.yaw == -ANN.camera.yaw
    twice = mirror(once, SPACES)
    assert all(twice.codes[space] == pytest.approx(ANN.codes[space], abs=1e-5) for space in SPACES)


def test_what_cannot_be_given_is_told():
    with pytest.raises(UserError, match="choose one of"):
        transfer("mood", ANN, BEN)
    with pytest.raises(UserError, match="finite"):
        transfer("skin", ANN, BEN, float("nan"))
    with pytest.raises(UserError, match="same model"):
        transfer("skin", ANN.replace(model="other"), BEN)
    with pytest.raises(UserError, match="share"):
        transfer("hair", ANN, BEN.with_code("hair", np.zeros(2)))
