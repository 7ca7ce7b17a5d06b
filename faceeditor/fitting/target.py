"""What a fit compares itself with: the photo's crop at one size, with its masks."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.draw import polygon2mask
from torch.nn import functional

from faceeditor.faces import landmarks as points
from faceeditor.fitting.portrait import Portrait
from faceeditor.rendering.colour import linear_to_srgb, srgb8_to_linear

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Target:
    """The crop at ``size`` pixels: ``linear`` (S, S, 3) colour, soft ``mask`` (S, S) of the head and ``hair`` (S, S) of
    its hair, ``inside`` (S, S) one where there is a photo, ``landmarks`` (68, 2) in pixels, and the probabilities of
    hair ``styles`` (STYLES,), bald first.
    """

    size: int
    linear: Floats
    mask: Floats
    hair: Floats
    inside: Floats
    landmarks: NDArray[np.float64]
    styles: NDArray[np.float64]

    @classmethod
    def of(cls, portrait: Portrait, size: int) -> Self:
        """``portrait`` at ``size`` pixels, averaged in linear light."""
        return cls(
            size=size,
            linear=resized(srgb8_to_linear(portrait.crop_srgb), size),
            mask=resized(portrait.mask, size),
            hair=resized(portrait.hair, size),
            inside=resized(portrait.inside.astype(np.float32), size),
            landmarks=portrait.landmarks * (size / portrait.size),
            styles=portrait.styles,
        )

    @cached_property
    def srgb(self) -> Floats:
        """(S, S, 3) sRGB values in [0, 1]."""
        return linear_to_srgb(self.linear)

    @cached_property
    def face(self) -> NDArray[np.bool_]:
        """(S, S) where the landmarks say that there is bare skin: jaw to brows, without eyes, lips and hair."""
        outline = np.concatenate(
            [
                self.landmarks[points.JAW],
                self.landmarks[points.LEFT_BROW][::-1],
                self.landmarks[points.RIGHT_BROW][::-1],
            ]
        )
        holes = (points.RIGHT_EYE, points.LEFT_EYE, points.OUTER_LIPS)
        covered = np.any([self.region(self.landmarks[hole]) for hole in holes], axis=0)
        return np.asarray(self.region(outline) & ~covered & (self.hair < 0.5), np.bool_)

    def region(self, outline: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The pixels (S, S) inside a polygon (N, 2)."""
        corners = outline[:, ::-1] - 0.5
        return np.asarray(polygon2mask((self.size, self.size), corners), np.bool_)  # type: ignore[no-untyped-call]


def resized(picture: Floats, size: int) -> Floats:
    """A square picture (S, S) or (S, S, C) averaged, or enlarged smoothly, to ``size`` pixels."""
    if len(picture) == size:
        return picture
    planes = torch.from_numpy(np.ascontiguousarray(picture)).reshape(len(picture), len(picture), -1).permute(2, 0, 1)
    changed = functional.interpolate(planes[None], (size, size), mode="bilinear", antialias=True, align_corners=False)
    return changed[0].permute(1, 2, 0).reshape(size, size, *picture.shape[2:]).numpy()
