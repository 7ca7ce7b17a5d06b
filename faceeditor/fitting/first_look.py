"""First guesses of light and skin, by looking at what the model can draw.

A picture of a matt head is linear in its light, so that nine pictures span all that light can do to a face, and what
light a photo was taken in follows by linear least squares. Skins are few: each is drawn and compared.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY, LIGHT, LIGHT_SHAPE, SHEEN, SKIN, SKIN_WEIGHTS
from faceeditor.fitting.easel import Codes, Easel, Gains, Region, neutral_codes, one_of, with_part, without_hair
from faceeditor.fitting.hair_look import look_at_hair, strands_of
from faceeditor.fitting.target import Floats
from faceeditor.models.appearance import components
from faceeditor.rendering.harmonics import BASIS_CONSTANTS, ambient

NOISE: Final = 0.05
"""What the simplest model leaves unexplained, as a share of a pixel's colour."""
FAINT: Final = 0.03
"""Added to colours before shares are taken of them, in linear light."""
NUDGE: Final = 0.3
"""How much of a harmonic is added to even light to see what it does."""
DOUBT: Final = 0.3
"""How far a light that was read off the picture is expected to lie from the truth, as a share of its mean level."""
FEWEST: Final = 40
"""Pixels of bare skin that it takes to look at it again."""
BLEND: Final = 0.05
"""Skins whose cost is within about this share of the best one are mixed in."""


def first_look(easel: Easel, identity: Code, expression: Code) -> tuple[Codes, Gains]:
    """Light, skin and hair, with the hair's volume, for a head whose shape is known.

    Skin is looked at again when it is known what hair hides.
    """
    codes = {**neutral_codes(easel.model), IDENTITY: identity, EXPRESSION: expression}
    codes = look_at_skin(easel, codes, easel.target.face)
    codes, gains = look_at_hair(easel, codes)
    bald = easel.draw(without_hair(codes))
    bare = easel.target.face & ~strands_of(*easel.draw(codes, gains), bald) & (bald[1] > 0.9)
    return look_at_skin(easel, codes, bare) if bare.sum() > FEWEST else codes, gains


def look_at_skin(easel: Easel, codes: Codes, region: Region) -> Codes:
    """Light and skin mix that together explain ``region`` of the photo best, each kept plausible by its prior."""
    region = region & (easel.target.mask > 0.5)
    matt = {**codes, SKIN: with_part(codes[SKIN], SHEEN, 0.0)}
    under = _pictures_of_light(easel, matt)[:, region]
    wanted = easel.target.linear[region]
    space = easel.model.spaces[LIGHT]
    usual = space.mean.reshape(LIGHT_SHAPE), np.maximum(space.scale, 1e-3).reshape(LIGHT_SHAPE)
    even = under[0].clip(1e-4)
    costs, lights = [], []
    for index in range(components(SKIN_WEIGHTS)):
        skin = with_part(matt[SKIN], SKIN_WEIGHTS, one_of(components(SKIN_WEIGHTS), index))
        rgb, _ = easel.draw({**matt, SKIN: skin, LIGHT: as_code(_EVEN)})
        seen = under * (rgb[region] / _EVEN_LEVEL / even)
        light, cost = _solve_light(seen, wanted, *usual)
        costs.append(cost)
        lights.append(light)
    share = np.exp(-(np.array(costs) / min(costs) - 1) / BLEND)
    share = np.where(share < 0.1, 0, share)
    share /= share.sum()
    light = np.tensordot(share, np.stack(lights), 1)
    return {**codes, SKIN: with_part(codes[SKIN], SKIN_WEIGHTS, share), LIGHT: as_code(light)}


def look_at_light(easel: Easel, codes: Codes, region: Region) -> Codes:
    """``codes`` in the light that explains ``region`` of the photo best, not far from the light that they have."""
    matt = {**codes, SKIN: with_part(codes[SKIN], SHEEN, 0.0)}
    seen, wanted = _pictures_of_light(easel, matt)[:, region], easel.target.linear[region]
    told = codes[LIGHT].reshape(LIGHT_SHAPE).astype(np.float64)
    light, _ = _solve_light(seen, wanted, told, np.broadcast_to(np.abs(told[0]) * DOUBT, LIGHT_SHAPE))
    return {**codes, LIGHT: as_code(light)}


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


def _solve_light(
    seen: Floats,
    wanted: Floats,
    mean: NDArray[np.floating],
    scale: NDArray[np.floating],
    rounds: int = 3,
) -> tuple[NDArray[np.float64], float]:
    """The light (27,) under which pictures ``seen`` (9, N, 3) of its harmonics add up to ``wanted`` (N, 3), and the
    cost; ``mean`` and ``scale`` (9, 3) are of the lights that may be expected.
    """
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
