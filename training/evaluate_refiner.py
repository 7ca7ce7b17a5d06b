"""What a refiner does to held-out people's pictures: how near the truth they are before and after, and how fast."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from faceeditor.models.bundle import find_bundles, read_bundle
from faceeditor.models.contract import Frame, RadianceModel, Refiner
from faceeditor.models.refiner import DiffusionRefiner
from training.evaluate import compare, picture
from training.perceptual import Perceptual
from training.studio.shot import Shot


def load_refiner(where: str) -> DiffusionRefiner:
    """The refiner of a bundle by its name or its folder."""
    bundle = read_bundle(find_bundles().get(where, Path(where)))
    return DiffusionRefiner.from_bundle(bundle, torch.device("cpu"))


def against(frame: Frame, shot: Shot, perceptual: Perceptual) -> dict[str, float]:
    """PSNR in dB of the picture and of the head with its rim, SSIM, and the perceptual distance to the truth."""
    drawn, true = picture(frame.over()), picture(shot.picture_srgb)
    measured = compare(drawn, shot)
    with torch.no_grad():
        seen = float(perceptual(drawn[None], true[None]))
    return {name: measured[name] for name in ("psnr", "psnr_head_and_rim", "ssim")} | {"perceptual": seen}


def refined(
    model: RadianceModel, refiner: Refiner, shots: Sequence[Shot], perceptual: Perceptual
) -> dict[str, dict[str, float]]:
    """Means over the pictures that ``model`` draws of what ``shots`` show: ``before`` and ``after`` being refined, and
    of the refining ``seconds``, ``processor_seconds``, the number of values ``changed_outside`` the head, and the
    number of pictures that are perceptually ``nearer``.
    """
    before, after, costs = [], [], []
    for number, shot in enumerate(shots):
        frame = model.render(shot.factors.codes, shot.factors.camera, len(shot.picture_srgb))
        began, worked = time.monotonic(), time.process_time()
        finer = refiner.refine(frame, number)
        cost = {"seconds": time.monotonic() - began, "processor_seconds": time.process_time() - worked}
        outside = frame.alpha == 0
        changed = (finer.rgb_linear[outside] != frame.rgb_linear[outside]).sum() + (finer.alpha != frame.alpha).sum()
        before.append(against(frame, shot, perceptual))
        after.append(against(finer, shot, perceptual))
        nearer = after[-1]["perceptual"] < before[-1]["perceptual"]
        costs.append({**cost, "changed_outside": float(changed), "nearer": float(nearer)})
    return {"before": _means(before), "after": _means(after), "refining": _means(costs)}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([row[name] for row in rows])), 5) for name in rows[0]}
