"""Similarities of space."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from faceeditor.faces.similarity import Similarity

SEEDS = st.integers(0, 2**32 - 1)


def any_similarity(random):
    rotation = Rotation.random(random_state=int(random.integers(2**31))).as_matrix()
    return Similarity(float(np.exp(random.normal(0, 3))), rotation, random.normal(0, 10, 3))


@given(SEEDS)
def test_a_fit_finds_the_similarity_that_was_applied(seed):
    random = np.random.default_rng(seed)
    true, source = any_similarity(random), random.normal(size=(8, 3))
    found = Similarity.fit(source, true.to_head(source), random.uniform(0.1, 1, 8))
    np.testing.assert_allclose(found.to_head(source), true.to_head(source), atol=1e-9 * true.scale + 1e-9)
    np.testing.assert_allclose(found.rotation, true.rotation, atol=1e-9)


def test_a_fit_never_mirrors():
    source = np.random.default_rng(0).normal(size=(10, 3))
    found = Similarity.fit(source, source * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_points_without_weight_do_not_count():
    random = np.random.default_rng(1)
    true, source = any_similarity(random), random.normal(size=(6, 3))
    target = true.to_head(source)
    target[0] += 100
    found = Similarity.fit(source, target, np.r_[0.0, np.ones(5)])
    assert found.scale == pytest.approx(true.scale)


def test_points_on_a_line_leave_a_turn_open():
    line = np.arange(5.0)[:, None] * [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="line"):
        Similarity.fit(line, line)


@given(SEEDS)
def test_inverse_and_composition(seed):
    random = np.random.default_rng(seed)
    first, second, points = any_similarity(random), any_similarity(random), random.normal(size=(5, 3))
    scale = 1 + first.scale * second.scale
    np.testing.assert_allclose(
        first.then(second).to_head(points), second.to_head(first.to_head(points)), rtol=1e-9, atol=1e-9 * scale
    )
    np.testing.assert_allclose(first.inverse().to_head(first.to_head(points)), points, atol=1e-8 / first.scale + 1e-8)
    np.testing.assert_allclose(first.then(first.inverse()).rotation, np.eye(3), atol=1e-12)


def test_json_brings_it_back():
    true = any_similarity(np.random.default_rng(3))
    document = json.loads(json.dumps(true.document()))
    assert set(document) == {"scale", "rotation", "translation"}
    assert len(document["rotation"]) == 9
    found = Similarity.from_document(document)
    assert found.scale == true.scale
    np.testing.assert_array_equal(found.rotation, true.rotation)
    np.testing.assert_array_equal(found.translation, true.translation)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": -1},
        {"scale": float("nan")},
        {"rotation": [1, 0, 0, 0, 1, 0, 0, 0, -1]},
        {"rotation": [1, 0, 0]},
        {"rotation": [2, 0, 0, 0, 2, 0, 0, 0, 2]},
        {"translation": [0, 0, float("inf")]},
        {"translation": None},
    ],
)
def test_what_is_no_similarity_is_refused(change):
    document = Similarity.identity().document() | change
    with pytest.raises(ValueError, match="similarity"):
        Similarity.from_document(document)
