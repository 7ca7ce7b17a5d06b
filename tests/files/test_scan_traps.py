"""Files that a mesh library reads as something else (docs/adr/0011-reading-scans.md), each read as it was meant."""

import base64
import json
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.files.scans import read_scan
from faceeditor.rendering.colour import linear_to_srgb8

CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
UV = [[0, 0], [1, 0], [0, 1]]
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
TEXTURED = f"{TRIANGLE}vt 0 0\nvt 1 0\nvt 0 1\nusemtl skin\nf 1/1 2/2 3/3\n"
HEADER = (
    "ply\nformat {form} 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\nproperty float z\n{more}"
    "element face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
)


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_scan(path)


def test_relative_indices_count_from_their_own_line(tmp_path):
    scan = read(tmp_path, "a.obj", f"{TRIANGLE}f -3 -2 -1\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf -3 -2 -1\n")
    assert scan.vertices[scan.faces][:, :, 2].tolist() == [[0, 0, 0], [5, 5, 5]]


def test_facet_normals_do_not_tear_an_obj(tmp_path):
    normals = "vn 0 0 1\nvn 0 0.1 1\n"
    scan = read(tmp_path, "a.obj", f"{TRIANGLE}v 1 1 0\n{normals}f 1//1 2//1 3//1\nf 2//2 4//2 3//2\n")
    assert len(scan.vertices) == 4
    assert scan.faces.tolist() == [[0, 1, 2], [1, 3, 2]]


def test_an_obj_keeps_colours_beside_a_texture(tmp_path):
    coloured = TEXTURED.replace("v 0 0 0", "v 0 0 0 1 0 0").replace("v 1 0 0", "v 1 0 0 0 1 0")
    scan = read(tmp_path, "a.obj", coloured.replace("v 0 1 0", "v 0 1 0 0 0 1"))
    assert scan.uv.tolist() == UV
    assert scan.colours_srgb.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize("libraries", ["mtllib none.mtl\nmtllib skin.mtl\n", "mtllib skin.mtl\n"])
def test_the_texture_of_an_obj_may_have_options_and_stand_in_a_second_library(tmp_path, libraries):
    Image.new("RGB", (3, 2), (9, 8, 7)).save(tmp_path / "skin.png")
    (tmp_path / "skin.mtl").write_text("newmtl skin\nmap_Kd -bm 1.0 skin.png\n")
    assert read(tmp_path, "a.obj", libraries + TEXTURED).texture_srgb.shape == (2, 3, 3)


def test_tabs_in_an_obj(tmp_path):
    assert read(tmp_path, "a.obj", f"{TRIANGLE}f 1 2 3\n".replace(" ", "\t")).faces.tolist() == [[0, 1, 2]]


def test_sixteen_bit_colours_and_texture_places_of_a_ply(tmp_path):
    more = (
        "".join(f"property ushort {name}\n" for name in ("red", "green", "blue"))
        + "property float s\nproperty float t\n"
    )
    rows = [struct.pack("<3f3H2f", *corner, 0, 65535, 32768, *uv) for corner, uv in zip(CORNERS, UV, strict=True)]
    header = HEADER.format(form="binary_little_endian", vertices=3, faces=1, more=more).encode()
    scan = read(tmp_path, "a.ply", header + b"".join(rows) + struct.pack("<B3i", 3, 0, 1, 2) + b"\n")
    assert scan.colours_srgb.tolist() == [[0, 255, 128]] * 3
    assert scan.uv.tolist() == UV


def test_lists_as_long_on_average_as_the_first_are_told_apart(tmp_path):
    """Four corners, then three, then five: a file as long as one of quads only."""
    points = [*CORNERS, [1, 1, 0], [2, 2, 0]]
    polygons = [[0, 1, 3, 2], [0, 1, 2], [0, 1, 4, 3, 2]]
    body = np.array(points, "<f4").tobytes() + b"".join(struct.pack(f"<B{len(p)}i", len(p), *p) for p in polygons)
    header = HEADER.format(form="binary_little_endian", vertices=5, faces=3, more="").encode()
    faces = read(tmp_path, "a.ply", header + body).faces.tolist()
    assert faces == [[0, 1, 3], [0, 3, 2], [0, 1, 2], [0, 1, 4], [0, 4, 3], [0, 3, 2]]


def test_doubles_in_the_text_of_a_ply_stay_exact(tmp_path):
    header = HEADER.format(form="ascii", vertices=3, faces=1, more="")
    scan = read(tmp_path, "a.ply", header + "0.1 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    assert scan.vertices[0, 0] == 0.1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.ply", HEADER.format(form="ascii", vertices=3, faces=2, more="") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"),
        ("cut.off", "OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"),
    ],
)
def test_text_with_fewer_faces_than_it_says_was_cut_off(tmp_path, name, content):
    with pytest.raises(UserError, match="cut off"):
        read(tmp_path, name, content)


