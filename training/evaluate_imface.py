"""Measures a surface model on scans of studio heads that were never trained on, beside the paper's table.

``python -m training.evaluate_imface --count 24`` finds each head's face, fits it as the program does, and prints the
means. Every third head opens its mouth wide; all have folds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.faces.face import DETAIL_AMOUNT
from faceeditor.faces.landmarks import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from faceeditor.faces.latents import Codes
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.faces.mesh import Mesh
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.front_surface import FrontSurface
from faceeditor.fitting.scan_fit import fit_scan, front_of
from faceeditor.fitting.scan_measures import compare
from faceeditor.fitting.scan_placing import place_scan
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.extraction import extract_face
from faceeditor.models.imface import ImFace
from training.imface_scans import HELD_OUT_SEED, ScanMaker
from training.studio.factors import StudioFactors
from training.studio.head import HeadModel

Floats = NDArray[np.floating[Any]]

RESOLUTION: Final = 192
WIDE_OPEN: Final = 0.9
"""The jawOpen of every third head."""
PART_REACH: Final = 0.006
"""Metres around eye and lip landmarks on the mean head."""
DEEP: Final = 3e-4
"""Metres that skin is moved by at least where a fold counts as deep."""
PAPER: Final = {"chamfer_mm": 0.511, "fscore_1mm": 96.11, "normal_consistency": 0.956, "ede_mm": 2.383, "tde_mm": 1.620}
"""Tables 1 and 2, on FaceScape: other data than ours."""


class KnownScan(NamedTuple):
    """A scan with folds, in metres, and where its vertices (N, 3) lie on the ``neutral`` and on the ``mean`` head;
    ``seen`` (N,) are those of the skin that the mean head shows; ``relief`` (N,) metres by which folds move them.
    """

    scan: Scan
    neutral: Floats
    mean: Floats
    seen: NDArray[np.bool_]
    relief: Floats


def known_scan(maker: ScanMaker, number: int) -> tuple[KnownScan, StudioFactors]:
    """The held-out scan with this number."""
    seed = HELD_OUT_SEED + number
    factors = maker.factors(seed)
    if number % 3 == 0:
        expression = factors.expression.copy()
        expression[EXPRESSION_COMPONENTS.index("jawOpen")] = WIDE_OPEN
        expression[EXPRESSION_COMPONENTS.index("mouthClose")] = 0
        factors = StudioFactors(identity=factors.identity, expression=expression)
    detail = maker.wrinkles.sample(np.random.default_rng([seed, 1]), factors.expression)
    known, plain = maker.detailed(factors, detail), maker.detailed(factors, 0 * detail)
    return KnownScan(*known, np.linalg.norm(known[0].vertices - plain[0].vertices, axis=1)), factors


def measure(model: ImFace, known: KnownScan, quality: str, parts: dict[str, Floats]) -> dict[str, float]:
    """All figures of one scan."""
    began = time.monotonic()
    template = load_model("template-studio")
    scan = known.scan
    placement = place_scan(scan, load_model("portrait-studio"), template)
    found = fit_scan(scan.vertices, scan.faces, placement, model, template, quality=quality)
    seconds = time.monotonic() - began
    front = front_of(scan.vertices, scan.faces, found.similarity, model.config)
    smooth = own(model, extract_face(model, found.codes, RESOLUTION, {DETAIL_AMOUNT: np.zeros(1)}))
    fine = own(model, extract_face(model, found.codes, RESOLUTION))
    without = compare(front, smooth, model.config.unit)
    return {
        **compare(front, fine, model.config.unit),
        **{f"{name}_without_detail": value for name, value in without.items()},
        **deformations(model, found.codes, found.similarity, known, front),
        **near(fine, front, known, parts, model.config.unit),
        "folds_mm": on_folds(fine, front, known, model.config.unit),
        "folds_mm_without_detail": on_folds(smooth, front, known, model.config.unit),
        "seconds": seconds,
    }


def own(model: ImFace, mesh: Mesh) -> trimesh.Trimesh:
    """``mesh`` in the model's unit."""
    vertices = (mesh.vertices - np.array(model.config.origin)) / model.config.unit
    return trimesh.Trimesh(vertices, mesh.faces, process=False)


def deformations(
    model: ImFace, codes: Codes, similarity: Similarity, known: KnownScan, front: FrontSurface
) -> dict[str, float]:
    """EDE and TDE in millimetres (section 4.3) at the scan's vertices that are seen and have a partner."""
    used = front.source[known.seen[front.source]]
    config = model.config
    points, neutral = (
        torch.from_numpy((similarity.to_head(table[used]) - np.array(config.origin)) / config.unit).float()
        for table in (known.scan.vertices, known.neutral)
    )
    mean = torch.from_numpy((known.mean[used] - np.array(config.origin)) / config.unit).float()
    with torch.no_grad():
        field = model.field(
            {name: torch.from_numpy(np.array(code)) for name, code in codes.items() if name != "detail"}
        )
        stages = field.stages(points)
    to_mm = 1000 * config.unit
    return {
        "ede_mm": float((stages.neutral - neutral).norm(dim=-1).mean()) * to_mm / similarity.scale,
        "tde_mm": float((stages.template - mean).norm(dim=-1).mean()) * to_mm,
    }


def near(
    mesh: trimesh.Trimesh, front: FrontSurface, known: KnownScan, parts: dict[str, Floats], unit: float
) -> dict[str, float]:
    """Mean distances in millimetres from the scan's ``parts`` to the fitted surface."""
    tree = cKDTree(mesh.sample(300_000, seed=0))
    found = {}
    for name, middle in parts.items():
        apart = cKDTree(middle).query(known.mean[front.source])[0]
        chosen = known.seen[front.source] & (apart < PART_REACH)
        found[name] = float(tree.query(front.vertices[chosen])[0].mean()) * unit * 1000
    return found


def on_folds(mesh: trimesh.Trimesh, front: FrontSurface, known: KnownScan, unit: float) -> float:
    """The mean distance in millimetres from where folds are deep on the scan to the fitted surface."""
    deep = known.relief[front.source] > DEEP
    if not deep.any():
        return float("nan")
    return float(cKDTree(mesh.sample(300_000, seed=0)).query(front.vertices[deep])[0].mean()) * unit * 1000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", type=Path, help="bundle folder; the shipped one if not given")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--quality", default="standard")
    given = parser.parse_args()
    model = (
        ImFace.from_bundle(read_bundle(given.bundle), torch.device("cpu"))
        if given.bundle
        else load_model("imface-studio")
    )
    maker = ScanMaker(HeadModel.load(given.data), model.config)
    marks = maker.head.neutral[maker.head.landmarks68]
    eyes = np.concatenate([marks[RIGHT_EYE], marks[LEFT_EYE]])
    parts = {"lids_mm": eyes, "lips_mm": np.concatenate([marks[OUTER_LIPS], marks[INNER_LIPS]])}
    rows = []
    for number in range(given.count):
        known, factors = known_scan(maker, number)
        row = measure(model, known, given.quality, parts)
        wide = factors.codes[EXPRESSION][EXPRESSION_COMPONENTS.index("jawOpen")] >= WIDE_OPEN
        rows.append({**row, "lips_wide_open_mm": row["lips_mm"] if wide else float("nan")})
        print(json.dumps({name: round(value, 3) for name, value in rows[-1].items()}), flush=True)
    means = {name: round(float(np.nanmean([row[name] for row in rows])), 3) for name in rows[0]}
    print(json.dumps({"scans": given.count, **means, "paper": PAPER}, indent=1))


if __name__ == "__main__":
    main()
