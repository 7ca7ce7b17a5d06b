"""How an expression moves a face, read off pictures: its landmarks less those of the same face at rest."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import DIMS, EXPRESSION, HAIR
from faceeditor.fitting.portrait import PortraitReader

Draw = Callable[[Face], NDArray[np.uint8]]
Floats = NDArray[np.float64]

AT_REST: Final = as_code(np.zeros(DIMS[EXPRESSION]))
BALD: Final = as_code(np.zeros(DIMS[HAIR]))
SIDES: Final = (-8.0, 8.0)
"""Degrees of yaw from which landmarks are read: from two sides errors make up for each other."""


def turned(face: Face, yaw: float) -> Face:
    """``face`` seen from another side, at the height of its eyes."""
    return face.replace(camera=face.camera.replace(yaw=yaw, pitch=0.0))


def places_and_rest(draw: Draw, reader: PortraitReader, face: Face) -> tuple[Floats, Floats]:
    """Landmarks (2, 68, 2) of ``face``, bald, as ``reader`` sees them from both sides, in fractions of the picture; and
    the same of the face at rest. Its camera shows it upright and in the middle, as crops do.
    """
    bald = face.with_code(HAIR, BALD)
    shown = [turned(one, yaw) for one in (bald, bald.with_code(EXPRESSION, AT_REST)) for yaw in SIDES]
    pictures = np.stack([draw(one) for one in shown])
    landmarks = reader.read(pictures, thorough=True).landmarks / pictures.shape[1]
    return landmarks[: len(SIDES)], landmarks[len(SIDES) :]
