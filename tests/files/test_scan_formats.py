"""What formats of meshes allow and few writers do: fans, relative indices, corners, several textures."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from faceeditor.files.scans import read_scan
from tests.files.scan_files import polygon_ply


def test_polygons_of_many_corners_become_fans(tmp_path):
    """A cube of quads, one of them with an extra corner, as text and binary, and with 16-bit lengths."""
    points = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)] + [[0, 0.5, 0]]
    polygons = [[0, 1, 3, 2, 8], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 8, 2, 6, 4], [1, 5, 7, 3]]
    for form, lists in (("ascii", "uchar"), ("binary_little_endian", "uchar"), ("binary_little_endian", "ushort")):
        path = tmp_path / "box.ply"
        path.write_bytes(polygon_ply(points, polygons, form, lists))
        scan = read_scan(path)
        box = trimesh.Trimesh(scan.vertices, scan.faces, process=False)
        assert len(scan.faces) == 14
        assert box.is_winding_consistent
        assert box.volume == pytest.approx(1)
        assert box.area == pytest.approx(6)


def test_an_obj_with_relative_indices_and_corners_of_every_kind(tmp_path):
    (tmp_path / "a.obj").write_text(
        "o one\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 1 1 1\nf -4 -3 \\\n  -2 -1\n"
        "o two\nv 0 0 5 1 0 0\nv 1 0 5 0 1 0\nv 1 1 5 0 0 1\nvn 0 0 1\nvt 0 0\nf\t-3//-1 -2//-1 -1//-1\nf 1/1 2 7/1/1\n"
    )
    scan = read_scan(tmp_path / "a.obj")
    assert scan.faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [0, 1, 6]]
    assert scan.vertices[6].tolist() == [1, 1, 5]
    assert scan.colours_srgb[:4].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    assert scan.uv is None


def test_an_off_with_normals_colours_and_quads(tmp_path):
    (tmp_path / "a.off").write_text(
        "CNOFF # two faces\n5 2 0\n0 0 0 0 0 1 255 0 0 255\n1 0 0 0 0 1 0 9 0 255\n1 1 0 0 0 1 0 0 7 255\n\n"
        "0 1 0 0 0 1 1 2 3 255\n2 0.5 0 0 0 1 8 8 8 255\n4 0 1 2 3 0.5 0.5 0.5\n3 1 4 2\n"
    )
    scan = read_scan(tmp_path / "a.off")
    assert scan.faces.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
    assert scan.colours_srgb.tolist() == [[255, 0, 0], [0, 9, 0], [0, 0, 7], [1, 2, 3], [8, 8, 8]]
    assert scan.normals.tolist() == [[0, 0, 1]] * 5
    assert scan.vertices[4].tolist() == [2, 0.5, 0]


def test_a_ply_finds_its_texture_by_corners(tmp_path):
    """MeshLab's way: places in the texture belong to corners, the picture's name to a comment."""
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(tmp_path / "my skin.png")
    header = (
        "ply\nformat ascii 1.0\ncomment TextureFile my skin.png\nelement vertex 4\nproperty float x\nproperty float y\n"
        "property float z\nelement face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\n"
        "end_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 6 0 0 1 0 1 1\n3 0 2 3 6 0 0 0.5 0.5 0 1\n"
    )
    (tmp_path / "square.ply").write_text(header)
    scan = read_scan(tmp_path / "square.ply")
    assert len(scan.vertices) == 5  # the corner at (1, 1) lies in two places of the texture
    assert scan.uv[scan.faces].tolist() == [[[0, 0], [1, 0], [1, 1]], [[0, 0], [0.5, 0.5], [0, 1]]]
    assert scan.vertices[scan.faces][1].tolist() == [[0, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert scan.texture_srgb.ravel().tolist() == list(range(12))


def test_two_textures_become_one(tmp_path):
    """Every vertex keeps the colour it had in its own picture."""
    colours = {"red": (200, 10, 10), "blue": (10, 10, 200)}
    lines = ["mtllib head.mtl"]
    for number, (name, colour) in enumerate(colours.items()):
        Image.new("RGB", (4 + number, 8 - number), colour).save(tmp_path / f"{name}.png")
        lines += [f"v {number} 0 0", f"v {number + 1} 0 0", f"v {number} 1 0", "vt 0.1 0.1", "vt 0.9 0.1", "vt 0.1 2.9"]
        lines += [f"usemtl {name}", "f " + " ".join(f"{3 * number + i}/{3 * number + i}" for i in (1, 2, 3))]
    (tmp_path / "head.mtl").write_text("".join(f"newmtl {name}\nmap_Kd {name}.png\n" for name in colours))
    (tmp_path / "head.obj").write_text("\n".join(lines))
    scan = read_scan(tmp_path / "head.obj")
    height, width, _ = scan.texture_srgb.shape
    for corners, uv in zip(scan.vertices[scan.faces], scan.uv[scan.faces], strict=True):
        seen = scan.texture_srgb[((1 - uv[:, 1]) * height).astype(int), (uv[:, 0] * width).astype(int)]
        expected = colours["red" if corners[:, 0].max() == 1 else "blue"]
        assert (seen == expected).all()
