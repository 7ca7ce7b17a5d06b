from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.editing.transfer import blend, mirror, mixed_srgb, parts_of, transfer
from faceeditor.errors import UserError
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from tests.tiny import SPACES, tiny_face

ANN = tiny_face("Ann", 1, refinement={"tint": np.full((2, 2), 4.0, np.float32)})
BEN = tiny_face("Ben", 2)
LOOKS = ("identity", "expression", "skin", "light", "hair", "pose")


@pytest.mark.parametrize("what", LOOKS)
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
    for what in LOOKS:
        same = transfer(what, ANN, BEN, 0.0)
        assert all(np.array_equal(same.codes[space], BEN.codes[space]) for space in SPACES)
        assert same.camera == BEN.camera


def test_shape_is_another_word_for_identity():
    assert np.array_equal(transfer("shape", ANN, BEN).codes["identity"], ANN.codes["identity"])


@given(st.floats(-180, 180), st.floats(-180, 180), st.floats(0, 1))
def test_a_pose_is_given_the_shorter_way(start, end, amount):
    ann = ANN.replace(camera=ANN.camera.replace(yaw=end, pitch=-20.0, roll=end))
    ben = BEN.replace(camera=BEN.camera.replace(yaw=start, pitch=10.0, roll=start, distance=1.3))
    camera = transfer("pose", ann, ben, amount).camera
    whole = (end - start + 180) % 360 - 180
    for angle in (camera.yaw, camera.roll):
        assert abs(angle - start) <= 180 * amount + 1e-6
        assert np.cos(np.radians(angle - start - amount * whole)) == pytest.approx(1, abs=1e-9) or abs(whole) == 180
    assert camera.pitch == pytest.approx(10 - 30 * amount)
    assert camera.distance == 1.3


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hair", (("hair", 0.7),)),
        ("hair, pose", (("hair", 0.7), ("pose", 0.7))),
        ("hair=0.5,pose=1,shape", (("hair", 0.5), ("pose", 1.0), ("shape", 0.7))),
    ],
)
def test_several_parts_have_amounts_of_their_own(text, parts):
    assert parts_of(text, 0.7) == parts


@pytest.mark.parametrize("text", ["hair=much", "hair="])
def test_an_amount_that_is_no_number_is_told(text):
    with pytest.raises(UserError, match="hair needs an amount"):
        parts_of(text)


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


def test_a_light_that_is_not_made_of_harmonics_is_not_mirrored():
    spaces = {**SPACES, "light": replace(SPACES["light"], directions=())}
    assert mirror(ANN, spaces).codes["light"] == pytest.approx(ANN.codes["light"])


def surface_face(name, seed, **refinement):
    """A face of a surface model, as a scan gives it."""
    random = np.random.default_rng(seed)
    codes = {space: as_code(random.normal(size=8)) for space in ("identity", "expression", "detail")}
    return Face(name, "imface-studio", codes, refinement=refinement)


def picture(seed, size=8):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


CAL, DEB = surface_face("Cal", 3, texture_srgb=picture(0)), surface_face("Deb", 4, texture_srgb=picture(1))


@pytest.mark.parametrize("what", ["identity", "expression", "detail", "texture"])
def test_a_part_of_a_surface_changes_and_nothing_else(what):
    for amount in (0.25, 1.0):
        given = transfer(what, CAL, DEB, amount)
        for space, code in DEB.codes.items():
            expected = code + amount * (CAL.codes[space] - code) if space == what else code
            assert given.codes[space] == pytest.approx(expected, abs=1e-6)
        assert np.array_equal(given.refinement["texture_srgb"], DEB.refinement["texture_srgb"]) == (what != "texture")


def test_textures_are_mixed_in_linear_light():
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert abs(int(mixed_srgb(black, white, 0.5)[0, 0, 0]) - 188) <= 1
    assert np.array_equal(mixed_srgb(picture(0), picture(1), 1.0), picture(1))
    assert mixed_srgb(picture(0, 16), picture(1, 8), 0.5).shape == (16, 16, 3)


def test_a_face_without_a_texture_takes_one_and_cannot_give_one():
    bare = surface_face("Bare", 5)
    assert np.array_equal(transfer("texture", CAL, bare, 0.5).refinement["texture_srgb"], picture(0))
    assert "texture_srgb" not in transfer("texture", CAL, bare, 0.0).refinement
    with pytest.raises(UserError, match="no texture"):
        transfer("texture", bare, CAL)


def test_how_much_detail_shows_travels_with_the_detail():
    faint = CAL.replace(refinement={"detail_amount": np.float32(0.5)})
    assert transfer("detail", faint, DEB, 1.0).refinement["detail_amount"] == pytest.approx(0.5)
    assert transfer("detail", faint, DEB, 0.5).refinement["detail_amount"] == pytest.approx(0.75)
    assert "detail_amount" not in transfer("expression", faint, DEB, 1.0).refinement


def test_faces_between_two_textures_have_both():
    half = blend(CAL, DEB, 0.5)
    assert np.array_equal(half.refinement["texture_srgb"], mixed_srgb(picture(0), picture(1), 0.5))
    assert np.array_equal(blend(CAL, surface_face("Bare", 5), 0.5).refinement["texture_srgb"], picture(0))


def test_what_cannot_be_given_is_told():
    with pytest.raises(UserError, match="choose one of"):
        transfer("mood", ANN, BEN)
    with pytest.raises(UserError, match="finite"):
        transfer("skin", ANN, BEN, float("nan"))
    with pytest.raises(UserError, match="same model"):
        transfer("skin", ANN.replace(model="other"), BEN)
    with pytest.raises(UserError, match="share"):
        transfer("hair", ANN, BEN.with_code("hair", np.zeros(2)))
