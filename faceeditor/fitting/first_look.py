"""First guesses of light, skin, brows, eyes and hair: by looking at what the model can draw.

A picture of a matt head is linear in its light, so that nine pictures span all that light can do to a face, and what
light a photo was taken in follows by linear least squares. Skins, brows, irises and hair styles are few: each is
drawn and compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import (
    BROW_COLOUR,
    BROW_STYLES,
    EXPRESSION,
    EXPRESSION_COMPONENTS,
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
from faceeditor.fitting.hair_volume import HEAD, Fringe, Volume
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.contract import FittableModel, Quality, Surface
from faceeditor.rendering.colour import linear_to_srgb
from faceeditor.rendering.harmonics import BASIS_CONSTANTS, ambient

Codes = dict[str, Code]
Region = NDArray[np.bool_]
Gains = dict[str, NDArray[Any]]

STRAND_OFFSETS: Final = "strand_offsets"
OFFSETS: Final = "offsets"

NOISE: Final = 0.05
"""What the simplest model leaves unexplained, as a share of a pixel's colour."""
FAINT: Final = 0.03
"""Added to colours before shares are taken of them, in linear light."""
NUDGE: Final = 0.3
"""How much of a harmonic is added to even light to see what it does."""
FEWEST: Final = 40
"""Pixels of bare skin that it takes to look at it again."""
STRETCH: Final = 8.0
"""By how much a metre of mean movement makes a hair style less likely."""
BARE: Final = 3.0
"""How much more the right colour counts where the landmarks say that there is bare skin."""
BLEND: Final = 0.05
"""Skins whose cost is within about this share of the best one are mixed in."""


@dataclass(frozen=True, eq=False)
class Easel:
    """Draws ``model`` from ``camera`` as large as ``target``; ``tick`` is called before each drawing."""

    model: FittableModel
    camera: Camera
    target: Target
    tick: Callable[[], None]

    def draw(self, codes: Mapping[str, Code], gains: Gains | None = None) -> tuple[Floats, Floats]:
        """Premultiplied linear colour (S, S, 3) and opacity (S, S)."""
        self.tick()
        frame = self.model.render(codes, self.camera, self.target.size, Quality.MOVING, gains or None)
        return frame.rgb_linear, frame.alpha


def tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    """The same as float32 tensors."""
    return {name: torch.tensor(np.array(values, np.float32)) for name, values in arrays.items()}


def neutral_codes(model: FittableModel) -> Codes:
    """A bald head with average skin."""
    codes = {name: as_code(space.mean) for name, space in model.spaces.items()}
    return without_hair(codes)


def without_hair(codes: Codes) -> Codes:
    """``codes`` of the same head, bald."""
    return {**codes, HAIR: with_part(codes[HAIR], HAIR_STYLES, 0)}


def with_part(code: Code, part: slice | int, value: Any) -> Code:
    """``code`` with some components replaced."""
    changed = code.copy()
    changed[part] = value
    return as_code(changed)


def one_of(count: int, chosen: int) -> Floats:
    """Weights (count,) that choose one."""
    return np.asarray(np.eye(count)[chosen], np.float32)


def _count(part: slice) -> int:
    return int(part.stop - part.start)


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
    """The light (27,) under which pictures ``seen`` (9, N, 3) of its harmonics add up to ``wanted`` (N, 3), and the
    cost.
    """
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


def look_at_hair(easel: Easel, codes: Codes) -> tuple[Codes, Gains]:
    """The hair style that, in its best colour and volume, meets the photo best, perhaps none; and the volume's
    ``strand_offsets``.
    """
    bald = easel.draw(codes)
    best, best_cost = (codes, Gains()), _misfit(easel.target, *bald)
    for style in range(_count(HAIR_STYLES)):
        hair = with_part(codes[HAIR], HAIR_STYLES, one_of(_count(HAIR_STYLES), style))
        colour, gains, cost = _try_hair(easel, {**codes, HAIR: hair}, bald)
        if cost < best_cost:
            best, best_cost = ({**codes, HAIR: with_part(hair, HAIR_COLOUR, colour)}, gains), cost
    return best


