"""A face's own surface, extracted: never a hole, cut to where the field knows it, with the template's places."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.extraction import extract_face, face_extraction
from faceeditor.models.imface import DETAIL
from tests.plain_face import plain_face
from tests.rendering.test_isosurface import dense

CODES = {name: np.zeros(160, np.float32) for name in (IDENTITY, EXPRESSION, DETAIL)}


@pytest.fixture(scope="module")
def model():
    return plain_face()


def test_the_measured_bound_leaves_no_hole(model):
    """In the ball the sparse surface is, triangle for triangle, the dense grid's: no block was skipped wrongly."""
    task = face_extraction(model, CODES)
    found = task.sparse(48)
    vertices, faces, count = dense(task.sdf, task.low, task.high, 48)
    assert found.evaluations < count / 6
    sparse, whole = inside(found.vertices, found.faces, task), inside(vertices, faces, task)
    assert len(sparse) == len(whole) > 1000
    np.testing.assert_allclose(cKDTree(whole).query(sparse)[0].max(), 0, atol=1e-5)


def inside(vertices, faces, task):
    """The middles of the triangles that lie in the model's ball."""
    corners = vertices[faces]
    away = np.linalg.norm(corners - np.array(task.centre), axis=2).max(1)
    return corners[away < task.radius].mean(1)


def test_a_face_is_cut_to_its_region_and_lies_on_the_field(model):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    mesh = extract_face(model, CODES, 40, {"texture_srgb": picture}, textured=True)
    centre = np.array(model.config.origin)
    assert len(mesh.faces) > 500
    assert np.linalg.norm(mesh.vertices - centre, axis=1).max() < 0.1
    assert np.abs(model.sdf(mesh.vertices, CODES)).max() < 0.001
    assert mesh.texture_srgb is picture
    template = model.mesher.template
    mean, uv = template.mean[template.render_vertex].numpy(), template.uv.numpy()
    distance, nearest = cKDTree(mean).query(mesh.vertices)
    close = distance < 0.002
    assert close.sum() > 10
    assert np.median(np.linalg.norm(mesh.uv - uv[nearest], axis=1)[close]) < 0.02


@pytest.mark.parametrize("resolution", [0, 15, 513])
def test_a_resolution_out_of_reach_is_one_sentence(model, resolution):
    with pytest.raises(UserError, match="between 16 and 512"):
        extract_face(model, CODES, resolution)
