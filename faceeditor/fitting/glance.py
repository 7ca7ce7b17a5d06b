"""A photo becomes a face at one glance: the encoder's one forward pass, no fit."""

import time

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import DIMS
from faceeditor.fitting.measures import measure
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.target import Target
from faceeditor.models.contract import AttributeEncoder, FittableModel, Model


def understands(model: Model) -> bool:
    """Whether ``model`` draws from the studio's coordinates, which is what encoders tell."""
    return {name: space.dims for name, space in model.spaces.items()} == DIMS


def at_first_sight(portrait: Portrait, encoder: AttributeEncoder, model: Model) -> Face:
    """The face of ``model`` that ``encoder`` sees in ``portrait``, through the camera that it sees it from; ``origin``
    holds the crop. Raises ``UserError`` when the model's codes are not the studio's coordinates.
    """
    if not understands(model):
        raise UserError(f"{model.name} does not understand what a glance tells; choose another model or quality.")
    told, cameras = encoder.encode(portrait.crop_srgb[None])
    codes = {name: as_code(told[name][0]) for name in model.spaces}
    return Face("", model.name, codes, cameras[0], Origin("photo", "", portrait.crop_srgb))


def glance(portrait: Portrait, encoder: AttributeEncoder, model: FittableModel) -> Face:
    """The face :func:`at_first_sight`, whose ``origin`` holds the figures of
    :func:`~faceeditor.fitting.measures.measure` too, and the ``seconds`` that the look took.
    """
    began = time.monotonic()
    face = at_first_sight(portrait, encoder, model)
    seconds = time.monotonic() - began
    figures = {**measure(face, portrait, model), "seconds": seconds}
    return face.replace(origin=Origin("photo", "", portrait.crop_srgb, figures))


def over_photo(face: Face, portrait: Portrait, model: FittableModel, size: int) -> NDArray[np.uint8]:
    """``face`` drawn over its photo, (size, size, 3)."""
    frame = model.render(face.codes, face.camera, size, refinement=face.refinement or None)
    return frame.over(Target.of(portrait, size).linear)
