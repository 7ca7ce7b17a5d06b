"""Photos of which nothing is known, placed as a reading of a photo places crops, and kept that way.

``python -m training.placed_photos FOLDER --out PLACED`` places all photos of FFHQ, CelebAMask-HQ or the studio that
``FOLDER`` holds, ready for ``python -m training.alternate_attributes``; it goes on where it stopped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated as Given
from typing import Final, NamedTuple, Self

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from faceeditor.errors import UserError
from faceeditor.files.atomic import atomic_write
from faceeditor.fitting import alignment
from faceeditor.fitting.portrait import PortraitReader, analyse, cropped
from faceeditor.models.bundle import load_model
from training.photo_folders import Annotated, FacePhoto, photos_in
from training.train_attributes import READER

SHARD: Final = 256
"""Photos that were tried for one file."""
CHANNELS: Final = 5
"""Red, green, blue, head, and head with what covers it."""


class Unlabelled(NamedTuple):
    """A batch: ``numbers`` (B,), ``photos`` (B, 3, S, S) sRGB in [0, 1], where the ``head`` (B, 1, S, S) is seen, and
    where it or what covers it is ``shown`` (B, 1, S, S).
    """

    numbers: Tensor
    photos: Tensor
    head: Tensor
    shown: Tensor

    def over(self, behind: Tensor | float = 1.0) -> Tensor:
        """The heads before other pictures (B, 3, S, S), or before white (section 4.1)."""
        return self.shown * self.photos + (1 - self.shown) * behind


@dataclass(frozen=True)
class PlacedPhotos:
    """The photos of a folder, read from its ``files`` as they are asked for; ``counts`` tell how many each holds,
    ``names`` where they come from.
    """

    files: tuple[Path, ...]
    counts: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """What :func:`place_all` has written to ``folder``. Raises ``UserError`` when that is nothing or damaged."""
        files = tuple(sorted(folder.glob("placed-*.safetensors")))
        names = [_names(path) for path in files]
        if not any(names):
            raise UserError(f"There are no placed photos in {folder}; make some with python -m training.placed_photos.")
        return cls(files, tuple(len(some) for some in names), tuple(name for some in names for name in some))

    def __len__(self) -> int:
        return len(self.names)

    def take(self, numbers: Tensor) -> Unlabelled:
        """The photos with the ``numbers`` (B,)."""
        ends = np.cumsum(self.counts)
        rows = []
        for number in numbers.tolist():
            file = int(np.searchsorted(ends, number, side="right"))
            with safe_open(self.files[file], "pt") as stored:
                rows.append(stored.get_slice("pictures")[number - int(ends[file]) + self.counts[file]])
        pictures = torch.stack(rows).float() / 255
        return Unlabelled(numbers, pictures[:, :3], pictures[:, 3:4], pictures[:, 4:])

    def forever(self, batch: int) -> Iterator[Unlabelled]:
        """Batches without end, every photo once before any comes again."""
        order = torch.randperm(len(self))
        while True:
            while len(order) < batch:
                order = torch.cat([order, torch.randperm(len(self))])
            chosen, order = order[:batch], order[batch:]
            yield self.take(chosen)

    def once(self, batch: int) -> Iterator[Unlabelled]:
        """All of them, in their order."""
        for chosen in torch.split(torch.arange(len(self)), batch):
            yield self.take(chosen)


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, "pt") as stored:
            names: list[str] = json.loads(stored.metadata()["names"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged; remove it and place its photos again.") from error
    return names


def placed(photo: Annotated, reader: PortraitReader, size: int) -> NDArray[np.uint8]:
    """``photo`` (size, size, CHANNELS) with its head upright in the middle. Where there is no mask, ``reader`` gives
    one. Raises ``UserError`` when there is no face to be found.
    """
    if photo.head is None or photo.shown is None:
        portrait = analyse(photo.srgb, reader, landmarks=photo.landmarks, size=size)
        mask = np.rint(255 * portrait.mask[..., None]).astype(np.uint8)
        return np.concatenate([portrait.crop_srgb, mask, mask], axis=-1)
    if photo.landmarks is None:
        transform = cropped(photo.srgb, reader, size=size).transform
    else:
        pose = alignment.pose_from_landmarks(photo.landmarks, reader.landmarks_3d, (0.0, 0.0, 0.0))
        transform = alignment.upright(photo.landmarks, reader.landmarks_3d, pose, size)
    masks = alignment.warp(np.stack([photo.head, photo.shown, photo.shown], axis=-1), transform, size)[..., :2]
    inside = alignment.seen(photo.srgb.shape, transform, size)
    return np.concatenate([alignment.warp(photo.srgb, transform, size), masks * inside[..., None]], axis=-1)


def place_all(photos: Sequence[FacePhoto], folder: Path, size: int, reader: PortraitReader) -> Iterator[str]:
    """Writes all ``photos`` to ``folder``, ``size`` pixels a side, and tells of each that could not be used. Files that
    are there already stay. Raises ``UserError`` when they are of other photos, or of another size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(photos), SHARD):
        path, some = folder / f"placed-{start // SHARD:05d}.safetensors", photos[start : start + SHARD]
        if not path.is_file():
            yield from _place_some(some, path, size, reader)
        elif not set(_names(path)) <= {photo.name for photo in some} or _side(path) != size:
            raise UserError(f"{folder} holds other photos, or such of another size; choose another folder.")


def _side(path: Path) -> int:
    with safe_open(path, "pt") as stored:
        return int(stored.get_slice("pictures").get_shape()[-1])


def _place_some(photos: Sequence[FacePhoto], path: Path, size: int, reader: PortraitReader) -> Iterator[str]:
    pictures, names = [np.zeros((0, size, size, CHANNELS), np.uint8)], []
    for photo in tqdm(photos, desc=path.stem, mininterval=5):
        try:
            pictures.append(placed(photo.read(), reader, size)[None])
            names.append(photo.name)
        except UserError as error:
            yield f"{photo.name}: {error}"
    tensor = torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2).contiguous()
    with atomic_write(path) as beside:
        save_file({"pictures": tensor}, beside, metadata={"names": json.dumps(names)})


def main(
    folder: Given[Path, typer.Argument(help="FFHQ, CelebAMask-HQ, or a folder of captured pictures")],
    out: Given[Path, typer.Option(help="where they are written")],
    masks: Given[Path | None, typer.Option(help="masks of FFHQ's photos, if there are any")] = None,
    size: Given[int, typer.Option(help="pixels along each side")] = 256,
    count: Given[int | None, typer.Option(help="no more photos than these")] = None,
) -> None:
    """Place the photos of a data set."""
    try:
        for left_out in place_all(photos_in(folder, masks)[:count], out, size, load_model(READER)):
            print(f"left out: {left_out}")
        print(f"{len(PlacedPhotos.of(out))} photos in {out}")
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    typer.run(main)
