"""Files of scans, written byte by byte: for tests of what is read from them."""

import io
import json
import struct
import tempfile
from pathlib import Path

import DracoPy
import numpy as np
import OpenEXR
import trimesh

from faceeditor.files.depth import Intrinsics

MESHES = ["obj", "ply", "ascii.ply", "big.ply", "stl", "ascii.stl", "off", "glb", "gltf", "draco.glb"]

CAMERA = Intrinsics(300.0, 320.0, 79.5, 59.5)


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


def exr(channels):
    """The bytes of an EXR file with these (H, W) ``channels``."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    planes = {name: np.ascontiguousarray(plane, np.float32) for name, plane in channels.items()}
    with tempfile.NamedTemporaryFile(suffix=".exr") as place, OpenEXR.File(header, planes) as file:
        file.write(place.name)
        return Path(place.name).read_bytes()


def npy(table):
    stream = io.BytesIO()
    np.save(stream, table)
    return stream.getvalue()


def ball_depth(radius=0.1, away=0.6):
    """A ball before a wall, seen by ``CAMERA``, in metres; the picture's first column is not seen."""
    row, column = np.indices((120, 160))
    ray = np.stack([(column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy, np.ones(row.shape)], axis=-1)
    a, b, c = (ray**2).sum(-1), -2 * away * ray[..., 2], away**2 - radius**2
    root = b**2 - 4 * a * c
    depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / (2 * a), 1.2)
    depth[:, 0] = 0
    return depth
