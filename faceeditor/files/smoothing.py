"""Normals of meshes for files: of faces, and of vertices across the seams that textures cut."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_UPRIGHT = np.array([0.0, 0.0, 1.0])
"""The normal of what has none: points that touch no triangle, triangles without area."""


def face_normals(vertices: Floats, faces: NDArray[np.integer]) -> Floats:
    """Unit normals (F, 3) of triangles ``faces`` (F, 3) of ``vertices`` (V, 3)."""
    return _unit(_across(vertices, faces))


def welded(vertices: Floats, morphs: list[Floats]) -> Ints:
    """For each vertex (V,) a number shared by those that lie, and move under every morph, together: seam copies."""
    moves = np.concatenate([vertices, *morphs], axis=1)
    return np.asarray(np.unique(moves, axis=0, return_inverse=True)[1].reshape(-1), np.int64)


def vertex_normals(vertices: Floats, faces: NDArray[np.integer], weld: Ints) -> Floats:
    """Unit area-weighted normals (V, 3), equal for vertices with the same number in ``weld`` (V,)."""
    across = _across(vertices, faces)
    summed = np.zeros((int(weld.max(initial=-1)) + 1, 3))
    for corner in range(3):
        np.add.at(summed, weld[faces[:, corner]], across)
    return _unit(summed)[weld]


def _across(vertices: Floats, faces: NDArray[np.integer]) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return np.cross(b - a, c - a)


def _unit(vectors: NDArray[np.float64]) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = np.where(length > 1e-15, vectors / np.maximum(length, 1e-15), _UPRIGHT)
    return np.asarray(whole, np.float32)
