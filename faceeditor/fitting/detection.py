"""Where a face may be: scikit-image's packaged LBP cascade at several sizes and rotations of the photo.

Liao et al., "Learning Multi-scale Block Local Binary Patterns for Face Recognition", 2007. The cascade knows upright
frontal faces and also answers where there are none; what it finds are candidates for the portrait network to judge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.feature import Cascade

from faceeditor.faces.camera import Camera
from faceeditor.fitting.alignment import Array, compose, move

SEARCHES: Final = ((256, (0, -20, 20, -40, 40)), (480, (0, -20, 20)), (256, (-60, 60, -90, 90, 180)))
"""Longest side in pixels and clockwise turns in degrees of the searches, the likeliest first."""

SMALLEST: Final = 24
"""Pixels of the smallest face that the cascade knows."""

BOX_METRES: Final = 0.155
"""How much of a head the side of a face box spans, brows to chin."""

BOX_CENTRE: Final = np.array([0.0, 0.002, 0.075])
"""The point of the mean head (head space) that lies in the middle of a face box."""


@dataclass(frozen=True)
class FaceBox:
    """A square around a face, brows to chin, in photo pixels; ``turn`` degrees clockwise make it upright."""

    centre: tuple[float, float]
    side: float
    turn: float = 0.0

    @classmethod
    def around(cls, left: float, top: float, width: float, height: float) -> "FaceBox":
        """The upright box that an artist drew."""
        return cls((left + width / 2, top + height / 2), max(width, height))

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, were it upright."""
        (x, y), half = self.centre, self.side / 2
        return x - half, y - half, x + half, y + half

    def crop_transform(self, size: int) -> Array:
        """Photo -> square crop of ``size`` pixels that shows about what the default camera would."""
        camera = Camera()
        scale = BOX_METRES * camera.focal / camera.distance * size / self.side
        target = camera.project(BOX_CENTRE[None], size, size)[0]
        return compose(scale, self.turn, np.array(self.centre), target)


def box_of_crop(size: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the face in a crop of ``size`` pixels that shows a head as the default camera
    would.
    """
    camera = Camera()
    x, y = camera.project(BOX_CENTRE[None], size, size)[0]
    half = BOX_METRES * camera.focal / camera.distance * size / 2
    return float(x - half), float(y - half), float(x + half), float(y + half)


@lru_cache(maxsize=1)
def _cascade() -> Cascade:
    return Cascade(data.lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]


def candidates(photo_srgb: NDArray[np.uint8]) -> Iterator[list[FaceBox]]:
    """The boxes found by each search in turn, the largest first; a caller stops when it is content with one."""
    photo = Image.fromarray(photo_srgb)
    for longest, turns in SEARCHES:
        scale = min(1.0, longest / max(photo.size))
        if longest > SEARCHES[0][0] and scale == 1.0:
            continue
        width, height = (max(1, round(side * scale)) for side in photo.size)
        small = photo.resize((width, height), Image.Resampling.BOX) if scale < 1 else photo
        for turn in turns:
            yield _search(small, turn, photo.width / width)


def _search(small: Image.Image, turn: float, pixels: float) -> list[FaceBox]:
    """Boxes in the photo, of which ``small`` is a copy with ``pixels`` photo pixels in each of its own."""
    turned = small.rotate(-turn, Image.Resampling.BILINEAR, expand=True, fillcolor=(128, 128, 128)) if turn else small
    longest = max(turned.size)
    if min(turned.size) < SMALLEST:
        return []
    found = _cascade().detect_multi_scale(
        img=np.asarray(turned),
        scale_factor=1.2,
        step_ratio=1,
        min_size=(SMALLEST, SMALLEST),
        max_size=(longest, longest),
        min_neighbor_number=2,
    )
    back = compose(1.0, -turn, np.array(turned.size) / 2, np.array(small.size) / 2)
    boxes = []
    for hit in found:
        middle = np.array([hit["c"] + hit["width"] / 2, hit["r"] + hit["height"] / 2], np.float64)
        x, y = move(back, middle) * pixels
        boxes.append(FaceBox((float(x), float(y)), hit["width"] * pixels, turn))
    return sorted(boxes, key=lambda box: -box.side)


def everywhere(photo_srgb: NDArray[np.uint8]) -> list[FaceBox]:
    """Some dozens of boxes all over the photo, for heads that the cascade does not know, such as profiles."""
    height, width = photo_srgb.shape[:2]
    boxes = []
    for side in np.array([0.6, 0.4, 0.25]) * min(width, height):
        columns, rows = (min(8, max(2, round(length / side))) for length in (width, height))
        xs, ys = np.linspace(side, width - side, columns), np.linspace(side, height - side, rows)
        boxes += [FaceBox((float(x), float(y)), float(side)) for y in ys for x in xs]
    return boxes
