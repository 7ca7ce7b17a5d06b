"""Brows, irises and gaze: few enough to be drawn one after the other and compared with the photo."""

from typing import Final

import numpy as np

from faceeditor.faces import landmarks as points
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import BROW_COLOUR, BROW_STYLES, EXPRESSION, EXPRESSION_COMPONENTS, IRIS_WEIGHTS, SKIN
from faceeditor.fitting.easel import Codes, Easel, Gains, Region, one_of, with_part
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.appearance import components
from faceeditor.rendering.colour import linear_to_srgb


def look_closer(easel: Easel, codes: Codes, gains: Gains) -> Codes:
    """Brows, irises and gaze: what meets the photo best around the brows and in the eyes."""
    target = easel.target
    brows = _around(target, (points.RIGHT_BROW, points.LEFT_BROW), 0.3)
    eyes = _around(target, (points.RIGHT_EYE, points.LEFT_EYE), 0.0)
    colour = np.quantile(target.linear[brows], 0.15, axis=0) if brows.any() else codes[SKIN][BROW_COLOUR]
    codes = {**codes, SKIN: with_part(codes[SKIN], BROW_COLOUR, np.clip(colour, 0.003, 0.4))}
    styles = [one_of(components(BROW_STYLES), index) for index in range(components(BROW_STYLES))]
    irises = [one_of(components(IRIS_WEIGHTS), index) for index in range(components(IRIS_WEIGHTS))]
    codes = _best(easel, gains, [_with_skin(codes, BROW_STYLES, style) for style in styles], brows)
    for step in (0.3, 0.12):
        across, up = _gaze_of(codes[EXPRESSION])
        tries = [(across + step * x, up + step * y) for x, y in GAZES]
        codes = _best(easel, gains, [{**codes, EXPRESSION: looking(codes[EXPRESSION], *gaze)} for gaze in tries], eyes)
    return _best(easel, gains, [_with_skin(codes, IRIS_WEIGHTS, iris) for iris in irises], eyes)


GAZES: Final = ((0, 0), (-1, 0), (1, 0), (0, -0.7), (0, 0.7), (-2, 0), (2, 0))
"""Changes of gaze that are tried: to the subject's left, and up."""

_GAZE: Final = {
    name: EXPRESSION_COMPONENTS.index(f"eyeLook{name}")
    for name in ("OutLeft", "InRight", "InLeft", "OutRight", "UpLeft", "UpRight", "DownLeft", "DownRight")
}


def looking(expression: Code, across: float, up: float) -> Code:
    """``expression`` with both eyes turned to the subject's left by ``across`` and up by ``up``, each -1 to 1."""
    left, right, above, below = max(across, 0), max(-across, 0), max(up, 0), max(-up, 0)
    turned = dict(zip(_GAZE, (left, left, right, right, above, above, below, below), strict=True))
    changed = expression.copy()
    for name, index in _GAZE.items():
        changed[index] = min(turned[name], 1.0)
    return as_code(changed)


def _gaze_of(expression: Code) -> tuple[float, float]:
    """The mean gaze of both eyes, as :func:`looking` takes it."""
    part = {name: float(expression[index]) for name, index in _GAZE.items()}
    across = part["OutLeft"] + part["InRight"] - part["InLeft"] - part["OutRight"]
    return across / 2, (part["UpLeft"] + part["UpRight"] - part["DownLeft"] - part["DownRight"]) / 2


def _with_skin(codes: Codes, part: slice, values: Floats) -> Codes:
    return {**codes, SKIN: with_part(codes[SKIN], part, values)}


def _best(easel: Easel, gains: Gains, tried: list[Codes], region: Region) -> Codes:
    """Which of some codes looks most like the photo in ``region``."""
    costs = [np.abs(linear_to_srgb(easel.draw(one, gains)[0]) - easel.target.srgb)[region].sum() for one in tried]
    return tried[int(np.argmin(costs))]


def _around(target: Target, parts: tuple[slice, ...], margin: float) -> Region:
    """The pixels (S, S) around landmarks, ``margin`` of their width and more."""
    found = np.zeros((target.size, target.size), bool)
    for part in parts:
        low, high = target.landmarks[part].min(0), target.landmarks[part].max(0)
        reach = margin * (high[0] - low[0]) + 1
        left, top = np.maximum(np.floor(low - reach), 0).astype(int)
        right, bottom = np.ceil(high + reach).astype(int)
        found[top:bottom, left:right] = True
    return found & (target.inside > 0.5)
