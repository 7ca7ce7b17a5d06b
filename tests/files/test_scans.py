"""Every kind of scan is read as it was written, and whatever is wrong with a file is said in one sentence."""

import io
import json
import struct
import tempfile
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import DracoPy
import numpy as np
import OpenEXR
import pytest
import torch
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.spatial import cKDTree

from faceeditor.errors import UserError
from faceeditor.faces.mesh import Mesh
from faceeditor.files.depth import Intrinsics
from faceeditor.files.meshes import write_mesh
from faceeditor.files.provenance import Provenance
from faceeditor.files.scans import LEAST_POINTS, read_scan
from faceeditor.models.bundle import load_model
from faceeditor.rendering.colour import srgb_to_linear

MARK = Provenance(bundle_hash="ab" * 32, codes_hash="cd" * 32)
MESHES = ["obj", "ply", "ascii.ply", "big.ply", "stl", "ascii.stl", "off", "glb", "gltf", "draco.glb"]


@pytest.fixture(scope="module")
def head():
    """A person's head, its vertices moved to another unit and place."""
    template = load_model("template-studio")
    generator = torch.Generator().manual_seed(1)
    vertices = template.vertices(torch.randn(1, 100, generator=generator), torch.zeros(1, 53))[0]
    faces = template.shape_faces[: template.parts["skin"][1]].numpy()
    used, faces = np.unique(faces, return_inverse=True)
    points = vertices.numpy()[used] * 1000 + np.float32([5, 1600, -30])
    return trimesh.Trimesh(points, faces.reshape(-1, 3), process=False)


@pytest.fixture(scope="module")
def written(head, tmp_path_factory):
    """The head's file of each kind."""
    folder = tmp_path_factory.mktemp("heads")
    return {kind: write(head, folder, kind) for kind in MESHES}


def write(mesh, folder, kind):
    path = folder / f"head.{kind}"
    if kind == "draco.glb":
        path.write_bytes(draco(mesh.vertices, mesh.faces))
    elif kind == "big.ply":
        path.write_bytes(big_ply(mesh.vertices, mesh.faces))
    elif kind == "ascii.ply":
        path.write_bytes(trimesh.exchange.ply.export_ply(mesh, encoding="ascii"))
    elif kind == "ascii.stl":
        path.write_text(trimesh.exchange.stl.export_stl_ascii(mesh))
    else:
        mesh.export(path)
    return path


