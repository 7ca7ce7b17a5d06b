"""Soft masks drawn to the edges of a picture.

Every pixel's odds of lying inside are those of the coarse mask times those of its colour, under Gaussian models of the
colours that lie inside and outside around it (Chuang et al., "A Bayesian Approach to Digital Matting", 2001, with the
weighted windows of a blur in place of sampled neighbours).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion, binary_fill_holes, gaussian_filter, label
from scipy.special import expit, logit

Floats = NDArray[np.float32]

SIDE: Final = 256
"""Pixels at which colours are compared."""
AROUND: Final = 1 / 16
"""Standard deviation of the window in which colours are compared, in heights of the picture."""
ROUNDS: Final = 2
DOUBT: Final = 1e-3
"""The probability below which no mask is believed to be sure."""
TRUST: Final = 2.5
"""How much the coarse mask's odds count, beside ``COLOURS`` for those of the three colour channels, which are not
independent.
"""
COLOURS: Final = 0.5
CLEAREST: Final = 5.0
"""The largest logarithm of odds that a colour gives."""
NOISE: Final = 0.03
"""Standard deviation of sRGB values in one material."""
SURE: Final = 0.85
"""The mask's value where a body surely is; what is less sure belongs to it only nearby."""
THREAD: Final = 0.01
"""Half the width, in heights of the picture, of what is too thin to hold parts of a body together."""
RIM: Final = 3
"""Pixels around what is inside that may be half inside."""


def drawn_to_edges(mask: Floats, crop_srgb: NDArray[np.uint8]) -> Floats:
    """The coarse soft ``mask`` (S', S') at the size of the picture ``crop_srgb`` (S, S, 3), following its edges."""
    prior = _resized(mask, SIDE).clip(DOUBT, 1 - DOUBT)
    picture = Image.fromarray(crop_srgb).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    channels = np.moveaxis(np.asarray(picture, np.float32) / np.float32(255), -1, 0)
    inside = prior
    for _ in range(ROUNDS):
        score = _likelihood(channels, inside**2) - _likelihood(channels, (1 - inside) ** 2)
        odds = TRUST * logit(prior) + COLOURS * np.clip(score, -CLEAREST, CLEAREST)
        inside = np.asarray(expit(odds), np.float32)
    return _resized(gaussian_filter(inside, 0.5), len(crop_srgb)).clip(0, 1)


def _likelihood(channels: Floats, weight: Floats) -> Floats:
    """Logarithm (S, S) of how likely each pixel's colour is among those around it that have a ``weight`` (S, S)."""

    def mean(values: Floats) -> Floats:
        return np.asarray(gaussian_filter(values, AROUND * SIDE, truncate=2.5), np.float32)

    total = mean(weight) + 1e-4
    score: Floats = np.zeros_like(weight)
    for channel in channels:
        middle = mean(weight * channel) / total
        variance = np.maximum(mean(weight * channel**2) / total - middle**2, 0) + NOISE**2
        score -= np.float32(0.5) * ((channel - middle) ** 2 / variance + np.log(variance))
    return score


def whole(mask: Floats) -> Floats:
    """``mask`` (S, S) of one body: around its largest sure piece, without holes and without what hangs on a thread."""
    thread = max(1, round(THREAD * len(mask)))
    pieces, count = label(binary_erosion(mask > SURE, iterations=thread))
    if not count:
        return mask
    core = pieces == 1 + np.bincount(pieces[pieces > 0] - 1).argmax()
    largest = binary_dilation(core, iterations=2 * thread) & (mask > 0.5)
    body = binary_fill_holes(largest)
    return np.where(body & ~largest, 1, mask * binary_dilation(body, iterations=RIM)).astype(np.float32)


def _resized(values: Floats, size: int) -> Floats:
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC), np.float32)
