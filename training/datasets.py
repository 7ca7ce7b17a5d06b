"""Pictures to train on: the studio's own, taken while training goes on, and the layouts of the field's data sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import DIMS
from training.studio.capture import SHARD, Arrays, CaptureOptions, camera_of, read_options, read_shard, shard_paths
from training.studio.shot import Shot


@dataclass(frozen=True, eq=False)
class Pictured:
    """One studio picture over white: ``codes`` (dims,), its ``camera``, ``srgb`` (3, S, S) in [0, 1], ``alpha`` (S,
    S), and its ``number`` in a data set that has an end.
    """

    codes: dict[str, torch.Tensor]
    camera: Camera
    srgb: torch.Tensor
    alpha: torch.Tensor
    number: int = 0

    def to(self, device: torch.device) -> "Pictured":
        """The same picture on another device."""
        codes = {name: code.to(device) for name, code in self.codes.items()}
        return Pictured(codes, self.camera, self.srgb.to(device), self.alpha.to(device), self.number)


@dataclass(frozen=True, eq=False)
class PicturedBatch:
    """Some pictures that are trained on together."""

    pictures: list[Pictured]

    @property
    def codes(self) -> dict[str, torch.Tensor]:
        """The codes (batch, dims) by space."""
        return {name: torch.stack([one.codes[name] for one in self.pictures]) for name in self.pictures[0].codes}

    def to(self, device: torch.device, **_: object) -> "PicturedBatch":
        """The same pictures on another device."""
        return PicturedBatch([picture.to(device) for picture in self.pictures])


def pictured(shot: Shot) -> Pictured:
    """A studio shot as tensors."""
    codes = shot.factors.codes
    return Pictured(
        codes={name: torch.tensor(codes[name]) for name in DIMS},
        camera=shot.factors.camera,
        srgb=torch.from_numpy(shot.picture_srgb.copy()).permute(2, 0, 1).float() / 255,
        alpha=torch.from_numpy(np.array(shot.coverage, np.float32)),
    )


class StudioStream(IterableDataset[Pictured]):
    """Ever-new studio pictures, the same ones whatever the number of workers."""

    def __init__(self, data: str, options: CaptureOptions) -> None:
        self.data, self.options = data, options

    def __iter__(self) -> Iterator[Pictured]:
        from training.studio.renderer import Studio  # a studio owns an OpenGL context: one for each process

        torch.set_num_threads(1)
        worker = get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        studio = Studio.open(self.data)
        while True:
            yield pictured(self.options.shoot(studio, number))
            number += step


def studio_batches(data: str, size: int, batch: int, seed: int, workers: int) -> DataLoader[Pictured]:
    """Endless batches, each a :class:`PicturedBatch`, drawn in ``workers`` processes of their own."""
    return DataLoader(
        StudioStream(data, CaptureOptions(size=size, seed=seed)),
        batch_size=batch,
        num_workers=workers,
        collate_fn=PicturedBatch,
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=4 if workers else None,
    )


@dataclass(frozen=True, eq=False)
class CapturedPictures:
    """Pictures of a folder that ``training.studio.capture`` has filled; ``shots_per_identity`` that follow each other
    show the same person. ``seed``: of their order.
    """

    shards: list[Arrays]
    shots_per_identity: int
    seed: int

    @classmethod
    def of(cls, folder: Path, seed: int = 0) -> Self:
        """All whole shards of a folder. Raises ``UserError`` when there are none."""
        paths = shard_paths(folder)
        if not paths:
            raise UserError(f"There are no pictures in {folder}; take some with python -m training.studio.capture.")
        return cls([read_shard(path) for path in paths], read_options(folder).shots_per_identity, seed)

    def __len__(self) -> int:
        return sum(len(shard["camera"]) for shard in self.shards)

    @property
    def dims(self) -> dict[str, int]:
        """Components of the codes by space."""
        return {name: self.shards[0][name].shape[-1] for name in DIMS}

    def picture(self, number: int) -> Pictured:
        """One of them."""
        shard, row = self.shards[number // SHARD], number % SHARD
        return Pictured(
            codes={name: torch.from_numpy(shard[name][row]) for name in DIMS},
            camera=camera_of(shard["camera"][row]),
            srgb=torch.from_numpy(shard["picture_srgb"][row]).permute(2, 0, 1).float() / 255,
            alpha=torch.from_numpy(shard["coverage"][row]).float() / 255,
            number=number,
        )

    def batches(self, size: int) -> Iterator[PicturedBatch]:
        """Endless batches, every picture once before any again."""
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            order = torch.randperm(len(self), generator=generator).tolist()
            for first in range(0, len(order) - size + 1, size):
                yield PicturedBatch([self.picture(number) for number in order[first : first + size]])
