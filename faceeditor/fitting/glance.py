"""A photo becomes a face at one glance: the encoder's one forward pass, no fit, and what least squares add to it."""

import time

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import as_code, in_studio_coordinates
from faceeditor.fitting.measures import measure
from faceeditor.fitting.portrait import Crop, Portrait
from faceeditor.fitting.settling import settled
from faceeditor.fitting.target import Target
from faceeditor.models.contract import AttributeEncoder, FittableModel, Model


def at_first_sight(crop: Crop, encoder: AttributeEncoder, model: Model) -> Face:
    """The face of ``model`` that ``encoder`` sees in ``crop``, through the camera that it sees it from; ``origin``
    holds the picture. Raises ``UserError`` when the model's codes are not the studio's coordinates.
    """
    if not in_studio_coordinates(model.spaces):
        raise UserError(f"{model.name} does not understand what a glance tells; choose another model or quality.")
    told, cameras = encoder.encode(crop.crop_srgb[None])
    codes = {name: as_code(told[name][0]) for name in model.spaces}
    return Face("", model.name, codes, cameras[0], Origin("photo", "", crop.crop_srgb))


def glance(portrait: Portrait, encoder: AttributeEncoder, model: FittableModel) -> Face:
    """The face :func:`at_first_sight`, :func:`~faceeditor.fitting.settling.settled`. Its ``origin`` holds the figures
    of :func:`~faceeditor.fitting.measures.measure` too, and the ``seconds`` that both took.
    """
    began = time.monotonic()
    face = settled(at_first_sight(portrait, encoder, model), portrait, model)
    seconds = time.monotonic() - began
    figures = {**measure(face, portrait, model), "seconds": seconds}
    return face.replace(origin=Origin("photo", "", portrait.crop_srgb, figures))


def over_photo(face: Face, portrait: Portrait, model: FittableModel, size: int) -> NDArray[np.uint8]:
    """``face`` drawn over its photo, (size, size, 3)."""
    frame = model.render(face.codes, face.camera, size, refinement=face.refinement or None)
    return frame.over(Target.of(portrait, size).linear)
