"""Wavefront OBJ with its materials' pictures (Wavefront, "Object Files", appendix B1): all groups as one mesh.

Polygons of any size, relative indices, colours behind the vertices, several textures.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.scan import Picture, Scan, joined
from faceeditor.files.corners import Ints, compacted, fan, split_corners
from faceeditor.files.numbers import colours8, numbers

Neighbour = Callable[[str], bytes]
Decoder = Callable[[bytes], Picture]

_ABSENT: Final = 0
"""What stands for a corner's texture place or normal where the file names none; its own indices begin at 1."""


@dataclass(frozen=True)
class _Corners:
    """The corners of all polygons one after the other: the vertex, texture place and normal of each (C, 3), counted
    from 1, ``_ABSENT`` where it has none; and how many corners each polygon has (P,).
    """

    indices: Ints
    lengths: Ints


def read_obj(text: str, neighbour: Neighbour, decode: Decoder) -> Scan:
    """The scan in ``text``, its texture found by ``neighbour``, which gives the content of a file beside it, and made a
    picture by ``decode``; what these do not find (``OSError``, ``UserError``) is left out. Raises ``ValueError`` and
    the like for damage.
    """
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    words = np.array([line[:2] for line in lines], "U2")
    table = _rows(lines, words, "v")
    scan = Scan(
        vertices=np.ascontiguousarray(table[:, :3]),
        colours_srgb=colours8(table[:, 3:6]) if table.shape[1] >= 6 else None,
    )
    at = _where(words, "f")
    if not len(at):
        return scan
    corners = _corners([lines[number][2:] for number in at.tolist()])
    if (corners.indices < 0).any():
        corners = _absolute(corners, words, at)
    places, normals = _rows(lines, words, "vt", 2), _rows(lines, words, "vn")
    pictures = _pictures(lines, words, at, neighbour, decode)
    pieces = [
        _piece(scan, corners, np.flatnonzero(pictures.of_polygon == number), picture, places, normals)
        for number, picture in enumerate(pictures.all)
    ]
    return joined([compacted(piece) for piece in pieces] if len(pieces) > 1 else pieces)


def _where(words: NDArray[np.str_], word: str) -> Ints:
    """The lines that begin with ``word``, of which ``words`` are the first two letters."""
    if len(word) == 2:
        return np.flatnonzero(words == word)
    return np.flatnonzero((words == f"{word} ") | (words == f"{word}\t"))


def _rows(lines: list[str], words: NDArray[np.str_], word: str, columns: int = 3) -> NDArray[np.float64]:
    """The numbers behind ``word`` (rows, at least ``columns``)."""
    rows = [lines[number][len(word) :] for number in _where(words, word).tolist()]
    values = numbers("\n".join(rows))
    if not rows:
        return np.zeros((0, columns))
    width = len(rows[0].split())
    if len(values) == width * len(rows) and all(len(row.split()) == width for row in rows):
        return values.reshape(len(rows), width)
    return np.array([[float(number) for number in row.split()[:columns]] for row in rows])


def _corners(rows: list[str]) -> _Corners:
    """The corners of the polygons whose lines behind the f are ``rows``."""
    lengths = np.array([len(row.split()) for row in rows], np.int64)
    first = rows[0].split()[0]
    text, slashes = "\n".join(rows), first.count("/")
    if text.count("/") == slashes * lengths.sum() and text.count("//") == ("//" in first) * lengths.sum():
        values = numbers(text.replace("/", " ")).astype(np.int64)
        columns = [0, 2] if "//" in first else list(range(slashes + 1))
        if len(values) == len(columns) * lengths.sum():
            indices = np.full((lengths.sum(), 3), _ABSENT, np.int64)
            indices[:, columns] = values.reshape(-1, len(columns))
            return _Corners(indices, lengths)
    words = ([*word.split("/"), "", ""] for row in rows for word in row.split())
    return _Corners(np.array([[int(part or _ABSENT) for part in word[:3]] for word in words], np.int64), lengths)


def _absolute(corners: _Corners, words: NDArray[np.str_], at: Ints) -> _Corners:
    """Negative indices count back from the last vertex, texture place or normal before their line."""
    indices = corners.indices.copy()
    for column, word in enumerate(("v", "vt", "vn")):
        before = np.searchsorted(_where(words, word), at)
        back = indices[:, column] < 0
        indices[back, column] += np.repeat(before, corners.lengths)[back] + 1
    if (indices < 0).any():
        raise ValueError("a face counts back beyond the first vertex")
    return replace(corners, indices=indices)


@dataclass(frozen=True)
class _Pictures:
    """The different textures (``None`` for none), and which of them each polygon has (P,)."""

    all: list[Picture | None]
    of_polygon: Ints


def _pictures(lines: list[str], words: NDArray[np.str_], at: Ints, neighbour: Neighbour, decode: Decoder) -> _Pictures:
    marks = [(number, lines[number][6:].strip()) for number in np.flatnonzero((words == "us") | (words == "mt"))]
    found: dict[str, Picture | None] = {}
    for number, name in marks:
        if lines[number].startswith("mtllib"):
            found |= _materials(name, neighbour, decode)
    used = [(number, name) for number, name in marks if lines[number].startswith("usemtl")]
    each = [None, *(found.get(name) for _, name in used)]
    kinds = {id(picture): picture for picture in each}
    order = list(kinds)
    kind = np.array([order.index(id(picture)) for picture in each])
    of_polygon = kind[np.searchsorted([number for number, _ in used], at)]
    present, of_polygon = np.unique(of_polygon, return_inverse=True)
    return _Pictures([kinds[order[number]] for number in present], of_polygon)


def _materials(name: str, neighbour: Neighbour, decode: Decoder) -> dict[str, Picture | None]:
    """The picture of each material of a library; a scan with a missing or damaged picture is still a scan."""
    try:
        lines = neighbour(name).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found: dict[str, Picture | None] = {}
    seen: dict[str, Picture | None] = {}
    material = ""
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "newmtl":
            material = rest.strip()
        elif word.lower() == "map_kd":
            file = rest.strip() if not rest.strip().startswith("-") else rest.split()[-1]
            if file not in seen:
                seen[file] = _picture(file, neighbour, decode)
            found[material] = seen[file]
    return found


def _picture(name: str, neighbour: Neighbour, decode: Decoder) -> Picture | None:
    try:
        return decode(neighbour(name))
    except (OSError, UserError):
        return None


def _piece(
    scan: Scan, corners: _Corners, polygons: Ints, picture: Picture | None, places: NDArray[Any], normals: NDArray[Any]
) -> Scan:
    """The polygons that have one texture."""
    starts = np.cumsum(corners.lengths) - corners.lengths
    lengths = corners.lengths[polygons]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    vertex, place, normal = corners.indices[np.repeat(starts[polygons], lengths) + within].T - 1
    for index, table in ((vertex, scan.vertices), (place, places), (normal, normals)):
        if index.max(initial=-1) >= len(table):
            raise ValueError("a face names what is not there")
    if (normal >= 0).all() and len(normals):
        of_vertex = np.zeros_like(scan.vertices)
        of_vertex[vertex] = normals[normal][:, :3]
        scan = replace(scan, normals=of_vertex)
    if (place < 0).any():
        return split_corners(scan, vertex, fan(lengths))
    return replace(split_corners(scan, vertex, fan(lengths), places[:, :2], place), texture_srgb=picture)
