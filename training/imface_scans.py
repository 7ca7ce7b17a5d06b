"""Makes the scans that ImFace++ is trained on: the front of studio heads, with what is known about every point.

``python -m training.imface_scans --data DATA --out FOLDER --parts N`` writes N parts of 100 scans each; parts that are
there already are kept. A part holds as many identities as scans, drawn by the part's number.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from faceeditor.faces.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from faceeditor.faces.scan import Scan
from faceeditor.fitting.front_surface import FrontSurface
from faceeditor.models.imface import ImFaceConfig
from training.studio.factors import StudioFactors
from training.studio.head import HeadModel
from training.studio.sampling import sample_expression, sample_identity
from training.studio.wrinkles import Wrinkles, wrinkled

Floats = NDArray[np.floating[Any]]
Scans = dict[str, Floats]
"""Arrays by name, each with the scans' number first. ``surface`` (., N, 3), its unit ``normals``, where the same points
lie on the ``neutral`` face and on the ``template``, and ``matched`` (., N), 1 where that is seen on both; ``detailed``
and ``detailed_normals`` the same points with folds; ``bridge`` (., B, 3) points of bridges; ``space`` (., M, 3) points
around with their ``distance`` (., M) and its ``gradient``; ``landmarks`` and ``neutral_landmarks`` (., k, 3); codes
``identity`` (., 100), ``expression`` (., 64) and ``detail`` (., J). Lengths are in the model's unit.
"""

OF_A_PART: Final = 100
SURFACE: Final = 4000
BRIDGE: Final = 300
SPACE: Final = 4000
SKIN: Final = ("face", "head_and_neck")
EYES: Final = ("sclera_left", "sclera_right")
EYE_SETBACK: Final = 0.0004
"""Metres by which eyeballs are moved back once more, so that they do not show through closed lids."""
STRETCHED: Final = 2.5
"""A triangle whose edge is this much longer than on the mean head joins what does not belong together."""
FEATURES: Final = 0.009
"""Metres around eyes and lips in which points are denser, and how much denser."""
DENSER: Final = 5.0
HELD_OUT_SEED: Final = 77_000_000
"""Seeds from here on are of scans that are never trained on."""


@dataclass(frozen=True, eq=False)
class ScanMaker:
    """Makes scans of studio heads for a model with the landmarks, unit and origin of ``config``."""

    head: HeadModel
    config: ImFaceConfig

    @cached_property
    def wrinkles(self) -> Wrinkles:
        """The detail of all heads."""
        return Wrinkles.of(self.head.neutral[self.head.landmarks68])

    @cached_property
    def faces(self) -> NDArray[np.int64]:
        """The triangles of skin and eyeballs, what a scanner sees of a face."""
        limits = [self.head.polygon_ranges[name] for name in (*SKIN, *EYES)]
        of = self.head.triangle_polygon
        kept = np.logical_or.reduce([(of >= start) & (of < end) for start, end in limits])
        return np.asarray(self.head.triangles[kept], np.int64)

    @cached_property
    def template(self) -> FrontSurface:
        """The front of the mean head."""
        return self.front(self.vertices(StudioFactors()))

    @cached_property
    def _plain(self) -> NDArray[np.bool_]:
        """Vertices of the skin that are seen on the mean head."""
        seen = np.zeros(len(self.head.neutral), bool)
        seen[self.template.source] = True
        for eye in EYES:
            seen[self.head.region(eye)] = False
        return seen

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """How densely each vertex' surroundings are sampled."""
        marks = self.head.neutral[self.head.landmarks68]
        features = np.concatenate([marks[part] for part in (RIGHT_EYE, LEFT_EYE, OUTER_LIPS)])
        apart = np.linalg.norm(self.head.neutral[:, None] - features, axis=2).min(1)
        return np.asarray(1 + (DENSER - 1) * np.exp(-((apart / FEATURES) ** 2)), np.float64)

    def vertices(self, factors: StudioFactors) -> NDArray[np.float64]:
        """All vertices of a head, in the model's unit; eyeballs look ahead, turned ones have the same surface."""
        expression = factors.expression.copy()
        expression[[i for i, name in enumerate(self.head.expression_names) if name.startswith("eyeLook")]] = 0
        metres = self.head.vertices(factors.identity, factors.expression).astype(np.float64)
        still = self.head.vertices(factors.identity, expression)
        for eye in EYES:
            metres[self.head.region(eye)] = still[self.head.region(eye)] - [0, 0, EYE_SETBACK]
        return np.asarray((metres - np.array(self.config.origin)) / self.config.unit)

    def front(self, vertices: NDArray[np.float64], seed: int = 0) -> FrontSurface:
        """The front of a head's skin and eyeballs."""
        used, faces = np.unique(self.faces, return_inverse=True)
        front = FrontSurface.of(vertices[used], faces.reshape(-1, 3), seed)
        return FrontSurface(front.vertices, front.faces, front.bridge, used[front.source], front.triangulation)

    def factors(self, seed: int) -> StudioFactors:
        """The head with this number."""
        random = np.random.default_rng(seed)
        return StudioFactors(identity=sample_identity(random), expression=sample_expression(random))

    def scan(self, seed: int) -> Scans:
        """The scan with this number."""
        random = np.random.default_rng([seed, 1])
        factors = self.factors(seed)
        vertices = self.vertices(factors)
        neutral = self.vertices(StudioFactors(identity=factors.identity))
        front = self.front(vertices, seed)
        detail = self.wrinkles.sample(random, factors.expression)
        surface = self._surface(front, vertices, neutral, detail, random)
        marks = self.head.landmarks68[list(self.config.landmarks)]
        return (
            surface
            | self._space(front, surface["surface"], random)
            | {"landmarks": vertices[marks], "neutral_landmarks": neutral[marks], "detail": detail}
            | {"identity": factors.identity, "expression": factors.expression}
        )

    def detailed(self, factors: StudioFactors, detail: Floats, levels: int = 2) -> tuple[Scan, Floats, Floats, Any]:
        """A head's skin and eyeballs with folds, in metres, its face cut into triangles a quarter as long; where its
        vertices (N, 3) lie on the neutral and on the mean head; and which of them (N,) are skin that the latter shows.
        """
        config, head = self.config, self.head
        places = [self.vertices(one) for one in (factors, StudioFactors(identity=factors.identity), StudioFactors())]
        metres = [place * config.unit + np.array(config.origin) for place in places]
        normals = trimesh.Trimesh(metres[0], self.faces, process=False).vertex_normals
        table = np.concatenate(
            [*metres, normals, self._plain[:, None], np.arange(len(normals))[:, None] < head.region("face").stop],
            axis=1,
        )
        used, faces = np.unique(self.faces, return_inverse=True)
        table, faces = table[used], faces.reshape(-1, 3)
        for _ in range(levels):
            inner = table[faces, 13].all(1)
            fine: Any = trimesh.remesh.subdivide(table[:, :3], faces, np.flatnonzero(inner), {"all": table})
            faces, table = fine[1], fine[2]["all"]
        vertices, neutral, mean, ways = np.split(table[:, :12], 4, axis=1)
        code, at = torch.from_numpy(detail).double(), torch.from_numpy(np.ascontiguousarray(mean))
        height = self.wrinkles.displacement(at, code).numpy() * (table[:, 12:13] > 0)[:, 0]
        vertices = vertices + height[:, None] * ways / np.linalg.norm(ways, axis=1, keepdims=True)
        return Scan(vertices, faces.astype(np.int32)), neutral, mean, table[:, 12] > 0.99

    def _surface(
        self,
        front: FrontSurface,
        vertices: NDArray[np.float64],
        neutral: NDArray[np.float64],
        detail: Floats,
        random: np.random.Generator,
    ) -> Scans:
        joined = front.source[front.faces]
        rest = self.vertices(StudioFactors())
        stretched = _longest(vertices[joined]) > STRETCHED * _longest(rest[joined]) + 0.005
        kept = ~(front.bridge | stretched)
        points, face, weights = front.sample(SURFACE, random, np.asarray(kept * self.importance[joined].mean(1)))
        corners = joined[face]
        normals = trimesh.Trimesh(vertices, self.faces, process=False).vertex_normals
        folded, across = self._folded(corners, vertices, normals, weights, detail)
        return {
            "surface": points,
            "normals": front.normals()[face],
            "neutral": np.einsum("nk,nkc->nc", weights, neutral[corners]),
            "template": np.einsum("nk,nkc->nc", weights, rest[corners]),
            "matched": np.asarray(self._plain[corners].all(1), np.float32),
            "detailed": folded,
            "detailed_normals": across,
            "bridge": front.sample(BRIDGE, random, np.asarray(~kept + 1e-9))[0],
        }

    def _folded(
        self,
        corners: NDArray[np.int64],
        vertices: NDArray[np.float64],
        normals: NDArray[np.float64],
        weights: NDArray[np.float64],
        detail: Floats,
    ) -> tuple[Floats, Floats]:
        """Points and normals with detail; eyeballs have none."""
        unit = self.config.unit
        code = torch.from_numpy(detail).double()
        places, ways, rest, shares = map(
            torch.from_numpy,
            (vertices[corners] * unit, normals[corners], self.head.neutral[corners].astype(float), weights),
        )
        points, across = wrinkled(places, ways, rest, shares, self.wrinkles, code)
        return (points / unit).numpy(), across.numpy()

    def _space(self, front: FrontSurface, surface: Floats, random: np.random.Generator) -> Scans:
        """Half of the points near the surface, most of them within 2 mm, the others anywhere in the ball."""
        quarter = SPACE // 4
        starts = surface[random.integers(len(surface), size=3 * quarter)]
        away = np.repeat([0.02, 0.05, 0.15], quarter)[:, None] * random.normal(size=starts.shape)
        inside = random.normal(size=(quarter, 3))
        inside *= (random.random((quarter, 1)) ** (1 / 3)) / np.linalg.norm(inside, axis=1, keepdims=True)
        points = np.concatenate([starts + away, inside])
        distance, gradient = front.signed_distance(points, front.tree(random))
        return {"space": points, "distance": distance, "gradient": gradient}


