"""How near a fitted head comes to the true one (section 5.3 of triplane-head-2d-gan)."""

from typing import Final, NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.errors import UserError

Floats = NDArray[np.floating]

SAMPLES: Final = 2_500_000
"""Points of either surface. With fewer, Eq. 5.1 grows: neighbours on one and the same surface are that far apart."""
THRESHOLD: Final = 0.001
"""Metres, of the F-score."""


class Surface(NamedTuple):
    """Points (N, 3) of a surface, metres, with unit ``normals`` (N, 3)."""

    points: Floats
    normals: Floats

    @classmethod
    def of(cls, vertices: Floats, faces: NDArray[np.integer], count: int = SAMPLES, seed: int = 0) -> "Surface":
        """``count`` points drawn evenly from a mesh."""
        return cls.with_faces(vertices, faces, count, seed)[0]

    @classmethod
    def with_faces(
        cls, vertices: Floats, faces: NDArray[np.integer], count: int, seed: int = 0
    ) -> tuple["Surface", NDArray[np.int64]]:
        """The same, and the triangles (N,) that the points lie in."""
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        points, face = trimesh.sample.sample_surface(mesh, count, seed=seed)
        return cls(np.asarray(points), np.asarray(mesh.face_normals)[face]), np.asarray(face)

    def where(self, kept: NDArray[np.bool_]) -> "Surface":
        """The ``kept`` (N,) of the points."""
        return Surface(self.points[kept], self.normals[kept])


def compare(found: Surface, true: Surface) -> dict[str, float]:
    """``chamfer_l1_mm`` (Eq. 5.1: the sum of both mean distances, in the norm L1), ``fscore_1mm`` (Eq. 5.2-5.5), a
    share, and ``normal_consistency`` (Eq. 5.6; the mean of both directions, as the thesis' tables have it, not the sum
    that is printed).
    """
    if not len(found.points) or not len(true.points):
        raise UserError("There is no surface to compare; the model has nothing where a head should be.")
    to_true, back = _nearest(found, true)
    to_found, there = _nearest(true, found)
    precision, recall = (float((away <= THRESHOLD).mean()) for away in (to_true, to_found))
    cosines = [
        float((one.normals * other.normals[row]).sum(1).mean())
        for one, other, row in ((found, true, back), (true, found, there))
    ]
    return {
        "chamfer_l1_mm": 1000 * float(to_true.mean() + to_found.mean()),
        "fscore_1mm": 2 * precision * recall / max(precision + recall, 1e-9),
        "normal_consistency": float(np.mean(cosines)),
    }


def _nearest(one: Surface, other: Surface) -> tuple[Floats, NDArray[np.int64]]:
    """The distances in the norm L1 from the points of ``one`` to their nearest of ``other``, and which those are."""
    away, row = cKDTree(other.points).query(one.points, p=1, workers=-1)
    return np.asarray(away), np.asarray(row)
