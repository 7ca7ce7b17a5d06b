"""Detail of pictures that neither light nor shading changes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float32]

LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in grey."""
DARKEST: Final = 16.0
"""Added to grey values, of 255, before their logarithm is taken."""
FLAT: Final = 0.02
"""Contrast, in logarithms, that counts as half."""


def detail(grey: NDArray[np.floating] | NDArray[np.uint8], finest: float, widest: float) -> Floats:
    """What of ``grey`` (S, S), values up to 255, lies between ``finest`` and ``widest`` pixels, in units of the local
    contrast (S, S).
    """
    tones = np.log(grey.astype(np.float32) + DARKEST)
    band = gaussian_filter(tones, finest) - gaussian_filter(tones, widest)
    return np.asarray(band / np.sqrt(gaussian_filter(band**2, widest) + FLAT**2), np.float32)
