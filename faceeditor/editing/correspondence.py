"""Which point of a scan a point of a face corresponds to: the nearest on its surface that faces the same way."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAMPLES: Final = 300_000
"""Points on a scan's triangles among which the nearest are looked for first."""
CANDIDATES: Final = 4
CHUNK: Final = 100_000
SEED: Final = 0


@dataclass(frozen=True, eq=False)
class Partner:
    """What was found for N points: ``distance`` (N,), infinite where nothing is near; the scan's ``vertices`` (N, 3)
    and their ``weights`` (N, 3) that make the point; ``agreement`` (N,) the cosine between both normals.
    """

    distance: Floats
    vertices: Ints
    weights: Floats
    agreement: Floats

    def carried(self, values: NDArray[Any]) -> Floats:
        """What ``values`` (V, C) of the scan's vertices are at the points (N, C)."""
        return np.asarray(np.einsum("nk,nkc->nc", self.weights, values[self.vertices]), np.float64)


@dataclass(frozen=True, eq=False)
class ScanSurface:
    """A scan in head space near a face: its ``corners`` (F, 3), for a cloud each point three times over."""

    points: Floats
    corners: Ints
    normals: Floats
    samples: Floats
    sample_face: Ints

    @classmethod
    def of(cls, scan: Scan, placement: Similarity, low: Floats, high: Floats) -> Self:
        """The part of ``scan`` that lies, moved by ``placement``, between the corners ``low`` and ``high`` (3,)."""
        points = placement.to_head(scan.vertices)
        if scan.faces is None:
            return cls._cloud(scan, placement, points, _between(points, low, high))
        corners = scan.faces[_between(points[scan.faces].mean(axis=1), low, high)].astype(np.int64)
        triangles = points[corners]
        across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        area = np.linalg.norm(across, axis=1)
        corners, across, area = corners[area > 0], across[area > 0], area[area > 0]
        random = np.random.default_rng(SEED)
        face = random.choice(len(corners), SAMPLES, p=area / area.sum()) if len(corners) else np.zeros(0, np.int64)
        share = random.dirichlet(np.ones(3), len(face))
        samples = np.einsum("nk,nkc->nc", share, points[corners[face]])
        return cls(points, corners, across / area[:, None], samples, face)

    @classmethod
    def _cloud(cls, scan: Scan, placement: Similarity, points: Floats, kept: NDArray[np.bool_]) -> Self:
        index = np.flatnonzero(kept)
        normals = np.zeros((len(index), 3))
        if scan.normals is not None:
            turned = scan.normals[index] @ placement.rotation.T
            normals = turned / np.linalg.norm(turned, axis=1, keepdims=True).clip(1e-12)
        return cls(points, np.repeat(index[:, None], 3, axis=1), normals, points[index], np.arange(len(index)))

    def partners(self, points: Floats, normals: Floats, reach: float) -> Partner:
        """The nearest point within ``reach`` metres for each of ``points`` (N, 3) with unit ``normals`` (N, 3).

        The sign of a scan's normals means nothing until here: the side that most points agree with is its outside.
        """
        if not len(self.samples):
            return _nothing(len(points))
        tree = cKDTree(self.samples)
        parts = [
            self._nearest(tree, points[i : i + CHUNK], normals[i : i + CHUNK], reach)
            for i in range(0, len(points), CHUNK)
        ]
        distance, vertices, weights, agreement = (np.concatenate(column) for column in zip(*parts, strict=True))
        outward = np.sign(np.median(agreement[np.isfinite(distance)])) if np.isfinite(distance).any() else 1.0
        return Partner(distance, vertices, weights, agreement * (outward or 1.0))

    def _nearest(self, tree: Any, points: Floats, normals: Floats, reach: float) -> tuple[Floats, Ints, Floats, Floats]:
        around, sample = tree.query(points, CANDIDATES, distance_upper_bound=2 * reach)
        sample = np.where(np.isfinite(around), sample, sample[:, :1])
        found = np.isfinite(around[:, 0])
        face = self.sample_face[np.where(found[:, None], sample, 0)]
        triangles = self.points[self.corners[face]]
        many = np.repeat(points, CANDIDATES, axis=0)
        there = trimesh.triangles.closest_point(triangles.reshape(-1, 3, 3), many)  # type: ignore[no-untyped-call]
        distance = np.linalg.norm(there.reshape(*face.shape, 3) - points[:, None], axis=-1)
        best = distance.argmin(axis=1)
        rows = np.arange(len(points))
        face, there = face[rows, best], there.reshape(*face.shape, 3)[rows, best]
        distance = np.where(found & (distance[rows, best] <= reach), distance[rows, best], np.inf)
        corners = self.corners[face]
        agreement = np.einsum("nc,nc->n", normals, self.normals[face])
        return distance, corners, _weights(self.points[corners], there), agreement


def _weights(triangles: Floats, points: Floats) -> Floats:
    """Barycentric weights (N, 3) of ``points`` on ``triangles`` (N, 3, 3); a triangle that is a point shares evenly."""
    flat = np.ptp(triangles, axis=1).max(axis=1) == 0
    weights = np.full((len(points), 3), 1 / 3)
    some, there = triangles[~flat], points[~flat]
    weights[~flat] = trimesh.triangles.points_to_barycentric(some, there)  # type: ignore[no-untyped-call]
    weights = np.clip(np.nan_to_num(weights, nan=1 / 3), 0, 1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)


def _between(points: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def _nothing(count: int) -> Partner:
    return Partner(np.full(count, np.inf), np.zeros((count, 3), np.int64), np.full((count, 3), 1 / 3), np.zeros(count))
