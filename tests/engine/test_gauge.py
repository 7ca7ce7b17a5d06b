import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.engine.gauge import Gauge
from faceeditor.faces.mesh import Mesh

BALL = trimesh.creation.icosphere(subdivisions=4, radius=0.08)
NORMALS = (BALL.vertices / 0.08).astype(np.float32)


def scan_of(radius, count=30_000, seed=0):
    ways = np.random.default_rng(seed).normal(size=(count, 3))
    return (radius * ways / np.linalg.norm(ways, axis=1, keepdims=True)).astype(np.float32)


def ball():
    return Mesh(BALL.vertices.astype(np.float32), BALL.faces.astype(np.int32), normals=NORMALS)


@given(st.floats(-4, 4), st.integers(0, 3))
def test_distances_are_signed_and_free_of_the_points_spacing(away_mm, seed):
    found = Gauge().distances_mm(ball(), scan_of(0.08 - away_mm / 1000, seed=seed))
    assert np.isfinite(found).all()
    assert np.abs(found - away_mm).max() < 0.15


def test_where_the_scan_has_nothing_there_is_no_distance():
    points = scan_of(0.08)
    found = Gauge().distances_mm(ball(), points[points[:, 2] > 0])
    front = BALL.vertices[:, 2] > 0.01
    back = BALL.vertices[:, 2] < -0.02
    assert np.isfinite(found[front]).all()
    assert np.isnan(found[back]).all()


def test_another_scan_is_measured_anew():
    gauge = Gauge()
    first = gauge.distances_mm(ball(), scan_of(0.08))
    second = gauge.distances_mm(ball(), scan_of(0.079))
    assert np.nanmean(second - first) == pytest.approx(1.0, abs=0.05)


def test_a_handful_of_points_is_enough():
    found = Gauge().distances_mm(ball(), NORMALS[:2] * np.float32(0.08))
    assert np.isfinite(found).sum() >= 2
    assert np.abs(found[np.isfinite(found)]).max() < 0.5
