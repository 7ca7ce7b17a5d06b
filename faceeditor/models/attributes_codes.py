"""What the attribute encoder's heads say, and what that means in the studio's coordinates.

Zero-shot attribute separation, section 3.1: seven codes. The first components of the five that are no pose are the
studio's coordinates, so that all models that have these can draw what was seen.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import (
    BROW_COLOUR,
    BROW_STYLES,
    DIMS,
    EXPRESSION,
    HAIR,
    HAIR_COLOUR,
    HAIR_GLOSS,
    HAIR_STYLES,
    IDENTITY,
    IRIS_WEIGHTS,
    LIGHT,
    SHEEN,
    SKIN,
    SKIN_WEIGHTS,
)

SHAPE, EXP, TEX, ILLU, HAIR_HEAD, ROT, TRAN = "shape", "exp", "tex", "illu", "hair", "rot", "tran"

HEADS: Final[dict[str, int]] = {SHAPE: 512, EXP: 64, TEX: 80, ILLU: 27, HAIR_HEAD: 16, ROT: 3, TRAN: 3}
"""Components of z_shape, z_exp, z_tex, z_illu, z_hair, z_rot and z_tran (section 3.1)."""

SPACES: Final[dict[str, str]] = {IDENTITY: SHAPE, EXPRESSION: EXP, SKIN: TEX, LIGHT: ILLU, HAIR: HAIR_HEAD}
"""Space of the studio's coordinates -> the head whose first components they are."""

QUIET: Final = 0.02
"""Weights of an expression below this are taken for none."""
LEAST_SKIN: Final = 0.1
"""Skins with a smaller share of the mixture are left out."""
COLOURS: Final = (0.002, 0.95)
RANGES: Final[tuple[tuple[str, slice, tuple[float, float]], ...]] = (
    ("exp", slice(0, 64), (0.0, 1.0)),
    ("tex", BROW_COLOUR, COLOURS),
    ("tex", slice(SHEEN, SHEEN + 1), (0.0, 1.0)),
    ("hair", HAIR_COLOUR, COLOURS),
    ("hair", slice(HAIR_GLOSS, HAIR_GLOSS + 1), (0.0, 1.0)),
)
"""What components of the codes lie between."""


class Options(NamedTuple):
    """Components ``part`` of a head's code that are shares of options: exclusive unless ``mixed``; with ``none``, none
    of them may be chosen.
    """

    head: str
    part: slice
    none: bool = False
    mixed: bool = False


OPTIONS: Final = {
    "hair": Options(HAIR_HEAD, HAIR_STYLES, none=True),
    "skin": Options(TEX, SKIN_WEIGHTS, mixed=True),
    "brows": Options(TEX, BROW_STYLES),
    "iris": Options(TEX, IRIS_WEIGHTS),
}
"""What the encoder chooses instead of measuring."""


def shares(logits: Tensor, *, none: bool) -> Tensor:
    """Probabilities (B, N) of options with ``logits`` (B, N), beside ``none``, whose logit is zero, if there is one."""
    if not none:
        return logits.softmax(-1)
    return functional.pad(logits, (1, 0)).softmax(-1)[:, 1:]


def with_part(code: Tensor, part: slice, values: Tensor) -> Tensor:
    """``code`` (B, dims) with other ``values`` (B, N) in ``part``."""
    return torch.cat([code[:, : part.start], values, code[:, part.stop :]], dim=1)


def decided(said: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """The studio's coordinates (B, dims) by space, of codes by head with shares of options: one of exclusive ones is
    chosen, and everything else is brought into its range.
    """
    codes = dict(said)
    for one in OPTIONS.values():
        chances = codes[one.head][:, one.part]
        chosen = _mixture(chances) if one.mixed else _chosen(chances, none=one.none)
        codes[one.head] = with_part(codes[one.head], one.part, chosen)
    for head, part, (low, high) in RANGES:
        codes[head] = with_part(codes[head], part, codes[head][:, part].clamp(low, high))
    codes[EXP] = torch.where(codes[EXP] < QUIET, 0.0, codes[EXP])
    return {space: codes[head][:, : DIMS[space]].float().cpu().numpy() for space, head in SPACES.items()}


def _mixture(chances: Tensor) -> Tensor:
    """The larger ``chances`` (B, N), of sum 1."""
    enough = chances.amax(1, keepdim=True).clamp_max(LEAST_SKIN)
    kept = torch.where(chances < enough, 0.0, chances)
    return kept / kept.sum(1, keepdim=True)


def _chosen(chances: Tensor, *, none: bool) -> Tensor:
    """One for the most likely of ``chances`` (B, N), zero for the others; zero for all where ``none`` is likelier."""
    best = functional.one_hot(chances.argmax(1), chances.shape[1]).to(chances)
    return best * (chances.amax(1, keepdim=True) >= 1 - chances.sum(1, keepdim=True)) if none else best


def camera_of(rotation: NDArray[np.float64], translation: NDArray[np.float64], field_of_view: float) -> Camera:
    """The camera of a ``rotation`` (3,), degrees, and a ``translation`` (3,), as the heads say them, if the picture
    shows so many degrees.
    """
    yaw, pitch, roll = (float(angle) for angle in rotation)
    across, down, size = float(translation[0]), float(translation[1]), float(np.exp(translation[2]))
    distance = Camera(field_of_view=field_of_view).focal / size
    return Camera(yaw, pitch, roll, distance, field_of_view, (-across / size, down / size))
