"""glTF 2.0 in (Khronos, "glTF 2.0 Specification", section 3): the scene's triangles or points, placed by their nodes.

Reads .glb and .gltf, sparse and quantised accessors, KHR_draco_mesh_compression, vertex colours (which are linear) and
the base colour's picture. Every count is held against the bytes that are there before it is believed.
"""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import DracoPy
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.scan import Picture, Points, Scan, joined
from faceeditor.files.claims import MOST_VERTICES, too_many
from faceeditor.rendering.colour import linear_to_srgb8

MAGIC: Final = b"glTF"
TRIANGLES: Final = {4, 5, 6}
POINTS: Final = 0
DRACO: Final = "KHR_draco_mesh_compression"
UNDERSTOOD: Final = {DRACO, "KHR_mesh_quantization", "EXT_texture_webp"}
"""Extensions of the geometry that are read; others matter only when the file requires them."""
HARMLESS: Final = ("KHR_materials_", "KHR_lights_", "KHR_texture_", "KHR_xmp", "ADOBE_materials_", "EXT_texture_")
"""Extensions that do not change where the vertices are."""
MOST_UNBACKED: Final = 1_000_000
"""Rows of an accessor that has no bytes for them, only a list of the few that are not zero."""

_KINDS: Final = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}

Neighbour = Callable[[str], bytes]
"""Gives the content of a file that lies beside the scan; raises ``OSError`` where there is none."""
Decoder = Callable[[bytes], Picture]
"""Gives the picture (H, W, 3) uint8 sRGB in a picture's file; raises ``UserError`` where it is none."""


def read_gltf(file: Path, data: bytes, neighbour: Neighbour, decode: Decoder) -> Scan:
    """The scan in ``data``. Raises ``UserError`` for what needs an unknown extension or has no mesh, ``EOFError`` for
    what is cut off, ``ValueError`` and the like for other damage.
    """
    header, blob = _chunks(file, data) if data.startswith(MAGIC) else (json.loads(data), None)
    unknown = set(header.get("extensionsRequired", ())) - UNDERSTOOD
    unknown = {name for name in unknown if not name.startswith(HARMLESS)}
    if unknown:
        raise UserError(f"{file} is packed by {', '.join(sorted(unknown))}; export it without this extension.")
    document = _Document(header, blob, neighbour, decode)
    pieces, total = [], 0
    for number, matrix in document.placed_meshes():
        for piece in document.primitives(number):
            total += len(piece.vertices)
            if total > MOST_VERTICES:
                raise too_many(file)
            pieces.append(_moved(piece, matrix))
    if not pieces:
        raise UserError(f"There is no mesh in {file}; choose another file.")
    return joined(pieces)


