"""The shipped heads: one closed piece with hair, a mouth that opens, points traced back, landmarks in place."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from faceeditor.faces.landmarks import CHIN, LEFT_EYE_CORNER, NOSE_TIP, RIGHT_EYE_CORNER
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import load_model

NAME = "triplane-studio"
CELLS = 64


@pytest.fixture(scope="module")
def model():
    return load_model(NAME)


def person(model, seed=None, style="bald", **weights):
    """The mean person, or a random one, with a hair style and an expression."""
    space = model.spaces[IDENTITY]
    code = space.mean if seed is None else space.random(np.random.default_rng(seed))
    expression = np.zeros_like(model.spaces[EXPRESSION].mean)
    for name, weight in weights.items():
        expression[EXPRESSION_COMPONENTS.index(name)] = weight
    return {IDENTITY: space.choices[0].write(code, style), EXPRESSION: expression}


def whole(mesh):
    """The mesh with the vertices of its seam put together again."""
    _, first, number = np.unique(mesh.vertices.round(6), axis=0, return_index=True, return_inverse=True)
    return trimesh.Trimesh(mesh.vertices[first], number.reshape(-1)[mesh.faces], process=False)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_head_is_one_piece_of_a_heads_size(model, seed):
    codes = {IDENTITY: model.spaces[IDENTITY].random(np.random.default_rng(seed)), EXPRESSION: model.deformation.rest}
    surface = whole(model.extract({**codes, EXPRESSION: model.deformation.rest.numpy()}, CELLS))
    sizes = [len(piece.faces) for piece in surface.split(only_watertight=False)]
    assert max(sizes) > 0.95 * sum(sizes)
    width, height, depth = surface.extents
    assert 0.13 < width < 0.33
    assert 0.21 < height < 0.33
    assert 0.18 < depth < 0.33
    assert 0.003 < surface.volume < 0.012


def test_hair_has_volume(model):
    bald, *others = (
        whole(model.extract(person(model, style=style), CELLS)).volume for style in ("bald", "afro01", "bob01")
    )
    assert min(others) > 1.1 * bald


def test_the_jaw_opens_and_the_crown_stays(model):
    closed, open_ = (model.extract(person(model, jawOpen=amount), CELLS).vertices for amount in (0, 1))
    moved = np.linalg.norm(open_ - closed, axis=1)
    assert moved[closed[:, 1] > 0.08].max() < 0.002
    chin = model.landmarks(person(model))[CHIN]
    near = np.linalg.norm(closed - chin, axis=1) < 0.015
    assert (open_ - closed)[near, 1].mean() < -0.005


def test_landmarks_lie_on_the_face(model):
    codes = person(model, 3)
    landmarks, mesh = model.landmarks(codes), model.extract(codes, 128)
    away = cKDTree(mesh.vertices).query(landmarks)[0]
    assert np.median(away) < 0.004
    assert landmarks[NOSE_TIP, 2] > landmarks[CHIN, 2]
    assert 0.07 < landmarks[LEFT_EYE_CORNER, 0] - landmarks[RIGHT_EYE_CORNER, 0] < 0.12


def test_posed_points_are_traced_back_for_expressions_of_the_training(model):
    """At least 99 of 100 points on the surface, over many people and expressions."""
    random, arrived = np.random.default_rng(0), []
    for code in random.choice(model.spaces[EXPRESSION].examples, 6, replace=False):
        codes = {IDENTITY: model.spaces[IDENTITY].random(random), EXPRESSION: code}
        points = random.choice(model.extract(codes, CELLS).vertices, 500, replace=False)
        roots = model.traced(points, codes)
        arrived.append(roots.arrived.numpy())
        assert np.abs(model.sdf(points, codes))[arrived[-1]].mean() < 0.001
    assert np.mean(arrived) >= 0.99


def test_between_two_styles_the_face_is_as_with_either(model):
    styled = [person(model, style=style)[IDENTITY] for style in ("afro01", "bob01")]
    mesh = model.extract({**person(model), EXPRESSION: model.deformation.rest.numpy()}, CELLS)
    face = (mesh.vertices[:, 2] > 0.06) & (np.abs(mesh.vertices[:, 0]) < 0.03) & (mesh.vertices[:, 1] < 0.04)

    def away(identity):
        return np.median(np.abs(model.sdf_at_rest(mesh.vertices[face], {IDENTITY: identity})))

    assert face.sum() > 50
    assert away((styled[0] + styled[1]) / 2) < 1.2 * max(map(away, styled))
