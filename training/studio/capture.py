"""Takes the studio's pictures by the thousand: on line as a data set, or into a folder of shards.

Picture ``index`` depends on the seed and its index alone, whatever process takes it and in whatever order.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.files.atomic import atomic_write, write_bytes
from training.studio.backdrops import sample_backdrop
from training.studio.factors import StudioFactors
from training.studio.renderer import WHITE, Studio
from training.studio.sampling import sample_factors, sample_identity
from training.studio.shot import Shot

Arrays = dict[str, NDArray[Any]]

IDENTITY_STREAM, PICTURE_STREAM, BACKDROP_STREAM = range(3)
NOTE: Final = "studio.json"
"""The file of a folder's options."""
SHARD: Final = 256
"""Pictures in one file."""


@dataclass(frozen=True)
class CaptureOptions:
    """What is photographed.

    ``held_out`` draws from identities, lights and all else that the same seed never gives to training. Each identity is
    seen in ``shots_per_identity`` pictures that follow each other. ``backdrops`` says whether random ones stand behind
    the heads instead of white.
    """

    size: int = 256
    seed: int = 0
    held_out: bool = False
    shots_per_identity: int = 1
    backdrops: bool = False

    def generator(self, stream: int, index: int) -> np.random.Generator:
        """Random numbers of their own for one purpose, split and index."""
        return np.random.default_rng([self.seed, int(self.held_out), stream, index])

    def factors(self, index: int) -> StudioFactors:
        """What picture ``index`` is drawn from."""
        identity = sample_identity(self.generator(IDENTITY_STREAM, index // self.shots_per_identity))
        return sample_factors(self.generator(PICTURE_STREAM, index), identity)

    def shoot(self, studio: Studio, index: int, *, truth: bool = False) -> Shot:
        """Picture ``index``."""
        behind = sample_backdrop(self.generator(BACKDROP_STREAM, index), self.size) if self.backdrops else WHITE
        return studio.shoot(self.factors(index), self.size, behind, truth=truth)


class StudioDataset(Dataset[Arrays]):
    """The studio as a data set: item ``index`` is ``Shot.arrays()`` of that picture.

    Every worker process opens a studio of its own on its first item; start workers by ``spawn``, because OpenGL does
    not survive a fork.
    """

    def __init__(self, data_folder: Path | str, count: int, options: CaptureOptions) -> None:
        self.data_folder = Path(data_folder)
        self.count = count
        self.options = options
        self._studio: Studio | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Arrays:
        if not 0 <= index < self.count:
            raise IndexError(index)
        if self._studio is None:
            os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa draws in the calling thread: processes share the cores
            self._studio = Studio.open(self.data_folder)
        return self.options.shoot(self._studio, index).arrays()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_studio": None}


def _as_it_is(item: Any) -> Any:
    return item


class _Picked(Dataset[Arrays]):
    """Some items of a data set."""

    def __init__(self, data: StudioDataset, indices: Sequence[int]) -> None:
        self.data, self.indices = data, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Arrays:
        return self.data[self.indices[place]]


def stream(data: StudioDataset, indices: Sequence[int], workers: int) -> Iterator[Arrays]:
    """The items at ``indices``, in their order, taken by ``workers`` processes (0: by this one)."""
    loader = DataLoader(
        _Picked(data, indices),
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=16 if workers else None,
    )
    yield from loader


def camera_of(values: NDArray[np.floating[Any]]) -> Camera:
    """The camera that ``Shot.arrays()`` wrote as nine numbers."""
    yaw, pitch, roll, distance, field, pan_x, pan_y, centre_x, centre_y = (float(value) for value in values)
    return Camera(yaw, pitch, roll, distance, field, (pan_x, pan_y), (centre_x, centre_y))


def shard_path(folder: Path, number: int) -> Path:
    """Where shard ``number`` lies."""
    return folder / f"shard-{number:05d}.npz"


def shard_paths(folder: Path) -> list[Path]:
    """All shards of a folder, in their order."""
    return sorted(folder.glob("shard-*.npz"))


def read_options(folder: Path) -> CaptureOptions:
    """The options that a folder's pictures were taken with. Raises ``UserError`` where they are not noted."""
    try:
        return CaptureOptions(**json.loads((folder / NOTE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder} has no readable {NOTE}; take its pictures again.") from error


def read_shard(path: Path) -> Arrays:
    """The arrays of one shard by name, pictures along the first axis."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _write_shard(path: Path, items: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    stacked = {name: np.stack([item[name] for item in items]) for name in items[0]}
    with atomic_write(path) as beside:
        np.savez(beside, **stacked)  # type: ignore[arg-type]


def capture(data: StudioDataset, folder: Path, workers: int) -> Iterator[int]:
    """Write all of ``data`` to shards in ``folder``; yields the number of pictures there after each shard.

    Shards that are there already stay, so a capture that was stopped goes on. Raises UserError when the folder holds
    pictures of other options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, data.options)
    starts = range(0, len(data), SHARD)
    wanted = [start for start in starts if not shard_path(folder, start // SHARD).is_file()]
    sizes = [min(SHARD, len(data) - start) for start in wanted]
    items = stream(data, [start + k for start, size in zip(wanted, sizes, strict=True) for k in range(size)], workers)
    done = len(data) - sum(sizes)
    for start, size in zip(wanted, sizes, strict=True):
        _write_shard(shard_path(folder, start // SHARD), [next(items) for _ in range(size)])
        done += size
        yield done


def _claim(folder: Path, options: CaptureOptions) -> None:
    """Note the options in the folder, or compare them with those noted."""
    note = folder / NOTE
    if not note.is_file():
        write_bytes(note, json.dumps(asdict(options), indent=2).encode())
    elif json.loads(note.read_text()) != asdict(options):
        raise UserError(f"{folder} holds pictures of other options; choose another folder or remove it.")


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m training.studio.capture --out pictures --count 1000``."""
    parser = argparse.ArgumentParser(description="Photograph synthetic heads into a folder of shards.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the studio's data folder")
    parser.add_argument("--out", type=Path, required=True, help="the folder to fill")
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--size", type=int, default=256, help="pixels along each side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="identities that training never sees")
    parser.add_argument("--shots-per-identity", type=int, default=1)
    parser.add_argument("--backdrops", action="store_true", help="random backdrops instead of white")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; 0 for this one alone")
    given = parser.parse_args(arguments)
    options = CaptureOptions(given.size, given.seed, given.held_out, given.shots_per_identity, given.backdrops)
    started = time.monotonic()
    for done in capture(StudioDataset(given.data, given.count, options), given.out, given.workers):
        print(f"{done} of {given.count} pictures, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
