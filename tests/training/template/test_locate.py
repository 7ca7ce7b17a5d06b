"""Points are found on triangles, in the plane and in space."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.template.locate import locate, nearest_weights
from training.template.measure import gap


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), dims=st.sampled_from([2, 3]))
def test_no_other_point_of_the_triangle_is_nearer(seed, dims):
    rng = np.random.default_rng(seed)
    triangle, point = rng.normal(size=(3, dims)), 2 * rng.normal(size=dims)
    weights = nearest_weights(point, triangle)
    assert (weights >= 0).all()
    assert abs(weights.sum() - 1) < 1e-9
    others = rng.dirichlet(np.ones(3), 3000) @ triangle
    assert np.linalg.norm(weights @ triangle - point) <= np.linalg.norm(others - point, axis=1).min() + 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_points_on_a_surface_are_found_there(seed):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(200, 1, 3)) + 0.1 * rng.normal(size=(200, 3, 3))
    chosen, weights = rng.integers(0, 200, 50), rng.dirichlet(np.ones(3), 50)
    points = np.einsum("nc,ncd->nd", weights, corners[chosen])
    triangle, found, distance = locate(points, corners, candidates=64)
    np.testing.assert_allclose(distance, 0, atol=1e-9)
    np.testing.assert_allclose(np.einsum("nc,ncd->nd", found, corners[triangle]), points, atol=1e-9)


def test_the_gap_of_two_plates_is_their_distance_in_millimetres():
    plate = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 1, 0], [0, 1, 0]]], float)
    found = gap(plate, np.add(plate, [0, 0, 0.002]))
    np.testing.assert_allclose(list(vars(found).values()), 2.0, rtol=1e-9)
