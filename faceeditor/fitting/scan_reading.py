"""The landmarks of a scan that has been brought to head space, read from pictures of it."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.fitting.portrait import PortraitReader, confidence
from faceeditor.fitting.scan_registration import Rays
from faceeditor.fitting.scan_surfels import Surfels
from faceeditor.fitting.scan_views import draw

Array = NDArray[np.float64]

READ: Final = 256
"""Pixels of the pictures from which landmarks are read."""
LANDMARK_VIEWS: Final = (
    Camera(),
    *(Camera(yaw=yaw, pitch=10) for yaw in (-20, 20)),
    *(Camera(yaw=yaw) for yaw in (-40, 40)),
)
"""The front and both sides."""


def read_landmarks(moved: Surfels, reader: PortraitReader, *, thorough: bool) -> Rays:
    """Where pictures of the head from the front and both sides show its landmarks."""
    views = [draw(moved, camera, READ) for camera in LANDMARK_VIEWS]
    reading = reader.read(np.stack([view.picture_srgb for view in views]), thorough=thorough)
    parts = []
    for view, pixels, spread, presence in zip(views, reading.landmarks, reading.spread, reading.presence, strict=True):
        weights = confidence(spread, READ) * presence * _in_sight(view.camera)
        parts.append((np.arange(points.COUNT), *_lines(view.camera, pixels), weights))
    index, origins, directions, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    seen = weights > 0.05
    return Rays(index[seen], origins[seen], directions[seen], weights[seen])


def _in_sight(camera: Camera) -> Array:
    """How much a landmark means the same point of the skin when seen from ``camera`` (68,)."""
    weights = np.ones(points.COUNT)
    weights[points.JAW] = 0.0
    if camera.yaw == 0:
        weights[points.CHIN] = 0.1
    return weights


def _lines(camera: Camera, pixels: Array) -> tuple[Array, Array]:
    """Origins and unit directions (N, 3) of the rays through ``pixels`` (N, 2)."""
    extrinsics, intrinsics = camera.extrinsics(), camera.intrinsics(READ, READ)
    along = np.c_[pixels, np.ones(len(pixels))] @ np.linalg.inv(intrinsics).T @ extrinsics[:, :3]
    return np.tile(camera.position(), (len(pixels), 1)), along / np.linalg.norm(along, axis=1, keepdims=True)


def averaged(read: list[Rays]) -> Rays:
    """All the lines of some readings, trusted together as much as one reading."""
    together = read[0]
    for more in read[1:]:
        together = together.and_also(more)
    return replace(together, weights=together.weights / len(read))
