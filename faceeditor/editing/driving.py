"""A performance put onto a face: its expression, and its pose if wanted; who it is never changes."""

import numpy as np
from numpy.typing import NDArray

from faceeditor.editing.controls import Spaces, neutral
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Code, Space, as_code
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.faces.performance import Performance


def driven(face: Face, spaces: Spaces, performance: Performance, frame: int, *, pose: bool = False) -> Face:
    """``face`` with the expression of a ``frame`` instead of its own, seen as the head is turned there if ``pose``.

    Raises ``UserError`` when the face's model knows no expressions by their ARKit names.
    """
    space = spaces.get(EXPRESSION)
    if space is None:
        raise UserError(f"Faces of {face.model} have no expression; choose a face of another model.")
    changed = face.with_code(EXPRESSION, expression_of(space, performance.expressions[frame]))
    return changed.replace(camera=turned(face.camera, performance, frame)) if pose else changed


def turned(camera: Camera, performance: Performance, frame: int) -> Camera:
    """``camera`` seeing a head from where the one of a ``frame`` was seen."""
    yaw, pitch, roll = (float(angle) for angle in performance.poses[frame])
    return camera.replace(yaw=yaw, pitch=pitch, roll=roll)


def expression_of(space: Space, weights: NDArray[np.float32]) -> Code:
    """The code of an expression ``space`` for ``weights`` (64,) in the studio's coordinates: by the names of the
    space's components or else of its sliders. Raises ``UserError`` when it knows none of them.
    """
    code = np.array(neutral(space))
    places = {name: number for number, name in enumerate(EXPRESSION_COMPONENTS)}
    if not places.keys().isdisjoint(space.components):
        for number, name in enumerate(space.components):
            code[number] = weights[places[name]] if name in places else code[number]
        return as_code(code)
    sliders = [direction for direction in space.directions if direction.name in ARKIT]
    if not sliders:
        raise UserError("This face's model knows no expressions by name; choose a face of another model.")
    for slider in sliders:
        code += np.mean([weights[places[part]] for part in ARKIT[slider.name]]) * slider.vector
    return as_code(code)
