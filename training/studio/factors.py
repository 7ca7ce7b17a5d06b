"""What a picture is drawn from: the codes of the studio coordinates, and the camera."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import (
    BROW_COLOUR,
    BROW_STYLES,
    DIMS,
    EXPRESSION,
    EXPRESSION_COMPONENTS,
    HAIR,
    HAIR_COLOUR,
    HAIR_GLOSS,
    HAIR_STYLES,
    IDENTITY,
    IRIS_WEIGHTS,
    SHEEN,
    SKIN,
    SKIN_TINT,
    SKIN_WEIGHTS,
    TINT_AXES,
)
from faceeditor.rendering.harmonics import ambient, directional


def neutral_light() -> Code:
    """Studio light: a soft white key above the camera over a white ambience."""
    key = directional(np.array([0.25, 0.45, 0.857]), np.array([0.55, 0.55, 0.55]))
    return as_code(key + ambient(np.array([0.5, 0.5, 0.5])))


def skin_code(
    weights: Mapping[int, float] | NDArray[np.floating],
    *,
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0),
    brow: int | None = 0,
    brow_colour: tuple[float, float, float] = (0.02, 0.014, 0.01),
    iris: int = 4,
    sheen: float = 0.4,
) -> Code:
    """The skin code (80,): skin ``weights`` by index, log ``tint``, brow style and linear colour, iris, sheen 0..1."""
    code = np.zeros(DIMS[SKIN], np.float32)
    for index, weight in weights.items() if isinstance(weights, Mapping) else enumerate(weights):
        code[SKIN_WEIGHTS][index] = weight
    code[SKIN_TINT] = tint
    if brow is not None:
        code[BROW_STYLES][brow] = 1
    code[BROW_COLOUR] = brow_colour
    code[IRIS_WEIGHTS][iris] = 1
    code[SHEEN] = sheen
    return as_code(code)


def hair_code(style: int | None, colour: tuple[float, float, float] = (0.05, 0.03, 0.02), gloss: float = 0.5) -> Code:
    """The hair code (16,): style index or ``None`` for bald, linear mid-tone colour, gloss 0..1."""
    code = np.zeros(DIMS[HAIR], np.float32)
    if style is not None:
        code[HAIR_STYLES][style] = 1
    code[HAIR_COLOUR] = colour
    code[HAIR_GLOSS] = gloss
    return as_code(code)


def expression_code(**weights: float) -> Code:
    """The expression code (64,) with the named components set: ``expression_code(jawOpen=0.5)``."""
    code = np.zeros(DIMS[EXPRESSION], np.float32)
    for name, weight in weights.items():
        code[EXPRESSION_COMPONENTS.index(name)] = weight
    return as_code(code)


def _default_skin() -> Code:
    return skin_code({4: 1.0})


@dataclass(frozen=True, eq=False)
class StudioFactors:
    """The five codes, flat float32 vectors laid out as :mod:`faceeditor.faces.layout` says, and the camera."""

    identity: Code = field(default_factory=lambda: as_code(np.zeros(DIMS[IDENTITY])))
    expression: Code = field(default_factory=expression_code)
    skin: Code = field(default_factory=_default_skin)
    light: Code = field(default_factory=neutral_light)
    hair: Code = field(default_factory=lambda: hair_code(None))
    camera: Camera = field(default_factory=Camera)

    @property
    def codes(self) -> dict[str, Code]:
        """The codes by the name of their space."""
        return {name: getattr(self, name) for name in DIMS}

    @classmethod
    def from_codes(cls, codes: Mapping[str, NDArray[np.floating]], camera: Camera) -> Self:
        """Factors of the codes by name. Raises KeyError for a missing space, ValueError for a wrong length."""
        given = {name: as_code(codes[name]) for name in DIMS}
        for name, code in given.items():
            if code.shape != (DIMS[name],):
                raise ValueError(f"the {name} code has {len(code)} components, not {DIMS[name]}")
        return cls(**given, camera=camera)


def tint_gain(skin: Code) -> NDArray[np.float32]:
    """Linear gain (3,) that the skin code's tint puts on the albedo."""
    return np.asarray(np.exp(skin[SKIN_TINT] @ np.array(TINT_AXES)), np.float32)
