"""PLY (Turk, "The PLY Polygon File Format", 1994): meshes and clouds, text and both kinds of binary.

The header's claims are held against the file's size before anything is made from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.scan import Points, Scan
from faceeditor.files.corners import fan, split_corners
from faceeditor.files.numbers import colours8, numbers

LONGEST_HEADER: Final = 1 << 16

_NAMES: Final = "char uchar short ushort int uint float double".split()
_SIZED: Final = "int8 uint8 int16 uint16 int32 uint32 float32 float64".split()
_CODES: Final = "i1 u1 i2 u2 i4 u4 f4 f8".split()
_KINDS: Final = dict(zip([*_NAMES, *_SIZED, "int64", "uint64"], [*_CODES, *_CODES, "i8", "u8"], strict=True))
_UV_NAMES: Final = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


class Property(NamedTuple):
    """One named number of an element, or a list of numbers with its length before it."""

    name: str
    kind: np.dtype[Any]
    length_kind: np.dtype[Any] | None


@dataclass(frozen=True)
class Element:
    """What the header says of one table."""

    name: str
    count: int
    properties: list[Property]


class Lists(NamedTuple):
    """Lists of one property: their ``lengths`` (rows,) and their ``values`` one after the other."""

    lengths: NDArray[np.int64]
    values: NDArray[Any]


Columns = dict[str, NDArray[Any] | Lists]


def read_ply(data: bytes) -> tuple[Scan, str | None]:
    """The scan in ``data`` and the name of its texture's picture, if the header tells one.

    Raises ``EOFError`` where the header claims more than the file has, ``ValueError`` and the like for other damage.
    """
    elements, text, big, texture, start = _header(data)
    least = sum(_least_size(element, text) for element in elements)
    if least > len(data) - start + 1:
        raise EOFError("the header claims more than there is")
    body = _Text(data[start:]) if text else _Binary(data[start:], big)
    tables: dict[str, Columns] = {}
    position = 0
    for element in elements:
        tables[element.name], position = _read_element(element, body, position)
    return _scan(tables), texture


def _header(data: bytes) -> tuple[list[Element], bool, bool, str | None, int]:
    """The elements, whether they are text, whether big-endian, the texture's name, and where the header ends."""
    mark = data.find(b"end_header", 0, LONGEST_HEADER)
    end = data.find(b"\n", mark)
    if not data.startswith(b"ply") or mark < 0 or end < 0:
        raise ValueError("no PLY header")
    elements: list[Element] = []
    form, texture = "", None
    for line in data[:mark].decode("latin-1").splitlines():
        words = line.split()
        match words:
            case ["format", form, *_]:
                pass
            case ["element", name, count]:
                elements.append(Element(name, _count(count), []))
            case ["property", "list", length_kind, kind, name]:
                elements[-1].properties.append(Property(name, np.dtype(_KINDS[kind]), np.dtype(_KINDS[length_kind])))
            case ["property", kind, name]:
                elements[-1].properties.append(Property(name, np.dtype(_KINDS[kind]), None))
            case ["comment", word, *_] if word.lower() == "texturefile":
                texture = line.split(maxsplit=2)[2].strip()
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise ValueError(f"unknown PLY format {form}")
    return elements, form == "ascii", form == "binary_big_endian", texture, end + 1


def _count(word: str) -> int:
    if not word.isdecimal():
        raise ValueError(f"{word} is no count")
    return int(word)


def _least_size(element: Element, text: bool) -> int:
    """Bytes that the element's rows need at least: empty lists; in text one digit and one blank a number."""
    if text:
        return element.count * 2 * len(element.properties)
    return element.count * sum((entry.length_kind or entry.kind).itemsize for entry in element.properties)


