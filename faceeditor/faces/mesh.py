"""A triangle mesh with everything an export must not lose."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh in head space metres.

    ``vertices`` (V, 3), ``faces`` (F, 3) int32 counter-clockwise from outside, ``uv`` (V, 2) with v up or ``None``,
    ``normals`` (V, 3) unit or ``None``, ``texture_srgb`` (H, W, 3 or 4) uint8 or ``None``, ``morphs`` name -> vertex
    offsets (V, 3) at weight 1. ``parts`` name -> half-open range of faces.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    uv: Floats | None = None
    normals: Floats | None = None
    texture_srgb: NDArray[np.uint8] | None = None
    morphs: Mapping[str, Floats] = field(default_factory=dict)
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
