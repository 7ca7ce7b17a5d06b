"""OFF as text (Geomview, "Object File Format"): vertices, with normals and colours where its first word says so."""

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.scan import Scan
from faceeditor.files.corners import fan, split_corners
from faceeditor.files.numbers import colours8, numbers

_FIRST_WORD: Final = re.compile(r"\s*(C?)(N?)OFF\b")
_COMMENT: Final = re.compile(r"#[^\n]*")


def read_off(text: str) -> Scan:
    """The scan in ``text``. Raises ``EOFError`` for fewer lines than it says, ``ValueError`` for other damage."""
    word = _FIRST_WORD.match(text)
    if word is None:
        raise ValueError("no OFF header")
    lines = [line for line in _COMMENT.sub("", text[word.end() :]).splitlines() if line.strip()]
    vertices, polygons = (int(number) for number in lines[0].split()[:2])
    if min(vertices, polygons) < 0 or vertices + polygons >= len(lines):
        raise EOFError("fewer lines than the header says")
    table = numbers("\n".join(lines[1 : vertices + 1])).reshape(vertices, -1)
    coloured, with_normals = (bool(letter) for letter in word.groups())
    after = 6 if with_normals else 3
    scan = Scan(
        vertices=table[:, :3],
        normals=table[:, 3:6] if with_normals else None,
        colours_srgb=colours8(table[:, after : after + 3]) if coloured else None,
    )
    lengths, corners = _polygons(lines[vertices + 1 : vertices + 1 + polygons])
    return split_corners(scan, corners, fan(lengths), None)


def _polygons(lines: list[str]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """How many corners each polygon has, and the vertices of all their corners; colours behind them are passed over."""
    values = numbers("\n".join(lines))
    if lines and len(values) % len(lines) == 0:
        table = values.reshape(len(lines), -1)
        length = int(table[0, 0])
        if (table[:, 0] == length).all() and 0 <= length < table.shape[1]:
            return np.full(len(lines), length), table[:, 1 : length + 1].reshape(-1)
    rows = [line.split() for line in lines]
    lengths = [int(row[0]) for row in rows]
    corners = [int(word) for row, length in zip(rows, lengths, strict=True) for word in row[1 : length + 1]]
    if len(corners) != sum(lengths) or min(lengths, default=0) < 0:
        raise EOFError("a polygon with too few corners")
    return np.array(lengths, np.int64), np.array(corners, np.int64)
