"""Makes the scans that ImFace++ is trained on: the front of studio heads, with what is known about every point.

``python -m training.imface_scans --data DATA --out FOLDER --parts N`` writes N parts of 100 scans each; parts that are
there already are kept. A part holds as many identities as scans, drawn by the part's number.
"""

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from faceeditor.faces.scan import Scan
from faceeditor.models.imface import ImFaceConfig
from training.face_sampler import Corners, FaceSampler, Floats, Scans
from training.processes import pool
from training.studio.factors import StudioFactors
from training.studio.head import HeadModel
from training.studio.sampling import sample_expression, sample_identity
from training.studio.wrinkles import Wrinkles, wrinkled

OF_A_PART: Final = 100
SKIN: Final = ("face", "head_and_neck")
EYES: Final = ("sclera_left", "sclera_right")
EYE_SETBACK: Final = 0.0004
"""Metres by which eyeballs are moved back once more, so that they do not show through closed lids."""
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
    def sampler(self) -> FaceSampler:
        """What knows how all heads correspond: the mean head is the template, eyeballs correspond to nothing."""
        head = self.head
        limits = [head.polygon_ranges[name] for name in (*SKIN, *EYES)]
        of = head.triangle_polygon
        kept = np.logical_or.reduce([(of >= start) & (of < end) for start, end in limits])
        apart = np.zeros(len(head.neutral), bool)
        for eye in EYES:
            apart[head.region(eye)] = True
        faces, marks = head.triangles[kept].astype(np.int64), head.landmarks68.astype(np.int64)
        return FaceSampler(self.vertices(StudioFactors()), faces, apart, marks)

    def vertices(self, factors: StudioFactors) -> NDArray[np.float64]:
        """All vertices of a head, in the model's unit; eyeballs look ahead, turned ones have the same surface."""
        expression = factors.expression.copy()
        expression[[i for i, name in enumerate(self.head.expression_names) if name.startswith("eyeLook")]] = 0
        metres = self.head.vertices(factors.identity, factors.expression).astype(np.float64)
        still = self.head.vertices(factors.identity, expression)
        for eye in EYES:
            metres[self.head.region(eye)] = still[self.head.region(eye)] - [0, 0, EYE_SETBACK]
        return np.asarray((metres - np.array(self.config.origin)) / self.config.unit)

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
        detail = self.wrinkles.sample(random, factors.expression)
        normals = self.sampler.normals(vertices)

        def folded(points: Corners) -> tuple[Floats, Floats]:
            return self._folded(points, vertices, normals, detail)

        scan = self.sampler.scan(vertices, neutral, self.config.landmarks, folded, seed, random)
        return scan | {"identity": factors.identity, "expression": factors.expression, "detail": detail}

    def detailed(self, factors: StudioFactors, detail: Floats, levels: int = 2) -> tuple[Scan, Floats, Floats, Any]:
        """A head's skin and eyeballs with folds, in metres, its face cut into triangles a quarter as long; where its
        vertices (N, 3) lie on the neutral and on the mean head; and which of them (N,) are skin that the latter shows.
        """
        config, head = self.config, self.head
        places = [self.vertices(one) for one in (factors, StudioFactors(identity=factors.identity), StudioFactors())]
        metres = [place * config.unit + np.array(config.origin) for place in places]
        normals = self.sampler.normals(metres[0])
        table = np.concatenate(
            [*metres, normals, self.sampler.seen[:, None], np.arange(len(normals))[:, None] < head.region("face").stop],
            axis=1,
        )
        used, faces = np.unique(self.sampler.faces, return_inverse=True)
        table, faces = table[used], faces.reshape(-1, 3)
        for _ in range(levels):
            inner = table[faces, 13].all(1)
            fine: Any = trimesh.remesh.subdivide(table[:, :3], faces, np.flatnonzero(inner), {"all": table})  # type: ignore[no-untyped-call]
            faces, table = fine[1], fine[2]["all"]
        vertices, neutral, mean, ways = np.split(table[:, :12], 4, axis=1)
        code, at = torch.from_numpy(detail).double(), torch.from_numpy(np.ascontiguousarray(mean))
        height = self.wrinkles.displacement(at, code).numpy() * (table[:, 12:13] > 0)[:, 0]
        vertices = vertices + height[:, None] * ways / np.linalg.norm(ways, axis=1, keepdims=True)
        return Scan(vertices, faces.astype(np.int32)), neutral, mean, table[:, 12] > 0.99

    def _folded(
        self, points: Corners, vertices: NDArray[np.float64], normals: NDArray[np.float64], detail: Floats
    ) -> tuple[Floats, Floats]:
        """Points and normals with detail; eyeballs have none."""
        unit = self.config.unit
        tables = (vertices * unit, normals, self.head.neutral.astype(float))
        places, ways, rest = (torch.from_numpy(table[points.vertex]) for table in tables)
        shares, code = torch.from_numpy(points.weights), torch.from_numpy(detail).double()
        folded, across = wrinkled(places, ways, rest, shares, self.wrinkles, code)
        return (folded / unit).numpy(), across.numpy()


def write_part(data: Path, out: Path, part: int, first_seed: int = 0) -> None:
    """Writes the scans with the numbers from ``first_seed + 100 part`` on."""
    path = part_path(out, part)
    if path.exists():
        return
    torch.set_num_threads(1)
    maker = ScanMaker(HeadModel.load(data), ImFaceConfig.small())
    scans = [maker.scan(first_seed + part * OF_A_PART + number) for number in range(OF_A_PART)]
    store(scans, path)


def make_parts(data: Path, out: Path, parts: int, processes: int, first_seed: int = 0) -> None:
    """Writes ``parts`` parts to ``out``, several at once."""
    out.mkdir(parents=True, exist_ok=True)
    with pool(processes) as workers:
        for done in [workers.submit(write_part, data, out, part, first_seed) for part in range(parts)]:
            done.result()


def part_path(out: Path, part: int) -> Path:
    """Where a part lies."""
    return out / f"scans-{part:03d}.npz"


def store(scans: list[Scans], path: Path) -> None:
    """Writes scans as a part."""
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
    make_parts(asked.data, asked.out, asked.parts, asked.processes, HELD_OUT_SEED if asked.held_out else 0)


if __name__ == "__main__":
    main()
