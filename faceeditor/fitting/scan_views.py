"""Pictures of a scan from any side, drawn for the portrait network to read."""

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.scan import Points
from faceeditor.fitting.scan_surfels import Surfels
from faceeditor.rendering.colour import linear_to_srgb8

NOTHING: Final = -1
"""The surfel of pixels that see none."""
SKIN_LINEAR: Final = np.array([0.42, 0.25, 0.18], np.float32)
"""The albedo of what has no colour."""
BACKGROUND_LINEAR: Final = 0.2
LIGHT: Final = np.array([0.3, -0.5, -0.8])
"""Where the light comes from, in the camera's axes (right, down, forward)."""
AMBIENT: Final = 0.35
"""The share of the light that comes from everywhere."""
EXPOSURE: Final = 1.3
FOOTPRINT: Final = 0.0015
"""Metres by which the rim of a surfel's footprint lies behind its middle."""


@dataclass(frozen=True, eq=False)
class View:
    """What ``camera`` sees: ``picture_srgb`` (S, S, 3) and the surfel of every pixel ``ids`` (S, S), or ``NOTHING``."""

    camera: Camera
    picture_srgb: NDArray[np.uint8]
    ids: NDArray[np.int64]


def draw(surfels: Surfels, camera: Camera, size: int) -> View:
    """A picture of ``surfels`` in head space."""
    extrinsics = camera.extrinsics()
    seen = surfels.points @ extrinsics[:, :3].T + extrinsics[:, 3]
    ids = _nearest(seen, camera, size)
    there = ids != NOTHING
    picture = np.full((size, size, 3), BACKGROUND_LINEAR, np.float32)
    shown = ids[there]
    normals = surfels.normals[shown] @ extrinsics[:, :3].T
    lit = _light(normals, seen[shown])
    albedo = SKIN_LINEAR if surfels.albedo_linear is None else surfels.albedo_linear[shown]
    picture[there] = albedo * lit[:, None]
    return View(camera, linear_to_srgb8(picture), ids)


def _nearest(seen: Points, camera: Camera, size: int) -> NDArray[np.int64]:
    """The nearest surfel of every pixel, each surfel three pixels wide."""
    ahead = np.flatnonzero(seen[:, 2] > 1e-3)
    pixels = (seen[ahead] @ camera.intrinsics(size, size).T)[:, :2] / seen[ahead, 2:]
    column, row = np.floor(pixels).astype(np.int64).T
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    chosen, cell = ahead[inside], row[inside] * size + column[inside]
    order = np.argsort(-seen[chosen, 2], kind="stable")
    nearest = np.full(size * size, NOTHING, np.int64)
    nearest[cell[order]] = chosen[order]
    ids = nearest.reshape(size, size)
    depth = np.where(ids != NOTHING, seen[ids, 2], np.inf)
    return _widened(ids, depth)


def _widened(ids: NDArray[np.int64], depth: Points) -> NDArray[np.int64]:
    """Every pixel shows what one of its eight neighbours shows if that is clearly nearer."""
    best, nearest, size = ids.copy(), depth + 0.0, len(ids)
    ids, depth = np.pad(ids, 1, constant_values=NOTHING), np.pad(depth, 1, constant_values=np.inf)
    for row, column in product(range(3), range(3)):
        window = slice(row, row + size), slice(column, column + size)
        moved = depth[window] + (0.0 if row == column == 1 else FOOTPRINT)
        better = moved < nearest
        nearest[better] = moved[better]
        best[better] = ids[window][better]
    return best


def _light(normals: Points, seen: Points) -> Points:
    facing = np.where((normals * seen).sum(1, keepdims=True) > 0, -normals, normals)
    direct = np.maximum(facing @ (LIGHT / np.linalg.norm(LIGHT)), 0.0)
    return np.asarray(AMBIENT + (1 - AMBIENT) * direct) * EXPOSURE
