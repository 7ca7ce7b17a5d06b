"""The 68 facial landmarks (Multi-PIE order): their names and their mirror image."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

COUNT: Final = 68

JAW: Final = slice(0, 17)
RIGHT_BROW: Final = slice(17, 22)
LEFT_BROW: Final = slice(22, 27)
NOSE: Final = slice(27, 36)
RIGHT_EYE: Final = slice(36, 42)
LEFT_EYE: Final = slice(42, 48)
OUTER_LIPS: Final = slice(48, 60)
INNER_LIPS: Final = slice(60, 68)
"""Parts of the list; right and left are the subject's. The jaw runs from the subject's right ear to the left one."""

RIGHT_EYE_CORNER: Final = 36
LEFT_EYE_CORNER: Final = 45
"""The outer eye corners, whose distance landmark errors are measured against."""

NOSE_TIP: Final = 30
CHIN: Final = 8

_PAIRS: Final = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),
    *((60, 64), (61, 63), (65, 67)),
)


def _mirror_order() -> NDArray[np.int64]:
    order = np.arange(COUNT)
    for first, second in _PAIRS:
        order[[first, second]] = second, first
    order.setflags(write=False)
    return order


MIRROR: Final = _mirror_order()
"""Permutation (68,): ``mirrored[i]`` is the mirror image of ``original[MIRROR[i]]``."""


def eye_distance(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance between the outer eye corners of ``landmarks`` (..., 68, D), in their units, (...)."""
    across = landmarks[..., LEFT_EYE_CORNER, :] - landmarks[..., RIGHT_EYE_CORNER, :]
    return np.asarray(np.linalg.norm(across, axis=-1), np.float64)
