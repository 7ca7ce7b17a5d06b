"""Pictures to train on: the studio's own, taken while training goes on, and the layouts of the field's data sets."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import DIMS
from training.studio.capture import CaptureOptions
from training.studio.shot import Shot


@dataclass(frozen=True, eq=False)
class Pictured:
    """One studio picture over white: ``codes`` (dims,), its ``camera``, ``srgb`` (3, S, S) in [0, 1], ``alpha`` (S,
    S).
    """

    codes: dict[str, torch.Tensor]
    camera: Camera
    srgb: torch.Tensor
    alpha: torch.Tensor

    def to(self, device: torch.device) -> "Pictured":
        """The same picture on another device."""
        codes = {name: code.to(device) for name, code in self.codes.items()}
        return Pictured(codes, self.camera, self.srgb.to(device), self.alpha.to(device))


@dataclass(frozen=True, eq=False)
class PicturedBatch:
    """Some pictures that are trained on together."""

    pictures: list[Pictured]

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
