"""What may stand behind the head in the viewport and in exported pictures."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor

from faceeditor.engine.requests import WHITE, Background
from faceeditor.rendering.colour import srgb8_to_linear


def _checker(size: int = 512, cells: int = 16) -> NDArray[np.uint8]:
    squares = np.indices((cells, cells)).sum(0) % 2
    grey = np.where(squares, 168, 120).astype(np.uint8).repeat(size // cells, 0).repeat(size // cells, 1)
    return np.repeat(grey[..., None], 3, axis=-1)


BACKGROUNDS: Final[dict[str, str]] = {
    "White": "white",
    "Grey": "#7f7f7f",
    "Dark": "#26282b",
    "Checker": "transparent",
    "Photo": "photo",
}
"""What may stand behind the head: what the artist reads -> what the settings keep."""

_CHECKER: Final = _checker()


def backdrop(setting: str, photo_srgb: NDArray[np.uint8] | None) -> Background:
    """What the engine puts behind the head for one of the settings; grey where a photo is wanted and there is none."""
    if setting == "white":
        return WHITE
    if setting == "transparent":
        return _CHECKER
    if setting == "photo":
        return photo_srgb if photo_srgb is not None else backdrop(BACKGROUNDS["Grey"], None)
    colour = QColor(setting)
    red, green, blue = srgb8_to_linear(np.array([colour.red(), colour.green(), colour.blue()], np.uint8)).tolist()
    return red, green, blue
