"""A face: what the artist edits. Plain immutable data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, Codes, as_code
from faceeditor.faces.similarity import Similarity

TEXTURE: Final = "texture_srgb"
"""The refinement that is a face's own texture: (T, T, 3) uint8, row 0 at v = 1, in the template's atlas."""
DETAIL_AMOUNT: Final = "detail_amount"
"""The refinement that scales a face's fine detail: one number, 0 none, 1 its own."""


@dataclass(frozen=True)
class Origin:
    """Where a face came from: ``kind`` is ``sample``, ``random``, ``photo``, ``scan``, ``transfer`` or
    ``interpolation``.

    ``source`` names the file or the seed; ``photo_srgb`` is the aligned square crop (H, W, 3) uint8 that was fitted,
    or ``None``. ``figures`` are the fit's measures (``psnr``, ``ssim``, ``landmark_error_percent``, ``seconds``).
    ``codes`` are those that the photo told, before the artist changed any. For a scan, ``placement`` brings it to head
    space, and ``scan_points`` (N, 3) float32 are points of its face there.
    """

    kind: str = "sample"
    source: str = ""
    photo_srgb: NDArray[np.uint8] | None = field(default=None, compare=False)
    figures: Mapping[str, float] = field(default_factory=dict)
    codes: Codes | None = field(default=None, compare=False)
    placement: Similarity | None = field(default=None, compare=False)
    scan_points: NDArray[np.float32] | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Face:
    """Named codes per space for one ``model``, a camera, an origin and an optional per-face refinement.

    ``refinement`` holds named arrays that only this face has (for the guided head, a texture correction seen in the
    photo); a model that does not know a name ignores it. Never change a face: make another with :meth:`replace`.
    """

    name: str
    model: str
    codes: Codes
    camera: Camera = field(default_factory=Camera)
    origin: Origin = field(default_factory=Origin)
    refinement: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: str = ""

    def replace(self, **changes: Any) -> Self:
        """The edited face: this one with some fields changed."""
        return replace(self, **changes)

    def with_code(self, space: str, code: Code) -> Self:
        """This face with another code in ``space``."""
        return self.replace(codes={**self.codes, space: as_code(code)})
