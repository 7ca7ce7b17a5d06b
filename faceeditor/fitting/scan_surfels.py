"""A scan as points with normals: meshes, clouds and depth pictures all become *surfels*, so that what comes after
serves them all.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.faces.scan import Faces, Points, Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.rendering.colour import srgb8_to_linear

Linear = NDArray[np.float32]

NEIGHBOURS: Final = 12
"""Points around one of a cloud that tell its normal."""
FAR: Final = 2.0
"""How many times farther than the mean distance from its middle points lie that count little for a scan's frame."""
THIN: Final = 1e-6
"""The share of the variance along a scan that must be left across it."""
_SEED: Final = 7
_SEQUENCE: Final = np.array([0.7548776662466927, 0.5698402909980532])


@dataclass(frozen=True, eq=False)
class Surfels:
    """Points on a scan's surface: ``points`` (N, 3); unit ``normals`` (N, 3), whose sign means nothing since scans are
    often inside out; ``albedo_linear`` (N, 3) or ``None``.
    """

    points: Points
    normals: Points
    albedo_linear: Linear | None

    def moved(self, similarity: Similarity) -> "Surfels":
        """The same in another space."""
        return Surfels(similarity.to_head(self.points), self.normals @ similarity.rotation.T, self.albedo_linear)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Surfels":
        """Some of them."""
        albedo = None if self.albedo_linear is None else self.albedo_linear[chosen]
        return Surfels(self.points[chosen], self.normals[chosen], albedo)


@dataclass(frozen=True, eq=False)
class Ball:
    """What is looked at: ``centre`` (3,) and ``radius`` in the scan's own unit."""

    centre: Points
    radius: float

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Which of ``points`` (N, 3) lie inside."""
        return np.asarray(((points - self.centre) ** 2).sum(-1) <= self.radius**2)


class Sampler:
    """Draws surfels from a scan, evenly over its surface, always the same ones."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._areas: Points | None = None
        if scan.faces is not None:
            corners = scan.vertices[scan.faces]
            across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            self._areas = np.linalg.norm(across, axis=1) / 2
            self._area = float(self._areas.sum())
            self._normals = _gathered(across, scan.faces, len(scan.vertices))

    def own_frame(self) -> Similarity:
        """The similarity that brings the scan to its principal axes, each pointing to where it reaches farther, and to
        a mean distance of 1 from its middle; what lies far out counts little. Raises ``ValueError`` for what is one
        point or one line.
        """
        points, weights = self._scan.vertices, self._weights()
        middle, size = _middle(points, weights)
        weights = weights / (1 + (np.linalg.norm(points - middle, axis=1) / (FAR * size)) ** 4)
        middle, size = _middle(points, weights)
        centred = (points - middle) / size
        spreads, columns = np.linalg.eigh((centred * weights[:, None]).T @ centred)
        if spreads[1] < THIN * spreads[2]:
            raise ValueError("the points lie on one line")
        axes = columns.T[::-1]
        axes = axes * np.where(weights @ (centred @ axes.T) ** 3 < 0, -1.0, 1.0)[:, None]
        axes[2] *= np.sign(np.linalg.det(axes))
        return Similarity(1 / size, axes, -axes @ middle / size)

    def _weights(self) -> Points:
        """How much of the surface each vertex stands for (V,)."""
        scan = self._scan
        if scan.faces is None or self._areas is None:
            return np.ones(len(scan.vertices))
        return np.asarray(sum(np.bincount(corner, self._areas, len(scan.vertices)) for corner in scan.faces.T))

    def draw(self, count: int, ball: Ball | None = None) -> Surfels:
        """At most ``count`` surfels of the scan, or of the part of it that lies in ``ball``; perhaps none."""
        if self._scan.faces is None or self._areas is None:
            return self._from_cloud(count, ball)
        return self._from_mesh(self._scan.faces, self._areas, count, ball)

    def _from_cloud(self, count: int, ball: Ball | None) -> Surfels:
        scan = self._scan
        inside = np.flatnonzero(ball.holds(scan.vertices)) if ball else np.arange(len(scan.vertices))
        if len(inside) > count:
            turn = np.random.default_rng(_SEED).random(len(scan.vertices))[inside]
            inside = inside[turn <= np.partition(turn, count - 1)[count - 1]]
        points = scan.vertices[inside]
        told = None if scan.normals is None else scan.normals[inside]
        if told is None or not (told**2).sum(-1).all():
            told = normals_of_cloud(points)
        albedo = None if scan.colours_srgb is None else srgb8_to_linear(scan.colours_srgb[inside])
        return Surfels(points, _unit(told), albedo)

    def _from_mesh(self, faces: Faces, areas: Points, count: int, ball: Ball | None) -> Surfels:
        if ball is not None:
            areas = areas * ball.holds(self._scan.vertices)[faces].any(1)
        which, shares = _spread(areas / max(self._area, 1e-300), count)
        corners = faces[which]
        return Surfels(
            _mixed(self._scan.vertices, corners, shares),
            _unit(_mixed(self._normals, corners, shares)),
            self._albedo(corners, shares),
        )

    def _albedo(self, corners: Faces, shares: Points) -> Linear | None:
        scan = self._scan
        if scan.texture_srgb is not None and scan.uv is not None:
            return _texel(scan.texture_srgb, _mixed(scan.uv, corners, shares))
        if scan.colours_srgb is not None:
            mixed = np.zeros((len(corners), 3), np.float32)
            for corner in range(3):
                mixed += srgb8_to_linear(scan.colours_srgb[corners[:, corner]]) * shares[:, corner, None]
            return mixed
        return None