def test_a_solid_may_be_called_after_its_vertices(tmp_path):
    rows = "".join(f"vertex {x} {y} {z}\n" for x, y, z in CORNERS)
    text = f"solid vertex_1\nfacet normal 0 0 1\nouter loop\n{rows}endloop\nendfacet\nendsolid vertex_1\n"
    assert read(tmp_path, "a.stl", text).vertices.tolist() == CORNERS


def gltf(attributes, *, mode=4, **more):
    """A glTF of one primitive with float ``attributes``, its numbers inside."""
    blobs = [np.asarray(values, "<f4").tobytes() for values in attributes.values()]
    uris = [f"data:application/octet-stream;base64,{base64.b64encode(blob).decode()}" for blob in blobs]
    widths = {2: "VEC2", 3: "VEC3"}
    kinds = [(len(values), widths[len(values[0])]) for values in attributes.values()]
    header = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(blob), "uri": uri} for blob, uri in zip(blobs, uris, strict=True)],
        "bufferViews": [{"buffer": n, "byteLength": len(blob)} for n, blob in enumerate(blobs)],
        "accessors": [
            {"bufferView": n, "componentType": 5126, "count": count, "type": kind}
            for n, (count, kind) in enumerate(kinds)
        ],
        "meshes": [{"primitives": [{"attributes": {name: n for n, name in enumerate(attributes)}, "mode": mode}]}],
        "nodes": [{"mesh": 0}],
    }
    header |= more
    if "materials" in more:
        header["meshes"][0]["primitives"][0]["material"] = 0
    return json.dumps(header)


def test_a_fan_of_a_gltf_without_a_scene(tmp_path):
    scan = read(tmp_path, "a.gltf", gltf({"POSITION": [*CORNERS, [-1, 1, 0]]}, mode=6))
    assert scan.faces.tolist() == [[1, 2, 0], [2, 3, 0]]


def test_a_mesh_below_a_camera(tmp_path):
    nodes = [{"children": [1], "camera": 0, "translation": [0, 0, 7]}, {"mesh": 0}]
    scan = read(tmp_path, "a.gltf", gltf({"POSITION": CORNERS}, nodes=nodes, scenes=[{"nodes": [0]}]))
    assert scan.vertices[:, 2].tolist() == [7, 7, 7]


def test_texture_places_of_a_gltf_without_a_material(tmp_path):
    scan = read(tmp_path, "a.gltf", gltf({"POSITION": CORNERS, "TEXCOORD_0": UV}))
    assert scan.uv.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_a_gltf_uses_the_texture_places_its_material_names(tmp_path):
    Image.new("RGB", (3, 2), (9, 8, 7)).save(tmp_path / "skin.png")
    look = {
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}}}],
        "textures": [{"source": 0}],
        "images": [{"uri": "skin.png"}],
    }
    places = {"TEXCOORD_0": [[0.5, 0.5]] * 3, "TEXCOORD_1": UV}
    scan = read(tmp_path, "a.gltf", gltf({"POSITION": CORNERS, **places}, **look))
    assert scan.uv.tolist() == [[0, 1], [1, 1], [0, 0]]
    assert scan.texture_srgb.shape == (2, 3, 3)


def test_colours_of_a_gltf_are_linear_light_and_keep_their_precision(tmp_path):
    linear = [[0.001, 0.01, 0.1], [0.2, 0.5, 0.9], [0, 0, 1]]
    scan = read(tmp_path, "a.gltf", gltf({"POSITION": CORNERS, "COLOR_0": linear}, materials=[{}]))
    assert scan.colours_srgb.tolist() == linear_to_srgb8(np.array(linear)).tolist()


def test_a_turn_of_a_node(tmp_path):
    nodes = [{"mesh": 0, "rotation": [0, 0, 0.5**0.5, 0.5**0.5], "scale": [2, 3, 4], "translation": [0, 0, 1]}]
    scan = read(tmp_path, "a.gltf", gltf({"POSITION": CORNERS}, nodes=nodes))
    np.testing.assert_allclose(scan.vertices, [[0, 0, 1], [0, 2, 1], [-3, 0, 1]], atol=1e-12)


@pytest.mark.parametrize("count", [10**8, 10**9])
def test_a_claim_without_bytes_takes_no_memory(tmp_path, count):
    header = json.loads(gltf({"POSITION": CORNERS}))
    header["accessors"] = [{"componentType": 5126, "count": count, "type": "VEC3"}]
    tracemalloc.start()
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path, "a.gltf", json.dumps(header))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
