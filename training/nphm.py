"""Makes heads that the tri-plane head is trained on of NPHM's people (section 5.1 of the thesis).

``python -m training.nphm DATA OUT`` writes parts of 10 heads for ``training.train_triplane paper --heads OUT``; parts
that are there already are kept. :mod:`training.nphm_data` tells what is expected of the data. The identity is learned
from neutral scans, cut off at the throat, expressions from registrations, in the face alone, for what lies under hair
is no scan. What any of the cameras all around sees past is outside, all else inside.
"""

import argparse
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.errors import UserError
from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY
from faceeditor.models.bundle import load_model
from faceeditor.models.triplane import TriplaneConfig
from faceeditor.rendering.normal_maps import Ball
from training.facescape_scans import NOSE_TIP_PLACE
from training.imface_scans import part_path
from training.nphm_data import HELD_OUT, NOSE_TIP, Floats, Ints, Mesh, Person, people, read_mesh, read_registration
from training.nphm_throat import beheaded
from training.processes import pool
from training.triplane_sampling import OF_A_PART, Counts, Heads, HeadSampler, Shape, store
from training.triplane_scans import MOBILE

NEUTRALS: Final = "neutrals_open.json"
TOLD: Final = {
    "surface": "points on the surface of a head",
    "ball": "points anywhere around it",
    "views": "its normal maps",
    "size": "their pixels a side",
    "pairs": "corresponding points of an expression",
}


@dataclass(frozen=True, eq=False)
class NphmMaker:
    """Makes heads of people whose registrations all have the triangles ``faces`` (F, 3). Head space begins ``shift``
    metres (3,) before the data's.
    """

    sampler: HeadSampler
    faces: Ints
    shift: Floats

    @classmethod
    def of(cls, everyone: list[Person], counts: Counts) -> Self:
        """The mean nose tip of ``everyone`` is where that of the mean head is. Raises ``UserError`` when nobody has a
        neutral registration.
        """
        faces: Ints | None = None
        tips = []
        for person in everyone:
            try:
                found = read_registration(person.file(person.neutral, "registration.ply"), faces)
            except UserError as error:
                reason = str(error)
                continue
            faces = found.faces
            tips.append(found.vertices[NOSE_TIP])
        if faces is None:
            raise UserError(reason)
        config = TriplaneConfig()
        sampler = HeadSampler(Ball(config.origin, config.unit), counts)
        return cls(sampler, faces, np.array(NOSE_TIP_PLACE) - np.mean(tips, axis=0))

    @cached_property
    def _face(self) -> tuple[cKDTree, NDArray[np.bool_]]:
        """Vertices of the mean head, and which of them are in the face: those that expressions move, eyes and mouth."""
        template = load_model("template-studio")
        facial = (template.basis[DIMS[IDENTITY] :].norm(dim=-1).amax(0) > MOBILE).numpy()
        facial[template.shape_faces[template.parts["skin"][1] :].unique().numpy()] = True
        return cKDTree(template.mean.numpy()), facial

    def make(self, person: Person) -> Heads:
        """The head of a ``person``. Raises ``UserError`` when a file of the neutral expression is not as it must be."""
        random = np.random.default_rng(person.number)
        rest = self._registered(person, person.neutral)
        tree, facial = self._face
        facial = facial[tree.query(rest)[1]]
        scan = self._scan(person)
        of_face = facial[cKDTree(rest).query(scan.vertices)[1]][scan.faces].all(1)
        _, known = self.sampler.known(Shape.of(scan.vertices, scan.faces, of_face), random, fine=True)
        motions = self._motions(person, rest, facial[self.faces].all(1), random)
        return {IDENTITY: np.array([person.number], np.float32), **known, **motions}

    def _scan(self, person: Person) -> Mesh:
        """The neutral head in head space, without shoulders."""
        path = person.file(person.neutral, "scan.ply")
        head = beheaded(read_mesh(path), *person.throat())
        if not len(head.faces):
            raise UserError(f"{path} has nothing above the throat; load it down again.")
        return Mesh(head.vertices + self.shift, head.faces)

    def _registered(self, person: Person, expression: int) -> Floats:
        path = person.file(expression, "registration.ply")
        return read_registration(path, self.faces).vertices + self.shift

    def _motions(self, person: Person, rest: Floats, facial: NDArray[np.bool_], random: np.random.Generator) -> Heads:
        """Points of the face before and after expressions, the first of which is none. Those who showed fewer than are
        asked for have some twice; what has no registration is named and left out.
        """
        registered = {person.neutral: rest}
        for expression in random.permutation(person.others).tolist():
            if len(registered) < self.sampler.counts.expressions:
                try:
                    registered[expression] = self._registered(person, expression)
                except UserError as error:
                    _leave_out(person.file(expression, ""), error)
        numbers = np.resize(list(registered), self.sampler.counts.expressions)
        pairs = [self.sampler.pairs(rest, registered[number], self.faces, [facial], random) for number in numbers]
        return {
            EXPRESSION: numbers[:, None].astype(np.float32),
            "at_rest": np.stack([before for before, _ in pairs]),
            "posed": np.stack([after for _, after in pairs]),
        }

    def write_part(self, chosen: list[Person], path: Path) -> int:
        """Writes the heads of ``chosen`` people, unless they are there, and tells how many it wrote; those who cannot
        be used are named and left out.
        """
        if path.exists():
            return len(chosen)
        torch.set_num_threads(1)
        heads = []
        for person in chosen:
            try:
                heads.append(self.make(person))
            except UserError as error:
                _leave_out(person.folder, error)
        if heads:
            store(heads, path)
        return len(heads)


def _leave_out(what: Path, error: UserError) -> None:
    print(f"left out {what}: {error}", file=sys.stderr)


def write_heads(
    root: Path, neutrals: Path, out: Path, counts: Counts, expressions: int | None, held: bool, processes: int
) -> None:
    """Writes all parts of those who are trained on, or of those who are ``held`` out; with as many ``expressions`` as
    anybody shows if not told. Raises ``UserError`` when nobody can be used.
    """
    everyone = people(root, neutrals)
    trained = [person for person in everyone if person.number not in HELD_OUT]
    chosen = [person for person in everyone if person.number in HELD_OUT] if held else trained
    if not chosen:
        kind = "are all trained on" if held else "are all held out"
        raise UserError(f"The people in {root} {kind}; add others.")
    most = expressions or 1 + max(len(person.others) for person in everyone)
    maker = NphmMaker.of(trained or chosen, counts._replace(expressions=most))
    out.mkdir(parents=True, exist_ok=True)
    parts = [chosen[start : start + OF_A_PART] for start in range(0, len(chosen), OF_A_PART)]
    with pool(processes) as workers:
        done = [workers.submit(maker.write_part, part, part_path(out, number)) for number, part in enumerate(parts)]
        if not sum(part.result() for part in done):
            raise UserError(f"Nobody in {root} can be used; what is wrong with each is told above.")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of people")
    parser.add_argument("out", type=Path)
    parser.add_argument("--neutrals", type=Path, help=f"{NEUTRALS} of the authors' code, if it is not in the folder")
    for name, told in TOLD.items():
        parser.add_argument(f"--{name}", type=int, default=Counts._field_defaults[name], help=told)
    parser.add_argument("--expressions", type=int, help="of everyone; as many as anybody shows if not given")
    parser.add_argument("--held-out", action="store_true", help="those who are never trained on")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    counts = Counts(**{name: getattr(given, name) for name in TOLD})
    neutrals = given.neutrals or given.data / NEUTRALS
    try:
        write_heads(given.data, neutrals, given.out, counts, given.expressions, given.held_out, given.processes)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
