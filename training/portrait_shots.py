"""Shots for the portrait network: studio pictures with coverage and truth, kept on disk as plain arrays.

``python -m training.portrait_shots --data ../shared/data --out FOLDER --parts 12 --processes 2`` takes 1000 in each;
parts that are already there are kept, so that a stopped run goes on.
"""

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.landmarks import eye_distance
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import EXPRESSION_COMPONENTS, HAIR_STYLES
from faceeditor.fitting.alignment import upright
from faceeditor.rendering.colour import linear_to_srgb, srgb8_to_linear
from training.processes import pool

SIDE: Final = 256
"""Pixels of a shot's side."""

EXTENT: Final = 0.52
"""Metres that a shot shows, so that there is something around the default placement."""

PART: Final = 1000
"""Shots in a part."""

_SHOTS: Final = ("landmarks", "upright", "rotation", "eyes", "style")

CHANNELS: Final = 5
"""Red, green, blue, coverage, and how much of it is hair."""

SMALL_MOVEMENTS: Final[tuple[tuple[float, tuple[str, ...]], ...]] = (
    (0.2, ("eyeBlinkLeft", "eyeBlinkRight")),
    (0.06, ("eyeBlinkLeft",)),
    (0.06, ("eyeBlinkRight",)),
    (0.12, ("eyeWideLeft", "eyeWideRight")),
    (0.06, ("mouthRollLower", "mouthRollUpper")),
    (0.05, ("mouthRollLower",)),
    (0.05, ("mouthRollUpper",)),
    (0.06, ("mouthFrownLeft", "mouthFrownRight")),
    (0.06, ("mouthPressLeft", "mouthPressRight")),
    (0.05, ("jawOpen", "mouthClose")),
    (0.05, ("mouthShrugLower", "mouthShrugUpper")),
)
"""How often movements that show little in a picture are added to an expression, so that they are learnt too."""


@dataclass(frozen=True, eq=False)
class Shots:
    """N shots. ``pictures`` (N, H, H, 5) uint8: sRGB premultiplied by coverage, coverage, and that of hair alone.

    ``landmarks`` (N, 68, 2) fractions of the picture; ``upright`` (N, 3, 3) the similarity to the default placement, in
    fractions; ``rotation`` (N, 3, 3) head space to camera; ``eyes`` (N,) the distance of the outer eye corners as
    it would be seen from the front, a fraction; ``style`` (N,) the hair style's number, 0 for bald. ``mean_landmarks``
    (68, 3) metres of the studio's mean head.
    """

    pictures: NDArray[np.uint8]
    landmarks: Tensor
    upright: Tensor
    rotation: Tensor
    eyes: Tensor
    style: Tensor
    mean_landmarks: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def load(cls, folder: Path, side: int = SIDE) -> Self:
        """All parts ``shots-*.npz`` with their pictures, these reduced to ``side`` pixels. Raises ``UserError`` when
        there are none.
        """
        parts = sorted(folder.glob("shots-*.npz"))
        if not parts:
            raise UserError(f"There are no shots in {folder}; capture some with python -m training.portrait_shots.")
        facts: list[dict[str, Any]] = []
        for part in parts:
            with np.load(part, allow_pickle=False) as file:
                facts.append({key: file[key] for key in file.files})
        joined = {key: torch.from_numpy(np.concatenate([fact[key] for fact in facts])) for key in _SHOTS}
        return cls(
            pictures=np.concatenate([_pictures(part.with_suffix(".npy"), side) for part in parts]),
            landmarks=joined["landmarks"],
            upright=joined["upright"],
            rotation=joined["rotation"],
            eyes=joined["eyes"],
            style=joined["style"].long(),
            mean_landmarks=torch.from_numpy(facts[0]["mean_landmarks"]),
        )

    def first(self, count: int) -> Self:
        """The first ``count`` shots."""
        per_shot = {name: getattr(self, name)[:count] for name in ("pictures", *_SHOTS)}
        return replace(self, **per_shot)


def side_for(size: int) -> int:
    """The side of shots that suffices for crops of ``size`` pixels."""
    return min(SIDE, round(1.25 * size))


def _pictures(file: Path, side: int) -> NDArray[np.uint8]:
    pictures: NDArray[np.uint8] = np.load(file, allow_pickle=False)
    if side == SIDE:
        return pictures
    return np.stack([reduced(picture, side) for picture in pictures])


