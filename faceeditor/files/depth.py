"""Single-view depth pictures: 16-bit PNG, EXR or .npy, back-projected to a mesh that is cut where the depth jumps."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.scan import Faces, Scan
from faceeditor.files.atomic import require_file
from faceeditor.files.images import MOST_PIXELS, open_picture

STEEPEST: Final = 6.0
"""Depth over width of a triangle above which it is a jump (80 degrees) ..."""
NOISE: Final = 0.01
"""... unless the jump is less than this share of the depth."""
DEPTH_CHANNELS: Final = ("Z", "depth.Z", "Depth.Z", "Y", "R")
"""Where an EXR file may keep its depths, the likeliest first."""
WIDEST, NARROWEST = 0.2, 40.0
"""Focal lengths that a camera has, in picture sides: from 136 degrees of view to 1.4."""
UNITS: Final = {"m": 1.0, "mm": 0.001, "metres": 1.0, "millimetres": 0.001}


@dataclass(frozen=True)
class Intrinsics:
    """A depth camera: focal lengths and principal point in pixels (OpenCV: the centre of the first pixel is 0), and the
    metres that one step of the picture's numbers means; ``None`` means millimetres for whole numbers, else metres.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    unit: float | None = None


def read_intrinsics(path: Path) -> Intrinsics:
    """The camera in a JSON file ``{"fx", "fy", "cx", "cy", "unit"}`` or ``{"K": 3 x 3, "unit"}``; ``unit`` is "mm",
    "m", the metres that one step of the picture's numbers means, or left out.

    Raises ``UserError`` when the file is missing or tells none.
    """
    if not path.is_file():
        raise UserError(f"{path.stem} is a depth picture; put its camera (fx, fy, cx, cy) beside it in {path.name}.")
    try:
        told = json.loads(require_file(path).read_text(encoding="utf-8"))
        if "K" in told:
            matrix = np.asarray(told["K"], np.float64).reshape(3, 3)
            told |= {"fx": matrix[0, 0], "fy": matrix[1, 1], "cx": matrix[0, 2], "cy": matrix[1, 2]}
        fx, fy, cx, cy = (float(told[name]) for name in ("fx", "fy", "cx", "cy"))
        unit = told.get("unit")
        metres = None if unit is None else UNITS[unit] if isinstance(unit, str) else float(unit)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} tells no camera; it needs fx, fy, cx and cy in pixels, and unit mm or m.") from error
    if not np.isfinite([fx, fy, cx, cy, metres or 1]).all() or min(fx, fy, 1 if metres is None else metres) <= 0:
        raise UserError(f"{path} tells an impossible camera; fx, fy and unit must be above 0.")
    return Intrinsics(fx, fy, cx, cy, metres)


def read_depth_picture(file: Path) -> NDArray[Any] | None:
    """The numbers (H, W) of a one-channel 16- or 32-bit picture; ``None`` for any other picture.

    Raises ``UserError`` for a huge one, and what the decoder raises for a damaged one.
    """
    with open_picture(file) as image:
        if image.size[0] * image.size[1] > MOST_PIXELS:
            raise _huge(file)
        if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
            return None
        return np.asarray(image)


def read_depth_exr(file: Path) -> NDArray[Any] | None:
    """The depths (H, W) in an EXR file, ``None`` where it has no channel for them.

    Raises ``UserError`` for a huge one, and what the decoder raises for a damaged one.
    """
    with OpenEXR.File(str(file), header_only=True) as told:
        low, high = told.header()["dataWindow"]
    if np.prod(np.asarray(high, float) - low + 1) > MOST_PIXELS:
        raise _huge(file)
    with OpenEXR.File(str(file), separate_channels=True) as picture:
        channels = picture.channels()
        name = next((name for name in DEPTH_CHANNELS if name in channels), None)
        return None if name is None else np.array(channels[name].pixels)


def require_plausible(file: Path, shape: tuple[int, ...], camera: Intrinsics) -> None:
    """Raises ``UserError`` for a camera that cannot have taken the picture ``file`` of ``shape`` (H, W)."""
    height, width = shape
    for name, focal, side in (("fx", camera.fx, width), ("fy", camera.fy, height)):
        if not WIDEST < focal / side < NARROWEST:
            degrees = 2 * np.degrees(np.arctan(side / focal / 2))
            raise UserError(
                f"No camera sees {degrees:.3g} degrees, as {name} = {focal:.6g} says of {file}, {width} x {height} "
                "pixels; focal lengths are in pixels of this picture, so correct its intrinsics."
            )
    if not (-width < camera.cx < 2 * width and -height < camera.cy < 2 * height):
        raise UserError(
            f"The principal point ({camera.cx:.6g}, {camera.cy:.6g}) is far outside {file}, {width} x {height} pixels; "
            "cx and cy are in pixels of this picture, so correct its intrinsics."
        )


def back_projected(depth: NDArray[Any], camera: Intrinsics) -> Scan:
    """The mesh of a depth picture (H, W): metres, +X right, +Y up, +Z towards the camera, which is the origin.

    Zero, negative and not finite depths are holes. A triangle joins three neighbouring pixels and is left out where
    their depths differ by more than :data:`STEEPEST` times its width and by more than :data:`NOISE` of the depth.
    """
    unit = camera.unit or (0.001 if depth.dtype.kind in "iu" else 1.0)
    z = np.asarray(depth, np.float64) * unit
    seen = np.isfinite(z) & (z > 0)
    z = np.where(seen, z, np.nan)
    rows, columns = np.indices(z.shape)
    points = np.stack([(columns - camera.cx) / camera.fx * z, -(rows - camera.cy) / camera.fy * z, -z], axis=-1)
    faces = _uncut(z, camera)
    used = np.zeros(z.size, bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return Scan(points.reshape(-1, 3)[used], number[faces].astype(np.int32), viewpoint=np.zeros(3))


def _uncut(z: NDArray[np.float64], camera: Intrinsics) -> Faces:
    """Triangles (F, 3) of pixels, counter-clockwise from the camera, that do not span a jump."""
    number = np.arange(z.size, dtype=np.int32).reshape(z.shape)
    here, right, below, across = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    halves = [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((here, below, right), (right, below, across))]
    faces = np.concatenate(halves)
    depths = z.reshape(-1)[faces]
    with np.errstate(invalid="ignore"):
        nearest, farthest = depths.min(axis=1), depths.max(axis=1)
        width = nearest / min(camera.fx, camera.fy)
        whole = farthest - nearest <= np.maximum(STEEPEST * width, NOISE * nearest)
    return np.asarray(faces[whole])


def _huge(file: Path) -> UserError:
    return UserError(f"{file} has more than {MOST_PIXELS // 10**6} million pixels; make it smaller first.")
