"""Photos of people of whom nothing is known but, perhaps, where their heads are: FFHQ, CelebAMask-HQ, and the studio's
own pictures treated like them.

What is read of FFHQ (Karras et al., "A Style-Based Generator Architecture for GANs", CVPR 2019) is
``images1024x1024/00000/00000.png``, by the thousand or flat, and, if they are there, the landmarks of
``ffhq-dataset-v2.json``. Masks are not published with it: a folder of one's own may give them, ``00000.png`` white
where the head is. Of CelebAMask-HQ (Lee et al., "MaskGAN", CVPR 2020) it is ``CelebA-HQ-img/0.jpg`` and
``CelebAMask-HQ-mask-anno/0/00000_skin.png``, 2000 photos a folder, one mask for each part that is there.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.files.images import read_image_srgb
from training.studio.capture import Arrays, read_shard, shard_paths

Bytes = NDArray[np.uint8]

FFHQ_PICTURES: Final = "images1024x1024"
FFHQ_FACTS: Final = "ffhq-dataset-v2.json"
CELEBA_PICTURES: Final = "CelebA-HQ-img"
CELEBA_MASKS: Final = "CelebAMask-HQ-mask-anno"
CELEBA_FOLDER: Final = 2000
"""Photos whose masks lie in one folder."""

HEAD_PARTS: Final = (
    "skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip", "hair", "neck",
)  # fmt: skip
"""CelebAMask-HQ's parts of a head."""
COVER: Final = "eye_g"
"""Its part that may cover some of them and belongs to none; what stands before the head without being it."""
UNWANTED: Final = ("hat", "ear_r", "neck_l")
"""Its parts that section 4.1 of zero-shot attribute separation leaves photos out for."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """A photo ``srgb`` (H, W, 3) and what is known of it: ``head`` (H, W) uint8, 255 where the head is seen; ``shown``
    (H, W), that and what covers it; ``landmarks`` (68, 2) pixels. ``None`` is for what was not annotated.
    """

    srgb: Bytes
    head: Bytes | None = None
    shown: Bytes | None = None
    landmarks: NDArray[np.float64] | None = None


class FacePhoto(Protocol):
    """One photo of a data set."""

    @property
    def name(self) -> str:
        """What tells it from the others of its data set."""
        ...

    def read(self) -> Annotated:
        """The photo. Raises ``UserError`` when its files are damaged or missing."""
        ...


@dataclass(frozen=True)
class FfhqPhoto:
    """A photo of FFHQ."""

    path: Path
    mask: Path | None
    landmarks: tuple[tuple[float, float], ...] | None

    @property
    def name(self) -> str:
        """``ffhq`` and its number, five digits."""
        return f"ffhq-{self.path.stem}"

    def read(self) -> Annotated:
        """See :class:`FacePhoto`."""
        srgb = read_image_srgb(self.path)
        head = None if self.mask is None else _mask(self.mask, srgb)
        return Annotated(srgb, head, head, None if self.landmarks is None else np.array(self.landmarks))


@dataclass(frozen=True)
class CelebaPhoto:
    """A photo of CelebAMask-HQ, with the folder of its masks."""

    path: Path
    masks: Path

    @property
    def name(self) -> str:
        """``celeba`` and its number, five digits."""
        return f"celeba-{self._number}"

    @property
    def _number(self) -> str:
        return f"{int(self.path.stem):05d}"

    def part(self, name: str) -> Path:
        """Where the mask of a part would lie."""
        return self.masks / f"{self._number}_{name}.png"

    def read(self) -> Annotated:
        """See :class:`FacePhoto`."""
        srgb = read_image_srgb(self.path)
        parts = [_mask(self.part(name), srgb) for name in HEAD_PARTS if self.part(name).is_file()]
        if not parts:
            raise UserError(f"{self.path} has no masks in {self.masks}; unpack the whole data set.")
        head = np.maximum.reduce(parts)
        if not self.part(COVER).is_file():
            return Annotated(srgb, head, head)
        cover = _mask(self.part(COVER), srgb)
        return Annotated(srgb, np.minimum(head, 255 - cover), np.maximum(head, cover))


@dataclass(frozen=True)
class StudioPhoto:
    """A picture that ``training.studio.capture`` has taken, without its codes and its camera."""

    shard: Path
    row: int

    @property
    def name(self) -> str:
        """Shard and row."""
        return f"{self.shard.stem}-{self.row:03d}"

    def read(self) -> Annotated:
        """See :class:`FacePhoto`."""
        shard = _last_shard(self.shard)
        head = shard["coverage"][self.row]
        landmarks = shard["landmarks"][self.row].astype(np.float64)
        return Annotated(shard["picture_srgb"][self.row], head, head, landmarks)


@lru_cache(maxsize=1)
def _last_shard(path: Path) -> Arrays:
    return read_shard(path)


def _mask(path: Path, photo: Bytes) -> Bytes:
    """A mask (H, W) at the size of its ``photo`` (H, W, 3)."""
    mask = Image.fromarray(read_image_srgb(path)[..., 0])
    return np.asarray(mask.resize(photo.shape[1::-1], Image.Resampling.BILINEAR))


def photos_in(folder: Path, masks: Path | None = None) -> Sequence[FacePhoto]:
    """The photos of a ``folder`` of any of the layouts; ``masks`` are for FFHQ alone. Raises ``UserError`` when it is
    none of them.
    """
    if (folder / CELEBA_PICTURES).is_dir():
        return celebamask_hq(folder)
    if shard_paths(folder):
        return studio(folder)
    return ffhq(folder, masks)


def ffhq(folder: Path, masks: Path | None = None) -> list[FfhqPhoto]:
    """All photos of FFHQ in ``folder``. Raises ``UserError`` when there are none, and when ``masks`` lack some."""
    pictures = folder / FFHQ_PICTURES if (folder / FFHQ_PICTURES).is_dir() else folder
    found = sorted([*pictures.glob("[0-9]*.png"), *pictures.glob("[0-9]*/[0-9]*.png")], key=lambda path: path.stem)
    if not found:
        raise UserError(f"There are no photos of FFHQ, CelebAMask-HQ or the studio in {folder}; give their folder.")
    known = _ffhq_landmarks(folder / FFHQ_FACTS)
    return [FfhqPhoto(path, _ffhq_mask(path, pictures, masks), known.get(path.stem)) for path in found]


def _ffhq_mask(photo: Path, pictures: Path, masks: Path | None) -> Path | None:
    if masks is None:
        return None
    for path in (masks / photo.relative_to(pictures), masks / photo.name):
        if path.is_file():
            return path
    raise UserError(f"There is no mask of {photo.name} in {masks}; give a folder with one for every photo, or none.")


def _ffhq_landmarks(path: Path) -> dict[str, tuple[tuple[float, float], ...]]:
    """Landmarks (68, 2) in pixels of the photos by their names; none where there is no such file."""
    if not path.is_file():
        return {}
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = {f"{int(key):05d}": _pairs(one["image"]["face_landmarks"]) for key, one in facts.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or of another version; load it down again, or remove it.") from error
    return found


def _pairs(numbers: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    table = np.array(numbers, np.float64)
    if table.shape != (points.COUNT, 2):
        raise ValueError("not 68 landmarks")
    return tuple((float(x), float(y)) for x, y in table)


def celebamask_hq(folder: Path) -> list[CelebaPhoto]:
    """The photos of CelebAMask-HQ in ``folder`` without those of people in hats, earrings or necklaces. Raises
    ``UserError`` when there are none.
    """
    if not (folder / CELEBA_MASKS).is_dir():
        raise UserError(f"There is no {CELEBA_MASKS} in {folder}; unpack the whole data set.")
    numbered = [path for path in (folder / CELEBA_PICTURES).glob("*.jpg") if path.stem.isdecimal()]
    photos = [
        CelebaPhoto(path, folder / CELEBA_MASKS / str(int(path.stem) // CELEBA_FOLDER))
        for path in sorted(numbered, key=lambda path: int(path.stem))
    ]
    wanted = [photo for photo in photos if not any(photo.part(name).is_file() for name in UNWANTED)]
    if not wanted:
        raise UserError(
            f"There are no photos in {folder / CELEBA_PICTURES} that can be used; unpack the whole data set."
        )
    return wanted


def studio(folder: Path) -> list[StudioPhoto]:
    """All pictures of a folder that ``training.studio.capture`` has filled."""
    rows = [(path, len(read_shard(path)["camera"])) for path in shard_paths(folder)]
    return [StudioPhoto(path, row) for path, count in rows for row in range(count)]
