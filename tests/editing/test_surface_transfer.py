"""Transfers between surface faces of the shipped bundle change what they name and nothing else."""

import numpy as np
import pytest

from faceeditor.editing.transfer import transfer
from faceeditor.faces.face import TEXTURE, Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import load_model
from faceeditor.models.imface import DETAIL

FOREHEAD, MOUTH = 0.085, -0.02
"""Metres: above the brows' reach, and below the nose."""


@pytest.fixture(scope="module")
def model():
    return load_model("imface-studio")


def face(model, seed, texture, **expression):
    random = np.random.default_rng(seed)
    weights = np.zeros(model.spaces[EXPRESSION].dims, np.float32)
    for name, value in expression.items():
        weights[EXPRESSION_COMPONENTS.index(name)] = value
    codes = {
        IDENTITY: model.spaces[IDENTITY].random(random),
        EXPRESSION: as_code(weights),
        DETAIL: model.spaces[DETAIL].random(random),
    }
    return Face(f"face {seed}", model.name, codes, refinement={TEXTURE: np.full((8, 8, 3), texture, np.uint8)})


@pytest.fixture(scope="module")
def pair(model):
    return face(model, 1, 200, jawOpen=0.7, mouthSmileLeft=0.6, mouthSmileRight=0.6), face(model, 2, 40)


def moved_mm(model, before, after):
    first, second = (model.mesh(one.codes, one.refinement).vertices for one in (before, after))
    return first, 1000 * np.linalg.norm(second - first, axis=1)


def unchanged(before, after, *spaces):
    return all(np.array_equal(before.codes[space], after.codes[space]) for space in spaces)


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_expression_moves_the_mouth_and_leaves_the_forehead(model, pair, amount):
    source, target = pair
    result = transfer("expression", source, target, amount)
    assert unchanged(target, result, IDENTITY, DETAIL)
    assert np.array_equal(result.refinement[TEXTURE], target.refinement[TEXTURE])
    places, moved = moved_mm(model, target, result)
    front = places[:, 2] > 0.02
    still = front & (places[:, 1] > FOREHEAD)
    assert still.sum() > 50
    assert moved[still].max() < 0.3
    assert moved[front & (places[:, 1] < MOUTH)].max() > 8 * amount


def test_detail_changes_folds_alone(model, pair):
    source, target = pair
    result = transfer("detail", source, target, 1.0)
    assert unchanged(target, result, IDENTITY, EXPRESSION)
    assert np.array_equal(result.codes[DETAIL], source.codes[DETAIL])
    _, moved = moved_mm(model, target, result)
    assert 0.05 < moved.max() < 3


def test_texture_changes_colour_alone(model, pair):
    source, target = pair
    result = transfer("texture", source, target, 0.5)
    assert unchanged(target, result, IDENTITY, EXPRESSION, DETAIL)
    assert 40 < result.refinement[TEXTURE].mean() < 200
    assert moved_mm(model, target, result)[1].max() == 0
