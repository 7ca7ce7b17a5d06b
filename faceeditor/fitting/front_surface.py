"""The pseudo-watertight front of a scan, and signed distances to it (ImFace++, section 4.1, Fig. 5).

What is hidden from straight ahead is dropped, the rest is joined to a height field over x and y by Delaunay's
triangulation, and whatever lies behind it counts as inside. Where no surface was, over holes and open mouths, the
height field *bridges*. All lengths are in the unit of the face model: a ball of radius 1 around the origin, +Z out of
the face.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RADIUS: Final = 1.0
"""Of the ball that is modelled."""
SHADOW_CELLS: Final = 300
"""Cells a side of the picture that tells what is hidden."""
SHADOW_SAMPLES: Final = 400_000
SHADOW_SLACK: Final = 0.004
"""How far behind the foremost surface a point may lie and still be seen, where the surface faces the viewer."""
STEEPEST: Final = 0.08
"""The least z of a seen vertex's unit normal."""
MOST_SLOPE: Final = 4.0
"""Of the slopes that are allowed for when depths within one cell are compared."""
THINNED_CELLS: Final = 300
"""Of all vertices in one of so many cells a side, the foremost is kept."""
BRIDGE: Final = 0.008
"""A triangle whose middle is farther from the scan than this is a bridge."""
TREE_SAMPLES: Final = 60_000
NEIGHBOURS: Final = 4


class NoSurface(ValueError):
    """Raised when too little of a scan lies in the ball and faces ahead."""


@dataclass(frozen=True, eq=False)
class FrontSurface:
    """A height field of triangles: ``vertices`` (V, 3), ``faces`` (F, 3) counter-clockwise from +Z, ``bridge`` (F,).

    ``source`` (V,) says which of the scan's vertices each one is.
    """

    vertices: Floats
    faces: Ints
    bridge: NDArray[np.bool_]
    source: Ints
    triangulation: Delaunay

    @classmethod
    def of(cls, vertices: Floats, faces: Ints | None, seed: int = 0) -> Self:
        """The front of a mesh, or of a cloud where ``faces`` is ``None``. Raises :class:`NoSurface`."""
        random = np.random.default_rng(seed)
        inside = np.flatnonzero(np.linalg.norm(vertices, axis=1) < RADIUS)
        spread = vertices if faces is None else _spread(vertices, faces, SHADOW_SAMPLES, random)
        normals = None if faces is None else trimesh.Trimesh(vertices, faces, process=False).vertex_normals
        seen = inside[_unshadowed(vertices[inside], None if normals is None else normals[inside], spread)]
        kept = seen[_thinned(vertices[seen])]
        if len(kept) < 30:
            raise NoSurface("too little of the scan faces ahead")
        triangulation = Delaunay(vertices[kept, :2])
        joined = _counter_clockwise(vertices[kept], triangulation.simplices.astype(np.int64))
        some = spread[random.permutation(len(spread))[: 2 * TREE_SAMPLES]]
        return cls(vertices[kept], joined, _bridges(vertices[kept], joined, some), kept, triangulation)

    @property
    def corners(self) -> Floats:
        """The corners (F, 3, 3) of the triangles."""
        return np.asarray(self.vertices[self.faces])

    def sample(
        self, count: int, random: np.random.Generator, importance: Floats | None = None
    ) -> tuple[Floats, Ints, Floats]:
        """``count`` points (count, 3), their faces (count,) and their weights (count, 3) of the faces' corners.

        Faces are drawn by their area times ``importance`` (F,).
        """
        return sample_triangles(self.corners, count, random, importance)

    def normals(self) -> Floats:
        """Unit normals (F, 3)."""
        across = _across(self.corners)
        return np.asarray(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-15))

    def tree(self, random: np.random.Generator, count: int = TREE_SAMPLES) -> tuple[cKDTree, Ints]:
        """What :meth:`signed_distance` searches: points of the surface and their faces."""
        points, face, _ = self.sample(count, random)
        corners = np.arange(len(self.faces))
        return cKDTree(np.concatenate([points, self.corners.mean(1)])), np.concatenate([face, corners])

    def signed_distance(self, points: Floats, tree: tuple[cKDTree, Ints]) -> tuple[Floats, Floats]:
        """Distances (N,) of ``points`` (N, 3), negative behind the surface, and their gradients (N, 3)."""
        found, face_of = tree
        faces = face_of[found.query(points, NEIGHBOURS)[1]]
        repeated = np.repeat(points, NEIGHBOURS, axis=0)
        closest: Any = trimesh.triangles.closest_point(self.corners[faces.ravel()], repeated)  # type: ignore[no-untyped-call]
        away = points[:, None] - closest.reshape(-1, NEIGHBOURS, 3)
        best = np.linalg.norm(away, axis=2).argmin(1)
        rows = np.arange(len(points))
        offset = away[rows, best]
        length = np.linalg.norm(offset, axis=1)
        sign = np.where(self._before(points, offset), 1.0, -1.0)
        normal = self.normals()[faces[rows, best]]
        gradient = np.where(length[:, None] > 1e-5, sign[:, None] * offset / np.maximum(length, 1e-12)[:, None], normal)
        return np.asarray(sign * length), np.asarray(gradient)

    def _before(self, points: Floats, offset: Floats) -> NDArray[np.bool_]:
        """Whether points lie before the height field; beside it the side that they come from tells."""
        simplex = self.triangulation.find_simplex(points[:, :2])
        corners = self.corners[simplex]
        across = _across(corners)
        flat = np.abs(across[:, 2]) < 1e-15
        height = corners[:, 0, 2] - ((points[:, :2] - corners[:, 0, :2]) * across[:, :2]).sum(1) / np.where(
            flat, 1.0, across[:, 2]
        )
        return np.asarray(np.where((simplex < 0) | flat, offset[:, 2] > 0, points[:, 2] > height))


