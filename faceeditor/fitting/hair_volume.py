"""Hair as full as the photo shows it: the strands of a style are moved outwards or inwards to its outline.

Seen from the middle of the head, the outline of the hair lies at some distance in every direction of the picture. The
ratio of the photo's distances and the drawing's is spread smoothly over all directions of space, by a few spherical
harmonics, and scales the hair.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree
from scipy.special import sph_harm_y

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.fitting.atlas import sampled
from faceeditor.fitting.target import Floats, Target

Array = NDArray[np.float64]

CENTRE: Final = np.array([0.0, 0.045, 0.0])
"""The middle of the skull in head space."""
BANDS: Final = 7
STIFF: Final = 0.004
"""How strongly the scale is drawn back to one and to smoothness."""
LEAST: Final = 0.98
MOST: Final = 1.6
"""Limits of the scale."""
RAYS: Final = 120
COVERED: Final = 0.35
"""The mask's value from which hair is brought there."""
HAIR: Final = (0.12, 0.025)
HEAD: Final = (0.03, 0.06)
"""How far apart two points of outlines may lie that belong together, and how far inwards from the outline the warp
reaches, both in picture heights."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scale for every direction from the middle of the head."""

    coefficients: Array

    @classmethod
    def between(cls, alpha: Floats, hair: NDArray[np.bool_], target: Target, camera: Camera) -> "Volume":
        """The scale that brings the outline of ``alpha`` (S, S) to that of the photo, where the outline is ``hair``
        (S, S).
        """
        angle = np.linspace(-np.pi, np.pi, RAYS, endpoint=False)
        out = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        size = target.size
        centre = camera.project(CENTRE[None], size, size)[0]
        reach = np.arange(2.0, size * 0.75, 0.5)
        where = centre + reach[None, :, None] * out[:, None]
        drawn = _outline(alpha, where)
        wanted = _outline(target.mask * target.inside, where)
        at = np.clip(drawn - 3, 0, len(reach) - 1)
        edge = where[np.arange(RAYS), at]
        on_hair = sampled(hair[..., None].astype(np.float32), edge)[:, 0] > 0.5
        end = where[np.arange(RAYS), np.clip(wanted + 4, 0, len(reach) - 1)]
        in_photo = sampled(target.inside[..., None], end)[:, 0] > 0.5
        known = on_hair & in_photo & (drawn > 0) & (wanted > 0)
        ratio = np.clip(reach[wanted] / reach[np.maximum(drawn, 1)], LEAST, MOST)
        rotation = camera.rotation()
        directions = out[:, :1] * rotation[0] + out[:, 1:] * rotation[1]
        return cls(_fitted(directions[known], ratio[known] - 1))

    def offsets(self, places: Floats) -> Floats:
        """How far (N, 3) hair at ``places`` (N, 3) moves."""
        away = places - CENTRE
        directions = away / np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
        scale = np.clip(1 + _harmonics(directions) @ self.coefficients, LEAST, MOST)
        return np.asarray((scale - 1)[:, None] * away, np.float32)


@dataclass(frozen=True, eq=False)
class Fringe:
    """A warp of the picture near the outline of the hair: at ``places`` (K, 2) it moves by ``shifts`` (K, 2), in
    heights.
    """

    camera: Camera
    places: Array
    shifts: Array
    soft: float

    @classmethod
    def between(
        cls, alpha: Floats, part: NDArray[np.bool_], target: Target, camera: Camera, reach: tuple[float, float] = HAIR
    ) -> "Fringe":
        """The warp that brings the outline of ``alpha`` (S, S), in a ``part`` (S, S) of the picture, to that of the
        photo. ``reach`` are ``HAIR``'s or ``HEAD``'s two numbers.
        """
        size = target.size
        drawn = _edge_pixels(alpha > 0.5) & part & _above_chin(target)
        wanted = _edge_pixels(target.mask > COVERED) & (target.inside > 0.5) & _above_chin(target)
        from_here, to_there = _positions(drawn, size), _positions(wanted, size)
        if not len(from_here) or not len(to_there):
            return cls(camera, np.zeros((0, 2)), np.zeros((0, 2)), reach[1])
        near, source = cKDTree(from_here).query(to_there)
        back, goal = cKDTree(to_there).query(from_here)
        places = np.concatenate([from_here[source], from_here])
        shifts = np.concatenate([to_there - from_here[source], to_there[goal] - from_here])
        close = np.concatenate([near, back]) < reach[0]
        return cls(camera, places[close], shifts[close], reach[1])

    def offsets(self, places: Floats) -> Floats:
        """How far (N, 3) what lies at ``places`` (N, 3) moves."""
        if not len(self.places):
            return np.zeros_like(places)
        extrinsics = self.camera.extrinsics()
        depth = places @ extrinsics[2, :3] + extrinsics[2, 3]
        where = self.camera.project(places.astype(np.float64), 1, 1)
        weight = np.exp(-((where[:, None] - self.places) ** 2).sum(-1) / (2 * self.soft**2))
        shift = weight @ self.shifts / (weight.sum(1, keepdims=True) + 1.0)
        moved = shift * (depth / self.camera.focal)[:, None]
        return np.asarray(moved @ extrinsics[:2, :3], np.float32)


def _edge_pixels(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels (S, S) of a region that touch what is outside."""
    return np.asarray(covered & ~binary_erosion(covered, border_value=1), np.bool_)


def _positions(pixels: NDArray[np.bool_], size: int) -> Array:
    """The centres (N, 2) of chosen pixels, in picture heights."""
    return (np.argwhere(pixels)[:, ::-1] + 0.5) / size


def _above_chin(target: Target) -> NDArray[np.bool_]:
    return np.asarray(np.arange(target.size)[:, None] < target.landmarks[points.JAW, 1].max() * np.ones(target.size))


def _outline(coverage: Floats, where: Array) -> NDArray[np.int64]:
    """The last step (R,) on each ray at which ``coverage`` (S, S) is more than a half; ``where`` (R, steps, 2)."""
    values = sampled(coverage[..., None], where.reshape(-1, 2))[:, 0].reshape(where.shape[:2])
    inside = values > 0.5
    last = inside.shape[1] - 1 - inside[:, ::-1].argmax(1)
    return np.where(inside.any(1), last, 0)


def _harmonics(directions: NDArray[np.floating]) -> Array:
    """Real spherical harmonics (N, BANDS squared) of unit ``directions`` (N, 3)."""
    polar, azimuth = np.arccos(np.clip(directions[:, 1], -1, 1)), np.arctan2(directions[:, 0], directions[:, 2])
    columns = []
    for band in range(BANDS):
        for order in range(-band, band + 1):
            value = sph_harm_y(band, abs(order), polar, azimuth)
            columns.append(value.real if order >= 0 else value.imag)
    return np.stack(columns, axis=-1)


def _fitted(directions: Array, wanted: Array) -> Array:
    """Coefficients of the smooth function that is about ``wanted`` (N,) in ``directions`` (N, 3)."""
    band = np.concatenate([np.full(2 * band + 1, band) for band in range(BANDS)])
    if len(wanted) < RAYS // 12:
        return np.zeros(len(band))
    table = _harmonics(directions) / np.sqrt(RAYS)
    stiffness = np.diag(STIFF * (0.2 + band * (band + 1.0) / 4))
    return np.asarray(np.linalg.solve(table.T @ table + stiffness, table.T @ (wanted / np.sqrt(RAYS))))