def _try_hair(easel: Easel, codes: Codes, bald: tuple[Floats, Floats]) -> tuple[Floats, Gains, float]:
    """Colour, volume and misfit of a hair style."""
    target = easel.target
    rgb, alpha = easel.draw(codes)
    gains = Gains()
    for warp in (Volume, Volume, Fringe):
        volume = warp.between(alpha, strands_of(rgb, alpha, bald), target, easel.camera)
        gains = _swollen(easel.model.surface(tensors(codes), tensors(gains)), gains, volume)
        rgb, alpha = easel.draw(codes, gains)
    strands = strands_of(rgb, alpha, bald)
    ratio = _ratio(target.linear, rgb, strands & (target.mask > 0.9))
    colour = np.clip(codes[HAIR][HAIR_COLOUR] * ratio, 0.003, 0.9)
    cost = _misfit(target, np.where(strands[..., None], rgb * ratio, rgb), alpha)
    moved = np.linalg.norm(gains[STRAND_OFFSETS][easel.model.surface(tensors(codes)).strand.numpy()], axis=-1).mean()
    return colour, gains, cost * (1 + STRETCH * float(moved))


def meet_outline(easel: Easel, codes: Codes, gains: Gains) -> Gains:
    """``gains`` with the outlines of hair and of the bare head brought the last millimetres to the photo's."""
    rgb, alpha = easel.draw(codes, gains)
    bald_gains = {name: value for name, value in gains.items() if name != STRAND_OFFSETS}
    hair = strands_of(rgb, alpha, easel.draw(without_hair(codes), bald_gains))
    surface = easel.model.surface(tensors(codes), tensors(gains))
    fringe = Fringe.between(alpha, ~hair, easel.target, easel.camera, HEAD)
    offsets = np.zeros((surface.shape_count, 3), np.float16)
    offsets[surface.shape.numpy()] = fringe.offsets(surface.head.numpy())
    gains = {**gains, OFFSETS: offsets}
    if hair.any():
        rgb, alpha = easel.draw(codes, gains)
        fringe = Fringe.between(alpha, hair, easel.target, easel.camera)
        gains = _swollen(easel.model.surface(tensors(codes), tensors(gains)), gains, fringe)
    return gains


def _swollen(surface: Surface, gains: Gains, volume: Volume | Fringe) -> Gains:
    """``gains`` with the strands of ``surface`` moved by ``volume``."""
    offsets = gains.get(STRAND_OFFSETS, np.zeros((surface.strand_count, 3), np.float16)).copy()
    offsets[surface.strand.numpy()] += volume.offsets(surface.strands.numpy()).astype(np.float16)
    return {**gains, STRAND_OFFSETS: offsets}


def strands_of(rgb: Floats, alpha: Floats, bald: tuple[Floats, Floats]) -> Region:
    """Where (S, S) a drawing shows hair, for it differs from that of the ``bald`` head."""
    return np.asarray((np.abs(rgb - bald[0]).max(-1) > 0.02) | (alpha > bald[1] + 0.3), np.bool_)


def _ratio(wanted: Floats, drawn: Floats, where: Region) -> Floats:
    """The factor (3,) that brings the typical colour of ``drawn`` to that of ``wanted``."""
    if where.sum() < 8:
        return np.ones(3, np.float32)
    return np.asarray(np.median(wanted[where], axis=0) / np.maximum(np.median(drawn[where], axis=0), 1e-3), np.float32)


def _misfit(target: Target, rgb: Floats, alpha: Floats) -> float:
    """How far a drawing is from the photo: in coverage, in colour where both show the head, and in texture; below the
    chin, where clothes are, less.
    """
    drawn = linear_to_srgb(rgb / np.maximum(alpha, 0.05)[..., None])
    colour = np.minimum(np.abs(drawn - target.srgb).mean(-1), 0.4)
    weight = np.where(np.arange(target.size) < target.landmarks[points.JAW, 1].max(), 1.0, 0.3)[:, None]
    both = np.minimum(alpha, target.mask) * np.where(target.face, BARE, 1.0)
    return float((weight * target.inside * (np.abs(alpha - target.mask) + 2 * both * colour)).sum())


def look_closer(easel: Easel, codes: Codes, gains: Gains) -> Codes:
    """Brows, irises and gaze: what meets the photo best around the brows and in the eyes."""
    target = easel.target
    brows = _around(target, (points.RIGHT_BROW, points.LEFT_BROW), 0.3)
    eyes = _around(target, (points.RIGHT_EYE, points.LEFT_EYE), 0.0)
    colour = np.quantile(target.linear[brows], 0.15, axis=0) if brows.any() else codes[SKIN][BROW_COLOUR]
    codes = {**codes, SKIN: with_part(codes[SKIN], BROW_COLOUR, np.clip(colour, 0.003, 0.4))}
    styles = [one_of(_count(BROW_STYLES), index) for index in range(_count(BROW_STYLES))]
    irises = [one_of(_count(IRIS_WEIGHTS), index) for index in range(_count(IRIS_WEIGHTS))]
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
