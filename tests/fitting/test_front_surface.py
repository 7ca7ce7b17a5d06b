"""The pseudo-watertight front: known shapes have known distances, hidden and missing surfaces are told apart."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from faceeditor.fitting.front_surface import FrontSurface, NoSurface


def ball(radius=0.6, centre=(0, 0, 0), subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    return np.asarray(mesh.vertices + np.array(centre), float), np.asarray(mesh.faces)


def joined(*meshes):
    vertices, faces, start = [], [], 0
    for points, triangles in meshes:
        vertices.append(points)
        faces.append(triangles + start)
        start += len(points)
    return np.concatenate(vertices), np.concatenate(faces)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 0.7), st.integers(0, 1000))
def test_distances_to_the_front_of_a_ball_are_those_of_the_ball(radius, seed):
    front = FrontSurface.of(*ball(radius))
    random = np.random.default_rng(seed)
    away = random.normal(size=(300, 3))
    away[:, 2] = np.abs(away[:, 2]) + np.linalg.norm(away[:, :2], axis=1)
    points = away / np.linalg.norm(away, axis=1, keepdims=True) * random.uniform(0.6, 1.4, (300, 1)) * radius
    distance, gradient = front.signed_distance(points, front.tree(random))
    assert np.abs(distance - (np.linalg.norm(points, axis=1) - radius)).max() < 0.01 * radius
    outwards = points / np.linalg.norm(points, axis=1, keepdims=True)
    apart = np.abs(distance) > 0.05 * radius
    assert (gradient * outwards).sum(1)[apart].min() > 0.98


def test_what_is_hidden_is_left_out():
    front = FrontSurface.of(*joined(ball(0.6), ball(0.3, (0, 0, 0.1))))
    assert np.abs(np.linalg.norm(front.vertices, axis=1) - 0.6).max() < 1e-6
    assert front.vertices[:, 2].min() > 0
    assert not front.bridge[np.linalg.norm(front.vertices[front.faces].mean(1)[:, :2], axis=1) < 0.5].any()


def test_holes_are_bridged_and_said_to_be():
    vertices, faces = ball(subdivisions=5)
    middle = vertices[faces].mean(1)
    hole = (np.linalg.norm(middle[:, :2], axis=1) < 0.2) & (middle[:, 2] > 0)
    front = FrontSurface.of(vertices, faces[~hole])
    across = np.linalg.norm(front.corners.mean(1)[:, :2], axis=1)
    assert front.bridge[across < 0.15].all()
    assert not front.bridge[(across > 0.25) & (across < 0.5)].any()
    assert front._before(np.array([[0.0, 0.0, 0.7], [0.0, 0.0, 0.3]]), np.ones((2, 3))).tolist() == [True, False]


def test_a_cloud_has_a_front_too():
    vertices, _ = ball(subdivisions=5)
    seen = vertices[vertices[:, 2] > 0]
    front = FrontSurface.of(seen, None)
    distance, _ = front.signed_distance(np.array([[0, 0, 0.7], [0, 0, 0.5]]), front.tree(np.random.default_rng(0)))
    assert distance == pytest.approx([0.1, -0.1], abs=0.01)


@pytest.mark.parametrize("height", [0.0, 5.0])
def test_too_little_is_refused(height):
    with pytest.raises(NoSurface):
        FrontSurface.of(np.array([[0.0, 0, height], [0.1, 0, height], [0, 0.1, height]]), np.array([[0, 1, 2]]))