class _Text:
    """The body as numbers; every size is one number."""

    def __init__(self, data: bytes) -> None:
        self.units: NDArray[Any] = numbers(data.decode("latin-1"))

    def size(self, kind: np.dtype[Any]) -> int:
        return 1

    def view(self, block: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
        """The values of ``kind`` in a block (rows, units)."""
        return block if kind.kind == "f" else np.rint(block).astype(np.int64)


class _Binary:
    """The body as bytes."""

    def __init__(self, data: bytes, big: bool) -> None:
        self.units: NDArray[Any] = np.frombuffer(data, np.uint8)
        self._order: Literal[">", "<"] = ">" if big else "<"

    def size(self, kind: np.dtype[Any]) -> int:
        return kind.itemsize

    def view(self, block: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
        """The values of ``kind`` in a block (rows, units)."""
        values: NDArray[Any] = np.ascontiguousarray(block).view(kind.newbyteorder(self._order))
        return values.astype(kind)


def _read_element(element: Element, body: _Text | _Binary, position: int) -> tuple[Columns, int]:
    """The columns of an element that starts at ``position``, and where it ends."""
    if not element.count or not element.properties:
        return {}, position
    alike = _read_alike(element, body, position)
    return alike or _read_unlike(element, body, position)


def _read_alike(element: Element, body: _Text | _Binary, position: int) -> tuple[Columns, int] | None:
    """Like :func:`_read_element`, all rows at once; ``None`` where their lists are not all as long as the first."""
    spans, width = [], 0
    for entry in element.properties:
        length = 1
        if entry.length_kind is not None:
            step = body.size(entry.length_kind)
            here = body.units[position + width : position + width + step]
            length = int(body.view(here[None], entry.length_kind)[0, 0])
            width += step
        spans.append((width, length))
        width += max(length, 0) * body.size(entry.kind)
    end = position + element.count * width
    if end > len(body.units):
        return None
    rows = body.units[position:end].reshape(element.count, width)
    columns: Columns = {}
    for entry, (start, length) in zip(element.properties, spans, strict=True):
        values = body.view(rows[:, start : start + length * body.size(entry.kind)], entry.kind)
        if entry.length_kind is None:
            columns[entry.name] = values[:, 0]
            continue
        lengths = body.view(rows[:, start - body.size(entry.length_kind) : start], entry.length_kind)
        if length < 0 or (lengths != length).any():
            return None
        columns[entry.name] = Lists(np.full(element.count, length, np.int64), values.reshape(-1))
    return columns, end


def _read_unlike(element: Element, body: _Text | _Binary, position: int) -> tuple[Columns, int]:
    """Like :func:`_read_element`, row by row, for lists of many lengths."""
    places: dict[str, list[int]] = {entry.name: [] for entry in element.properties}
    lengths: dict[str, list[int]] = {entry.name: [] for entry in element.properties}
    most = len(body.units)
    for _ in range(element.count):
        for name, kind, length_kind in element.properties:
            length = 1
            if length_kind is not None:
                step = body.size(length_kind)
                length = _one(body, position, length_kind)
                lengths[name].append(length)
                position += step
            places[name].append(position)
            position += length * body.size(kind)
            if length < 0 or position > most:
                raise EOFError("a list is longer than the file")
    columns: Columns = {}
    for entry in element.properties:
        counts = np.array(lengths[entry.name] or [1] * element.count, np.int64)
        size = body.size(entry.kind)
        starts = np.repeat(np.array(places[entry.name], np.int64), counts)
        within = np.arange(len(starts)) - np.repeat(np.cumsum(counts) - counts, counts)
        units = (starts + within * size)[:, None] + np.arange(size)
        values = body.view(body.units[units], entry.kind).reshape(-1)
        columns[entry.name] = values if entry.length_kind is None else Lists(counts, values)
    return columns, position


def _one(body: _Text | _Binary, position: int, kind: np.dtype[Any]) -> int:
    """One length; bytes are read by Python, which is faster than by numpy for single ones."""
    if position >= len(body.units):
        raise EOFError("the file ends within a list")
    if kind.itemsize == 1 or isinstance(body, _Text):
        return int(body.units[position])
    return int(body.view(body.units[position : position + kind.itemsize][None], kind)[0, 0])


def _scan(tables: dict[str, Columns]) -> Scan:
    vertex, face = tables.get("vertex", {}), tables.get("face", {})
    vertices = _together(vertex, ("x", "y", "z"))
    if vertices is None:
        raise ValueError("no vertices")
    normals, colours = _together(vertex, ("nx", "ny", "nz")), _together(vertex, ("red", "green", "blue"))
    scan = Scan(
        vertices=vertices.astype(np.float64),
        normals=None if normals is None else normals.astype(np.float64),
        colours_srgb=None if colours is None else colours8(colours),
        uv=next(iter(_vertex_uv(vertex)), None),
    )
    polygons = face.get("vertex_indices", face.get("vertex_index"))
    if not isinstance(polygons, Lists):
        return scan
    corners = fan(polygons.lengths)
    return split_corners(scan, polygons.values, corners, _corner_uv(face, polygons))


def _vertex_uv(vertex: Columns) -> Iterator[Points]:
    found = (_together(vertex, names) for names in _UV_NAMES)
    return (uv.astype(np.float64) for uv in found if uv is not None)


def _corner_uv(face: Columns, polygons: Lists) -> Points | None:
    """A place in the texture for every corner of every polygon (corners, 2), where faces have them."""
    places = face.get("texcoord")
    if not isinstance(places, Lists) or not np.array_equal(places.lengths, 2 * polygons.lengths):
        return None
    return places.values.astype(np.float64).reshape(-1, 2)


def _together(columns: Columns, names: tuple[str, ...]) -> NDArray[Any] | None:
    """Scalar properties side by side (rows, names); ``None`` unless all are there."""
    found = [column for name in names if isinstance(column := columns.get(name), np.ndarray)]
    return np.stack(found, axis=1) if len(found) == len(names) else None
