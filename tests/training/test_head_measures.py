"""Section 5.3's measures, on spheres whose distances are known."""

import numpy as np
import pytest
import trimesh

from faceeditor.errors import UserError
from training.head_measures import Surface, compare

COUNT = 60_000


def sphere(radius, seed):
    ball = trimesh.creation.icosphere(5, radius)
    return Surface.of(ball.vertices, ball.faces, COUNT, seed)


def test_the_same_surface_is_as_far_as_its_points_are_apart():
    found = compare(sphere(0.1, 0), sphere(0.1, 1))
    apart = np.sqrt(4 * np.pi * 0.1**2 / COUNT) * 1000
    assert 0.5 * apart < found["chamfer_l1_mm"] < 2 * apart
    assert found["normal_consistency"] > 0.999


def test_both_directions_are_summed_in_l1():
    found = compare(sphere(0.06, 0), sphere(0.064, 1))
    # In L1 a plane is nearest along one axis: 4 mm, divided by the normal's largest component, either way.
    ways = np.abs(np.random.default_rng(0).normal(size=(100_000, 3)))
    assert found["chamfer_l1_mm"] == pytest.approx(
        2 * 4 * (np.linalg.norm(ways, axis=1) / ways.max(1)).mean(), rel=0.12
    )
    assert found["fscore_1mm"] == 0
    assert compare(sphere(0.03, 0), sphere(0.0303, 1))["fscore_1mm"] > 0.9


def test_what_is_missing_is_told_by_recall():
    whole = sphere(0.03, 0)
    half = whole.where(whole.points[:, 2] > 0)
    found = compare(half, sphere(0.03, 1))
    assert found["fscore_1mm"] == pytest.approx(2 * 1 * 0.5 / 1.5, abs=0.05)


def test_nothing_is_told_as_nothing():
    some = Surface(np.zeros((3, 3)), np.tile([0.0, 0.0, 1.0], (3, 1)))
    with pytest.raises(UserError, match="no surface to compare"):
        compare(some.where(np.zeros(3, bool)), some)
