"""First guesses of light, skin, brows, eyes and hair: by looking at what the model can draw.

A picture of a matt head is linear in its light, so that nine pictures span all that light can do to a face, and what light a
photo was taken in follows by linear least squares. Skins, brows, irises and hair styles are few: each is drawn and
compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import (
    BROW_COLOUR,
    BROW_STYLES,
    EXPRESSION,
    HAIR,
    HAIR_COLOUR,
    HAIR_STYLES,
    IDENTITY,
    IRIS_WEIGHTS,
    LIGHT,
    LIGHT_SHAPE,
    SHEEN,
    SKIN,
    SKIN_WEIGHTS,
)
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.contract import Quality, RadianceModel
from faceeditor.rendering.colour import linear_to_srgb
from faceeditor.rendering.harmonics import BASIS_CONSTANTS, ambient

Codes = dict[str, Code]
Region = NDArray[np.bool_]

NOISE: Final = 0.05
"""What the simplest model leaves unexplained, as a share of a pixel's colour."""
FAINT: Final = 0.03
"""Added to colours before shares are taken of them, in linear light."""
NUDGE: Final = 0.3
"""How much of a harmonic is added to even light to see what it does."""
FEWEST: Final = 40
"""Pixels of bare skin that it takes to look at it again."""
BLEND: Final = 0.05
"""Skins whose cost is within about this share of the best one are mixed in."""


@dataclass(frozen=True, eq=False)
class Easel:
    """Draws ``model`` from ``camera`` as large as ``target``; ``tick`` is called before each drawing."""

    model: RadianceModel
    camera: Camera
    target: Target
    tick: Callable[[], None]

    def draw(self, codes: Mapping[str, Code]) -> tuple[Floats, Floats]:
        """Premultiplied linear colour (S, S, 3) and opacity (S, S)."""
        self.tick()
        frame = self.model.render(codes, self.camera, self.target.size, Quality.MOVING)
        return frame.rgb_linear, frame.alpha


def neutral_codes(model: RadianceModel) -> Codes:
    """A bald head with average skin."""
    codes = {name: as_code(space.mean) for name, space in model.spaces.items()}
    codes[HAIR] = with_part(codes[HAIR], HAIR_STYLES, 0)
    return codes


def with_part(code: Code, part: slice | int, value: object) -> Code:
    """``code`` with some components replaced."""
    changed = code.copy()
    changed[part] = value
    return as_code(changed)


def one_of(count: int, chosen: int) -> Floats:
    """Weights (count,) that choose one."""
    return np.eye(count, dtype=np.float32)[chosen]


def _count(part: slice) -> int:
    return int(part.stop - part.start)


def first_look(easel: Easel, identity: Code, expression: Code) -> Codes:
    """Light, skin and hair for a head whose shape is known. Skin is looked at again when it is known what hair hides."""
    codes = {**neutral_codes(easel.model), IDENTITY: identity, EXPRESSION: expression}
    codes = look_at_skin(easel, codes, easel.target.face)
    codes = look_at_hair(easel, codes)
    with_hair, _ = easel.draw(codes)
    bald, alpha = easel.draw({**codes, HAIR: with_part(codes[HAIR], HAIR_STYLES, 0)})
    bare = easel.target.face & (np.abs(with_hair - bald).max(-1) < 0.02) & (alpha > 0.9)
    return look_at_skin(easel, codes, bare) if bare.sum() > FEWEST else codes


def look_at_skin(easel: Easel, codes: Codes, region: Region) -> Codes:
    """Light and skin mix that together explain ``region`` of the photo best, each kept plausible by its prior."""
    region = region & (easel.target.mask > 0.5)
    matt = {**codes, SKIN: with_part(codes[SKIN], SHEEN, 0.0)}
    under = _pictures_of_light(easel, matt)[:, region]
    wanted = easel.target.linear[region]
    even = under[0].clip(1e-4)
    costs, lights = [], []
    for index in range(_count(SKIN_WEIGHTS)):
        skin = with_part(matt[SKIN], SKIN_WEIGHTS, one_of(_count(SKIN_WEIGHTS), index))
        rgb, _ = easel.draw({**matt, SKIN: skin, LIGHT: as_code(_EVEN)})
        seen = under * (rgb[region] / _EVEN_LEVEL / even)
        light, cost = _solve_light(seen, wanted, easel)
        costs.append(cost)
        lights.append(light)
    share = np.exp(-(np.array(costs) / min(costs) - 1) / BLEND)
    share = np.where(share < 0.1, 0, share)
    share /= share.sum()
    light = np.tensordot(share, np.stack(lights), 1)
    return {**codes, SKIN: with_part(codes[SKIN], SKIN_WEIGHTS, share), LIGHT: as_code(light)}


_EVEN: Final = ambient(np.ones(3))
_EVEN_LEVEL: Final = 1 / BASIS_CONSTANTS[0]


