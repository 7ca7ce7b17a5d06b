"""What the tri-plane head is trained on, from the meshes of any heads: points with distances, normal maps, pairs of
points that correspond (section 5.1.2 of the thesis).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.errors import UserError
from faceeditor.fitting.front_surface import sample_triangles
from faceeditor.rendering.normal_maps import Ball, NormalPainter
from faceeditor.rendering.raster import Rasteriser
from faceeditor.rendering.rasterisers import make_rasteriser
from training.triplane_carving import Carving, Floats

Heads = dict[str, NDArray[Any]]
"""Arrays by name, each with the heads' number first. ``surface`` (., N, 3) are points of the head at rest with unit
``normals``, the first half of them in the face; ``near`` (., 2, N, 3) the same moved at random by either of two
amounts, ``ball`` (., M, 3) points anywhere, ``space`` (., M, 3) points between; ``near_sdf``, ``ball_sdf`` and
``space_sdf`` (...) their distances. ``maps`` (., V, 3, S, S) int8 are normal maps, 127 times the normals, of cameras on
a Fibonacci lattice. ``at_rest`` and ``posed`` (., E, K, 3) are the same points before and after each ``expression`` (.,
E, 64). ``identity`` is the code; of scanned people, whose codes are to be learned, it is a number (., 1), as
``expression`` (., E, 1) is. Lengths are in the model's unit.
"""

NEAR: Final = (0.0025, 0.00025)
"""σ1 and σ2 of points near the surface (section 5.1.2), in the model's unit."""
BETWEEN: Final = (0.015, 0.05)
"""σ of points that are neither near nor anywhere, which the thesis does not have."""
LOOSE: Final = (0.01, 0.002)
"""σ1 and σ2 of corresponding points."""
BESIDE: Final = 0.015
"""Up to this distance, in the model's unit, the nearest triangle tells the sign, beyond it the carving."""
POOL: Final = 3
"""Points tried in the face, and as many elsewhere, for each one that is wanted on the surface."""
NEIGHBOURS: Final = 4
OF_A_PART: Final = 10


class Counts(NamedTuple):
    """Of a head: points on its ``surface``, in the ``ball``, normal maps (``views``) of ``size`` pixels a side, for
    each of which the carving's pictures have ``block`` x ``block``, an odd number, so that one is in their middle;
    ``expressions`` of ``pairs`` points each.
    """

    surface: int = 8000
    ball: int = 3000
    views: int = 128
    size: int = 64
    block: int = 3
    expressions: int = 6
    pairs: int = 3000


class Samples(NamedTuple):
    """``points`` (N, 3) with unit ``normals`` (N, 3), of triangles ``face`` (N,), with ``weights`` (N, 3) of their
    corners.
    """

    points: Floats
    normals: Floats
    face: NDArray[np.int64]
    weights: Floats

    def some(self, chosen: NDArray[Any]) -> "Samples":
        """The ``chosen`` ones."""
        return Samples(*(table[chosen] for table in self))

    def on(self, vertices: Floats, faces: NDArray[np.int64]) -> Floats:
        """The same points (N, 3) of a mesh with the same ``faces`` (F, 3) and other ``vertices`` (V, 3)."""
        return np.asarray(np.einsum("nk,nkc->nc", self.weights, vertices[faces[self.face]]))


