"""Makes the scans that ImFace++ is trained on of FaceScape's people (section 4.1).

``python -m training.facescape_scans --root ROOT --landmarks toolkit/predef/landmark_indices.npz --out FOLDER`` writes
parts of 100 scans for ``training.train_imface paper --scans FOLDER``; parts that are there already are kept.
:mod:`training.facescape` tells what is expected of the data.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch

from faceeditor.errors import UserError
from faceeditor.faces.landmarks import JAW, NOSE_TIP
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.front_surface import NoSurface
from faceeditor.models.bundle import load_model
from faceeditor.models.imface import ImFaceConfig
from training.face_sampler import TEMPLATE_FILE, USUAL, Corners, Counts, FaceSampler, Floats, Ints, Scans
from training.facescape import (
    NEUTRAL,
    Model,
    Points,
    Relief,
    Topology,
    held_out,
    people,
    read_marks,
    read_topology,
    read_vertices,
)
from training.imface_scans import OF_A_PART, part_path, store
from training.processes import pool
from training.studio.wrinkles import wrinkled

NOSE_TIP_PLACE: Final = (0.0, 0.0, 0.09)
"""Of a mean head in head space, metres."""
STILL: Final = (27, 28, 29, 30, 36, 39, 42, 45)
"""Landmarks that expressions hardly move: the bridge of the nose, the corners of the eyes."""
ROUNDS: Final = 3
NOTHING_KNOWN: Final = 1
"""Components of a code that is only to be learned."""


@dataclass(frozen=True, eq=False)
class FaceScapeMaker:
    """Makes scans of people for a model with the landmarks, unit and origin of ``config``.

    ``scale`` is what a unit of the data is in the model's; ``sampler`` has the mean neutral face of those who are
    trained on as its template.
    """

    sampler: FaceSampler
    topology: Topology
    scale: float
    config: ImFaceConfig

    @classmethod
    def of(cls, everyone: dict[int, list[Model]], marks: Ints, config: ImFaceConfig, counts: Counts = USUAL) -> Self:
        """Raises ``UserError`` when nobody is left to train on or the landmarks are not the data's."""
        trained = [models[0].path for person, models in everyone.items() if not held_out(person)]
        if not trained:
            raise UserError("All people in this folder are held out; add some to train on.")
        topology = read_topology(trained[0])
        count = len(topology.uv)
        if marks.max() >= count:
            raise UserError(f"The landmarks name vertices beyond the models' {count}; choose another key.")
        mean = mean_head([read_vertices(path, count) for path in trained], marks)
        place = placement(mean[marks], config)
        sampler = FaceSampler(place.to_head(mean), topology.faces, np.zeros(count, bool), marks, counts)
        return cls(sampler, topology, place.scale, config)

    def scan(self, model: Model, neutral: Points) -> Scans:
        """The scan of a ``model`` whose person's neutral one has the vertices ``neutral`` (V, 3), in the data's unit.
        Raises ``UserError`` and ``NoSurface``.
        """
        marks = self.sampler.marks
        sized = Similarity(self.scale, np.eye(3), np.zeros(3))
        upright = sized.then(rigid(self.scale * neutral[marks], self.sampler.rest[marks]))
        if model.expression != NEUTRAL:
            raw = read_vertices(model.path, len(neutral))
            still = marks[list(STILL)]
            vertices = rigid(raw[still], neutral[still]).then(upright).to_head(raw)
        else:
            vertices = upright.to_head(neutral)
        random = np.random.default_rng([model.person, model.expression])
        seed = int(random.integers(2**31))
        relief = Relief.read(model.relief, self.scale) if model.relief.is_file() else Relief.flat()
        normals = self.sampler.normals(vertices)

        def detailed(points: Corners) -> tuple[Floats, Floats]:
            return self._detailed(points, vertices, normals, relief)

        scan = self.sampler.scan(vertices, upright.to_head(neutral), self.config.landmarks, detailed, seed, random)
        numbers = {"identity": model.person, "expression": model.expression, "detail": 0}
        return scan | {name: np.full(NOTHING_KNOWN, number, np.float32) for name, number in numbers.items()}

    def _detailed(self, points: Corners, vertices: Points, normals: Points, relief: Relief) -> tuple[Floats, Floats]:
        places, ways, uv = (torch.from_numpy(table[points.vertex]) for table in (vertices, normals, self.topology.uv))
        known = uv.isfinite().all(-1).all(-1)
        outside = torch.where(known[:, None, None], uv, -1.0)
        found, across = wrinkled(places, ways, outside, torch.from_numpy(points.weights), relief, torch.zeros(0))
        return found.numpy(), across.numpy()

    def write_part(self, models: list[Model], neutrals: dict[int, Path], path: Path) -> None:
        """Writes the scans of ``models``; those that cannot be used are named and left out."""
        if path.exists():
            return
        torch.set_num_threads(1)
        scans = []
        for model in models:
            try:
                scans.append(self.scan(model, read_vertices(neutrals[model.person], len(self.topology.uv))))
            except (UserError, NoSurface) as error:
                print(f"left out {model.path}: {error}", file=sys.stderr)
        if scans:
            store(scans, path)


