"""How the mouse turns the camera: pure functions from camera to camera, in units of the picture's side."""

from __future__ import annotations

from math import atan, degrees
from typing import Final

from faceeditor.faces.camera import Camera

ORBIT_DEGREES: Final = 180.0
"""Turn for a drag across the whole picture."""
YAW_LIMIT: Final = 110.0
PITCH_LIMIT: Final = 60.0
DISTANCES: Final = (0.25, 3.0)
FIELDS_OF_VIEW: Final = (8.0, 70.0)
ZOOM_STEP: Final = 0.9
LENS_STEP: Final = 1.08
PAN_LIMIT: Final = 0.3


def orbit(camera: Camera, right: float, down: float) -> Camera:
    """The head follows the mouse: ``right`` and ``down`` are the drag in picture sides."""
    return camera.replace(
        yaw=_clip(camera.yaw - right * ORBIT_DEGREES, -YAW_LIMIT, YAW_LIMIT),
        pitch=_clip(camera.pitch + down * ORBIT_DEGREES, -PITCH_LIMIT, PITCH_LIMIT),
    )


def pan(camera: Camera, right: float, down: float) -> Camera:
    """The point under the mouse stays under it (in the plane through the orbited point)."""
    metres = camera.distance / camera.focal
    along, up = camera.pan[0] - right * metres, camera.pan[1] + down * metres
    return camera.replace(pan=(_clip(along, -PAN_LIMIT, PAN_LIMIT), _clip(up, -PAN_LIMIT, PAN_LIMIT)))


def zoom(camera: Camera, steps: float) -> Camera:
    """Nearer for ``steps`` > 0."""
    return camera.replace(distance=_clip(camera.distance * ZOOM_STEP**steps, *DISTANCES))


def change_lens(camera: Camera, steps: float) -> Camera:
    """A longer lens for ``steps`` > 0, stepping back so that the head keeps its size."""
    focal = camera.focal * LENS_STEP**steps
    angle = _clip(degrees(2 * atan(0.5 / focal)), *FIELDS_OF_VIEW)
    changed = camera.replace(field_of_view=angle)
    return changed.replace(distance=_clip(camera.distance * changed.focal / camera.focal, *DISTANCES))


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
