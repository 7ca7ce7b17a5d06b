"""Clouds of points with colours and normals."""

import numpy as np
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from faceeditor.files.scans import LEAST_POINTS, read_scan

CLOUDS = arrays.arrays(
    np.float64, st.tuples(st.integers(LEAST_POINTS, 300), st.just(3)), elements=st.floats(-1e6, 1e6, width=32)
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=CLOUDS, separator=st.sampled_from([" ", "\t", ", ", ";"]), heading=st.sampled_from(["", "x y z\n", "# 3\n"])
)
def test_clouds(tmp_path, points, separator, heading):
    points[0] += [1, 2, 3]
    colours = np.random.default_rng(len(points)).integers(0, 256, points.shape)
    colours[0] = 200
    text = "\n".join(separator.join(map(repr, row)) for row in np.hstack([points, colours]).tolist())
    (tmp_path / "cloud.xyz").write_text(heading + text)
    np.save(tmp_path / "cloud.npy", points)
    trimesh.PointCloud(points, colors=colours.astype(np.uint8)).export(tmp_path / "cloud.ply")
    for name, limit in (("cloud.xyz", 0), ("cloud.npy", 0), ("cloud.ply", 0.1)):
        scan = read_scan(tmp_path / name)
        assert scan.faces is None
        np.testing.assert_allclose(scan.vertices, points, atol=limit)
        if name != "cloud.npy":
            assert np.array_equal(scan.colours_srgb, colours)


def test_normals_of_a_cloud_are_told_from_colours(tmp_path):
    points = np.random.default_rng(0).normal(size=(200, 3))
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    colours = np.random.default_rng(1).integers(0, 256, (200, 3))
    for order in ((points, normals, colours), (points, colours, normals)):
        np.savetxt(tmp_path / "cloud.xyz", np.hstack(order))
        scan = read_scan(tmp_path / "cloud.xyz")
        np.testing.assert_allclose(scan.normals, normals)
        assert np.array_equal(scan.colours_srgb, colours)
