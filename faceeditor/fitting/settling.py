"""A face seen at one glance is settled: codes and camera brought to what the picture tells by least squares alone.

The encoder's one forward pass tells what a head is; where its landmarks and its skin are, and how bright it is, can be
read off the picture. So the pose, the shape near what was told, the light, the hair's colour and the outline are solved
for, without any fit. What then still differs is the face's own texture: the ratio of the picture and the drawing.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.face import Face
from faceeditor.faces.latents import Code
from faceeditor.faces.layout import EXPRESSION, HAIR, HAIR_STYLES, IDENTITY
from faceeditor.fitting.easel import Codes, Easel, with_part
from faceeditor.fitting.first_look import look_at_light
from faceeditor.fitting.hair_look import look_at_colour, meet_outline
from faceeditor.fitting.placing import Placed, Placing
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.refine import Refiner
from faceeditor.fitting.registration import register
from faceeditor.fitting.target import Target
from faceeditor.models.contract import FittableModel, Quality, do_nothing

SIZE: Final = 64
"""Pixels of the drawings that light and colour are told by."""
UNLIKELY: Final = 0.2
"""The share of the likeliest style's probability, as the portrait network tells it, below which a style is given up."""
OUTLINE: Final = 160
"""Pixels of those that the outline is told by."""
TEXTURE: Final = 256
"""Pixels of those that the face's own texture is told by, and its texels."""
ROUNDS: Final = 2
"""How often the drawing is compared with the picture, for its colours do not quite follow the texture's."""


def settled(face: Face, portrait: Portrait, model: FittableModel, breathe: Callable[[], None] = do_nothing) -> Face:
    """``face`` of ``model`` as ``portrait`` shows it, not far from what it was. ``breathe`` is called before each
    drawing; what it raises ends the work.
    """
    placing = Placing(portrait, model, Placed(face.camera, face.codes[IDENTITY], face.codes[EXPRESSION]))
    placing.meet_landmarks()
    codes = _looks(dict(face.codes), placing.placed, portrait, model, breathe)
    register(placing, portrait, model, codes, breathe)
    found = placing.placed
    codes = {**codes, IDENTITY: found.identity, EXPRESSION: found.expression}
    gains = meet_outline(Easel(model, found.camera, Target.of(portrait, OUTLINE), breathe), codes, {})
    own = Refiner(model, codes, gains, found.camera, Target.of(portrait, TEXTURE), TEXTURE, breathe, Quality.MOVING)
    for _ in range(ROUNDS):
        own.step()
    return face.replace(camera=found.camera, codes=codes, refinement=own.gains())


def _looks(
    codes: Codes, placed: Placed, portrait: Portrait, model: FittableModel, breathe: Callable[[], None]
) -> Codes:
    """``codes`` with the light of the photo and hair as bright as it is there, of a head that was ``placed``."""
    codes = {**codes, IDENTITY: placed.identity, EXPRESSION: placed.expression}
    codes[HAIR] = likely_hair(codes[HAIR], portrait.styles)
    easel = Easel(model, placed.camera, Target.of(portrait, SIZE), breathe)
    region = easel.target.face & (easel.target.mask > 0.5)
    return look_at_colour(easel, look_at_light(easel, codes, region) if region.any() else codes)


def likely_hair(hair: Code, styles: NDArray[np.float64]) -> Code:
    """``hair`` in its own style, or that of the most likely of ``styles`` (STYLES,), bald first, if its own is not."""
    shares = np.r_[1 - hair[HAIR_STYLES].sum(), hair[HAIR_STYLES]]
    if styles[shares.argmax()] >= UNLIKELY * styles.max():
        return hair
    return with_part(hair, HAIR_STYLES, np.eye(len(styles))[styles.argmax(), 1:])