def rigid(source: Floats, target: Floats) -> Similarity:
    """The turn and shift that bring ``source`` (N, 3) nearest to ``target`` (N, 3)."""
    rotation = Similarity.fit(source, target).rotation
    return Similarity(1.0, rotation, np.asarray(target.mean(0) - source.mean(0) @ rotation.T))


def mean_head(neutrals: list[Points], marks: Ints) -> Points:
    """The mean (V, 3) of the vertices of neutral faces, each turned and shifted to the mean landmarks."""
    landmarks = [vertices[marks] for vertices in neutrals]
    mean = np.mean(landmarks, axis=0)
    for _ in range(ROUNDS):
        mean = np.mean([rigid(own, mean).to_head(own) for own in landmarks], axis=0)
    total = np.zeros_like(neutrals[0])
    for vertices, own in zip(neutrals, landmarks, strict=True):
        total += rigid(own, mean).to_head(vertices)
    return np.asarray(total / len(neutrals))


def placement(landmarks: Floats, config: ImFaceConfig) -> Similarity:
    """From the unit and axes of a mean face's ``landmarks`` (68, 3) to the model's: as large as our own mean head and
    turned as it is, the nose tip in its place. All but the jaw line count.
    """
    template = load_model("template-studio")
    ours = template.mean[template.landmark_vertices].double().numpy()
    fitted = Similarity.fit(landmarks[JAW.stop :], ours[JAW.stop :])
    shift = np.array(NOSE_TIP_PLACE) - fitted.to_head(landmarks[NOSE_TIP]) - np.array(config.origin)
    to_model = Similarity(1 / config.unit, np.eye(3), np.zeros(3))
    return Similarity(fitted.scale, fitted.rotation, fitted.translation + shift).then(to_model)


def write_scans(
    root: Path, marks: Path, key: str, out: Path, processes: int, held: bool, counts: Counts = USUAL
) -> None:
    """Writes all parts of those who are trained on, or of those who are ``held`` out, and the template."""
    everyone = people(root)
    maker = FaceScapeMaker.of(everyone, read_marks(marks, key), ImFaceConfig(), counts)
    out.mkdir(parents=True, exist_ok=True)
    maker.sampler.write(out / TEMPLATE_FILE)
    models = [model for person, own in everyone.items() if held_out(person) == held for model in own]
    neutrals = {person: own[0].path for person, own in everyone.items()}
    with pool(processes) as workers:
        done = [
            workers.submit(maker.write_part, models[start : start + OF_A_PART], neutrals, part_path(out, part))
            for part, start in enumerate(range(0, len(models), OF_A_PART))
        ]
        for part in done:
            part.result()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder of people, or of folders of people")
    parser.add_argument("--landmarks", type=Path, required=True, help="the toolkit's landmark_indices.npz")
    parser.add_argument("--key", default="v10", help="which landmarks of that file belong to the models")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--surface", type=int, default=USUAL.surface, help="points on the surface of a scan")
    parser.add_argument("--held-out", action="store_true", help="those who are never trained on")
    given = parser.parse_args()
    counts = USUAL._replace(surface=given.surface)
    try:
        write_scans(given.root, given.landmarks, given.key, given.out, given.processes, given.held_out, counts)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