def _longest(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1))


def write_part(data: Path, out: Path, part: int, first_seed: int = 0) -> None:
    """Writes the scans with the numbers from ``first_seed + 100 part`` on."""
    path = out / f"scans-{part:03d}.npz"
    if path.exists():
        return
    torch.set_num_threads(1)
    maker = ScanMaker(HeadModel.load(data), ImFaceConfig.small())
    scans = [maker.scan(first_seed + part * OF_A_PART + number) for number in range(OF_A_PART)]
    beside = path.with_suffix(".new.npz")
    arrays: dict[str, Any] = {name: np.stack([scan[name] for scan in scans]).astype(np.float32) for name in scans[0]}
    np.savez(beside, **arrays)
    beside.replace(path)


def read_parts(folder: Path, limit: int | None = None) -> dict[str, torch.Tensor]:
    """All scans of a folder, as tensors by name with the scans' number first."""
    parts: list[dict[str, Any]] = []
    for path in sorted(folder.glob("scans-[0-9][0-9][0-9].npz"))[:limit]:
        with np.load(path, allow_pickle=False) as file:
            parts.append({name: torch.from_numpy(file[name]) for name in file.files})
    if not parts:
        raise SystemExit(f"There are no scans in {folder}; make them with training.imface_scans.")
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", type=int, default=15)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--held-out", action="store_true", help="scans that are never trained on")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    first = HELD_OUT_SEED if asked.held_out else 0
    with ProcessPoolExecutor(asked.processes) as pool:
        for done in [pool.submit(write_part, asked.data, asked.out, part, first) for part in range(asked.parts)]:
            done.result()


if __name__ == "__main__":
    main()
