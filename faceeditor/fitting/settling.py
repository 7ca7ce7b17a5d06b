"""A face seen at one glance is settled: codes and camera brought to what the picture tells by least squares alone.

The encoder's one forward pass tells what a head is; where its landmarks are and how bright it is can be read off the
picture. So the pose, the shape near what was told, the light, the hair's colour and the outline are solved for, without
any fit.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.face import Face
from faceeditor.faces.latents import Code
from faceeditor.faces.layout import EXPRESSION, HAIR, HAIR_STYLES, IDENTITY
from faceeditor.fitting.easel import Easel, with_part
from faceeditor.fitting.first_look import look_at_light
from faceeditor.fitting.hair_look import look_at_colour, meet_outline
from faceeditor.fitting.placing import Placed, place
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.target import Target
from faceeditor.models.contract import FittableModel, do_nothing

SIZE: Final = 64
"""Pixels of the drawings that light and colour are told by."""
UNLIKELY: Final = 0.2
"""The share of the likeliest style's probability, as the portrait network tells it, below which a style is given up."""
OUTLINE: Final = 96
"""Pixels of those that the outline is told by."""


def settled(face: Face, portrait: Portrait, model: FittableModel, breathe: Callable[[], None] = do_nothing) -> Face:
    """``face`` of ``model`` as ``portrait`` shows it, not far from what it was. ``breathe`` is called before each
    drawing; what it raises ends the work.
    """
    found = place(portrait, model, Placed(face.camera, face.codes[IDENTITY], face.codes[EXPRESSION]))
    codes = {**face.codes, IDENTITY: found.identity, EXPRESSION: found.expression}
    codes[HAIR] = likely_hair(codes[HAIR], portrait.styles)
    easel = Easel(model, found.camera, Target.of(portrait, SIZE), breathe)
    region = easel.target.face & (easel.target.mask > 0.5)
    codes = look_at_colour(easel, look_at_light(easel, codes, region) if region.any() else codes)
    gains = meet_outline(replace(easel, target=Target.of(portrait, OUTLINE)), codes, {})
    return face.replace(camera=found.camera, codes=codes, refinement=gains)


def likely_hair(hair: Code, styles: NDArray[np.float64]) -> Code:
    """``hair`` in its own style, or that of the most likely of ``styles`` (STYLES,), bald first, if its own is not."""
    shares = np.r_[1 - hair[HAIR_STYLES].sum(), hair[HAIR_STYLES]]
    if styles[shares.argmax()] >= UNLIKELY * styles.max():
        return hair
    return with_part(hair, HAIR_STYLES, np.eye(len(styles))[styles.argmax(), 1:])
