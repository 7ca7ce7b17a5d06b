from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.editing import controls
from faceeditor.errors import UserError
from faceeditor.faces.latents import Choice, as_code
from tests.tiny import SPACES, tiny_face

FACE = tiny_face(seed=3)


@given(st.floats(0, 2), st.floats(0, 2))
def test_a_slider_stands_where_it_was_put_and_others_stay(jaw, smile):
    face = controls.set_slider(FACE, SPACES, "expression.jawOpen", jaw)
    face = controls.set_slider(face, SPACES, "expression.mouthSmileLeft", smile)
    assert controls.value(face, SPACES, "expression.jawOpen") == pytest.approx(jaw, abs=1e-5)
    assert controls.value(face, SPACES, "expression.mouthSmileLeft") == pytest.approx(smile, abs=1e-5)
    assert controls.changed(face, FACE, SPACES) <= {"expression.jawOpen", "expression.mouthSmileLeft"}


def test_symmetry_moves_the_twin():
    face = controls.set_slider(FACE, SPACES, "expression.mouthSmileLeft", 0.7, symmetric=True)
    assert controls.value(face, SPACES, "expression.mouthSmileRight") == pytest.approx(0.7)


def test_lamps_have_no_symmetry():
    face = controls.set_slider(FACE, SPACES, "light.lampLeft", 1.5, symmetric=True)
    assert controls.changed(face, FACE, SPACES) == {"light.lampLeft"}


def test_the_norm_is_clamped_not_the_slider():
    face = controls.set_slider(FACE, SPACES, "identity.width", 50)
    assert np.linalg.norm(face.codes["identity"]) == pytest.approx(3.0, rel=1e-5)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("expression.jawOpn", "expression.jawOpen"),
        ("expresion.jawOpen", "expression.jawOpen"),
        ("jawopen", "expression.jawOpen"),
        ("nothing.like.it", "identity, expression, skin, light, hair"),
        ("identity.99", "identity"),
    ],
)
def test_an_unknown_name_is_answered_by_the_nearest(key, hint):
    with pytest.raises(UserError, match=hint):
        controls.set_slider(FACE, SPACES, key, 1.0)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("expression.jawOpen", "form"),
        ("expression.jawOpen=wide", "number"),
        ("expression.jawOpen=nan", "finite"),
        ("hair.style=bobb", "did you mean bob"),
        ("hair.style=x", "bald, afro, bob"),
    ],
)
def test_assignments_that_cannot_be_meant(assignment, words):
    with pytest.raises(UserError, match=words):
        controls.assign(FACE, SPACES, assignment)


def test_assignments_reach_sliders_choices_and_raw_components():
    face = FACE
    for text in ("expression.jawOpen=0.25", "hair.style=bald", "identity.3=-1.5"):
        face = controls.assign(face, SPACES, text)
    assert face.codes["expression"][0] == pytest.approx(0.25)
    assert controls.choice(face, SPACES, "hair.style") == "bald"
    assert face.codes["identity"][3] == pytest.approx(-1.5)


def test_reset_to_start_and_to_neutral():
    face = controls.assign(FACE, SPACES, "expression.jawOpen=1.5")
    face = controls.assign(face, SPACES, "hair.style=bald")
    one = controls.reset(face, SPACES, "expression.jawOpen", FACE)
    assert controls.value(one, SPACES, "expression.jawOpen") == pytest.approx(FACE.codes["expression"][0])
    assert controls.choice(one, SPACES, "hair.style") == "bald"
    assert np.array_equal(controls.reset(one, SPACES, "hair.style", FACE).codes["hair"], FACE.codes["hair"])
    everything = controls.reset(face, SPACES, "all", FACE)
    assert all(np.array_equal(everything.codes[name], FACE.codes[name]) for name in SPACES)
    neutral = controls.reset(face, SPACES, "all")
    assert not neutral.codes["expression"].any()
    assert controls.choice(neutral, SPACES, "hair.style") in ("afro", "bob")


@pytest.mark.parametrize(("none", "chosen"), [("bald", "bald"), (None, "bob")])
def test_neutral_is_the_mean_with_nothing_or_the_commonest_chosen(none, chosen):
    style = Choice("style", "identity", 2, ("afro", "bob"), none, "Hair", "Style")
    mean = as_code([0.1, 0.2, 0.3, 0.4])
    neutral = controls.neutral(replace(SPACES["identity"], mean=mean, choices=(style,)))
    assert style.read(neutral) == chosen
    assert set(neutral[2:]) <= {0.0, 1.0}
    assert np.array_equal(neutral[:2], mean[:2])


def test_random_codes_are_told_by_the_seed_alone_space_by_space():
    both = controls.randomise(FACE, SPACES, ["identity", "skin"], 5)
    skin = controls.randomise(FACE, SPACES, ["skin"], 5)
    assert np.array_equal(both.codes["skin"], skin.codes["skin"])
    assert np.array_equal(skin.codes["identity"], FACE.codes["identity"])
    assert not np.array_equal(
        controls.randomise(FACE, SPACES, ["identity"], 6).codes["identity"], both.codes["identity"]
    )
    with pytest.raises(UserError, match="no space"):
        controls.randomise(FACE, SPACES, ["mood"], 5)


def test_codes_of_another_size_are_refused():
    assert controls.check_codes(FACE, SPACES) is FACE
    with pytest.raises(UserError, match="another version"):
        controls.check_codes(FACE.with_code("skin", np.zeros(9)), SPACES)


def with_detail():
    """A face of a model that has fine detail, and its spaces."""
    detail = replace(SPACES["identity"], name="detail", directions=(), choices=())
    return FACE.with_code("detail", detail.mean), {**SPACES, "detail": detail}


def test_the_amount_of_detail_is_a_control_of_faces_that_have_some():
    face, spaces = with_detail()
    assert controls.value(face, spaces, "detail.amount") == 1.0
    less = controls.assign(face, spaces, "detail.amount=0.5")
    assert controls.value(less, spaces, "detail.amount") == 0.5
    assert less.codes["detail"] is face.codes["detail"]
    assert controls.changed(less, face, spaces) == {"detail.amount"}
    assert "detail.amount" in controls.keys(spaces)
    with pytest.raises(UserError, match=r"no control named detail\.amount"):
        controls.assign(FACE, SPACES, "detail.amount=0.5")


def test_an_amount_goes_back_to_the_start_and_to_neutral_and_leaves_the_texture_alone():
    face, spaces = with_detail()
    start = controls.set_slider(
        face.replace(refinement={"texture_srgb": np.zeros((2, 2, 3))}), spaces, "detail.amount", 0
    )
    more = controls.set_slider(start, spaces, "detail.amount", 1.5)
    for what in ("detail.amount", "detail", "all"):
        assert controls.value(controls.reset(more, spaces, what, start), spaces, "detail.amount") == 0
        neutral = controls.reset(more, spaces, what)
        assert set(neutral.refinement) == {"texture_srgb"}
