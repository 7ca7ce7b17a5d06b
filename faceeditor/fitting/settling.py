"""A face seen at one glance is settled: codes and camera brought to what the picture tells by least squares alone.

The encoder's one forward pass tells what a head is; where its landmarks are and how bright it is can be read off the
picture. So the pose, the shape near what was told, the light, the hair's colour and the outline are solved for, without
any fit.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.fitting.easel import Easel
from faceeditor.fitting.first_look import look_at_light
from faceeditor.fitting.hair_look import look_at_colour, meet_outline
from faceeditor.fitting.placing import Placed, place
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.target import Target
from faceeditor.models.contract import FittableModel, do_nothing

SIZE: Final = 64
"""Pixels of the drawings that light and colour are told by."""
OUTLINE: Final = 96
"""Pixels of those that the outline is told by."""


def settled(face: Face, portrait: Portrait, model: FittableModel, breathe: Callable[[], None] = do_nothing) -> Face:
    """``face`` of ``model`` as ``portrait`` shows it, not far from what it was. ``breathe`` is called before each
    drawing; what it raises ends the work.
    """
    found = place(portrait, model, Placed(face.camera, face.codes[IDENTITY], face.codes[EXPRESSION]))
    codes = {**face.codes, IDENTITY: found.identity, EXPRESSION: found.expression}
    easel = Easel(model, found.camera, Target.of(portrait, SIZE), breathe)
    region = easel.target.face & (easel.target.mask > 0.5)
    codes = look_at_colour(easel, look_at_light(easel, codes, region) if region.any() else codes)
    gains = meet_outline(replace(easel, target=Target.of(portrait, OUTLINE)), codes, {})
    return face.replace(camera=found.camera, codes=codes, refinement=gains)
