"""Sliders, choices and codes: what is set is read back, what must stay within bounds does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from faceeditor.faces.latents import Choice, Direction, Space, as_code, interpolate

DIMS = 6
CODES = arrays(np.float32, DIMS, elements=st.floats(-4, 4, width=32))
VALUES = st.floats(-3, 3, width=32)


def slider(name, vector, reader):
    return Direction(name, "shape", as_code(vector), as_code(reader), -3, 3, "Group", name)


def space(norm_limit=None, gaussian=True, scale=1.0):
    """A space with two skew sliders, each read by the dual basis so that neither moves the other."""
    vectors = np.array([[1, 0.5, 0, 0, 0, 0], [0.2, 1, -1, 0, 0, 0]])
    readers = np.linalg.pinv(vectors).T
    return Space(
        name="shape",
        label="Shape",
        mean=as_code([0.5, -0.5, 0, 1, 2, 0]),
        scale=as_code(np.full(DIMS, scale)),
        low=as_code(np.full(DIMS, -4)),
        high=as_code(np.full(DIMS, 4)),
        factor=np.eye(DIMS, 4, dtype=np.float32),
        examples=np.arange(3 * DIMS, dtype=np.float32).reshape(3, DIMS),
        gaussian=gaussian,
        norm_limit=norm_limit,
        directions=tuple(slider(f"s{i}", vectors[i], readers[i]) for i in range(2)),
    )


@given(CODES, VALUES, VALUES)
def test_sliders_read_back_what_was_set_and_leave_each_other_alone(code, first, second):
    shape = space()
    one, two = shape.directions
    moved = shape.moved(shape.moved(code, one, first), two, second)
    assert shape.value(moved, one) == pytest.approx(first, abs=1e-4)
    assert shape.value(moved, two) == pytest.approx(second, abs=1e-4)
    assert np.array_equal(moved[3:], code[3:])
    assert shape.value(shape.mean, one) == 0


@given(CODES, VALUES)
def test_moving_back_restores_the_code(code, value):
    shape = space()
    one = shape.directions[0]
    back = shape.moved(shape.moved(code, one, value), one, shape.value(code, one))
    assert back == pytest.approx(code, abs=1e-4)


@given(CODES, st.floats(0.5, 3), st.floats(0.5, 2))
def test_the_norm_is_clamped_and_the_direction_kept(code, limit, scale):
    shape = space(limit, scale=scale)
    offset, clamped = code - shape.mean, shape.clamp(code) - shape.mean
    length = np.linalg.norm(offset / shape.scale)
    assert np.linalg.norm(clamped / shape.scale) <= limit * (1 + 1e-5)
    assert clamped == pytest.approx(offset * min(1, limit / max(length, 1e-9)), abs=1e-5)
    assert shape.clamp(shape.clamp(code)) == pytest.approx(shape.clamp(code), abs=1e-5)


@given(CODES)
def test_without_a_limit_a_code_stays(code):
    assert np.array_equal(space().clamp(code), code)


def test_codes_are_copies_that_cannot_be_changed():
    values = np.zeros(3)
    code = as_code(values)
    values[0] = 1
    assert code.dtype == np.float32
    assert code[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        code[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        space().clamp(np.ones(DIMS, np.float32))[0] = 2


def test_random_codes_follow_the_covariance_or_are_examples():
    shape = space()
    drawn = np.stack([shape.random(np.random.default_rng(seed)) for seed in range(2000)])
    assert drawn.mean(0) == pytest.approx(shape.mean, abs=0.1)
    assert np.cov(drawn.T) == pytest.approx(shape.factor @ shape.factor.T, abs=0.15)
    examples = space(gaussian=False)
    assert examples.random(np.random.default_rng(0)).tolist() in examples.examples.tolist()
    assert np.array_equal(shape.random(np.random.default_rng(7)), shape.random(np.random.default_rng(7)))


@pytest.mark.parametrize("none", ["bald", None])
def test_random_codes_choose_one_option_as_often_as_the_mean_says(none):
    weights = np.eye(3)[[0] * 5 + [1] * 3 + [2] * 2][:, : 3 if none is None else 2]
    names = ("afro", "bob", "curls")[: weights.shape[1]]
    mean = space().mean.copy()
    mean[: len(names)] = weights.mean(0)
    shape = replace(
        space(norm_limit=3.0), mean=as_code(mean), choices=(Choice("style", "hair", 0, names, none, "", ""),)
    )
    drawn = np.stack([shape.random(np.random.default_rng(seed)) for seed in range(2000)])[:, : len(names)]
    assert set(drawn.ravel()) == {0.0, 1.0}
    assert drawn.mean(0) == pytest.approx(weights.mean(0), abs=0.05)
    assert np.cov(drawn.T, bias=True) == pytest.approx(np.cov(weights.T, bias=True), abs=0.03)


@pytest.mark.parametrize("none", ["bald", None])
def test_a_mixture_is_told_by_its_pure_codes(none):
    choice = Choice("style", "hair", 1, ("afro", "bob"), none, "Hair", "Style")
    ends = [choice.write(as_code(np.ones(4)), option) for option in ("afro", none or "bob")]
    shares = choice.pure(as_code(0.25 * ends[0] + 0.75 * ends[1]))
    assert [share for share, _ in shares] == pytest.approx([0.25, 0.75])
    assert all(np.array_equal(code, end) for (_, code), end in zip(shares, ends, strict=True))
    ((share, code),) = choice.pure(ends[0])
    assert share == 1
    assert np.array_equal(code, ends[0])


@pytest.mark.parametrize("none", ["bald", None])
def test_a_choice_is_exclusive_and_read_back(none):
    choice = Choice("style", "hair", 2, ("afro", "bob", "long"), none, "Hair", "Style")
    code = as_code([9, 9, 0.2, 0.5, 0.3, 9])
    assert choice.read(code) == "bob"
    for number, option in enumerate(choice.options):
        written = choice.write(code, option)
        assert choice.read(written) == option
        assert written[2:5].tolist() == np.eye(3)[number].tolist()
        assert written[[0, 1, 5]].tolist() == [9, 9, 9]
    with pytest.raises(ValueError, match=r"x not in|not in"):
        choice.write(code, "mohawk")


def test_no_option_is_an_option_where_it_has_a_name():
    choice = Choice("style", "hair", 0, ("afro", "bob"), "bald", "Hair", "Style")
    shaved = choice.write(as_code([1, 0, 5]), "bald")
    assert shaved.tolist() == [0, 0, 5]
    assert choice.read(shaved) == "bald"


def test_keys_name_the_space():
    assert space().directions[0].key == "shape.s0"
    assert Choice("style", "hair", 0, ("a",), None, "", "").key == "hair.style"


@given(CODES, CODES, st.floats(0, 1))
def test_interpolation_meets_both_ends_and_lies_between(first, second, amount):
    between = interpolate({"a": first}, {"a": second}, amount)["a"]
    assert between == pytest.approx((1 - amount) * first + amount * second, abs=1e-5)
    assert np.array_equal(interpolate({"a": first}, {"a": second}, 0)["a"], first)
