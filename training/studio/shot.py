"""What the studio hands out for one picture: the picture and everything that is known about it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.studio.factors import StudioFactors

Floats = NDArray[np.float32]


class Label(IntEnum):
    """What a pixel shows."""

    BACKGROUND = 0
    FACE = 1
    HEAD = 2
    MOUTH = 3
    TEETH = 4
    EYES = 5
    LASHES = 6
    HAIR = 7


@dataclass(frozen=True, eq=False)
class Truth:
    """What the centre of every pixel sees, each (H, W) or (H, W, n).

    ``depth`` is the camera's z in metres (inf where there is nothing), ``normals`` are unit and in head space, ``uv``
    has the tile in the integer part of u, ``labels`` are :class:`Label` values (uint8), ``openness`` is the baked
    ambient light. Lashes are too thin to have a truth and are left out.
    """

    depth: Floats
    normals: Floats
    uv: Floats
    labels: NDArray[np.uint8]
    openness: Floats


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture of one head.

    ``picture_srgb`` (H, W, 3) uint8 lies over the background; ``coverage`` (H, W) in [0, 1] is the anti-aliased share
    of the head. ``landmarks`` (68, 2) are pixels, ``landmarks_head`` (68, 3) head-space metres, ``visible`` (68,) is
    false for landmarks that something hides.
    """

    picture_srgb: NDArray[np.uint8]
    coverage: Floats
    landmarks: Floats
    landmarks_head: Floats
    visible: NDArray[np.bool_]
    factors: StudioFactors
    truth: Truth | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Picture, coverage, landmarks and codes by name, for a file; coverage as uint8."""
        camera = self.factors.camera
        pose = [
            camera.yaw,
            camera.pitch,
            camera.roll,
            camera.distance,
            camera.field_of_view,
            *camera.pan,
            *camera.centre,
        ]
        return {
            "picture_srgb": self.picture_srgb,
            "coverage": np.rint(self.coverage * 255).astype(np.uint8),
            "landmarks": self.landmarks,
            "landmarks_head": self.landmarks_head,
            "visible": self.visible,
            "camera": np.array(pose, np.float32),
            **self.factors.codes,
        }
