"""Draws what ImFace++ is trained on from faces of one topology, where it is known how their points correspond."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import trimesh
from numpy.typing import NDArray

from faceeditor.faces.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from faceeditor.fitting.front_surface import FrontSurface

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Scans = dict[str, Floats]
"""Arrays by name, each with the scans' number first. ``surface`` (., N, 3), its unit ``normals``, where the same points
lie on the ``neutral`` face and on the ``template``, and ``matched`` (., N), 1 where that is seen on both; ``detailed``
and ``detailed_normals`` the same points with folds; ``bridge`` (., B, 3) points of bridges; ``space`` (., M, 3) points
around with their ``distance`` (., M) and its ``gradient``; ``landmarks`` and ``neutral_landmarks`` (., k, 3); codes
``identity``, ``expression`` and ``detail``, of the studio (., 100), (., 64) and (., J), of real people (., 1) each:
only numbers that tell persons and expressions apart. Lengths are in the model's unit.
"""

TEMPLATE_FILE: Final = "template.npz"
"""Beside the scans of real people: the sampler that they were made with."""
STRETCHED: Final = 2.5
"""A triangle whose edge is this much longer than on the template joins what does not belong together."""
STRETCH_SLACK: Final = 0.005
FEATURES: Final = 0.09
"""How far around eyes and lips points are denser, in the model's unit, and how much denser."""
DENSER: Final = 5.0


class Counts(NamedTuple):
    """Points of a scan: on its ``surface``, on its ``bridge`` triangles, in the ``space`` around."""

    surface: int = 4000
    bridge: int = 300
    space: int = 4000


USUAL: Final = Counts()


class Corners(NamedTuple):
    """Points as shares of a face's vertices: their numbers ``vertex`` (N, 3) and ``weights`` (N, 3)."""

    vertex: Ints
    weights: Floats

    def of(self, table: Floats) -> Floats:
        """What ``table`` (V, C) says at the points (N, C)."""
        return np.asarray(np.einsum("nk,nkc->nc", self.weights, table[self.vertex]))


Detailing = Callable[[Corners], tuple[Floats, Floats]]
"""Where points lie on the detailed surface, and its unit normals there, both (N, 3)."""


@dataclass(frozen=True, eq=False)
class FaceSampler:
    """Faces with the vertices of ``rest`` (V, 3), the template's, in the model's unit.

    ``faces`` (F, 3) are the triangles a scanner sees; ``apart`` (V,) is true where vertices correspond to no skin, as
    those of eyeballs; ``marks`` (68,) are the vertices of the landmarks.
    """

    rest: NDArray[np.float64]
    faces: Ints
    apart: NDArray[np.bool_]
    marks: Ints
    counts: Counts = USUAL

    @classmethod
    def read(cls, path: Path) -> Self:
        """What :meth:`write` has written."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["rest"], file["faces"], file["apart"], file["marks"])

    def write(self, path: Path) -> None:
        """Stores all but the counts as an .npz file."""
        beside = path.with_suffix(".new.npz")
        np.savez(beside, rest=self.rest, faces=self.faces, apart=self.apart, marks=self.marks)
        beside.replace(path)

    @cached_property
    def template(self) -> FrontSurface:
        """The front of the template."""
        return self.front(self.rest)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Vertices of the skin (V,) that the template shows."""
        seen = np.zeros(len(self.rest), bool)
        seen[self.template.source] = True
        return np.asarray(seen & ~self.apart)

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """How densely each vertex' surroundings are sampled (V,)."""
        marks = self.rest[self.marks]
        features = np.concatenate([marks[part] for part in (RIGHT_EYE, LEFT_EYE, OUTER_LIPS)])
        away = np.linalg.norm(self.rest[:, None] - features, axis=2).min(1)
        return np.asarray(1 + (DENSER - 1) * np.exp(-((away / FEATURES) ** 2)), np.float64)

    def front(self, vertices: NDArray[np.float64], seed: int = 0) -> FrontSurface:
        """The front of what a scanner sees of a face."""
        used, faces = np.unique(self.faces, return_inverse=True)
        front = FrontSurface.of(vertices[used], faces.reshape(-1, 3), seed)
        return FrontSurface(front.vertices, front.faces, front.bridge, used[front.source], front.triangulation)

    def normals(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit normals (V, 3) of a face's vertices; none where no triangle is."""
        return np.asarray(trimesh.Trimesh(vertices, self.faces, process=False).vertex_normals)

    def scan(
        self,
        vertices: NDArray[np.float64],
        neutral: NDArray[np.float64],
        landmarks: tuple[int, ...],
        detailing: Detailing,
        seed: int,
        random: np.random.Generator,
    ) -> Scans:
        """All of a scan but its codes. ``vertices`` (V, 3) are the face's, ``neutral`` those of the same person without
        expression; ``landmarks`` says which of the 68 are kept. Raises ``NoSurface``.
        """
        front = self.front(vertices, seed)
        joined = front.source[front.faces]
        stretched = _longest(vertices[joined]) > STRETCHED * _longest(self.rest[joined]) + STRETCH_SLACK
        kept = ~(front.bridge | stretched)
        density = np.asarray(kept * self.importance[joined].mean(1))
        points, face, weights = front.sample(self.counts.surface, random, density)
        corners = Corners(joined[face], weights)
        detailed, across = detailing(corners)
        marks = self.marks[list(landmarks)]
        surface: Scans = {
            "surface": points,
            "normals": front.normals()[face],
            "neutral": corners.of(neutral),
            "template": corners.of(self.rest),
            "matched": np.asarray(self.seen[corners.vertex].all(1), np.float32),
            "detailed": detailed,
            "detailed_normals": across,
            "bridge": front.sample(self.counts.bridge, random, np.asarray(~kept + 1e-9))[0],
        }
        around = self._space(front, points, random)
        return surface | around | {"landmarks": vertices[marks], "neutral_landmarks": neutral[marks]}

    def _space(self, front: FrontSurface, surface: Floats, random: np.random.Generator) -> Scans:
        """Three quarters of the points near the surface, the others anywhere in the ball."""
        quarter = self.counts.space // 4
        starts = surface[random.integers(len(surface), size=3 * quarter)]
        away = np.repeat([0.02, 0.05, 0.15], quarter)[:, None] * random.normal(size=starts.shape)
        inside = random.normal(size=(quarter, 3))
        inside *= (random.random((quarter, 1)) ** (1 / 3)) / np.linalg.norm(inside, axis=1, keepdims=True)
        points = np.concatenate([starts + away, inside])
        distance, gradient = front.signed_distance(points, front.tree(random))
        return {"space": points, "distance": distance, "gradient": gradient}


def _longest(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1))
