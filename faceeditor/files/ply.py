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
_DOUBLE: Final = np.dtype(np.float64)
_ORDERS: Final[dict[str, Literal["=", "<", ">"]]] = {
    "ascii": "=",
    "binary_little_endian": "<",
    "binary_big_endian": ">",
}

Bytes = NDArray[np.uint8]


class Property(NamedTuple):
    """One named number of an element, or a list of numbers with its length before it; as the body stores them."""

    name: str
    kind: np.dtype[Any]
    length_kind: np.dtype[Any] | None
    whole: bool


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
    elements, text, texture, start = _header(data)
    body = np.frombuffer(data, np.uint8, offset=start)
    least = sum(element.count * _least_size(element, text) for element in elements)
    if least > len(body) + 1:
        raise EOFError("the header claims more than there is")
    if text:
        body = numbers(data[start:].decode("latin-1")).view(np.uint8)
    tables: dict[str, Columns] = {}
    position = 0
    for element in elements:
        if element.count and element.properties:
            read = _read_alike(element, body, position) or _read_unlike(element, body, position)
            tables[element.name], position = read
    return _scan(tables), texture


def _header(data: bytes) -> tuple[list[Element], bool, str | None, int]:
    """The elements, whether the body is text, the texture's name, and where the header ends."""
    mark = data.find(b"end_header", 0, LONGEST_HEADER)
    end = data.find(b"\n", mark)
    if not data.startswith(b"ply") or mark < 0 or end < 0:
        raise ValueError("no PLY header")
    elements: list[Element] = []
    form, texture = "", None
    for line in data[:mark].decode("latin-1").splitlines():
        match line.split():
            case ["format", form, *_]:
                pass
            case ["element", name, count]:
                elements.append(Element(name, _count(count), []))
            case ["property", "list", length_kind, kind, name]:
                elements[-1].properties.append(_property(name, kind, length_kind, form))
            case ["property", kind, name]:
                elements[-1].properties.append(_property(name, kind, None, form))
            case ["comment", word, *_] if word.lower() == "texturefile":
                texture = line.split(maxsplit=2)[2].strip()
    return elements, form == "ascii", texture, end + 1


def _count(word: str) -> int:
    if not word.isdecimal():
        raise ValueError(f"{word} is no count")
    return int(word)


def _property(name: str, kind: str, length_kind: str | None, form: str) -> Property:
    """What the header says of a property; the numbers of text have all become doubles."""
    order, whole = _ORDERS[form], _KINDS[kind][0] != "f"
    kinds = [None if word is None else np.dtype(_KINDS[word]).newbyteorder(order) for word in (kind, length_kind)]
    if form == "ascii":
        kinds = [None if stored is None else _DOUBLE for stored in kinds]
    return Property(name, kinds[0] or _DOUBLE, kinds[1], whole)


def _least_size(element: Element, text: bool) -> int:
    """Bytes that a row needs at least: empty lists; in text one digit and one blank a number."""
    if text:
        return 2 * len(element.properties)
    return sum((entry.length_kind or entry.kind).itemsize for entry in element.properties)


def _read_alike(element: Element, body: Bytes, position: int) -> tuple[Columns, int] | None:
    """The columns of an element that starts at ``position``, and where it ends, all rows at once; ``None`` where its
    lists are not all as long as the first.
    """
    fields: list[tuple[str, np.dtype[Any], tuple[int, ...]]] = []
    for number, entry in enumerate(element.properties):
        length = 1
        if entry.length_kind is not None:
            length = _length(body, position + np.dtype(fields).itemsize, entry.length_kind)
            fields.append((f"length {number}", entry.length_kind, ()))
        fields.append((f"{number}", entry.kind, (length,)))
    row = np.dtype(fields)
    end = position + element.count * row.itemsize
    if end > len(body):
        return None
    rows = np.frombuffer(body, row, element.count, position)
    columns: Columns = {}
    for number, entry in enumerate(element.properties):
        values = rows[f"{number}"]
        lengths = np.full(element.count, values.shape[1])
        if entry.length_kind is not None and (rows[f"length {number}"] != lengths).any():
            return None
        columns[entry.name] = _column(entry, lengths, values.reshape(-1))
    return columns, end


def _read_unlike(element: Element, body: Bytes, position: int) -> tuple[Columns, int]:
    """Like :func:`_read_alike`, row by row, for lists of many lengths."""
    places: list[list[int]] = [[] for _ in element.properties]
    lengths: list[list[int]] = [[] for _ in element.properties]
    for _ in range(element.count):
        for number, (_, kind, length_kind, _) in enumerate(element.properties):
            length = 1
            if length_kind is not None:
                length = _length(body, position, length_kind)
                position += length_kind.itemsize
            lengths[number].append(length)
            places[number].append(position)
            position += length * kind.itemsize
        if position > len(body):
            raise EOFError("a list is longer than the file")
    columns: Columns = {}
    for entry, counts, starts in zip(element.properties, map(np.array, lengths), map(np.array, places), strict=True):
        size = entry.kind.itemsize
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        units = (np.repeat(starts, counts) + within * size)[:, None] + np.arange(size)
        columns[entry.name] = _column(entry, counts, body[units].view(entry.kind).reshape(-1))
    return columns, position


def _length(body: Bytes, position: int, kind: np.dtype[Any]) -> int:
    """The length of one list."""
    if position + kind.itemsize > len(body):
        raise EOFError("the file ends within a list")
    length = int(np.frombuffer(body, kind, 1, position)[0])
    if not 0 <= length <= len(body):
        raise EOFError("a list is longer than the file")
    return length


def _column(entry: Property, lengths: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any] | Lists:
    """A property's values as they are meant."""
    of_text = entry.whole and values.dtype.kind == "f"
    values = np.rint(values).astype(np.int64) if of_text else values.astype(values.dtype.newbyteorder("="))
    return values if entry.length_kind is None else Lists(lengths, values)


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
