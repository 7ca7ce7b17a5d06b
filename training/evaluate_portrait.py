"""How well the portrait network reads studio heads that it was not trained on, before random backgrounds.

Landmark errors are percent of the distance between the outer eye corners as it would be seen from the front, so that
profiles can be told too.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.portrait import PortraitNetwork, Reading
from training.augment import Augment, AugmentConfig
from training.backgrounds import backgrounds
from training.portrait_shots import Shots

SETTINGS: Final = {
    "backgrounds": AugmentConfig(
        coarse=0, lost=0, empty=0, volume=0, cover=0, light=0, plain=1, jpeg=0.5,
        beard=0, glasses=0, make_up=0, coarse_pixels=0, shake=0, noise=0, border=0,
    ),
    "hard": AugmentConfig(lost=0, empty=0),
}  # fmt: skip
"""``backgrounds``: as a second look places a head, JPEG; ``hard``: everything that training does to a picture."""


def read_sample(network: PortraitNetwork, shots: Shots, config: AugmentConfig, batch: int = 50) -> dict[str, Any]:
    """Figures of ``network`` on every shot once, augmented with a fixed seed."""
    torch.manual_seed(7)
    augment = Augment(2 * (network.config.size // 2), backgrounds(200, 99), config)
    found: list[dict[str, NDArray[np.float64]]] = []
    for start in range(0, len(shots), batch):
        chosen = torch.arange(start, min(start + batch, len(shots)))
        pictures = torch.from_numpy(shots.pictures[chosen.numpy()]).permute(0, 3, 1, 2)
        sample = augment(pictures, shots.landmarks[chosen], shots.upright[chosen])
        crops = (sample.pictures * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
        zoom = _scale(sample.landmarks, shots.landmarks[chosen])
        turned = torch.eye(3).repeat(len(chosen), 1, 1)
        turned[:, :2, :2] = sample.turn
        reading = network.read(crops, thorough=True)
        truth = (sample.landmarks, (shots.eyes[chosen] * zoom), (turned @ shots.rotation[chosen]), sample.mask)
        right = (reading.style.argmax(1) == shots.style[chosen].numpy()).astype(np.float64)
        found.append({**_errors(reading, len(crops[0]), truth), "style": right})
    return _figures({key: np.concatenate([part[key] for part in found]) for key in found[0]})


def _scale(after: Tensor, before: Tensor) -> Tensor:
    return _extent(after) / _extent(before)


def _extent(landmarks: Tensor) -> Tensor:
    return (landmarks - landmarks.mean(1, keepdim=True)).square().sum((1, 2)).sqrt()


def _errors(
    reading: Reading, size: int, truth: tuple[Tensor, Tensor, Tensor, Tensor]
) -> dict[str, NDArray[np.float64]]:
    landmarks, eyes, rotation, mask = (value.double().numpy() for value in truth)
    away = np.linalg.norm(reading.landmarks / size - landmarks, axis=-1)
    inside = ((landmarks > 0) & (landmarks < 1)).all(-1)
    both = np.einsum("nij,nij->n", reading.rotation, rotation)
    head, hair = (
        (seen & said).sum((1, 2)) / np.maximum((seen | said).sum((1, 2)), 1)
        for seen, said in ((mask[:, 0] > 0.5, reading.mask > 0.5), (mask[:, 1] > 0.5, reading.hair > 0.5))
    )
    forward = rotation[:, 2]
    return {
        "landmarks": 100 * np.nanmean(np.where(inside, away, np.nan), axis=1) / eyes,
        "angle": np.degrees(np.arccos(np.clip((both - 1) / 2, -1, 1))),
        "yaw": np.degrees(np.arctan2(-forward[:, 0], -forward[:, 2])),
        "mask": head,
        "hair": np.where((mask[:, 1] > 0.5).sum((1, 2)) > 0, hair, np.nan),
        "lids": _openings_error(reading.landmarks / size, landmarks) / eyes,
    }


LIDS: Final = ((37, 41), (38, 40), (43, 47), (44, 46))
"""Pairs of landmarks on upper and lower lids."""


def _openings_error(said: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean error (N,), in percent of the unit, of how far the lids are open."""
    upper, lower = np.array(LIDS).T
    return np.asarray(
        100 * np.linalg.norm(said[:, lower] - said[:, upper] - true[:, lower] + true[:, upper], axis=-1).mean(1)
    )


def _figures(errors: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    front = np.abs(errors["yaw"]) <= 45
    return {
        "shots": len(front),
        "landmark_error_percent": round(float(errors["landmarks"].mean()), 2),
        "landmark_error_percent_median": round(float(np.median(errors["landmarks"])), 2),
        "landmark_error_percent_yaw_below_45": round(float(errors["landmarks"][front].mean()), 2),
        "landmark_error_percent_yaw_above_45": round(float(errors["landmarks"][~front].mean()), 2),
        "rotation_error_degrees": round(float(errors["angle"].mean()), 2),
        "lid_opening_error_percent": round(float(errors["lids"].mean()), 2),
        "mask_intersection_over_union": round(float(errors["mask"].mean()), 3),
        "hair_intersection_over_union": round(float(np.nanmean(errors["hair"])), 3),
        "hair_style_accuracy": round(float(errors["style"].mean()), 3),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=Path, required=True, help="folder of held-out shots")
    parser.add_argument("--bundle", type=Path, help="bundle folder; the shipped one if not given")
    parser.add_argument("--count", type=int, default=600)
    given = parser.parse_args()
    network = (
        PortraitNetwork.from_bundle(read_bundle(given.bundle), torch.device("cpu"))
        if given.bundle
        else load_model("portrait-studio")
    )
    shots = Shots.load(given.shots).first(given.count)
    print(json.dumps({name: read_sample(network, shots, config) for name, config in SETTINGS.items()}, indent=1))


if __name__ == "__main__":
    main()