def reduced(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """``picture`` (H, H, 5) of a shot at ``side`` pixels."""
    return np.concatenate([_small(picture[..., :4], side), _small(picture[..., 4:], side)], -1)


def _small(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """``picture`` (H, H, 1 or 4), not blended, reduced to (side, side, 1 or 4)."""
    image = Image.fromarray(picture, "RGBa") if picture.shape[-1] == 4 else Image.fromarray(picture[..., 0])
    return np.asarray(image.resize((side, side), Image.Resampling.BOX)).reshape(side, side, -1)


# Capturing ------------------------------------------------------------------------------------------------------------


def sample_camera(random: np.random.Generator) -> Camera:
    """A camera as photographers choose them: mostly near the front, any side now and then, from an arm's length off."""
    wide = random.random() < 0.4
    yaw = random.uniform(-90, 90) if wide else random.normal(0, 22)
    pitch = random.uniform(-40, 40) if random.random() < 0.25 else random.normal(0, 10)
    distance = float(np.exp(random.uniform(np.log(0.45), np.log(2.5))))
    field_of_view = float(np.degrees(2 * np.arctan(EXTENT / 2 / distance)))
    return Camera(
        yaw=float(np.clip(yaw, -90, 90)),
        pitch=float(np.clip(pitch, -40, 40)),
        distance=distance,
        field_of_view=field_of_view,
    )


def with_small_movements(expression: Code, random: np.random.Generator) -> Code:
    """``expression`` (64,) with some of ``SMALL_MOVEMENTS``; what is there already stays where it is stronger."""
    changed = expression.copy()
    for chance, names in SMALL_MOVEMENTS:
        if random.random() < chance:
            weight = np.float32(1.0 if random.random() < 0.25 else random.uniform(0.2, 1.0))
            for name in names:
                changed[EXPRESSION_COMPONENTS.index(name)] = max(changed[EXPRESSION_COMPONENTS.index(name)], weight)
    return as_code(changed)


def premultiplied(over_black_srgb: NDArray[np.uint8], coverage: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 4): straight sRGB colour times coverage, and coverage, of a picture (H, W, 3) blended in linear light."""
    alpha = np.rint(coverage * 255).astype(np.uint8)
    picture = np.concatenate([over_black_srgb, alpha[..., None]], axis=-1)
    rows, columns = np.nonzero((alpha > 0) & (alpha < 255))
    share = coverage[rows, columns, None]
    straight = linear_to_srgb(srgb8_to_linear(over_black_srgb[rows, columns]) / np.maximum(share, 1e-3))
    picture[rows, columns, :3] = np.rint(straight * share * 255)
    return picture


def _capture_part(data: Path, out: Path, part: int, seed: int) -> None:
    os.environ["LP_NUM_THREADS"] = "0"
    from training.studio.renderer import Studio
    from training.studio.sampling import sample_factors
    from training.studio.shot import Label

    studio = Studio.open(data)
    random = np.random.default_rng([seed, part])
    head = studio.head
    mean = head.neutral[head.landmarks68].astype(np.float64)
    pictures = np.zeros((PART, SIDE, SIDE, CHANNELS), np.uint8)
    facts: dict[str, list[NDArray[Any]]] = {key: [] for key in _SHOTS}
    for number in range(PART):
        factors = sample_factors(random)
        expression = with_small_movements(factors.expression, random)
        factors = replace(factors, expression=expression, camera=sample_camera(random))
        shot = studio.shoot(factors, SIDE, (0.0, 0.0, 0.0), truth=True)
        assert shot.truth is not None
        pictures[number, ..., :4] = premultiplied(shot.picture_srgb, shot.coverage)
        pictures[number, ..., 4] = np.where(shot.truth.labels == Label.HAIR, pictures[number, ..., 3], 0)
        camera = factors.camera
        found = shot.landmarks.astype(np.float64) / SIDE
        eyes = eye_distance(shot.landmarks_head) * camera.focal / camera.distance
        pose = (camera.yaw, camera.pitch, 0.0)
        style = 1 + factors.hair[HAIR_STYLES].argmax() if factors.hair[HAIR_STYLES].max() > 0.5 else 0
        truth = (found, upright(found, mean, pose, 1), camera.rotation(), eyes, style)
        for key, value in zip(_SHOTS, truth, strict=True):
            facts[key].append(np.asarray(value, np.float32))
    np.save(out / f"shots-{part:03d}.npy", pictures)
    arrays = {key: np.stack(values) for key, values in facts.items()}
    beside = out / f"new-{part:03d}.npz"
    arrays["mean_landmarks"] = mean.astype(np.float32)
    np.savez(beside, **arrays)  # type: ignore[arg-type]
    beside.rename(out / f"shots-{part:03d}.npz")


def capture(data: Path, out: Path, parts: range, seed: int, processes: int) -> None:
    """Takes those ``parts`` that are not in ``out`` yet, in ``processes`` processes at a time; the same for a seed."""
    out.mkdir(parents=True, exist_ok=True)
    missing = [part for part in parts if not (out / f"shots-{part:03d}.npz").exists()]
    with pool(processes) as workers:
        for task in [workers.submit(_capture_part, data, out, part, seed) for part in missing]:
            task.result()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first part")
    parser.add_argument("--parts", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    capture(given.data, given.out, range(given.first, given.first + given.parts), given.seed, given.processes)


if __name__ == "__main__":
    main()
