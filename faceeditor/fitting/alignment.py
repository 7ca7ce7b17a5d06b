"""Similarity transforms between a photo and a square crop, and the crop that shows a head as the default camera would.

Transforms are (3, 3) matrices for column vectors in pixels, (0, 0) being a picture's top left corner and pixel centres
lying at +0.5. They turn, scale alike in both directions and shift: nothing that is cropped is ever stretched.
"""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import least_squares
from torch.nn import functional

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera

Array = NDArray[np.float64]

STEADY: Final = np.r_[points.CHIN, points.RIGHT_BROW.start : points.COUNT]
"""Landmarks that place the crop: all but the jaw line, whose points slide along the cheek as the head turns."""


_REACH: Final = 3
"""Blocks around what a crop shows that its interpolation may look at."""


def compose(scale: float, degrees: float, source: Array, target: Array) -> Array:
    """The similarity (3, 3) that turns clockwise on the screen by ``degrees``, scales, and sends ``source`` (2,) to
    ``target`` (2,).
    """
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[cos, -sin], [sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.asarray(target) - linear @ np.asarray(source)
    return matrix


def move(transform: Array, positions: NDArray[np.floating[Any]]) -> Array:
    """``positions`` (..., 2) under ``transform`` (3, 3)."""
    return np.asarray(positions @ transform[:2, :2].T + transform[:2, 2], np.float64)


def inverted(transform: Array) -> Array:
    """The way back (3, 3)."""
    return np.asarray(np.linalg.inv(transform), np.float64)


def scale_of(transform: Array) -> float:
    """How many target pixels one source pixel becomes."""
    return float(np.sqrt(abs(np.linalg.det(transform[:2, :2]))))


def similarity(source: Array, target: Array, weights: Array | None = None) -> Array:
    """The similarity (3, 3) that brings ``source`` (N, 2) nearest to ``target`` (N, 2) in weighted least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991; in the plane it
    is one complex division. Raises ``ValueError`` when all source points coincide.
    """
    share = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
    share = share / share.sum()
    from_mean, to_mean = share @ source, share @ target
    a = (source - from_mean) @ np.array([1, 1j])
    b = (target - to_mean) @ np.array([1, 1j])
    power = float(share @ np.abs(a) ** 2)
    if power < 1e-12:
        raise ValueError("the points coincide")
    turn = complex(share @ (np.conj(a) * b)) / power
    return compose(abs(turn), float(np.degrees(np.angle(turn))), from_mean, to_mean)


def warp(picture: NDArray[np.uint8], transform: Array, size: int) -> NDArray[np.uint8]:
    """The (size, size, C) crop of ``picture`` (H, W, C) under ``transform``; beyond its edge the edge goes on."""
    shrink = max(1, int(1 / scale_of(transform)))
    picture, transform = _part(picture, transform, size, shrink)
    if shrink > 1:
        picture = _reduced(picture, shrink)
        transform = transform @ np.diag([shrink, shrink, 1.0])
    height, width = picture.shape[:2]
    centres = np.arange(size) + 0.5
    grid = move(inverted(transform), np.stack(np.meshgrid(centres, centres), axis=-1)) / [width, height] * 2 - 1
    image = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
    where = torch.from_numpy(grid.astype(np.float32))[None]
    crop = functional.grid_sample(image, where, mode="bicubic", padding_mode="border", align_corners=False)
    return crop[0].permute(1, 2, 0).round_().clamp_(0, 255).to(torch.uint8).numpy()


def _part(picture: NDArray[np.uint8], transform: Array, size: int, shrink: int) -> tuple[NDArray[np.uint8], Array]:
    """All of ``picture`` that its crop shows, in whole blocks of ``shrink`` pixels, and that part's own transform."""
    height, width = picture.shape[:2]
    corners = move(inverted(transform), np.array([[0.0, 0], [size, 0], [0, size], [size, size]]))
    low = np.floor(corners.min(0) / shrink).astype(np.int64) - _REACH
    high = np.ceil(corners.max(0) / shrink).astype(np.int64) + _REACH
    blocks = np.array([-(-width // shrink), -(-height // shrink)])
    left, top = np.clip(low, 0, blocks - 1) * shrink
    right, bottom = np.clip(high, 1, blocks) * shrink
    part = picture[top : max(bottom, top + shrink), left : max(right, left + shrink)]
    return part, transform @ compose(1.0, 0.0, np.zeros(2), np.array([left, top], np.float64))


def _reduced(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """``picture`` at 1/``factor`` of its size, averaged; the right and bottom edges are repeated to whole blocks."""
    height, width = picture.shape[:2]
    whole = np.pad(picture, ((0, -height % factor), (0, -width % factor), (0, 0)), mode="edge")
    return np.asarray(Image.fromarray(whole).reduce(factor))


def seen(shape: tuple[int, ...], transform: Array, size: int) -> NDArray[np.bool_]:
    """Which pixels (size, size) of the crop lie inside the photo of ``shape`` (H, W, ...)."""
    centres = np.arange(size) + 0.5
    where = move(inverted(transform), np.stack(np.meshgrid(centres, centres), axis=-1))
    return np.asarray(((where >= 0) & (where <= [shape[1], shape[0]])).all(-1))


def pose_of(rotation: Array) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees, as :class:`Camera` means them, of a head-to-camera rotation (3, 3)."""
    forward = rotation[2]
    yaw = np.arctan2(-forward[0], -forward[2])
    pitch = np.arcsin(np.clip(-forward[1], -1, 1))
    right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    roll = np.arctan2(rotation[0] @ np.cross(forward, right), rotation[0] @ right)
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def upright(landmarks: Array, landmarks_3d: Array, pose: tuple[float, float, float], size: int) -> Array:
    """The similarity that shows a head as the default camera would from the same side: upright, whole, in the middle.

    ``landmarks`` (68, 2) pixels of the source, ``landmarks_3d`` (68, 3) those of the mean head in metres.
    """
    camera = Camera(yaw=pose[0], pitch=pose[1])
    wanted = camera.project(landmarks_3d, size, size)
    return similarity(landmarks[STEADY], wanted[STEADY])


def pose_from_landmarks(
    landmarks: Array, landmarks_3d: Array, start: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees under which the mean head's landmarks look most like ``landmarks`` (68, 2)."""
    extent = float(np.std(landmarks[STEADY]))

    def residual(angles: Array) -> Array:
        transform = upright(landmarks, landmarks_3d, (angles[0], angles[1], 0.0), 1)
        wanted = Camera(yaw=angles[0], pitch=angles[1]).project(landmarks_3d, 1, 1)
        found = move(inverted(transform), wanted)
        return np.asarray(((landmarks - found)[STEADY] / extent).ravel())

    yaw, pitch = least_squares(residual, start[:2], bounds=([-100, -70], [100, 70])).x
    transform = upright(landmarks, landmarks_3d, (yaw, pitch, 0.0), 1)
    return float(yaw), float(pitch), float(np.degrees(np.arctan2(transform[1, 0], transform[0, 0])))
