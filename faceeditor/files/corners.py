"""Polygons to triangles, and corners to vertices."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.scan import Points, Scan

Ints = NDArray[np.int64]


def fan(lengths: Ints) -> Ints:
    """Triangles (T, 3) of polygons with ``lengths`` (P,) corners, as places in the list of all corners.

    Each polygon becomes a fan around its first corner; what has fewer than three corners vanishes.
    """
    triangles = np.maximum(lengths - 2, 0)
    starts = np.repeat(np.cumsum(lengths) - lengths, triangles)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return np.stack([starts, starts + within + 1, starts + within + 2], axis=1)


def split_corners(scan: Scan, vertex: NDArray[Any], triangles: Ints, uv: Points | None) -> Scan:
    """``scan`` with faces: ``vertex`` (corners,) is the vertex of each corner, ``triangles`` (T, 3) are of corners.

    With ``uv`` (corners, 2) a vertex is copied for each place it has in the texture. Raises ``ValueError`` where a
    corner's vertex is not there.
    """
    vertex = np.asarray(vertex, np.int64)
    if len(vertex) and (vertex.min() < 0 or vertex.max() >= len(scan.vertices)):
        raise ValueError("a face names a vertex that is not there")
    if not len(triangles):
        return scan
    if uv is None:
        return replace(scan, faces=vertex[triangles].astype(np.int32))
    group, first = weld(np.column_stack([vertex, uv]))
    kept = vertex[first]
    return replace(
        scan,
        vertices=scan.vertices[kept],
        faces=group[triangles].astype(np.int32),
        normals=None if scan.normals is None else scan.normals[kept],
        colours_srgb=None if scan.colours_srgb is None else scan.colours_srgb[kept],
        uv=uv[first],
    )


def weld(rows: NDArray[np.floating[Any]]) -> tuple[Ints, Ints]:
    """For each of ``rows`` (N, K) the number of its group of equal ones (N,), and a first row of each group (G,).

    Groups are numbered in the order in which they appear.
    """
    order = np.lexsort(rows.T)
    ordered = rows[order]
    new = np.ones(len(rows), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = order[new]
    appearance = np.argsort(first)
    number = np.empty_like(appearance)
    number[appearance] = np.arange(len(first))
    group = np.empty_like(order)
    group[order] = number[np.cumsum(new) - 1]
    return group, first[appearance]
