"""Makes what the tri-plane head is trained on: studio heads with hair, as a scanner all around them would know them.

``python -m training.triplane_scans --data DATA --out FOLDER --parts N`` writes N parts of 10 heads each; parts that are
there already are kept.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY
from faceeditor.fitting.front_surface import sample_triangles
from faceeditor.models.triplane import TriplaneConfig
from faceeditor.rendering.normal_maps import Ball, NormalPainter
from faceeditor.rendering.raster import Rasteriser
from faceeditor.rendering.rasterisers import make_rasteriser
from training.imface_scans import HELD_OUT_SEED, part_path
from training.studio.assets import HAIR_STYLES, Assets
from training.studio.factors import expression_code
from training.studio.head import HeadModel
from training.studio.sampling import BALD, sample_expression, sample_identity
from training.triplane_carving import Carving, Floats
from training.triplane_hair import HairShell, HairSpace, read_shells, write_shells

Heads = dict[str, NDArray[Any]]
"""Arrays by name, each with the heads' number first. ``surface`` (., N, 3) are points of the head at rest with unit
``normals``, the first half of them in the face, and ``mean`` (., N, 3) the same points of the mean head; ``near``
(., 2, N, 3) the same moved at random by either of two amounts, ``ball`` (., M, 3) points anywhere, ``space`` (., M, 3)
points between; ``near_sdf``, ``ball_sdf`` and ``space_sdf`` (...) their distances. ``maps`` (., V, 3, S, S) int8 are
normal maps, 127 times the normals, of cameras on a Fibonacci lattice. ``at_rest`` and ``posed`` (., E, K, 3) are the
same points before and after each ``expression`` (., E, 64). ``identity`` is the code. Lengths are in the model's unit.
"""

REST: Final = {"jawOpen": 0.25}
"""The expression of heads at rest: the mouth is open, so that lips have no common points (section 4.2)."""
NECK: Final = -0.118
"""Metres: the mean head is cut off below."""
PARTS: Final = ("face", "head_and_neck", "mouth_socket", "gums_and_tongue", "teeth", "sclera_left", "sclera_right")
EYES: Final = ("sclera_left", "sclera_right")
EYE_SETBACK: Final = 0.0004
MOBILE: Final = 0.002
"""Metres by which some expression moves what is in the face."""
NEAR: Final = (0.0025, 0.00025)
"""σ1 and σ2 of points near the surface (section 5.1.2), in the model's unit."""
BETWEEN: Final = (0.015, 0.05)
"""σ of points that are neither near nor anywhere, which the thesis does not have."""
LOOSE: Final = (0.01, 0.002)
"""σ1 and σ2 of corresponding points."""
BESIDE: Final = 0.015
"""Up to this distance, in the model's unit, the nearest triangle tells the sign, beyond it the carving."""
POOL: Final = 24_000
NEIGHBOURS: Final = 4
BLOCK: Final = 3
"""Pixels a side of the carving's pictures for each of a normal map; odd, so that one is in its middle."""
OF_A_PART: Final = 10
HAIR_FILE: Final = "hair.npz"


class Counts(NamedTuple):
    """Of a head: points on its ``surface``, in the ``ball``, normal maps (``views``) of ``size`` pixels a side,
    ``expressions`` of ``pairs`` points each.
    """

    surface: int = 8000
    ball: int = 3000
    views: int = 128
    size: int = 64
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


