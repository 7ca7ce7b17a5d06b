"""How closely a surface meets its scan: Chamfer distance, F-score, normal consistency (ImFace++, section 4.3)."""

from typing import Any, Final

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.fitting.front_surface import FrontSurface, sample_triangles

Floats = NDArray[np.float64]

SAMPLES: Final = 250_000
THRESHOLD_MM: Final = 1.0
"""Of the F-score."""
EDGE: Final = 0.97
"""Radius of the ball in which surfaces are compared: its rim is cut by both in its own way."""


def compare(front: FrontSurface, mesh: trimesh.Trimesh, unit: float, seed: int = 0) -> dict[str, float]:
    """``chamfer_mm``, the mean of both mean distances; ``fscore_1mm``, in percent; ``normal_consistency``, the mean
    cosine between a point's normal and that of its nearest neighbour.

    ``front`` and ``mesh`` are in the model's ``unit`` (metres). The mesh is asked only where the scan has a surface.
    """
    random = np.random.default_rng(seed)
    scan, scan_normals = _of_scan(front, random)
    corners = np.asarray(mesh.vertices[mesh.faces], np.float64)
    fit, face, _ = sample_triangles(corners, SAMPLES, random)
    normals = np.asarray(mesh.face_normals)[face]
    covered = over_surface(front, fit)
    if not covered.any():
        return {"chamfer_mm": float("inf"), "fscore_1mm": 0.0, "normal_consistency": 0.0}
    to_fit, there = cKDTree(fit).query(scan, workers=-1)
    to_scan, back = cKDTree(scan).query(fit[covered], workers=-1)
    to_fit, to_scan = to_fit * unit * 1000, to_scan * unit * 1000
    recall, precision = (to_fit < THRESHOLD_MM).mean(), (to_scan < THRESHOLD_MM).mean()
    cosines = [(scan_normals * normals[there]).sum(1).mean(), (normals[covered] * scan_normals[back]).sum(1).mean()]
    return {
        "chamfer_mm": float((to_fit.mean() + to_scan.mean()) / 2),
        "fscore_1mm": float(200 * precision * recall / max(precision + recall, 1e-9)),
        "normal_consistency": float(np.mean(cosines)),
    }


def _of_scan(front: FrontSurface, random: np.random.Generator) -> tuple[Floats, Floats]:
    points, face, _ = front.sample(SAMPLES, random, np.asarray(~front.bridge, np.float64))
    inside = np.linalg.norm(points, axis=1) < EDGE
    return points[inside], front.normals()[face[inside]]


def over_surface(front: FrontSurface, points: NDArray[Any]) -> NDArray[np.bool_]:
    """Which ``points`` (N, 3) lie in the ball and straight before or behind a surface of the scan, not a bridge."""
    simplex = front.triangulation.find_simplex(points[:, :2])
    return np.asarray((simplex >= 0) & ~front.bridge[simplex] & (np.linalg.norm(points, axis=1) < EDGE))