def big_ply(vertices, faces, lists=("uchar", "int")):
    header = (
        f"ply\nformat binary_big_endian 1.0\nelement vertex {len(vertices)}\nproperty double x\nproperty double y\n"
        f"property double z\nelement face {len(faces)}\nproperty list {' '.join(lists)} vertex_index\nend_header\n"
    )
    rows = np.zeros(len(faces), [("count", ">u1"), ("corners", ">i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    return header.encode() + np.asarray(vertices, ">f8").tobytes() + rows.tobytes()


def draco(vertices, faces, **claims):
    stream = DracoPy.encode(np.asarray(vertices, np.float32), np.asarray(faces, np.uint32), quantization_bits=16)
    header = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_draco_mesh_compression"],
        "extensionsRequired": ["KHR_draco_mesh_compression"],
        "buffers": [{"byteLength": len(stream)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(stream)}],
        "accessors": [
            {"componentType": 5126, "count": len(vertices), "type": "VEC3", "min": [0] * 3, "max": [1] * 3},
            {"componentType": 5125, "count": len(faces) * 3, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [primitive(draco=True)]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    return glb(header, stream)


def primitive(*, draco=False):
    packed = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    return {"attributes": {"POSITION": 0}, "indices": 1, **({"extensions": packed} if draco else {})}


def glb(header, blob):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    blob += b"\0" * (-len(blob) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


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


def polygon_ply(points, polygons, form, lists):
    header = (
        f"ply\nformat {form} 1.0\ncomment made by hand\nobj_info none\nelement vertex {len(points)}\n"
        "property float x\nproperty float y\nproperty float z\nproperty uchar quality\n"
        f"element face {len(polygons)}\nproperty list {lists} int vertex_indices\nproperty short flags\nend_header\n"
    ).encode()
    if form == "ascii":
        rows = [f"{x} {y} {z} 7" for x, y, z in points]
        rows += [f"{len(polygon)} {' '.join(map(str, polygon))} -3" for polygon in polygons]
        return header + "\n".join(rows).encode()
    length = {"uchar": "B", "ushort": "H"}[lists]
    body = b"".join(struct.pack("<3fB", *point, 7) for point in points)
    for polygon in polygons:
        body += struct.pack(f"<{length}{len(polygon)}ih", len(polygon), *polygon, -3)
    return header + body


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


def test_two_textures_become_one(painted, tmp_path):
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


def test_nodes_of_a_glb_place_their_meshes(head, tmp_path):
    """Turned, scaled, moved and mirrored, one in the other; the mirror image is not inside out."""
    inner = trimesh.transformations.compose_matrix(scale=[2, -1, 0.5], angles=[0.3, -0.2, 1.0], translate=[5, 6, 7])
    outer = trimesh.transformations.compose_matrix(angles=[1.0, 0.4, -0.7], translate=[-50, 0, 9])
    scene = trimesh.Scene()
    scene.add_geometry(head, node_name="plain", geom_name="head")
    scene.graph.update("hand", matrix=outer)
    scene.add_geometry(head, node_name="held", geom_name="again", parent_node_name="hand", transform=inner)
    scene.export(tmp_path / "two.glb")
    scan = read_scan(tmp_path / "two.glb")
    half = len(head.vertices)
    moved = trimesh.transformations.transform_points(head.vertices, outer @ inner)
    pairs = {0: (scan.vertices[:half], scan.vertices[half:]), 1: (scan.vertices[half:], scan.vertices[:half])}
    first = 0 if np.abs(pairs[0][0] - head.vertices).max() < 1 else 1
    np.testing.assert_allclose(pairs[first][0], head.vertices, atol=1e-3)
    np.testing.assert_allclose(pairs[first][1], moved, atol=1e-2)
    ends = trimesh.Trimesh(scan.vertices, scan.faces, process=False).split(only_watertight=False)
    assert ends is not None
    signs = [np.sign(piece.volume) for piece in ends if abs(piece.volume) > 1e5]
    assert len(set(signs)) == 1


def test_sparse_and_quantised_numbers_of_a_glb(tmp_path):
    """Positions as 16-bit whole numbers that a node scales, one of them changed by a sparse list; a strip."""
    places = np.array([[0, 0, 0, 0], [10, 0, 0, 0], [0, 10, 0, 0], [10, 10, 0, 0]], "<i2")
    uv = np.array([[0, 0], [255, 0], [0, 255], [255, 255]], np.uint8)
    blob = places.tobytes() + np.pad(uv, [(0, 0), (0, 2)]).tobytes() + b"\x03\0\0\0"
    blob += np.array([20, 30, 5, 0], "<i2").tobytes()
    views = [(0, 32, 8), (32, 16, 4), (48, 1, None), (52, 6, None)]
    header = {
        "asset": {"version": "2.0"},
        "extensionsRequired": ["KHR_mesh_quantization"],
        "buffers": [{"byteLength": len(blob)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": size, **({"byteStride": stride} if stride else {})}
            for start, size, stride in views
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5122,
                "count": 4,
                "type": "VEC3",
                "sparse": {
                    "count": 1,
                    "indices": {"bufferView": 2, "componentType": 5121},
                    "values": {"bufferView": 3},
                },
            },
            {"bufferView": 1, "componentType": 5121, "normalized": True, "count": 4, "type": "VEC2"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "mode": 5}]}],
        "nodes": [{"mesh": 0, "scale": [0.1, 0.1, 0.1], "translation": [0, 0, 1]}],
        "scenes": [{"nodes": [0]}],
    }
    (tmp_path / "strip.glb").write_bytes(glb(header, blob))
    scan = read_scan(tmp_path / "strip.glb")
    np.testing.assert_allclose(scan.vertices, [[0, 0, 1], [1, 0, 1], [0, 1, 1], [2, 3, 1.5]])
    np.testing.assert_allclose(scan.uv, [[0, 1], [1, 1], [0, 0], [1, 0]])
    assert scan.faces.tolist() == [[0, 1, 2], [1, 3, 2]]


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


CAMERA = Intrinsics(300.0, 320.0, 79.5, 59.5)


def ball_depth(radius=0.1, away=0.6):
    """A ball before a wall, seen by ``CAMERA``, in metres; the picture's first column is not seen."""
    row, column = np.indices((120, 160))
    ray = np.stack([(column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy, np.ones(row.shape)], axis=-1)
    a, b, c = (ray**2).sum(-1), -2 * away * ray[..., 2], away**2 - radius**2
    root = b**2 - 4 * a * c
    depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / (2 * a), 1.2)
    depth[:, 0] = 0
    return depth


def exr(channels):
    """The bytes of an EXR file with these (H, W) ``channels``."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    planes = {name: np.ascontiguousarray(plane, np.float32) for name, plane in channels.items()}
    with tempfile.NamedTemporaryFile(suffix=".exr") as place, OpenEXR.File(header, planes) as file:
        file.write(place.name)
        return Path(place.name).read_bytes()


@pytest.mark.parametrize("kind", ["mm.png", "tenths.png", "m.npy", "mm.npy", "nan.npy", "z.exr", "grey.exr"])
def test_a_depth_picture_becomes_a_surface(tmp_path, kind):
    depth, path = ball_depth(), tmp_path / kind
    camera = {"fx": CAMERA.fx, "fy": CAMERA.fy, "cx": CAMERA.cx, "cy": CAMERA.cy}
    if kind == "tenths.png":
        Image.fromarray(np.rint(depth * 1e4).astype(np.uint16)).save(path)
        camera = {"K": [[300, 0, 79.5], [0, 320, 59.5], [0, 0, 1]], "unit": 1e-4}
    elif path.suffix == ".exr":
        channels = {"Z": depth} if kind == "z.exr" else {"Y": np.where(depth, depth, np.inf)}
        path.write_bytes(exr(channels))
    elif kind == "mm.png":
        Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(path)
    else:
        np.save(path, (depth * 1000).astype(np.uint16) if kind == "mm.npy" else np.where(depth, depth, np.nan))
    (tmp_path / f"{path.stem}.json").write_text(json.dumps(camera))
    scan = read_scan(path)
    centre, corners = np.array([0, 0, -0.6]), scan.vertices[scan.faces]
    on_ball = scan.vertices[:, 2] > -0.8
    np.testing.assert_allclose(np.linalg.norm(scan.vertices[on_ball] - centre, axis=1), 0.1, atol=2e-3)
    assert np.ptp(corners[..., 2], axis=1).max() < 0.1  # no triangle joins the ball and the wall
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (across[:, 2] > 0).all()
    assert scan.vertices[on_ball, 1].max() > 0.09  # upright, and the ball is whole
    assert (scan.vertices[:, 0] > -1.2 * 79.5 / 300 + 1e-3).all()
    assert not scan.viewpoint.any()


def test_a_camera_may_be_given(tmp_path):
    np.save(tmp_path / "face.npy", ball_depth())
    assert len(read_scan(tmp_path / "face.npy", CAMERA).faces) > 1000


@pytest.mark.parametrize(
    ("depth", "told"),
    [
        (np.zeros((120, 160)), "a depth in 0 of its 19200 pixels"),
        (np.full((120, 160), np.nan), "a depth in 0 of its 19200 pixels"),
        (np.pad([[0.6]], ((60, 59), (80, 79))), "a depth in 1 of its 19200 pixels"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".png", ".exr"])
def test_a_frame_without_depths_says_so(tmp_path, depth, told, suffix):
    path = tmp_path / f"frame{suffix}"
    if suffix == ".npy":
        np.save(path, depth)
    elif suffix == ".png":
        Image.fromarray(np.rint(np.nan_to_num(depth) * 1000).astype(np.uint16)).save(path)
    else:
        path.write_bytes(exr({"Z": depth}))
    with pytest.raises(UserError, match=told):
        read_scan(path, CAMERA)


def test_an_exr_without_depths_says_where_they_are_looked_for(tmp_path):
    (tmp_path / "frame.exr").write_bytes(exr({"N.X": ball_depth()}))
    with pytest.raises(UserError, match="Z, Y and R"):
        read_scan(tmp_path / "frame.exr", CAMERA)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fx": 3.0}, "No camera sees 176 degrees, as fx = 3 says"),
        ({"fy": 3e6}, "No camera sees 0.00229 degrees, as fy = 3e[+]06 says"),
        ({"cx": 4000.0}, "principal point [(]4000, 59.5[)] is far outside"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(tmp_path, changes, told):
    np.save(tmp_path / "frame.npy", ball_depth())
    with pytest.raises(UserError, match=told):
        read_scan(tmp_path / "frame.npy", replace(CAMERA, **changes))


def bad_ply(head, **counts):
    text = big_ply(head.vertices, head.faces)
    for name, count in counts.items():
        old = len(head.vertices) if name == "vertex" else len(head.faces)
        text = text.replace(f"element {name} {old}".encode(), f"element {name} {count}".encode())
    return text


def gltf_claim(count):
    header = {
        "asset": {"version": "2.0"},
        "accessors": [{"componentType": 5126, "count": count, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    return glb(header, b"")


def ball_with(value):
    mesh = trimesh.creation.icosphere(2)
    mesh.vertices[7, 1] = value
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def out_of_range():
    vertices, faces = ball_with(0.0)
    faces[3, 1] = len(vertices)
    return big_ply(vertices, faces)


def cyclic():
    nodes = [{"children": [1]}, {"children": [0], "mesh": 0}]
    return glb({"asset": {"version": "2.0"}, "nodes": nodes, "scenes": [{"nodes": [0]}], "meshes": []}, b"")


BAD = {
    "empty.obj": lambda head: b"",
    "nothing.obj": lambda head: b"# nothing\n",
    "nothing.ply": lambda head: b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n",
    "nan.ply": lambda head: big_ply(*ball_with(np.nan)),
    "infinite.ply": lambda head: big_ply(*ball_with(np.inf)),
    "immense.ply": lambda head: big_ply(*ball_with(1e200)),
    "nan.obj": lambda head: b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "point.obj": lambda head: b"v 1 1 1\n" * 3 + b"f 1 2 3\n",
    "range.obj": lambda head: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n",
    "range.ply": lambda head: out_of_range(),
    "cut.ply": lambda head: big_ply(head.vertices, head.faces)[:-500],
    "cut.stl": lambda head: head.export(file_type="stl")[:-500],
    "cut2.stl": lambda head: trimesh.exchange.stl.export_stl_ascii(head)[:-500].encode(),
    "cut.glb": lambda head: head.export(file_type="glb")[:-500],
    "cut.off": lambda head: head.export(file_type="off")[:-500].encode(),
    "half.glb": lambda head: head.export(file_type="glb")[:30],
    "two.ply": lambda head: (
        b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n0 0 0\n1 1 1\n"
    ),
    "two.xyz": lambda head: b"0 0 0\n1 1 1\n",
    "claim.ply": lambda head: bad_ply(head, vertex=3 * 2**30),
    "claim2.ply": lambda head: bad_ply(head, face=10**15),
    "claim.glb": lambda head: gltf_claim(10**9),
    "claim.stl": lambda head: b"\0" * 80 + b"\xff\xff\xff\xff" + b"\0" * 500,
    "claim.npy": lambda head: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 3), }".ljust(117)
        + b"\n"
        + b"\0" * 300
    ),
    "pickle.npy": lambda head: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (100, 3), }".ljust(117)
        + b"\n\x80\x04K\x01."
    ),
    "text.glb": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.ply": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.stl": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.off": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.xyz": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.npy": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "text.exr": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "cut.exr": lambda head: exr({"Z": ball_depth()})[:-500],
    "text.png": lambda head: b"Dear artist, this is a letter.\n" * 50,
    "binary.obj": lambda head: bytes(range(256)) * 20,
    "cyclic.glb": lambda head: cyclic(),
    "packed.glb": lambda head: glb(
        {"asset": {"version": "2.0"}, "extensionsRequired": ["EXT_meshopt_compression"]}, b""
    ),
    "deep.gltf": lambda head: b"[" * 200_000,
    "head.blend": lambda head: b"BLENDER",
    "nocamera.npy": lambda head: npy(ball_depth()),
}


def npy(table):
    stream = io.BytesIO()
    np.save(stream, table)
    return stream.getvalue()


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_sentence(head, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name](head))
    started = time.monotonic()
    tracemalloc.start()
    with pytest.raises(UserError) as told:
        read_scan(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert time.monotonic() - started < 5
    assert path.stem in str(told.value)
    assert "\n" not in str(told.value)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize("name", ["cut.ply", "cut.stl", "cut2.stl", "cut.off", "cut.glb", "claim.ply", "claim.stl"])
def test_what_was_cut_off_is_called_so(head, tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name](head))
    with pytest.raises(UserError, match="cut off"):
        read_scan(tmp_path / name)


@pytest.mark.parametrize("camera", ["", "[]", "{}", '{"fx": 0, "fy": 1, "cx": 1, "cy": 1}', '{"K": [1, 2]}'])
def test_a_camera_that_is_none(tmp_path, camera):
    (tmp_path / "face.json").write_text(camera)
    np.save(tmp_path / "face.npy", ball_depth())
    with pytest.raises(UserError, match="face.json"):
        read_scan(tmp_path / "face.npy")


def test_names_in_a_file_lead_nowhere_else(tmp_path):
    """Neither out of the scan's folder, nor to the network, nor to a decoder that starts programs."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (2, 2)).save(secret)
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "trick.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    for name in (
        "../secret.png",
        str(secret),
        "https://example.com/a.png",
        "file:///etc/passwd",
        "trick.png",
        "none.png",
    ):
        (folder / "a.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
        (folder / "a.obj").write_text(
            "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl a\nf 1/1 2/2 3/3\n"
        )
        scan = read_scan(folder / "a.obj")
        assert scan.texture_srgb is None
        assert len(scan.faces) == 1
    (folder / "b.gltf").write_text(json.dumps({**json.loads('{"asset": {"version": "2.0"}}'), **outside()}))
    with pytest.raises(UserError):
        read_scan(folder / "b.gltf")


def outside():
    """A glTF whose numbers are said to lie in another folder."""
    return {
        "buffers": [{"byteLength": 36, "uri": "../secret.png"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small ball's file of each kind, as bytes."""
    folder = tmp_path_factory.mktemp("small")
    ball = trimesh.creation.icosphere(2)
    ball.visual.vertex_colors = np.full((len(ball.vertices), 4), 90, np.uint8)
    return folder, {kind: write(ball, folder, kind).read_bytes() for kind in MESHES}


@settings(max_examples=150)
@given(kind=st.sampled_from(MESHES), data=st.data())
def test_damaged_bytes_give_a_scan_or_one_sentence(small, kind, data):
    folder, files = small
    content = bytearray(files[kind])
    head_or_all = data.draw(st.sampled_from([min(800, len(content)), len(content)]))
    for place in data.draw(st.lists(st.integers(0, head_or_all - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content))) :]
    path = folder / f"damaged.{kind}"
    path.write_bytes(content)
    started = time.monotonic()
    with suppress(UserError):
        scan = read_scan(path)
        assert np.isfinite(scan.vertices).all()
        assert scan.faces is None or (scan.faces.min() >= 0 and scan.faces.max() < len(scan.vertices))
    assert time.monotonic() - started < 5