@dataclass(frozen=True, eq=False)
class HeadMaker:
    """Makes heads for a model of ``config``. Shells of hair are kept in the file ``hair``."""

    head: HeadModel
    assets: Assets
    config: TriplaneConfig
    counts: Counts = field(default_factory=Counts)
    hair: Path | None = None

    @cached_property
    def ball(self) -> Ball:
        """What the model knows."""
        return Ball(self.config.origin, self.config.unit)

    @cached_property
    def rasteriser(self) -> Rasteriser:
        """What sees meshes."""
        return make_rasteriser()

    @cached_property
    def faces(self) -> NDArray[np.int64]:
        """Triangles (F, 3) of the head without hair, its neck closed by a vertex that follows all others."""
        head = self.head
        kept = np.zeros(len(head.triangles), bool)
        for name in PARTS:
            start, end = head.polygon_ranges[name]
            kept |= (head.triangle_polygon >= start) & (head.triangle_polygon < end)
        faces = head.triangles[kept].astype(np.int64)
        faces = faces[head.neutral[faces, 1].min(1) > NECK]
        return np.concatenate([faces, _lid(faces, head.neutral, len(head.neutral))])

    @cached_property
    def facial(self) -> NDArray[np.bool_]:
        """Which of the triangles (F,) are in the face: those that expressions move, eyes and mouth."""
        of_face = np.zeros(len(self.head.neutral) + 1, bool)
        of_face[:-1] = np.linalg.norm(self.head.expression_modes, axis=2).max(0) > MOBILE
        for name in PARTS[2:]:
            of_face[self.head.region(name)] = True
        return np.asarray(of_face[self.faces].all(1))

    def vertices(self, identity: Floats, expression: Floats) -> NDArray[np.float64]:
        """Vertices (V, 3) of a head in head space; eyeballs look ahead, turned ones have the same surface."""
        head = self.head
        still = np.array(expression)
        still[[number for number, name in enumerate(head.expression_names) if name.startswith("eyeLook")]] = 0
        found = head.vertices(identity, expression).astype(np.float64)
        ahead = head.vertices(identity, still)
        for eye in EYES:
            found[head.region(eye)] = ahead[head.region(eye)] - [0, 0, EYE_SETBACK]
        found[self._rim, 1] = found[self._rim, 1].mean()
        return np.concatenate([found, found[self._rim].mean(0, keepdims=True)])

    @cached_property
    def _rim(self) -> NDArray[np.int64]:
        centre = len(self.head.neutral)
        lid = self.faces[(self.faces == centre).any(1)]
        return np.setdiff1d(lid, [centre])

    @cached_property
    def shells(self) -> dict[str, HairShell]:
        """The hair of all styles, on the mean head; it takes minutes."""
        if self.hair is not None and self.hair.exists():
            return read_shells(self.hair)
        mean = self.vertices(np.zeros(DIMS[IDENTITY]), np.zeros(DIMS[EXPRESSION]))
        space = HairSpace.of(Carving.of(mean, self.faces, self.ball, self.rasteriser), self.ball, NECK)
        shells = {name: HairShell.of(self.assets.hair(name), space) for name in HAIR_STYLES}
        if self.hair is not None:
            write_shells(shells, self.hair)
        return shells

    @cached_property
    def _mean(self) -> dict[str | None, Floats]:
        """Vertices (V, 3) of the mean head at rest with each style."""
        still = np.zeros(DIMS[IDENTITY]), expression_code(**REST)
        return {style: self.mesh(*still, style)[0] for style in (None, *HAIR_STYLES)}

    def mesh(self, identity: Floats, expression: Floats, style: str | None) -> tuple[Floats, NDArray[np.int64]]:
        """Vertices (V, 3) in head space and faces (F, 3) of a head with hair, the hair's last."""
        vertices = self.vertices(identity, expression)
        if style is None:
            return vertices, self.faces
        shell = self.shells[style]
        hair = shell.follow((vertices[:-1] - self.head.neutral).astype(np.float32))
        return np.concatenate([vertices, hair]), np.concatenate([self.faces, shell.faces + len(vertices)])

    def code(self, identity: Floats, style: str | None) -> NDArray[np.float32]:
        """z_id (identity_dims,): the studio's identity code, then the weights of hair styles."""
        code = np.zeros(self.config.identity_dims, np.float32)
        code[: len(identity)] = identity
        if style is not None:
            code[len(identity) + HAIR_STYLES.index(style)] = 1
        return code

    def make(self, seed: int) -> Heads:
        """The head with this number."""
        random = np.random.default_rng(seed)
        identity = sample_identity(random)
        style = None if random.random() < BALD else str(random.choice(HAIR_STYLES))
        vertices, faces = self.mesh(identity, expression_code(**REST), style)
        mesh: Any = trimesh.Trimesh(vertices, faces, process=False)
        normals = np.asarray(mesh.vertex_normals)
        counts = self.counts
        carving = Carving.of(vertices, faces, self.ball, self.rasteriser, counts.views, BLOCK * counts.size)
        seen = self._seen(vertices, normals, faces, carving, random)
        facial = np.append(self.facial, np.zeros(len(faces) - len(self.faces), bool))
        surface = self._balanced(seen, facial, random)
        return {
            "identity": self.code(identity, style),
            "mean": self._own(surface.on(self._mean[style], faces)),
            **self._around(surface, seen, vertices[faces], carving, random),
            "maps": self._maps(vertices, normals, faces, carving),
            **self._motions(identity, style, random),
        }

    def _seen(
        self,
        vertices: Floats,
        normals: Floats,
        faces: NDArray[np.int64],
        carving: Carving,
        random: np.random.Generator,
    ) -> Samples:
        """Points of the surface that a scanner sees, in head space, those of the face as many as all others."""
        facial = np.append(self.facial, np.zeros(len(faces) - len(self.faces), bool))
        corners = np.asarray(vertices[faces], np.float64)
        found = []
        for part in (facial, ~facial):
            points, face, weights = sample_triangles(corners, POOL, random, part.astype(float))
            ways = np.einsum("nk,nkc->nc", weights, normals[faces[face]])
            ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
            inside = np.linalg.norm(self._own(points), axis=1) < 1
            found.append(Samples(points, ways, face, weights).some(inside & carving.visible(points, ways)))
        return Samples(*(np.concatenate(tables) for tables in zip(*found, strict=True)))

    def _balanced(self, seen: Samples, facial: NDArray[np.bool_], random: np.random.Generator) -> Samples:
        """As many points as asked for, the first half in the face."""
        of_face = facial[seen.face]
        half = self.counts.surface // 2
        return seen.some(np.concatenate([random.choice(np.flatnonzero(side), half) for side in (of_face, ~of_face)]))

    def _around(
        self, surface: Samples, seen: Samples, corners: Floats, carving: Carving, random: np.random.Generator
    ) -> Heads:
        """Points on, near and far from the surface, with distances."""
        unit = self.config.unit
        away = random.normal(size=(2, *surface.points.shape)) * np.array(NEAR)[:, None, None] * unit
        ball = random.normal(size=(self.counts.ball, 3))
        ball *= random.random((len(ball), 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1, keepdims=True)
        ball = ball * unit + np.array(self.config.origin)
        near = surface.points + away
        between = surface.points[random.integers(len(surface.points), size=len(ball))]
        between = between + random.normal(size=ball.shape) * random.choice(BETWEEN, (len(ball), 1)) * unit
        distances = Distances(seen, corners, carving, BESIDE * unit)
        return {
            "surface": self._own(surface.points),
            "normals": surface.normals,
            "near": self._own(near),
            "near_sdf": distances.of(near.reshape(-1, 3)).reshape(2, -1) / unit,
            "ball": self._own(ball),
            "ball_sdf": distances.of(ball) / unit,
            "space": self._own(between),
            "space_sdf": distances.of(between) / unit,
        }

    def _maps(self, vertices: Floats, normals: Floats, faces: NDArray[np.int64], carving: Carving) -> NDArray[np.int8]:
        """What the carving's cameras see: the middle one of each of their ``BLOCK`` x ``BLOCK`` pixels."""
        painter = NormalPainter.of(vertices, normals, faces, self.rasteriser)
        ids = carving.ids[:, BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK]
        maps = torch.stack([painter.shaded(seen, camera) for seen, camera in zip(ids, carving.cameras, strict=True)])
        return np.asarray((127 * maps).round().to(torch.int8).numpy())

    def _motions(self, identity: Floats, style: str | None, random: np.random.Generator) -> Heads:
        """Points of the head before and after expressions, the first of which is none."""
        expressions = [np.zeros(DIMS[EXPRESSION], np.float32)]
        expressions += [np.asarray(sample_expression(random)) for _ in range(self.counts.expressions - 1)]
        rest = self._own_mesh(identity, expression_code(**REST), style)
        pairs = [self._pairs(rest, self._own_mesh(identity, code, style), random) for code in expressions]
        return {
            "expression": np.stack(expressions)[:, : self.config.expression_dims],
            "at_rest": np.stack([before for before, _ in pairs]),
            "posed": np.stack([after for _, after in pairs]),
        }

    def _own_mesh(self, identity: Floats, expression: Floats, style: str | None) -> Any:
        vertices, faces = self.mesh(identity, expression, style)
        return trimesh.Trimesh(self._own(vertices), faces, process=False)

    def _pairs(self, rest: Any, posed: Any, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Corresponding points (K, 3): half drawn evenly from either mesh, half of the face, moved along the normals
        by either of two amounts.
        """
        quarter = self.counts.pairs // 4
        facial = np.append(self.facial, np.zeros(len(rest.faces) - len(self.faces), bool)).astype(float)
        shares = [facial, 1 - facial]
        drawn = [sample_triangles(mesh.triangles, quarter, random, part) for mesh in (rest, posed) for part in shares]
        face = np.concatenate([found[1] for found in drawn])
        weights = np.concatenate([found[2] for found in drawn])
        away = random.normal(size=(len(face), 1)) * np.array(LOOSE)[np.arange(len(face)) % 2][:, None]
        kept = [
            np.einsum("nk,nkc->nc", weights, mesh.triangles[face])
            + away * np.einsum("nk,nkc->nc", weights, mesh.vertex_normals[mesh.faces[face]])
            for mesh in (rest, posed)
        ]
        return kept[0], kept[1]

    def _own(self, points: Floats) -> Floats:
        return np.asarray((points - np.array(self.config.origin)) / self.config.unit)


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


def _lid(faces: NDArray[np.int64], vertices: Floats, centre: int) -> NDArray[np.int64]:
    """Triangles (L, 3) from the vertex ``centre`` to the lowest open border of ``faces``."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key = np.sort(edges, axis=1)
    _, first, count = np.unique(key, axis=0, return_index=True, return_counts=True)
    border = edges[first[count == 1]]
    border = border[vertices[border, 1].max(1) < NECK + 0.02]
    return np.concatenate([border[:, ::-1], np.full((len(border), 1), centre)], axis=1)


def studio_maker(data: Path, out: Path) -> HeadMaker:
    """What makes the heads of the folder ``out`` from the studio's ``data``."""
    return HeadMaker(HeadModel.load(data), Assets(data), TriplaneConfig.small(), hair=out / HAIR_FILE)


def write_part(data: Path, out: Path, part: int, first_seed: int = 0) -> None:
    """Writes the heads with the numbers from ``first_seed + 10 part`` on."""
    path = part_path(out, part)
    if path.exists():
        return
    torch.set_num_threads(1)
    maker = studio_maker(data, out)
    store([maker.make(first_seed + part * OF_A_PART + number) for number in range(OF_A_PART)], path)


def make_parts(data: Path, out: Path, parts: int, processes: int, first_seed: int = 0) -> None:
    """Writes ``parts`` parts to ``out``, several at once."""
    out.mkdir(parents=True, exist_ok=True)
    studio_maker(data, out).shells  # noqa: B018  (made once, before all processes want them)
    with ProcessPoolExecutor(processes) as pool:
        for done in [pool.submit(write_part, data, out, part, first_seed) for part in range(parts)]:
            done.result()


def store(heads: list[Heads], path: Path) -> None:
    """Writes heads as a part; whole numbers stay whole."""
    beside = path.with_suffix(".new.npz")
    arrays: dict[str, Any] = {name: np.stack([head[name] for head in heads]) for name in heads[0]}
    np.savez(beside, **{name: a if a.dtype == np.int8 else a.astype(np.float32) for name, a in arrays.items()})
    beside.replace(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--held-out", action="store_true", help="heads that are never trained on")
    asked = parser.parse_args()
    make_parts(asked.data, asked.out, asked.parts, asked.processes, HELD_OUT_SEED if asked.held_out else 0)


if __name__ == "__main__":
    main()
