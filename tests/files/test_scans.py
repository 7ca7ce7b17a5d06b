"""Every kind of scan is read as it was written."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from faceeditor.faces.mesh import Mesh
from faceeditor.files.meshes import write_mesh
from faceeditor.files.provenance import Provenance
from faceeditor.files.scans import read_scan
from faceeditor.rendering.colour import srgb_to_linear
from tests.files.scan_files import MESHES, write

MARK = Provenance(bundle_hash="ab" * 32, codes_hash="cd" * 32)


@pytest.fixture(scope="module")
def written(head, tmp_path_factory):
    """The head's file of each kind."""
    folder = tmp_path_factory.mktemp("heads")
    return {kind: write(head, folder, kind) for kind in MESHES}


def turned(faces):
    """Faces, each beginning with its least vertex, in a fixed order."""
    first = faces.argmin(axis=1)
    faces = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1)
    return faces[np.lexsort(faces.T)]


@pytest.mark.parametrize("kind", MESHES)
def test_a_head_is_read_as_it_was_written(head, written, kind):
    scan = read_scan(written[kind])
    assert scan.vertices.dtype == np.float64
    assert scan.faces.dtype == np.int32
    off, same = cKDTree(head.vertices).query(scan.vertices)
    assert off.max() < (0.02 if kind == "draco.glb" else 1e-3)
    assert np.array_equal(np.sort(same), np.arange(len(head.vertices)))
    assert np.array_equal(turned(same[scan.faces]), turned(head.faces))


@pytest.mark.parametrize("kind", [kind for kind in MESHES if kind not in ("stl", "ascii.stl", "draco.glb")])
def test_vertices_keep_their_order(head, written, kind):
    np.testing.assert_allclose(read_scan(written[kind]).vertices, head.vertices, atol=1e-3)


@pytest.fixture
def painted(head):
    """The head with its own texture, normals and a UV for each vertex."""
    points = np.asarray(head.vertices, np.float32)
    uv = (points[:, :2] - points[:, :2].min(axis=0)) / np.ptp(points[:, :2], axis=0)
    texture = np.random.default_rng(0).integers(0, 256, (16, 32, 3), np.uint8)
    return Mesh(points, np.asarray(head.faces, np.int32), uv, np.asarray(head.vertex_normals, np.float32), texture)


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".ply"])
def test_our_own_exports_come_back_with_texture_places_and_normals(painted, tmp_path, suffix):
    write_mesh(tmp_path / f"head{suffix}", painted, MARK)
    scan = read_scan(tmp_path / f"head{suffix}")
    np.testing.assert_allclose(scan.vertices, painted.vertices, atol=1e-3)
    np.testing.assert_allclose(scan.uv, painted.uv, atol=1e-5)
    np.testing.assert_allclose(scan.normals, painted.normals, atol=1e-4)
    assert np.array_equal(scan.faces, painted.faces)
    if suffix != ".ply":  # has no room for a picture
        assert np.array_equal(scan.texture_srgb, painted.texture_srgb)


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_colours_of_vertices(head, tmp_path, suffix):
    colours = np.random.default_rng(1).integers(0, 256, (len(head.vertices), 4), np.uint8)
    colours[:, 3] = 255
    mesh = trimesh.Trimesh(head.vertices, head.faces, vertex_colors=colours, process=False)
    mesh.export(tmp_path / f"head.{suffix}")
    scan = read_scan(tmp_path / f"head.{suffix}")
    if suffix == "glb":  # its colours are linear light (glTF 2.0, section 3.7.2.1)
        np.testing.assert_allclose(srgb_to_linear(scan.colours_srgb / 255) * 255, colours[:, :3], atol=1.5)
    else:
        assert np.abs(scan.colours_srgb.astype(int) - colours[:, :3]).max() <= 1
