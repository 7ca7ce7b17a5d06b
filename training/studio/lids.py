"""Mends the painted eyelids, which the data carry as dark streaks that show when an eye closes."""

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.draw import polygon

from faceeditor.rendering.colour import linear_to_srgb8, srgb8_to_linear
from training.studio.assets import Bytes
from training.studio.head import Floats, HeadModel

LID_MOVES: Final = (0.2, 0.4)
"""Shares of the blink's greatest movement from which skin counts as lid, and from which it counts fully."""
REACHES: Final = (0.008, 0.016, 0.032, 0.064)
"""Distances, in widths of the texture, over which neighbouring skin is spread; the shortest that finds any is used."""


def lid_share(head: HeadModel) -> Floats:
    """How far every vertex (V,) belongs to an upper lid, 0 to 1: it is what a blink moves most."""
    blinks = [head.expression_modes[head.expression_names.index(f"eyeBlink{side}")] for side in ("Left", "Right")]
    moved = np.linalg.norm(np.maximum(*(np.abs(blink) for blink in blinks)), axis=1)
    moved[head.region("face").stop :] = 0
    return np.asarray(np.clip(np.interp(moved / max(moved.max(), 1e-9), LID_MOVES, (0, 1)), 0, 1), np.float32)


def paint_face(head: HeadModel, values: Floats, size: int) -> tuple[Floats, Floats]:
    """Vertex ``values`` (V,) as a picture (size, size) of UV tile 0, row 0 at v = 0, flat on each triangle.

    The second picture is 1 where the face has skin, and 0 beyond it.
    """
    picture, covered = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    face = head.triangles_of("M_Face")
    for corners, corners_uv in zip(head.triangles[face], head.triangles_uv[face], strict=True):
        column, row = (head.uv[corners_uv] * size).T
        place = polygon(row, column, picture.shape)  # type: ignore[no-untyped-call]
        picture[place], covered[place] = values[corners].mean(), 1
    return picture, covered


def mended_lids(head: HeadModel, skins_srgb: Bytes) -> Bytes:
    """The skins of UV tile 0 (n, size, size, 3), lids repainted with the skin around them."""
    size = skins_srgb.shape[1]
    lids, covered = paint_face(head, lid_share(head), size)
    rows, columns = (np.flatnonzero(lids.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return skins_srgb
    margin = int(2 * REACHES[-1] * size)
    window = tuple(slice(max(found[0] - margin, 0), found[-1] + margin) for found in (rows, columns))
    blend = np.minimum(gaussian_filter(lids[window], size / 400) + lids[window], 1)[..., None]
    source = covered[window] * (blend[..., 0] < 0.02)
    mended = skins_srgb.copy()
    for skin in mended:
        linear = srgb8_to_linear(skin[window])
        skin[window] = linear_to_srgb8(linear + blend * (_spread(linear, source, size) - linear))
    return mended


def _spread(linear: Floats, source: Floats, size: int) -> Floats:
    """``linear`` (h, w, 3) where ``source`` (h, w) is 1, spread over the rest."""
    filled = np.zeros_like(linear)
    missing = np.ones_like(source)
    for reach in REACHES:
        sigma = reach * size
        found = gaussian_filter(source, sigma)
        spread = gaussian_filter(linear * source[..., None], (sigma, sigma, 0)) / np.maximum(found, 1e-6)[..., None]
        taken = missing * np.clip(found / 0.1, 0, 1)
        filled += taken[..., None] * spread
        missing -= taken
    return np.asarray(filled / np.maximum(1 - missing, 1e-6)[..., None], np.float32)