class Shape(NamedTuple):
    """A head in head space: ``vertices`` (V, 3) with unit ``normals`` (V, 3), triangles ``faces`` (F, 3), and which of
    them (F,) are in the face (``facial``).
    """

    vertices: Floats
    normals: Floats
    faces: NDArray[np.int64]
    facial: NDArray[np.bool_]

    @classmethod
    def of(cls, vertices: Floats, faces: NDArray[np.int64], facial: NDArray[np.bool_]) -> Self:
        """The same without its normals."""
        mesh: Any = trimesh.Trimesh(vertices, faces, process=False)
        return cls(vertices, np.asarray(mesh.vertex_normals), faces, facial)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Of the triangles (F, 3, 3)."""
        return np.asarray(self.vertices[self.faces], np.float64)


@dataclass(frozen=True, eq=False)
class HeadSampler:
    """Draws ``counts`` of everything from heads, of which the model knows the inside of ``ball``."""

    ball: Ball
    counts: Counts = field(default_factory=Counts)

    @cached_property
    def rasteriser(self) -> Rasteriser:
        """What sees meshes."""
        return make_rasteriser()

    def own(self, points: Floats) -> Floats:
        """``points`` (..., 3) of head space in the model's own."""
        return np.asarray((points - np.array(self.ball.centre)) / self.ball.radius)

    def known(self, shape: Shape, random: np.random.Generator, fine: bool = False) -> tuple[Samples, Heads]:
        """Points on the surface, in head space, and all that does not ask for other heads.

        Where triangles are ``fine``, the nearest one may lie between all points that are drawn, so that the middles of
        all are looked at too. Raises ``UserError`` for a head of which there is nothing to see in the ball.
        """
        carving = Carving.of(
            shape.vertices,
            shape.faces,
            self.ball,
            self.rasteriser,
            self.counts.views,
            self.counts.block * self.counts.size,
        )
        seen = self._drawn(shape, carving, random)
        surface = self._balanced(seen, shape.facial, random)
        if fine:
            middles = self._visible(_middles(shape), carving)
            seen = Samples(*(np.concatenate(tables) for tables in zip(seen, middles, strict=True)))
        distances = Distances(seen, shape.corners, carving, BESIDE * self.ball.radius)
        return surface, {**self._around(surface, distances, random), "maps": self._maps(shape, carving)}

    def _drawn(self, shape: Shape, carving: Carving, random: np.random.Generator) -> Samples:
        """Points that a scanner sees, in head space, those of the face as many as all others."""
        corners = shape.corners
        found = []
        for part in (shape.facial, ~shape.facial):
            points, face, weights = sample_triangles(corners, POOL * self.counts.surface, random, part.astype(float))
            found.append(self._visible(_samples(shape, points, face, weights), carving))
        return Samples(*(np.concatenate(tables) for tables in zip(*found, strict=True)))

    def _visible(self, samples: Samples, carving: Carving) -> Samples:
        inside = np.linalg.norm(self.own(samples.points), axis=1) < 1
        return samples.some(inside & carving.visible(samples.points, samples.normals))

    def _balanced(self, seen: Samples, facial: NDArray[np.bool_], random: np.random.Generator) -> Samples:
        """As many points as asked for, the first half in the face."""
        of_face = facial[seen.face]
        if of_face.all() or not of_face.any():
            raise UserError("The model's ball holds no face, or nothing else; check the head's unit and place.")
        half = self.counts.surface // 2
        return seen.some(np.concatenate([random.choice(np.flatnonzero(side), half) for side in (of_face, ~of_face)]))

    def _around(self, surface: Samples, distances: "Distances", random: np.random.Generator) -> Heads:
        """Points on, near and far from the surface, with distances."""
        unit = self.ball.radius
        away = random.normal(size=(2, *surface.points.shape)) * np.array(NEAR)[:, None, None] * unit
        ball = random.normal(size=(self.counts.ball, 3))
        ball *= random.random((len(ball), 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1, keepdims=True)
        ball = ball * unit + np.array(self.ball.centre)
        near = surface.points + away
        between = surface.points[random.integers(len(surface.points), size=len(ball))]
        between = between + random.normal(size=ball.shape) * random.choice(BETWEEN, (len(ball), 1)) * unit
        return {
            "surface": self.own(surface.points),
            "normals": surface.normals,
            "near": self.own(near),
            "near_sdf": distances.of(near.reshape(-1, 3)).reshape(2, -1) / unit,
            "ball": self.own(ball),
            "ball_sdf": distances.of(ball) / unit,
            "space": self.own(between),
            "space_sdf": distances.of(between) / unit,
        }

    def _maps(self, shape: Shape, carving: Carving) -> NDArray[np.int8]:
        """What the carving's cameras see: the middle one of each of their blocks of pixels."""
        painter = NormalPainter.of(shape.vertices, shape.normals, shape.faces, self.rasteriser)
        block = self.counts.block
        ids = carving.ids[:, block // 2 :: block, block // 2 :: block]
        maps = torch.stack([painter.shaded(seen, camera) for seen, camera in zip(ids, carving.cameras, strict=True)])
        return np.asarray((127 * maps).round().to(torch.int8).numpy())

    def pairs(
        self,
        rest: Floats,
        posed: Floats,
        faces: NDArray[np.int64],
        shares: list[NDArray[np.bool_]],
        random: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        """Corresponding points (K, 3) of two meshes with the same ``faces`` (F, 3), vertices (V, 3) in head space: as
        many drawn evenly from each of the ``shares`` (F,) of either, moved along the normals by either of two amounts.
        """
        meshes: list[Any] = [trimesh.Trimesh(self.own(vertices), faces, process=False) for vertices in (rest, posed)]
        each = self.counts.pairs // (2 * len(shares))
        drawn = [
            sample_triangles(mesh.triangles, each, random, share.astype(float)) for mesh in meshes for share in shares
        ]
        face = np.concatenate([found[1] for found in drawn])
        weights = np.concatenate([found[2] for found in drawn])
        away = random.normal(size=(len(face), 1)) * np.array(LOOSE)[np.arange(len(face)) % 2][:, None]
        kept = [
            np.einsum("nk,nkc->nc", weights, mesh.triangles[face])
            + away * np.einsum("nk,nkc->nc", weights, mesh.vertex_normals[mesh.faces[face]])
            for mesh in meshes
        ]
        return kept[0], kept[1]


def _samples(shape: Shape, points: Floats, face: NDArray[np.int64], weights: Floats) -> Samples:
    ways = np.einsum("nk,nkc->nc", weights, shape.normals[shape.faces[face]])
    return Samples(points, ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9), face, weights)


def _middles(shape: Shape) -> Samples:
    """Of all triangles."""
    count = len(shape.faces)
    return _samples(shape, shape.corners.mean(1), np.arange(count), np.full((count, 3), 1 / 3))


class Distances:
    """Signed distances to the visible surface of a head, in head space."""

    def __init__(self, seen: Samples, corners: Floats, carving: Carving, beside: float) -> None:
        """``seen`` are points of the visible surface, ``corners`` (F, 3, 3) its triangles."""
        self._seen, self._corners, self._carving, self._beside = seen, corners, carving, beside
        self._tree = cKDTree(seen.points)

    def of(self, points: Floats) -> NDArray[np.float64]:
        """Distances (N,) of ``points`` (N, 3), negative inside: beside the surface by the side of the nearest triangle,
        elsewhere by the carving.
        """
        near = self._tree.query(points, NEIGHBOURS)[1]
        repeated = np.repeat(points, NEIGHBOURS, axis=0)
        corners = self._corners[self._seen.face[near]].reshape(-1, 3, 3)
        closest: Any = trimesh.triangles.closest_point(corners, repeated)  # type: ignore[no-untyped-call]
        away = points[:, None] - closest.reshape(-1, NEIGHBOURS, 3)
        rows, best = np.arange(len(points)), np.linalg.norm(away, axis=2).argmin(1)
        offset = away[rows, best]
        length = np.linalg.norm(offset, axis=1)
        before = (offset * self._seen.normals[near[rows, best]]).sum(1) > 0
        far = length > self._beside
        before[far] = self._carving.outside(points[far])
        return np.asarray(np.where(before, length, -length))


def store(heads: list[Heads], path: Path) -> None:
    """Writes heads as a part; whole numbers stay whole."""
    beside = path.with_suffix(".new.npz")
    arrays: dict[str, Any] = {name: np.stack([head[name] for head in heads]) for name in heads[0]}
    np.savez(beside, **{name: a if a.dtype == np.int8 else a.astype(np.float32) for name, a in arrays.items()})
    beside.replace(path)


def read_known(path: Path) -> dict[str, torch.Tensor] | None:
    """The tables of :func:`write_known`, ``None`` where there are none."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def write_known(path: Path, make: Callable[[], Heads]) -> None:
    """Stores tables that ``make`` makes, if they are not there."""
    if path.exists():
        return
    beside = path.with_suffix(".new.npz")
    np.savez(beside, allow_pickle=False, **make())
    beside.replace(path)