def _chunks(file: Path, data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The JSON and the binary chunk of a GLB file (section 4.4)."""
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise UserError(f"{file} is glTF {version}; only version 2 can be read, so export it again.")
    if length > len(data):
        raise EOFError("the header claims more than there is")
    found: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, position)
        if position + 8 + size > len(data):
            raise EOFError("the header claims more than there is")
        found.setdefault(kind, data[position + 8 : position + 8 + size])
        position += 8 + size
    return json.loads(found[b"JSON"]), found.get(b"BIN\0")


class _Document:
    """A glTF file's header with its bytes at hand."""

    def __init__(self, header: dict[str, Any], blob: bytes | None, neighbour: Neighbour, decode: Decoder) -> None:
        self._header, self._blob, self._neighbour, self._decode = header, blob, neighbour, decode
        self._buffer = lru_cache(None)(self._read_buffer)
        self._picture = lru_cache(None)(self._read_picture)

    def placed_meshes(self) -> Iterator[tuple[int, Points]]:
        """Every mesh of the scene with its matrix (4, 4) to the scene's axes."""
        nodes = self._header.get("nodes", [])
        scenes = self._header.get("scenes")
        children = {child for node in nodes for child in node.get("children", ())}
        roots = set(range(len(nodes))) - children
        if scenes:
            roots = scenes[self._header.get("scene", 0)].get("nodes", ())
        waiting = [(number, np.eye(4)) for number in roots]
        seen = set()
        while waiting:
            number, above = waiting.pop(0)
            if number in seen:
                raise ValueError("a node hangs on two others")
            seen.add(number)
            node = nodes[number]
            matrix = above @ _matrix(node)
            if "mesh" in node:
                yield node["mesh"], matrix
            waiting.extend((child, matrix) for child in node.get("children", ()))

    def primitives(self, number: int) -> Iterator[Scan]:
        """The pieces of a mesh that are triangles or points."""
        for primitive in self._header["meshes"][number]["primitives"]:
            mode = primitive.get("mode", 4)
            if mode in TRIANGLES or mode == POINTS:
                yield self._piece(primitive, mode)

    def _piece(self, primitive: dict[str, Any], mode: int) -> Scan:
        packed = primitive.get("extensions", {}).get(DRACO)
        read = self._draco(primitive, packed) if packed else self._plain(primitive)
        vertices = np.asarray(read["POSITION"], np.float64)
        material = self._material(primitive)
        place = material.get("texCoord", 0)
        uv = read.get(f"TEXCOORD_{place}")
        colours = read.get("COLOR_0")
        corners = read.get("indices", np.arange(len(vertices))).reshape(-1).astype(np.int64)
        return Scan(
            vertices=vertices,
            faces=None if mode == POINTS else _triangles(corners, mode, len(vertices)),
            normals=read.get("NORMAL"),
            colours_srgb=None if colours is None else linear_to_srgb8(np.nan_to_num(colours[:, :3])),
            uv=None if uv is None else np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1),
            texture_srgb=None if uv is None else self._texture(material),
        )

    def _plain(self, primitive: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
        wanted = {name: number for name, number in primitive["attributes"].items() if _wanted(name)}
        if "indices" in primitive:
            wanted["indices"] = primitive["indices"]
        return {name: self._accessor(number) for name, number in wanted.items()}

    def _draco(self, primitive: dict[str, Any], packed: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
        """Like :meth:`_plain` out of Draco's stream; its integers are normalised as their accessors say."""
        accessors = self._header["accessors"]
        names = {number: name for name, number in packed["attributes"].items() if _wanted(name)}
        stream = self._view(packed["bufferView"])
        decoded = DracoPy.decode(bytes(stream))
        read = {}
        for attribute in decoded.attributes:
            name = names.get(attribute["unique_id"])
            if name is not None:
                values = np.asarray(attribute["data"])
                normalised = accessors[primitive["attributes"][name]].get("normalized", False)
                read[name] = _real(values, normalised)
        if "indices" in primitive:
            read["indices"] = np.asarray(decoded.faces, np.float64)
        return read

    def _accessor(self, number: int) -> NDArray[np.float64]:
        """The numbers (count, width) of an accessor (section 3.6.2)."""
        entry = self._header["accessors"][number]
        kind, width, count = np.dtype(_KINDS[entry["componentType"]]), _WIDTHS[entry["type"]], _natural(entry["count"])
        if count > (MOST_VERTICES * 6 if "bufferView" in entry else MOST_UNBACKED):
            raise ValueError("an accessor claims too much")
        if "bufferView" in entry:
            values = self._table(entry["bufferView"], entry.get("byteOffset", 0), kind, width, count)
        else:
            values = np.zeros((count, width), kind)
        if sparse := entry.get("sparse"):
            few, indices, changed = _natural(sparse["count"]), sparse["indices"], sparse["values"]
            index_kind = np.dtype(_KINDS[indices["componentType"]])
            rows = self._table(indices["bufferView"], indices.get("byteOffset", 0), index_kind, 1, few)[:, 0]
            values = values.copy()
            values[rows] = self._table(changed["bufferView"], changed.get("byteOffset", 0), kind, width, few)
        return _real(values, entry.get("normalized", False))

    def _table(self, view: int, offset: int, kind: np.dtype[Any], width: int, count: int) -> NDArray[Any]:
        """``count`` rows of ``width`` numbers in a buffer view."""
        data = self._view(view)
        row = width * kind.itemsize
        stride = _natural(self._header["bufferViews"][view].get("byteStride", row)) or row
        if _natural(offset) + max(count - 1, 0) * stride + row * (count > 0) > len(data):
            raise ValueError("an accessor leaves its buffer")
        if not count:
            return np.zeros((0, width), kind)
        return np.ndarray((count, width), kind, data, offset, (stride, kind.itemsize))

    def _view(self, number: int) -> memoryview:
        entry = self._header["bufferViews"][number]
        start, size = _natural(entry.get("byteOffset", 0)), _natural(entry["byteLength"])
        data = memoryview(self._buffer(entry["buffer"]))
        if start + size > len(data):
            raise ValueError("a buffer view leaves its buffer")
        return data[start : start + size]

    def _read_buffer(self, number: int) -> bytes:
        uri = self._header["buffers"][number].get("uri")
        if uri is not None:
            return self._content(uri)
        if self._blob is None:
            raise ValueError("a buffer without bytes")
        return self._blob

    def _content(self, uri: str) -> bytes:
        """What a data URI holds, or a file beside this one."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        return self._neighbour(uri)

    def _material(self, primitive: dict[str, Any]) -> dict[str, Any]:
        """The base colour's texture: which one, and which of the texture places it uses."""
        if "material" not in primitive:
            return {}
        look = self._header["materials"][primitive["material"]].get("pbrMetallicRoughness", {})
        found: dict[str, Any] = look.get("baseColorTexture", {})
        return found

    def _texture(self, material: dict[str, Any]) -> Picture | None:
        if "index" not in material:
            return None
        texture = self._header["textures"][material["index"]]
        source = texture.get("extensions", {}).get("EXT_texture_webp", texture).get("source")
        return None if source is None else self._picture(source)

    def _read_picture(self, number: int) -> Picture | None:
        """A picture of the file; a scan with a damaged picture is still a scan."""
        entry = self._header["images"][number]
        try:
            packed = "bufferView" in entry
            return self._decode(bytes(self._view(entry["bufferView"])) if packed else self._content(entry["uri"]))
        except (UserError, OSError):
            return None


def _wanted(name: str) -> bool:
    return name in ("POSITION", "NORMAL", "COLOR_0") or name.startswith("TEXCOORD_")


def _natural(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value} is no count")
    return value


def _real(values: NDArray[Any], normalised: bool) -> NDArray[np.float64]:
    """Numbers as they are meant: whole ones that are marked so become fractions (section 3.6.2.2)."""
    if not normalised or values.dtype.kind == "f":
        return values.astype(np.float64)
    return np.maximum(values / np.iinfo(values.dtype).max, -1.0)


def _triangles(corners: NDArray[np.int64], mode: int, vertices: int) -> NDArray[np.int32]:
    """Faces (F, 3) of a list, a strip or a fan of triangles (section 3.7.2.1)."""
    if len(corners) and (corners.min() < 0 or corners.max() >= vertices):
        raise ValueError("a face names a vertex that is not there")
    if mode == 4:
        return corners.reshape(-1, 3).astype(np.int32)
    i = np.arange(max(len(corners) - 2, 0))
    if mode == 6:
        return np.stack([corners[i + 1], corners[i + 2], np.full(len(i), corners[0])], axis=1).astype(np.int32)
    return np.stack([corners[i], corners[i + 1 + i % 2], corners[i + 2 - i % 2]], axis=1).astype(np.int32)


def _matrix(node: dict[str, Any]) -> Points:
    """A node's matrix (4, 4) (section 3.5.3)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix() * node.get("scale", (1, 1, 1))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _moved(piece: Scan, matrix: Points) -> Scan:
    """``piece`` moved by ``matrix`` (4, 4); a mirror image keeps its outside outside."""
    turn = matrix[:3, :3]
    mirrored = np.linalg.det(turn) < 0
    return replace(
        piece,
        vertices=piece.vertices @ turn.T + matrix[:3, 3],
        faces=piece.faces[:, ::-1] if mirrored and piece.faces is not None else piece.faces,
        normals=None if piece.normals is None else piece.normals @ np.linalg.pinv(turn),
    )