def sample_triangles(
    corners: Floats, count: int, random: np.random.Generator, importance: Floats | None = None
) -> tuple[Floats, Ints, Floats]:
    """Points (count, 3) of triangles with ``corners`` (F, 3, 3), evenly by area times ``importance`` (F,); their faces
    (count,) and their weights (count, 3) of the corners.
    """
    share = np.linalg.norm(_across(corners), axis=1) * (1.0 if importance is None else importance)
    edges = np.cumsum(share)
    face = np.searchsorted(edges, random.random(count) * edges[-1]).clip(0, len(corners) - 1)
    first, second = random.random((2, count))
    root = np.sqrt(first)
    weights = np.stack([1 - root, root * (1 - second), root * second], axis=1)
    return np.einsum("nk,nkc->nc", weights, corners[face]), face.astype(np.int64), weights


def _across(corners: Floats) -> Floats:
    return np.asarray(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))


def _spread(vertices: Floats, faces: Ints, count: int, random: np.random.Generator) -> Floats:
    """Points of what faces ahead in and around the ball, vertices among them."""
    corners = vertices[faces]
    near = np.linalg.norm(corners, axis=2).min(1) < 1.1 * RADIUS
    facing = near & (_across(corners)[:, 2] > 0)
    if not facing.any():
        raise NoSurface("nothing of the scan lies in the ball and faces ahead")
    points, _, _ = sample_triangles(corners[facing], count, random)
    return np.concatenate([vertices[np.unique(faces[facing])], points])


def _cells(points: Floats, cells: int) -> Ints:
    column, row = np.clip((points[:, :2] * (0.5 / (1.2 * RADIUS)) + 0.5) * cells, 0, cells - 1).astype(np.int64).T
    return np.asarray(row * cells + column)


def _unshadowed(points: Floats, normals: Floats | None, spread: Floats) -> NDArray[np.bool_]:
    """Which ``points`` are seen from straight ahead, among all that is ``spread``."""
    foremost = np.full(SHADOW_CELLS**2, -np.inf)
    np.maximum.at(foremost, _cells(spread, SHADOW_CELLS), spread[:, 2])
    cell = 2.4 * RADIUS / SHADOW_CELLS
    if normals is None:
        return np.asarray(points[:, 2] > foremost[_cells(points, SHADOW_CELLS)] - SHADOW_SLACK - 2 * cell)
    up = normals[:, 2]
    slope = np.minimum(np.sqrt(np.maximum(1 - up**2, 0)) / np.maximum(up, STEEPEST), MOST_SLOPE)
    slack = SHADOW_SLACK + 1.2 * cell * slope
    return np.asarray((up > STEEPEST) & (points[:, 2] > foremost[_cells(points, SHADOW_CELLS)] - slack))


def _thinned(points: Floats) -> Ints:
    """The foremost point of each cell; its number among ``points``."""
    order = np.lexsort((-points[:, 2], cells := _cells(points, THINNED_CELLS)))
    first = np.diff(cells[order], prepend=-1) != 0
    return np.asarray(np.sort(order[first]))


def _counter_clockwise(vertices: Floats, faces: Ints) -> Ints:
    turned = _across(vertices[faces])[:, 2] < 0
    return np.asarray(np.where(turned[:, None], faces[:, ::-1], faces))


def _bridges(vertices: Floats, faces: Ints, spread: Floats) -> NDArray[np.bool_]:
    """Which triangles span what is no surface."""
    tree = cKDTree(spread)
    spacing = float(np.median(tree.query(spread[:2000], 2)[0][:, 1]))
    return np.asarray(tree.query(vertices[faces].mean(1))[0] > max(BRIDGE, 2.0 * spacing))
