"""How far a fitted surface lies from the scan it was fitted to, for heat maps."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.faces.mesh import Mesh

Floats = NDArray[np.float32]

NEIGHBOURS: Final = 5
"""Points of the scan around a vertex whose mean distance along the normal is its distance."""
FARTHEST: Final = 0.012
"""Metres around a vertex in which the scan must have a point ..."""
ASIDE: Final = 0.004
"""... and metres along the surface; beyond, the scan does not show that place."""


class Gauge:
    """Measures meshes against scans; remembers the last scan's search tree."""

    def __init__(self) -> None:
        self._points: Floats | None = None
        self._tree: cKDTree | None = None

    def distances_mm(self, mesh: Mesh, scan_points: Floats) -> Floats:
        """Signed distances (V,) of the vertices along their normals, in millimetres: above 0 the surface lies in front
        of the scan's ``scan_points`` (N, 3), NaN where the scan has nothing. The mesh must have normals.
        """
        if mesh.normals is None:
            raise ValueError("a mesh that is measured has normals")
        if self._tree is None or scan_points is not self._points:
            self._points, self._tree = scan_points, cKDTree(scan_points)
        count = min(NEIGHBOURS, len(scan_points))
        _, near = self._tree.query(mesh.vertices, range(1, count + 1), distance_upper_bound=FARTHEST)
        missing = near == len(scan_points)
        away = mesh.vertices[:, None] - scan_points[np.where(missing, 0, near)]
        along = np.where(missing, np.nan, (away * mesh.normals[:, None]).sum(-1))
        aside = np.sqrt(np.maximum((away[:, 0] ** 2).sum(-1) - along[:, 0] ** 2, 0))
        found = np.full(len(away), np.nan, np.float32)
        there = ~missing[:, 0] & (aside < ASIDE)
        found[there] = 1000 * np.nanmean(along[there], axis=1)
        return found
