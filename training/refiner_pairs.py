"""What a refiner is trained on: coarse pictures of models beside the studio's pictures of the same codes.

``python -m training.refiner_pairs --pictures CAPTURED --out FOLDER`` has every model draw every picture of a folder
that ``python -m training.studio.capture`` has filled. The people should be others than those that the models were
trained on, so that the models are as coarse as they are in use.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.files.atomic import atomic_write
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import Frame, RadianceModel
from faceeditor.rendering.colour import linear_to_srgb8, srgb8_to_linear
from training.datasets import CapturedPictures
from training.studio.capture import Arrays, read_shard

MODELS: Final = ("infamous-studio", "headnerf-studio", "guided-studio")
PART: Final = 32
"""Pairs of one file."""


def truth_over(frame: Frame, true_srgb: NDArray[np.uint8], coverage: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The true picture (S, S, 3), which stands over white, with what ``frame`` shows instead of white where the truth's
    ``coverage`` (S, S) is less than the frame's: where only the frame has a head, it asks for no change.
    """
    more = np.maximum(frame.alpha - coverage, 0)[..., None]
    colour = frame.rgb_linear / np.maximum(frame.alpha, 1e-4)[..., None]
    return linear_to_srgb8(srgb8_to_linear(true_srgb) + more * (colour - 1))


def pair(model: RadianceModel, pictures: CapturedPictures, number: int) -> Arrays:
    """``coarse_srgb`` and ``true_srgb`` (S, S, 3) over white, and the coarse picture's ``alpha`` (S, S), in 8 bits."""
    one = pictures.picture(number)
    codes = {name: code.numpy() for name, code in one.codes.items()}
    frame = model.render(codes, one.camera, one.alpha.shape[-1])
    true = (one.srgb.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return {
        "coarse_srgb": frame.over(),
        "true_srgb": truth_over(frame, true, one.alpha.numpy()),
        "alpha": np.rint(frame.alpha.clip(0, 1) * 255).astype(np.uint8),
    }


def draw(names: tuple[str, ...], pictures: CapturedPictures, folder: Path) -> Iterator[int]:
    """Write all pairs to ``folder``; yields how many are there after each file. Files that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    models = [load_model(name) for name in names]
    done = 0
    for first in range(0, len(pictures), PART):
        for name, model in zip(names, models, strict=True):
            path = folder / f"{name}-{first:05d}.npz"
            numbers = range(first, min(first + PART, len(pictures)))
            if not path.is_file():
                pairs = [pair(model, pictures, number) for number in numbers]
                with atomic_write(path) as beside:
                    stacked = {key: np.stack([one[key] for one in pairs]) for key in pairs[0]}
                    np.savez(beside, **stacked)  # type: ignore[arg-type]
            done += len(numbers)
            yield done


@dataclass(frozen=True, eq=False)
class Pairs:
    """Some crops of pairs: ``coarse`` and ``true`` (batch, 3, S, S), sRGB in [0, 1] over white, and the coarse ones'
    ``alpha`` (batch, 1, S, S).
    """

    coarse: torch.Tensor
    true: torch.Tensor
    alpha: torch.Tensor

    def to(self, device: torch.device, **_: object) -> Self:
        """The same pairs on another device."""
        return type(self)(*(part.to(device) for part in (self.coarse, self.true, self.alpha)))


@dataclass(frozen=True, eq=False)
class DrawnPairs:
    """All pairs of folders that :func:`draw` has filled, in memory. ``seed``: of the crops; ``models``: the names of
    the bundles that drew them.
    """

    files: list[Arrays]
    seed: int = 0
    models: tuple[str, ...] = ()

    @classmethod
    def of(cls, folders: list[Path], seed: int = 0) -> Self:
        """Those of ``folders``. Raises ``UserError`` when one has none."""
        files: list[Arrays] = []
        models: set[str] = set()
        for folder in folders:
            paths = sorted(folder.glob("*.npz"))
            if not paths:
                raise UserError(f"There are no pairs in {folder}; make some with python -m training.refiner_pairs.")
            files += [read_shard(path) for path in paths]
            models |= {path.stem.rpartition("-")[0] for path in paths}
        return cls(files, seed, tuple(sorted(models)))

    def __len__(self) -> int:
        return sum(len(file["alpha"]) for file in self.files)

    def batches(self, size: int, side: int) -> Iterator[Pairs]:
        """Endless batches of ``size`` crops of ``side`` pixels whose middle shows a head, half of them mirrored."""
        random = np.random.default_rng(self.seed)
        counts = np.array([len(file["alpha"]) for file in self.files])
        while True:
            chosen = [self.files[number] for number in random.choice(len(counts), size, p=counts / counts.sum())]
            yield _batch([_crop(file, side, random) for file in chosen])


def _crop(file: Arrays, side: int, random: np.random.Generator) -> tuple[NDArray[np.uint8], ...]:
    row = int(random.integers(len(file["alpha"])))
    alpha = file["alpha"][row]
    shown = np.argwhere(alpha > 0)
    middle = shown[random.integers(len(shown))] if len(shown) else np.array(alpha.shape) // 2
    top, left = np.clip(middle - side // 2, 0, np.array(alpha.shape) - side)
    step = random.choice((1, -1))
    parts = (file[key][row, top : top + side, left : left + side] for key in ("coarse_srgb", "true_srgb", "alpha"))
    return tuple(part[:, ::step] for part in parts)


def _batch(crops: list[tuple[NDArray[np.uint8], ...]]) -> Pairs:
    coarse, true, alpha = (torch.from_numpy(np.stack(parts)).float() / 255 for parts in zip(*crops, strict=True))
    return Pairs(coarse.permute(0, 3, 1, 2), true.permute(0, 3, 1, 2), alpha[:, None])


def main(
    pictures: Annotated[Path, typer.Option(help="folder of captured pictures")],
    out: Annotated[Path, typer.Option(help="the folder to fill")],
    models: Annotated[str, typer.Option(help="names of the bundles that draw, separated by commas")] = ",".join(MODELS),
) -> None:
    """Draw them."""
    started = time.monotonic()
    try:
        for done in draw(tuple(models.split(",")), CapturedPictures.of(pictures), out):
            print(f"{done} pairs, {time.monotonic() - started:.0f} s", flush=True)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    typer.run(main)
