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


def split_corners(
    scan: Scan,
    vertex: NDArray[Any],
    triangles: Ints,
    places: Points | None = None,
    place: Ints | None = None,
) -> Scan:
    """``scan`` with faces: ``vertex`` (C,) is the vertex of each corner, ``triangles`` (T, 3) are of corners.

    ``places`` (K, 2) are places in the texture, ``place`` (C,) says which of them each corner has (by default there is
    one for each corner); a vertex that has several is copied. Raises ``ValueError`` where a corner's vertex is missing.
    """
    vertex = np.asarray(vertex, np.int64)
    if len(vertex) and (vertex.min() < 0 or vertex.max() >= len(scan.vertices)):
        raise ValueError("a face names a vertex that is not there")
    if not len(triangles):
        return scan
    if places is None:
        return replace(scan, faces=vertex[triangles].astype(np.int32))
    if place is None:
        place, first = weld(places)
        places = places[first]
    only = np.zeros(len(scan.vertices), np.int64)
    only[vertex] = place
    if (only[vertex] == place).all():
        return replace(scan, faces=vertex[triangles].astype(np.int32), uv=places[only])
    _, first, group = np.unique(vertex * len(places) + place, return_index=True, return_inverse=True)
    copied = _taken(scan, vertex[first])
    return replace(copied, faces=group[triangles].astype(np.int32), uv=places[place[first]])


def compacted(scan: Scan) -> Scan:
    """``scan`` without the vertices that no face names."""
    if scan.faces is None:
        return scan
    used = np.zeros(len(scan.vertices), bool)
    used[scan.faces] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return replace(_taken(scan, np.flatnonzero(used)), faces=number[scan.faces])


def _taken(scan: Scan, kept: Ints) -> Scan:
    """``scan`` with only the vertices ``kept``, some perhaps several times; its faces are left as they are."""
    return replace(
        scan,
        vertices=scan.vertices[kept],
        normals=None if scan.normals is None else scan.normals[kept],
        colours_srgb=None if scan.colours_srgb is None else scan.colours_srgb[kept],
        uv=None if scan.uv is None else scan.uv[kept],
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
