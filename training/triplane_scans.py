"""Makes what the tri-plane head is trained on: studio heads with hair, as a scanner all around them would know them.

``python -m training.triplane_scans --data DATA --out FOLDER --parts N`` writes N parts of 10 heads each; parts that are
there already are kept. ``--mean`` makes the mean head with every hair style instead, one in a part, seen more finely:
all that planes hold, for who somebody is, is a motion of it.
"""

import argparse
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY
from faceeditor.models.triplane import TriplaneConfig
from faceeditor.rendering.normal_maps import Ball
from faceeditor.rendering.raster import Rasteriser
from training.imface_scans import HELD_OUT_SEED, part_path
from training.processes import pool
from training.studio.assets import HAIR_STYLES, Assets
from training.studio.factors import expression_code
from training.studio.head import HeadModel
from training.studio.sampling import BALD, sample_expression, sample_identity
from training.triplane_carving import Carving, Floats
from training.triplane_hair import HairShell, HairSpace, Skin, read_shells, write_shells
from training.triplane_sampling import OF_A_PART, Counts, Heads, HeadSampler, Shape, store

REST: Final = {"jawOpen": 0.25}
"""The expression of heads at rest: the mouth is open, so that lips have no common points (section 4.2)."""
NECK: Final = -0.118
"""Metres: the mean head is cut off below."""
PARTS: Final = ("face", "head_and_neck", "mouth_socket", "gums_and_tongue", "teeth", "sclera_left", "sclera_right")
SKIN: Final = PARTS[:2]
EYES: Final = ("sclera_left", "sclera_right")
EYE_SETBACK: Final = 0.0004
MOBILE: Final = 0.002
"""Metres by which some expression moves what is in the face."""
HAIR_FILE: Final = "hair.npz"
STYLES: Final = (None, *HAIR_STYLES)
FINE: Final = Counts(surface=300_000, ball=60_000, block=9, expressions=1)
"""Of mean heads, of which there are few: what lies deep in clefts is seen too."""


