"""Simplifying keeps borders, seams, textures and what bends, and never folds the surface."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.template.decimate import Simplifier

SIDE = 17


def grid(heights, seam=False):
    """A square sheet of SIDE x SIDE vertices at ``heights``; with a seam, the right half has wedges of its own."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    points = np.stack([x.ravel(), y.ravel(), heights.ravel()], axis=1) / (SIDE - 1)
    number = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (block.ravel() for block in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    triangles = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])
    corners, uv = triangles.copy(), points[:, :2].copy()
    if seam:
        right = points[triangles, 0].mean(axis=1) > 0.5
        corners[right] += len(points)
        uv = np.concatenate([uv, np.add(uv, [2.0, 0.0])])
    return points, triangles, corners, uv


def simplify(heights, target, *, poses=(), seam=False, locked=()):
    points, triangles, corners, uv = grid(heights, seam)
    work = Simplifier(
        poses=np.stack([points, *poses]),
        triangles=triangles,
        corners=corners,
        uv=uv,
        weight=np.ones(len(points)),
        locked=set(locked),
        labels=np.zeros(len(triangles), np.int64),
    )
    kept = work.run(target)
    return points, work.triangles[kept], work.corners[kept], uv


def area(points, triangles):
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a) / 2


def test_a_flat_sheet_keeps_its_outline_and_needs_few_vertices():
    points, triangles, _, _ = simplify(np.zeros((SIDE, SIDE)), 12)
    assert len(np.unique(triangles)) <= 30
    assert area(points, triangles)[:, 2].sum() == pytest.approx(1.0)
    assert (area(points, triangles)[:, 2] > 0).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), target=st.integers(40, 250), seam=st.booleans())
def test_any_sheet_stays_whole(seed, target, seam):
    heights = np.random.default_rng(seed).normal(0, 0.5, (SIDE, SIDE))
    points, triangles, corners, uv = simplify(heights, target, seam=seam)
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    lines, times = np.unique(edges, axis=0, return_counts=True)
    assert times.max() == 2
    assert len(np.unique(triangles)) - len(lines) + len(triangles) == 1
    flat = np.concatenate([uv, np.zeros((len(uv), 1))], axis=1)
    assert 0.9 < area(flat, corners)[:, 2].sum() < 1 + 1e-9
    assert (area(flat, corners)[:, 2] > 0).all()
    np.testing.assert_allclose(uv[corners] % 2, points[triangles][..., :2], atol=1e-12)


def test_locked_vertices_stay():
    locked = {40, 77, 150, 203}
    _, triangles, _, _ = simplify(np.zeros((SIDE, SIDE)), 20, locked=locked)
    assert locked <= set(np.unique(triangles).tolist())


def test_what_bends_in_another_pose_keeps_its_vertices():
    points, _, _, _ = grid(np.zeros((SIDE, SIDE)))
    bent = points.copy()
    left = points[:, 0] < 0.5
    bent[left, 2] = 0.1 * np.sin(12 * points[left, 0]) * np.sin(12 * points[left, 1])
    _, triangles, _, _ = simplify(np.zeros((SIDE, SIDE)), 90, poses=[bent])
    kept = np.unique(triangles)
    assert left[kept].sum() > 2 * (~left)[kept].sum()
