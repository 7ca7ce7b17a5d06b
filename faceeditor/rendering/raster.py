"""Visibility buffers: which triangle each ray of a picture meets first, second, third.

The only thing a rasteriser decides here is *which* triangles a ray meets; where exactly it meets them is solved for in
:mod:`faceeditor.rendering.rays`, with gradients. So one integer a pixel and layer is all that travels.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

NOTHING: Final = -1
"""The id in pixels whose ray meets no triangle."""
BOTTOMLESS: Final = -1e9
"""The floor, in metres, that cuts nothing off."""


@dataclass(frozen=True, eq=False)
class Cards:
    """See-through triangles that follow the opaque ones in the list of faces, such as hair.

    ``corner_uv`` (F, 3, 2) in [0, 1] and ``opacity`` (T, T) uint8, row 0 at v = 0: where it is 0 a card lets the ray
    pass.
    """

    corner_uv: Floats
    opacity: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Scene:
    """What rays may meet: ``triangles`` (F, 3, 3), corners in head space; those before ``cards_from`` are opaque, the
    others ``cards``. Rays pass what lies below the height ``floor``, in metres.
    """

    triangles: Floats
    cards_from: int
    cards: Cards | None = None
    floor: float = BOTTOMLESS


class Rasteriser(Protocol):
    """Finds the triangles along rays."""

    def visible(self, scene: Scene, camera: Camera, size: int, layers: int) -> Ints:
        """Ids (layers, size, size) of triangles.

        Layer 0 holds the opaque surface; layers 1.. hold the cards in front of it, nearest first. Ids count from 0 over
        all triangles; ``NOTHING`` where there is none.
        """
        ...