@dataclass(frozen=True, eq=False)
class HeadMaker:
    """Makes heads for a model of ``config``. Shells of hair are kept in the file ``hair``."""

    head: HeadModel
    assets: Assets
    config: TriplaneConfig
    counts: Counts = field(default_factory=Counts)
    hair: Path | None = None

    @cached_property
    def sampler(self) -> HeadSampler:
        """What draws points from heads."""
        return HeadSampler(Ball(self.config.origin, self.config.unit), self.counts)

    @property
    def ball(self) -> Ball:
        """What the model knows."""
        return self.sampler.ball

    @property
    def rasteriser(self) -> Rasteriser:
        """What sees meshes."""
        return self.sampler.rasteriser

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
        number = np.arange(len(self.head.neutral))
        skin = Skin.of(self.head.neutral, np.concatenate([number[self.head.region(name)] for name in SKIN]))
        shells = {name: HairShell.of(self.assets.hair(name), space, skin) for name in HAIR_STYLES}
        if self.hair is not None:
            write_shells(shells, self.hair)
        return shells

    def mesh(self, identity: Floats, expression: Floats, style: str | None) -> tuple[Floats, NDArray[np.int64]]:
        """Vertices (V, 3) in head space and faces (F, 3) of a head with hair, the hair's last."""
        vertices = self.vertices(identity, expression)
        if style is None:
            return vertices, self.faces
        shell, head = self.shells[style], self.head
        still = head.vertices(identity, np.zeros_like(expression))
        hair = shell.follow(still - head.neutral, head.vertices(identity, expression) - still)
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
        return self._made(identity, style, random)

    def mean(self, style: str | None) -> Heads:
        """The mean head with hair of this ``style``."""
        return self._made(np.zeros(DIMS[IDENTITY]), style, np.random.default_rng(0))

    def _made(self, identity: Floats, style: str | None, random: np.random.Generator) -> Heads:
        vertices, faces = self.mesh(identity, expression_code(**REST), style)
        _, known = self.sampler.known(Shape.of(vertices, faces, self._facial(faces)), random)
        return {
            "identity": self.code(identity, style),
            **known,
            **self._motions(identity, style, random),
        }

    def _facial(self, faces: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.append(self.facial, np.zeros(len(faces) - len(self.faces), bool))

    def _motions(self, identity: Floats, style: str | None, random: np.random.Generator) -> Heads:
        """Points of the head before and after expressions, the first of which is none: half of the face."""
        expressions = [np.zeros(DIMS[EXPRESSION], np.float32)]
        expressions += [np.asarray(sample_expression(random)) for _ in range(self.counts.expressions - 1)]
        rest, faces = self.mesh(identity, expression_code(**REST), style)
        facial = self._facial(faces)
        pairs = [
            self.sampler.pairs(rest, self.mesh(identity, code, style)[0], faces, [facial, ~facial], random)
            for code in expressions
        ]
        return {
            "expression": np.stack(expressions)[:, : self.config.expression_dims],
            "at_rest": np.stack([before for before, _ in pairs]),
            "posed": np.stack([after for _, after in pairs]),
        }


def _lid(faces: NDArray[np.int64], vertices: Floats, centre: int) -> NDArray[np.int64]:
    """Triangles (L, 3) from the vertex ``centre`` to the lowest open border of ``faces``."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key = np.sort(edges, axis=1)
    _, first, count = np.unique(key, axis=0, return_index=True, return_counts=True)
    border = edges[first[count == 1]]
    border = border[vertices[border, 1].max(1) < NECK + 0.02]
    return np.concatenate([border[:, ::-1], np.full((len(border), 1), centre)], axis=1)


def studio_maker(data: Path, out: Path, counts: Counts | None = None) -> HeadMaker:
    """What makes the heads of the folder ``out`` from the studio's ``data``."""
    hair = out / HAIR_FILE
    return HeadMaker(HeadModel.load(data), Assets(data), TriplaneConfig.small(), counts or Counts(), hair)


def write_part(data: Path, out: Path, part: int, first_seed: int = 0) -> None:
    """Writes the heads with the numbers from ``first_seed + 10 part`` on."""
    path = part_path(out, part)
    if path.exists():
        return
    torch.set_num_threads(1)
    maker = studio_maker(data, out)
    store([maker.make(first_seed + part * OF_A_PART + number) for number in range(OF_A_PART)], path)


def write_mean(data: Path, out: Path, number: int) -> None:
    """Writes the mean head with the hair style of this ``number``, 0 being none."""
    path = part_path(out, number)
    if path.exists():
        return
    torch.set_num_threads(1)
    store([studio_maker(data, out, FINE).mean(STYLES[number])], path)


def make_mean(data: Path, out: Path, processes: int) -> None:
    """Writes the mean head with each hair style, a part each, to ``out``, several at once."""
    out.mkdir(parents=True, exist_ok=True)
    studio_maker(data, out).shells  # noqa: B018  (made once, before all processes want them)
    with pool(processes) as workers:
        for done in [workers.submit(write_mean, data, out, number) for number in range(len(STYLES))]:
            done.result()


def make_parts(data: Path, out: Path, parts: int, processes: int, first_seed: int = 0) -> None:
    """Writes ``parts`` parts to ``out``, several at once."""
    out.mkdir(parents=True, exist_ok=True)
    studio_maker(data, out).shells  # noqa: B018  (made once, before all processes want them)
    with pool(processes) as workers:
        for done in [workers.submit(write_part, data, out, part, first_seed) for part in range(parts)]:
            done.result()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--held-out", action="store_true", help="heads that are never trained on")
    parser.add_argument("--mean", action="store_true", help="the mean head with every hair style")
    asked = parser.parse_args()
    if asked.mean:
        make_mean(asked.data, asked.out, asked.processes)
        return
    make_parts(asked.data, asked.out, asked.parts, asked.processes, HELD_OUT_SEED if asked.held_out else 0)


if __name__ == "__main__":
    main()
