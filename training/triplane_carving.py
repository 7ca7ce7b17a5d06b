"""What a laser scanner all around a head would know: which points are outside, and which of a surface can be seen.

The thesis' virtual laser scanning (section 5.1.2): a point that any of the cameras sees is outside, all else is inside.
It asks nothing of a mesh: it may be open, cut itself and have things in it.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.rendering.normal_maps import Ball
from faceeditor.rendering.raster import NOTHING, Rasteriser, Scene
from faceeditor.rendering.rays import meet, pixel_rays

Floats = NDArray[np.floating]

VIEWS: Final = 128
PIXELS: Final = 192
NEAREST_OBLIQUE: Final = 0.12
"""Cosine between a view and a surface below which the view is too grazing to tell anything."""
SLACK: Final = 0.0003
"""Metres by which a surface may lie behind what a view shows and still be what it shows."""
EVEN: Final = 0.008
"""Metres by which the depths of a surface's four pixels may differ."""


@dataclass(frozen=True, eq=False)
class Carving:
    """``ids`` (V, S, S) of the triangles that each camera sees and their ``depths`` (V, S, S), metres along its axis,
    infinite where there is none.
    """

    cameras: tuple[Camera, ...]
    ids: NDArray[np.int32]
    depths: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        vertices: Floats,
        faces: NDArray[np.integer],
        ball: Ball,
        rasteriser: Rasteriser,
        views: int = VIEWS,
        size: int = PIXELS,
    ) -> Self:
        """What cameras around the ``ball`` see of a mesh in head space."""
        corners = np.asarray(vertices, np.float32)[faces]
        scene, cameras = Scene(corners, len(corners)), tuple(ball.cameras(views))
        ids = np.stack([rasteriser.visible(scene, camera, size, 1)[0] for camera in cameras])
        return cls(cameras, ids, np.stack([depth_picture(scene, *seen) for seen in zip(cameras, ids, strict=True)]))

    def outside(self, points: Floats) -> NDArray[np.bool_]:
        """Which ``points`` (N, 3) some camera sees. Pixels beside a point's own must see past it too."""
        found = np.zeros(len(points), bool)
        for camera, depth in zip(self.cameras, self.depths, strict=True):
            left = np.flatnonzero(~found)
            row, column, away = _seen(points[left], camera, len(depth))
            found[left] = away < _around(depth, row, column).min(0)
        return found

    def visible(self, points: Floats, normals: Floats) -> NDArray[np.bool_]:
        """Which ``points`` (N, 3) of the surface, with unit ``normals`` (N, 3), some camera sees from before."""
        found = np.zeros(len(points), bool)
        for camera, depth in zip(self.cameras, self.depths, strict=True):
            ways = camera.position() - points
            facing = (ways * normals).sum(1) / np.linalg.norm(ways, axis=1)
            left = np.flatnonzero(~found & (facing > NEAREST_OBLIQUE))
            row, column, away = _seen(points[left], camera, len(depth))
            around = _around(depth, row, column)
            across, down = column % 1, row % 1
            shares = ((1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across)
            with np.errstate(invalid="ignore"):  # infinity minus infinity
                even = np.ptp(around, axis=0) < EVEN
            shown = np.where(even, sum(share * part for share, part in zip(shares, around, strict=True)), -np.inf)
            found[left] = away < shown + SLACK
        return found


def depth_picture(scene: Scene, camera: Camera, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """How far (S, S) the triangles ``ids`` (S, S) that a camera sees lie, metres along its axis; infinite: none."""
    pixels = np.flatnonzero(ids.ravel() != NOTHING)
    origin, ways = pixel_rays(camera, len(ids), torch.from_numpy(pixels))
    depth = np.full(ids.size, np.inf, np.float32)
    depth[pixels] = meet(origin, ways, torch.from_numpy(scene.triangles[ids.ravel()[pixels]]))[1].numpy()
    return depth.reshape(ids.shape)


def _seen(points: Floats, camera: Camera, size: int) -> tuple[Floats, Floats, Floats]:
    """Row and column (N,), 0 at the first pixel's centre, and depth (N,) of ``points`` (N, 3)."""
    extrinsics = camera.extrinsics()
    column, row = camera.project(points.astype(np.float64), size, size).T - 0.5
    return row, column, points @ extrinsics[2, :3] + extrinsics[2, 3]


def _around(depth: NDArray[np.float32], row: Floats, column: Floats) -> NDArray[np.float32]:
    """The depths (4, N) of the pixels around places between pixels."""
    return np.stack([_at(depth, row + down, column + right) for down in (0, 1) for right in (0, 1)])


def _at(depth: NDArray[np.float32], row: Floats, column: Floats) -> NDArray[np.float32]:
    """The depths of pixels, by the whole part of their places; beyond the picture is nothing."""
    size = len(depth)
    down, right = np.floor(row).astype(int), np.floor(column).astype(int)
    inside = (down >= 0) & (down < size) & (right >= 0) & (right < size)
    found = depth[np.clip(down, 0, size - 1), np.clip(right, 0, size - 1)]
    return np.where(inside, found, np.float32(np.inf))
