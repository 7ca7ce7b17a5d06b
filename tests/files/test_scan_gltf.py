"""glTF scenes: nodes that place their meshes, sparse and quantised numbers."""

import numpy as np
import trimesh

from faceeditor.files.scans import read_scan
from tests.files.scan_files import glb


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
