"""What a fit draws with while it looks for a start: a model, a camera and the photo, and small changes to codes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import HAIR, HAIR_STYLES
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.contract import FittableModel, Quality

Codes = dict[str, Code]
Region = NDArray[np.bool_]
Gains = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Easel:
    """Draws ``model`` from ``camera`` as large as ``target``; ``tick`` is called before each drawing."""

    model: FittableModel
    camera: Camera
    target: Target
    tick: Callable[[], None]

    def draw(self, codes: Mapping[str, Code], gains: Gains | None = None) -> tuple[Floats, Floats]:
        """Premultiplied linear colour (S, S, 3) and opacity (S, S)."""
        self.tick()
        frame = self.model.render(codes, self.camera, self.target.size, Quality.MOVING, gains or None)
        return frame.rgb_linear, frame.alpha


def neutral_codes(model: FittableModel) -> Codes:
    """A bald head with average skin."""
    codes = {name: as_code(space.mean) for name, space in model.spaces.items()}
    return without_hair(codes)


def without_hair(codes: Codes) -> Codes:
    """``codes`` of the same head, bald."""
    return {**codes, HAIR: with_part(codes[HAIR], HAIR_STYLES, 0)}


def with_part(code: Code, part: slice | int, value: Any) -> Code:
    """``code`` with some components replaced."""
    changed = code.copy()
    changed[part] = value
    return as_code(changed)


def one_of(count: int, chosen: int) -> Floats:
    """Weights (count,) that choose one."""
    return np.asarray(np.eye(count)[chosen], np.float32)
