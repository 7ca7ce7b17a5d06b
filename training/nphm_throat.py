"""Parts heads from shoulders, and closes them where they were cut.

A scan is open below, so that whoever looks up from there would see the inside of a head as its outside.
"""

from typing import Any, Final

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from training.nphm_data import Floats, Ints, Mesh

NEAR: Final = 1e-6
"""Metres from the plane within which a vertex lies in it: cut there, triangles would be slivers that no lid fits."""
AT_ONCE: Final = 256


def beheaded(scan: Mesh, point: Floats, normal: Floats) -> Mesh:
    """What of ``scan`` lies before the plane through ``point`` (3,) with unit ``normal`` (3,), closed in the plane; no
    faces where all lies behind.
    """
    mesh: Any = trimesh.Trimesh(scan.vertices, scan.faces, process=False)
    mesh.merge_vertices()
    away = (mesh.vertices - point) @ normal
    level = mesh.vertices - np.where(np.abs(away) < NEAR, away, 0)[:, None] * normal
    cut: Any = trimesh.intersections.slice_faces_plane(level, mesh.faces, normal, point)  # type: ignore[no-untyped-call]
    vertices, faces, _ = cut
    if not len(faces):
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh.merge_vertices()
    head = Mesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64))
    cover = lid(head, point, normal)
    return Mesh(
        np.concatenate([head.vertices, cover.vertices]),
        np.concatenate([head.faces, cover.faces + len(head.vertices)]),
    )


def lid(head: Mesh, point: Floats, normal: Floats) -> Mesh:
    """Triangles between the edges that ``head`` has in a plane, which look away from ``normal``.

    There may be several outlines, one within another, with gaps: what an odd number of edges separates from infinity
    is inside.
    """
    edges = _rim(head, np.abs((head.vertices - point) @ normal) < NEAR)
    if len(edges) < 3:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    used, ends = np.unique(edges, return_inverse=True)
    across = np.linalg.svd(normal[None])[2][1:]
    across[1] = np.cross(normal, across[0])
    flat = head.vertices[used] @ across.T
    triangles = Delaunay(flat).simplices.astype(np.int64)
    inside = _inside(flat[triangles].mean(1), flat[ends.reshape(-1, 2)])
    return Mesh(head.vertices[used], triangles[inside][:, ::-1])


def _rim(head: Mesh, chosen: NDArray[np.bool_]) -> Ints:
    """Edges (E, 2) of one triangle only, both ends of which are ``chosen`` (V,)."""
    edges = np.sort(head.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    found, count = np.unique(edges[chosen[edges].all(1)], axis=0, return_counts=True)
    return np.asarray(found[count == 1])


def _inside(points: Floats, edges: Floats) -> NDArray[np.bool_]:
    """Which ``points`` (N, 2) an odd number of ``edges`` (E, 2, 2) lies to the right of."""
    (ax, ay), (bx, by) = edges[:, 0].T, edges[:, 1].T
    found = []
    for some in np.array_split(points, max(1, len(points) // AT_ONCE)):
        x, y = some[:, :1], some[:, 1:]
        spans = (ay > y) != (by > y)
        with np.errstate(divide="ignore", invalid="ignore"):  # level edges span nothing
            right = ax + (y - ay) / (by - ay) * (bx - ax) > x
        found.append((spans & right).sum(1) % 2 == 1)
    return np.concatenate(found)