def _pictures_of_light(easel: Easel, codes: Codes) -> Floats:
    """What a unit of each harmonic adds to the picture, (9, S, S, 3)."""
    even, _ = easel.draw({**codes, LIGHT: as_code(_EVEN)})
    pictures = [even / _EVEN_LEVEL]
    for index in range(1, LIGHT_SHAPE[0]):
        table = _EVEN.copy()
        table[index] += NUDGE
        rgb, _ = easel.draw({**codes, LIGHT: as_code(table)})
        pictures.append((rgb - even) / NUDGE)
    return np.stack(pictures)


def _solve_light(seen: Floats, wanted: Floats, easel: Easel, rounds: int = 3) -> tuple[NDArray[np.float64], float]:
    """The light (27,) under which pictures ``seen`` (9, N, 3) of its harmonics add up to ``wanted`` (N, 3), and the cost."""
    space = easel.model.spaces[LIGHT]
    mean, scale = space.mean.reshape(LIGHT_SHAPE), np.maximum(space.scale, 1e-3).reshape(LIGHT_SHAPE)
    light, cost = np.zeros(LIGHT_SHAPE), 0.0
    strength = np.sqrt(60 / len(wanted))
    for channel in range(3):
        trust = strength / (NOISE * (wanted[:, channel] + FAINT)).astype(np.float64)
        table, goal = seen[..., channel].T.astype(np.float64), wanted[:, channel]
        believed = trust
        for _ in range(rounds):
            rows = np.concatenate([table * believed[:, None], np.diag(1 / scale[:, channel])])
            right = np.concatenate([goal * believed, mean[:, channel] / scale[:, channel]])
            light[:, channel] = np.linalg.lstsq(rows, right, rcond=None)[0]
            off = np.abs(table @ light[:, channel] - goal) * trust / strength
            believed = trust / np.sqrt(1 + (off / 2) ** 2)
        cost += float(np.sum(np.log1p((off / 2) ** 2)) * 4 * strength**2)
        cost += float(np.sum(((light[:, channel] - mean[:, channel]) / scale[:, channel]) ** 2))
    return light.ravel(), cost


def look_at_hair(easel: Easel, codes: Codes) -> Codes:
    """The hair style whose silhouette and place, in its best colour, meets the photo best; perhaps none."""
    target = easel.target
    bald, bald_alpha = easel.draw(codes)
    best, best_cost = codes, _misfit(target, bald, bald_alpha)
    for style in range(_count(HAIR_STYLES)):
        hair = with_part(codes[HAIR], HAIR_STYLES, one_of(_count(HAIR_STYLES), style))
        rgb, alpha = easel.draw({**codes, HAIR: hair})
        strands = (np.abs(rgb - bald).max(-1) > 0.02) | (alpha > bald_alpha + 0.3)
        ratio = _ratio(target.linear, rgb, strands & (target.mask > 0.6))
        cost = _misfit(target, np.where(strands[..., None], rgb * ratio, rgb), alpha)
        if cost < best_cost:
            colour = np.clip(hair[HAIR_COLOUR] * ratio, 0.003, 0.9)
            best, best_cost = {**codes, HAIR: with_part(hair, HAIR_COLOUR, colour)}, cost
    return best


def _ratio(wanted: Floats, drawn: Floats, where: Region) -> Floats:
    """The factor (3,) that brings the typical colour of ``drawn`` to that of ``wanted``."""
    if where.sum() < 8:
        return np.ones(3, np.float32)
    return np.median(wanted[where], axis=0) / np.maximum(np.median(drawn[where], axis=0), 1e-3)


def _misfit(target: Target, rgb: Floats, alpha: Floats) -> float:
    """How far a drawing is from the photo: in coverage everywhere, in colour where both show the head."""
    colour = np.abs(linear_to_srgb(rgb / np.maximum(alpha, 0.05)[..., None]) - target.srgb).mean(-1)
    both = np.minimum(alpha, target.mask)
    return float((target.inside * (np.abs(alpha - target.mask) + 2 * both * np.minimum(colour, 0.4))).sum())


def look_closer(easel: Easel, codes: Codes) -> Codes:
    """Brows and irises: the style that meets the photo best around the brows and in the eyes."""
    target = easel.target
    brows = _around(target, (points.RIGHT_BROW, points.LEFT_BROW), 0.3)
    eyes = _around(target, (points.RIGHT_EYE, points.LEFT_EYE), 0.0)
    colour = np.quantile(target.linear[brows], 0.15, axis=0) if brows.any() else codes[SKIN][BROW_COLOUR]
    codes = {**codes, SKIN: with_part(codes[SKIN], BROW_COLOUR, np.clip(colour, 0.003, 0.4))}
    for part, region in ((BROW_STYLES, brows), (IRIS_WEIGHTS, eyes)):
        options = [one_of(_count(part), index) for index in range(_count(part))]
        codes = _best_skin(easel, codes, part, options, region)
    return codes


def _best_skin(easel: Easel, codes: Codes, part: slice, options: list[Floats], region: Region) -> Codes:
    """``codes`` with that one of ``options`` in a part of the skin code that looks most like the photo in ``region``."""
    tried = [{**codes, SKIN: with_part(codes[SKIN], part, option)} for option in options]
    costs = [np.abs(linear_to_srgb(easel.draw(one)[0]) - easel.target.srgb)[region].sum() for one in tried]
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