def _middle(points: Points, weights: Points) -> tuple[Points, float]:
    """The weighted mean of ``points`` and their mean distance from it."""
    share = weights / max(weights.sum(), 1e-300)
    middle = share @ points
    size = float(share @ np.linalg.norm(points - middle, axis=1))
    if not 0 < size < np.inf:
        raise ValueError("the points coincide")
    return middle, size


def normals_of_cloud(points: Points) -> Points:
    """Unit normals (N, 3) of a cloud (N, 3): the direction in which each point's neighbours spread least."""
    if len(points) <= 3:
        return np.tile([0.0, 0.0, 1.0], (len(points), 1))
    _, near = cKDTree(points).query(points, min(NEIGHBOURS, len(points)))
    around = points[near] - points[near].mean(1, keepdims=True)
    return np.asarray(np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][:, :, 0])


def _gathered(across: Points, faces: Faces, count: int) -> Points:
    """Area-weighted normals (V, 3) of vertices, not unit."""
    columns = [sum(np.bincount(faces[:, corner], across[:, axis], count) for corner in range(3)) for axis in range(3)]
    return np.stack(columns, axis=1)


def _mixed(values: Points, corners: Faces, shares: Points) -> Points:
    mixed = values[corners[:, 0]] * shares[:, :1]
    for corner in (1, 2):
        mixed += values[corners[:, corner]] * shares[:, corner, None]
    return np.asarray(mixed)


def _spread(areas: Points, count: int) -> tuple[NDArray[np.int64], Points]:
    """About ``count`` points, evenly over triangles of ``areas`` (F,): the triangle of each, and the shares (N, 3) of
    its corners.

    A triangle's points depend on little but its own area, so that almost the same triangles get almost the same points:
    the density is one of a few, and places follow an additive sequence (Roberts, "The Unreasonable Effectiveness of
    Quasirandom Sequences", 2018) from a start of the triangle's own.
    """
    density = 2.0 ** np.floor(np.log2(count / max(areas.sum(), 1e-9)))
    random = np.random.default_rng(_SEED).random((len(areas), 3))
    counts = np.floor(areas * density + random[:, 0]).astype(np.int64)
    which = np.repeat(np.arange(len(areas)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (random[which, 1:] + number[:, None] * _SEQUENCE) % 1.0
    root = np.sqrt(place[:, 0])
    return which, np.stack([1 - root, root * (1 - place[:, 1]), root * place[:, 1]], axis=1)


def _unit(vectors: Points) -> Points:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-300))


def _texel(texture: NDArray[np.uint8], uv: Points) -> Linear:
    height, width = texture.shape[:2]
    column = np.floor(uv[:, 0] * width).astype(np.int64) % width
    row = np.floor((1 - uv[:, 1]) * height).astype(np.int64) % height
    return srgb8_to_linear(texture[row, column])
