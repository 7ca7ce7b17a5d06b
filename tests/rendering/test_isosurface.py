"""The sparse surface is the dense one, for far fewer evaluations."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from faceeditor.rendering.isosurface import _CLEAR, extract, measured_lipschitz

LOW, HIGH = (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)


def sphere(points, radius=0.7):
    return np.linalg.norm(points, axis=1) - radius


def torus(points):
    ring = np.hypot(points[:, 0], points[:, 2]) - 0.6
    return np.hypot(ring, points[:, 1]) - 0.06


def spheres(centres, radii):
    def nearest(points):
        return np.min([np.linalg.norm(points - c, axis=1) - r for c, r in zip(centres, radii, strict=True)], axis=0)

    return nearest


def box(points, half=(0.73, 0.51, 0.021)):
    """By default a plate thinner than two cells of a grid of 64."""
    beyond = np.abs(points) - np.float32(half)
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


def sheet(points):
    """A wavy shell that the border cuts on four sides; its gradient is steeper than 1."""
    height = points[:, 1] - 0.2 * np.sin(5 * points[:, 0]) * np.cos(4 * points[:, 2])
    return np.abs(height) - 0.05


GENERATOR = np.random.default_rng(0)
SHAPES = {
    "sphere": sphere,
    "torus": torus,
    "many": spheres(GENERATOR.uniform(-0.8, 0.8, (30, 3)).astype(np.float32), GENERATOR.uniform(0.04, 0.12, 30)),
    "touching": spheres(np.float32([[-0.3, 0, 0], [0.3, 0, 0], [0, 0.52, 0]]), [0.3, 0.3, 0.3]),
    "plate": box,
    "cut ball": lambda points: sphere(points, 1.2),
    "cut sheet": sheet,
    "outside in": lambda points: -sphere(points, 0.5),
}


def dense(sdf, low, high, resolution):
    """Marching cubes on every corner of the grid, the values kept as far from zero: where an edge grazes the surface
    that moves a vertex by hundredths of a cell.
    """
    cell = max(np.subtract(high, low)) / resolution
    axes = [a + cell * np.arange(int((b - a) / cell + 1e-6) + 1) for a, b in zip(low, high, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    field = sdf(places.reshape(-1, 3).astype(np.float32)).reshape(places.shape[:3])
    field = np.where(field <= 0, np.minimum(field / cell, -_CLEAR), np.maximum(field / cell, _CLEAR))
    vertices, faces, _, _ = marching_cubes(field, 0)
    return vertices * cell + low, faces, field.size


def counted(sdf):
    calls = []

    def watched(points):
        assert points.dtype == np.float32
        calls.append(len(points))
        return sdf(points)

    return watched, calls


def steepness(sdf, low=LOW, high=HIGH):
    return measured_lipschitz(sdf, low, high)


def check_same(found, vertices, faces, cell):
    """The same triangles in the same places, as seen from both sides."""
    assert len(found.faces) == len(faces)
    assert len(found.vertices) == len(vertices)
    there, here = cKDTree(found.vertices).query(vertices)[0], cKDTree(vertices).query(found.vertices)[0]
    assert max(there.max(initial=0), here.max(initial=0)) < 0.02 * cell
    ours = trimesh.Trimesh(found.vertices, found.faces, process=False)
    theirs = trimesh.Trimesh(vertices, faces, process=False)
    assert ours.is_watertight == theirs.is_watertight
    assert ours.is_winding_consistent
    assert ours.euler_number == theirs.euler_number
    assert ours.volume == pytest.approx(theirs.volume, rel=1e-3, abs=cell**3)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("resolution", [48, 64, 75])
def test_it_is_the_dense_surface(name, resolution):
    sdf = SHAPES[name]
    found = extract(sdf, LOW, HIGH, resolution, steepness(sdf))
    vertices, faces, _ = dense(sdf, LOW, HIGH, resolution)
    assert len(faces) > 500
    check_same(found, vertices, faces, 2 / resolution)


@pytest.mark.parametrize("levels", [(16, 4, 2), (8, 2), (8, 4, 2, 1), (4,), (16,)])
def test_any_levels_give_the_same_surface(levels):
    found = extract(torus, LOW, HIGH, 50, 1.05, levels=levels)
    vertices, faces, _ = dense(torus, LOW, HIGH, 50)
    check_same(found, vertices, faces, 2 / 50)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 12),
    resolution=st.integers(8, 56),
    sides=st.tuples(*[st.floats(0.4, 1.0)] * 3),
)
def test_unions_of_spheres_in_any_box(seed, count, resolution, sides):
    random = np.random.default_rng(seed)
    sdf = spheres(random.uniform(-0.9, 0.9, (count, 3)).astype(np.float32), random.uniform(0.02, 0.5, count))
    low, high = tuple(-side for side in sides), tuple(sides)
    watched, calls = counted(sdf)
    found = extract(watched, low, high, resolution, 1.001)
    assert sum(calls) == found.evaluations
    try:
        vertices, faces, _ = dense(sdf, low, high, resolution)
    except (ValueError, RuntimeError):  # no surface in the box
        assert len(found.faces) == 0
        return
    check_same(found, vertices, faces, 2 * max(sides) / resolution)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**31), length=st.integers(6, 24))
def test_waves_of_a_few_cells_that_are_no_distance(seed, length):
    """Surfaces everywhere, bent as closely as ``length`` cells from crest to crest allow."""
    random, resolution = np.random.default_rng(seed), 40
    ways = random.normal(size=(12, 3))
    ways *= np.pi * resolution / length * random.uniform(0.3, 1, (12, 1)) / np.linalg.norm(ways, axis=1, keepdims=True)
    ways, phases = ways.astype(np.float32), random.uniform(0, 2 * np.pi, 12).astype(np.float32)

    def sdf(points):
        return np.cos(points @ ways.T + phases).sum(axis=1) * np.float32(length / resolution)

    found = extract(sdf, LOW, HIGH, resolution, steepness(sdf))
    vertices, faces, _ = dense(sdf, LOW, HIGH, resolution)
    check_same(found, vertices, faces, 2 / resolution)


@pytest.mark.parametrize(("resolution", "times"), [(64, 5), (128, 12)])
def test_far_fewer_evaluations(resolution, times):
    watched, calls = counted(sphere)
    found = extract(watched, LOW, HIGH, resolution, 1.1)
    assert sum(calls) == found.evaluations < (resolution + 1) ** 3 / times
    assert max(calls) <= 4096
    assert len(found.faces) > resolution**2 * 4


def test_points_are_asked_for_only_within_the_box():
    low, high = (-1.0, -0.71, -0.33), (0.8, 0.9, 0.35)
    reached = []

    def watched(points):
        reached.append((points.min(axis=0), points.max(axis=0)))
        return sphere(points)

    extract(watched, low, high, 61, 1.01)
    lows, highs = zip(*reached, strict=True)
    assert (np.min(lows, axis=0) >= np.subtract(low, 1e-6)).all()
    assert (np.max(highs, axis=0) <= np.add(high, 1e-6)).all()


def test_faces_look_outwards():
    found = extract(sphere, LOW, HIGH, 40, 1.01)
    corners = found.vertices[found.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((across * corners.mean(axis=1)).sum(axis=1) > 0).mean() > 0.999


def test_corners_that_lie_on_the_surface():
    """Values of exactly zero: the plane of a grid, and a box whose sides are planes of the grid."""
    for sdf in (lambda points: points[:, 1], lambda points: box(points, (0.5, 0.25, 0.75))):
        found = extract(sdf, LOW, HIGH, 32, 1.01)
        assert (np.abs(sdf(found.vertices)) < 1e-3).all()
        mesh = trimesh.Trimesh(found.vertices, found.faces, process=False)
        assert mesh.is_winding_consistent
    assert mesh.is_watertight


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_nothing_where_nothing_is(value):
    found = extract(lambda points: np.full(len(points), 9 * value, np.float32), LOW, HIGH, 64, 1.0)
    assert found.faces.shape == (0, 3)
    assert found.vertices.shape == (0, 3)
    assert found.evaluations == 64


def test_too_small_a_bound_is_seen_by_the_dense_check():
    """The check above can fail: a field steeper than it is said to be gets holes."""
    found = extract(lambda points: 4 * sphere(points), LOW, HIGH, 64, 1.0)
    _, faces, _ = dense(sphere, LOW, HIGH, 64)
    assert len(found.faces) < len(faces)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        extract(lambda points: sphere(points) * np.float32(np.nan), LOW, HIGH, 32, 1.0)


@given(slope=st.floats(0.1, 5), turn=st.integers(0, 2**31))
@settings(max_examples=20)
def test_the_steepest_gradient_is_measured(slope, turn):
    direction = np.random.default_rng(turn).normal(size=3).astype(np.float32)
    direction *= np.float32(slope) / np.linalg.norm(direction)
    assert measured_lipschitz(lambda points: points @ direction, LOW, HIGH, samples=64) == pytest.approx(
        1.1 * slope, rel=1e-2
    )


def test_a_bend_that_is_steep_in_one_place_is_found():
    bound = steepness(sheet)
    assert 1.3 < bound / 1.1 < np.sqrt(1 + 1.0**2 + 0.8**2)
