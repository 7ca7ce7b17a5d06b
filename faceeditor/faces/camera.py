"""The camera: one pinhole, world-to-camera, OpenCV axes; converted for OpenGL in one place."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TARGET = np.array([0.0, 0.02, 0.0])
"""The point, in head space metres, that a camera turns around unless it is panned."""

OPENGL = np.diag([1.0, -1.0, -1.0])
"""From the camera's OpenCV axes (right, down, forward) to OpenGL's (right, up, backward), (3, 3), and back."""

NEAR, FAR = 0.05, 10.0
"""Clipping planes in metres."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera that orbits a point of the head.

    Angles are degrees. ``yaw`` > 0 shows the subject's left side (the camera moves towards head-space +X), ``pitch``
    > 0 looks down from above, ``roll`` > 0 turns the camera clockwise, so the head appears turned counter-clockwise.
    ``pan`` shifts the orbited point, in metres, right and up on the screen. ``field_of_view`` is vertical; pictures
    are square unless a size says otherwise. The picture plane is measured in units of the picture's height, so that
    one camera serves every resolution; ``centre`` is the principal point in the same units, (0.5, 0.5) being the
    middle.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    distance: float = 0.9
    field_of_view: float = 25.0
    pan: tuple[float, float] = (0.0, 0.0)
    centre: tuple[float, float] = (0.5, 0.5)

    def replace(self, **changes: float | tuple[float, float]) -> Self:
        """The same camera with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def focal(self) -> float:
        """Focal length in picture heights."""
        return float(0.5 / np.tan(np.radians(self.field_of_view) / 2))

    def rotation(self) -> Array:
        """World-to-camera rotation (3, 3), OpenCV axes: rows are the camera's right, down and forward in head space."""
        yaw, pitch, roll = np.radians([self.yaw, self.pitch, self.roll])
        forward = -np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        down = np.cross(forward, right)
        cos, sin = np.cos(roll), np.sin(roll)
        return np.stack([cos * right + sin * down, cos * down - sin * right, forward])

    def extrinsics(self) -> Array:
        """World-to-camera matrix (3, 4): ``x_camera = R x_head + t``, metres."""
        rotation = self.rotation()
        along, up = self.pan
        translation = np.array([-along, up, self.distance]) - rotation @ TARGET
        return np.concatenate([rotation, translation[:, None]], axis=1)

    def intrinsics(self, width: int, height: int) -> Array:
        """Pinhole matrix (3, 3) in pixels of a ``width`` x ``height`` picture; pixel centres lie at +0.5."""
        focal = self.focal * height
        x, y = self.centre
        return np.array([[focal, 0.0, width / 2 + (x - 0.5) * height], [0.0, focal, y * height], [0.0, 0.0, 1.0]])

    def projection(self, width: int, height: int) -> Array:
        """OpenGL clip matrix (4, 4) for column vectors in head space; row 0 of a read-back buffer is the bottom row."""
        k = self.intrinsics(width, height)
        clip = np.array(
            [
                [2 * k[0, 0] / width, 0.0, 2 * k[0, 2] / width - 1, 0.0],
                [0.0, -2 * k[1, 1] / height, 1 - 2 * k[1, 2] / height, 0.0],
                [0.0, 0.0, (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
                [0.0, 0.0, 1.0, 0.0],
            ]
        )
        return np.asarray(clip @ np.vstack([self.extrinsics(), [0.0, 0.0, 0.0, 1.0]]))

    def project(self, points: Array, width: int, height: int) -> Array:
        """Pixels (..., 2) of head-space ``points`` (..., 3); (0, 0) is the picture's top left corner."""
        extrinsics = self.extrinsics()
        image = (points @ extrinsics[:, :3].T + extrinsics[:, 3]) @ self.intrinsics(width, height).T
        return np.asarray(image[..., :2] / image[..., 2:])

    def position(self) -> Array:
        """Where the camera stands in head space, metres, (3,)."""
        extrinsics = self.extrinsics()
        return np.asarray(-extrinsics[:, :3].T @ extrinsics[:, 3])
