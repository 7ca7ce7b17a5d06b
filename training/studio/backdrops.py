"""Random backdrops: what may stand behind a head in a photograph, as far as a mask has to know it."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from faceeditor.rendering.colour import linear_to_srgb8


def sample_backdrop(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """An sRGB picture (size, size, 3): a plain wall, a shaded one, blurred things, or edges."""
    kind = rng.choice(["plain", "shaded", "blurred", "edges"], p=[0.15, 0.25, 0.35, 0.25])
    base = _colour(rng)
    picture = np.broadcast_to(base, (size, size, 3)).astype(np.float32)
    if kind in ("shaded", "edges"):
        picture = _shade(rng, picture, _colour(rng))
    if kind == "edges":
        picture = _boards(rng, picture)
    if kind == "blurred":
        picture = _clouds(rng, size, base)
    return linear_to_srgb8(gaussian_filter(picture, (*([rng.uniform(0, size / 60)] * 2), 0)))


def _colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """A linear colour (3,), more often muted than not."""
    level = rng.beta(1.2, 1.6)
    return np.asarray(np.clip(level * np.exp(rng.normal(0, 0.35, 3)), 0, 1), np.float32)


def _shade(rng: np.random.Generator, picture: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """A slow change from the picture's colour to ``other`` in a random direction."""
    size = len(picture)
    turn = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, size)
    along = np.clip(0.5 + 0.5 * (np.cos(turn) * across[None] + np.sin(turn) * across[:, None]), 0, 1)[..., None]
    return np.asarray(picture * (1 - along) + other * along, np.float32)


def _boards(rng: np.random.Generator, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rectangles: frames, shelves, windows."""
    size = len(picture)
    changed = picture.copy()
    for _ in range(rng.integers(2, 12)):
        top, left = rng.integers(-size // 4, size, 2)
        height, width = rng.integers(size // 30 + 1, size // 2 + 2, 2)
        changed[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = _colour(rng)
    return changed


def _clouds(rng: np.random.Generator, size: int, base: NDArray[np.float32]) -> NDArray[np.float32]:
    """Coloured noise of several scales around ``base``."""
    total = np.zeros((size, size, 3))
    for cells in (3, 6, 12, 24, 48):
        coarse = rng.normal(0, 1, (cells + 2, cells + 2, 3))
        fine = zoom(coarse, (size / cells, size / cells, 1), order=1)[:size, :size]
        total += fine * (3 / cells) ** rng.uniform(0.4, 1.0)
    return np.asarray(np.clip(base * np.exp(0.5 * total), 0, 1), np.float32)
