"""Which hair: each style is drawn, brought to the photo's outline and compared, and the best one's outline is met."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces import landmarks as points
from faceeditor.faces.layout import HAIR, HAIR_COLOUR, HAIR_STYLES
from faceeditor.fitting.easel import Codes, Easel, Gains, Region, one_of, with_part, without_hair
from faceeditor.fitting.hair_volume import CENTRE, HEAD, Fringe, Volume
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.appearance import components
from faceeditor.models.contract import Surface
from faceeditor.models.layers import tensors
from faceeditor.rendering.colour import linear_to_srgb

Floats64 = NDArray[np.float64]

STRAND_OFFSETS: Final = "strand_offsets"
OFFSETS: Final = "offsets"

STRETCH: Final = 8.0
"""By how much a metre of mean movement makes a hair style less likely."""
LENGTH: Final = 1.0
"""By how much a metre of mean distance from the middle of the head, beyond that of ``SHORT`` hair, does so: what hides
behind the head is not likely to be there."""
SHORT: Final = 0.11
BARE: Final = 3.0
"""How much more the right colour counts where the landmarks say that there is bare skin."""
ON_HAIR: Final = 1.0
"""How much hair where the photo shows none, or none where it shows hair, counts beside the head's outline."""
DOUBT: Final = 0.2
BALD_DOUBT: Final = 0.3
"""By how much a style whose probability is e times smaller must meet the photo better, as a share of its misfit, and by
how much hair must, or a bald head.
"""
LEAST_LIKELY: Final = 1e-3
"""The probability of hair styles that seem impossible."""


def look_at_hair(easel: Easel, codes: Codes) -> tuple[Codes, Gains]:
    """The hair style that, in its best colour and volume, meets the photo best, perhaps none; and the volume's
    ``strand_offsets``.
    """
    bald = easel.draw(codes)
    doubt = _doubts(easel.target.styles)
    none = np.zeros_like(easel.target.face)
    best, best_cost = (codes, Gains()), doubt[0] * _misfit(easel.target, *bald, none)
    for style in range(components(HAIR_STYLES)):
        hair = with_part(codes[HAIR], HAIR_STYLES, one_of(components(HAIR_STYLES), style))
        colour, gains, cost = _try_hair(easel, {**codes, HAIR: hair}, bald)
        cost *= doubt[1 + style]
        if cost < best_cost:
            best, best_cost = ({**codes, HAIR: with_part(hair, HAIR_COLOUR, colour)}, gains), cost
    return best


def _doubts(chances: Floats64) -> Floats64:
    """The factors (STYLES,) of the misfits of hair styles with such ``chances`` (STYLES,), bald first."""
    chances = np.maximum(chances, LEAST_LIKELY)
    hair = np.where(np.arange(len(chances)) == 0, chances[0], chances[1:].sum())
    return np.asarray(1 - BALD_DOUBT * np.log(hair) - DOUBT * np.log(chances / hair), np.float64)


def _try_hair(easel: Easel, codes: Codes, bald: tuple[Floats, Floats]) -> tuple[Floats, Gains, float]:
    """Colour, volume and misfit of a hair style."""
    target = easel.target
    rgb, alpha = easel.draw(codes)
    gains = Gains()

    def fuller(strands: Region) -> Volume:
        return Volume.between(alpha, strands, target, easel.camera)

    def fringed(strands: Region) -> Fringe:
        return Fringe.between(alpha, strands, target, easel.camera)

    for warp in (fuller, fuller, fringed):
        surface = easel.model.surface(tensors(codes), tensors(gains))
        gains = _swollen(surface, gains, warp(strands_of(rgb, alpha, bald)))
        rgb, alpha = easel.draw(codes, gains)
    strands = strands_of(rgb, alpha, bald)
    ratio = _ratio(target.linear, rgb, strands & (target.hair > 0.5))
    colour = _dyed(codes, ratio)
    cost = _misfit(target, np.where(strands[..., None], rgb * ratio, rgb), alpha, strands)
    surface = easel.model.surface(tensors(codes))
    moved = np.linalg.norm(gains[STRAND_OFFSETS][surface.strand.numpy()], axis=-1).mean()
    length = np.linalg.norm(surface.strands.numpy() - CENTRE, axis=-1).mean()
    return colour, gains, cost * (1 + STRETCH * float(moved) + LENGTH * max(0.0, float(length) - SHORT))


def look_at_colour(easel: Easel, codes: Codes) -> Codes:
    """``codes`` with the hair of their style in the photo's colour."""
    rgb, alpha = easel.draw(codes)
    strands = strands_of(rgb, alpha, easel.draw(without_hair(codes)))
    ratio = _ratio(easel.target.linear, rgb, strands & (easel.target.hair > 0.5))
    return {**codes, HAIR: with_part(codes[HAIR], HAIR_COLOUR, _dyed(codes, ratio))}


def _dyed(codes: Codes, ratio: Floats) -> Floats:
    """The hair's colour (3,), ``ratio`` (3,) times as bright."""
    return np.asarray(np.clip(codes[HAIR][HAIR_COLOUR] * ratio, 0.003, 0.9), np.float32)


def meet_outline(easel: Easel, codes: Codes, gains: Gains) -> Gains:
    """``gains`` with the outlines of hair and of the bare head brought the last millimetres to the photo's."""
    rgb, alpha = easel.draw(codes, gains)
    hair = strands_of(rgb, alpha, easel.draw(without_hair(codes), without_strands(gains)))
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


def without_strands(gains: Gains) -> Gains:
    """``gains`` without what belongs to a hair style."""
    return {name: value for name, value in gains.items() if name != STRAND_OFFSETS}


def strands_of(rgb: Floats, alpha: Floats, bald: tuple[Floats, Floats]) -> Region:
    """Where (S, S) a drawing shows hair, for it differs from that of the ``bald`` head."""
    return np.asarray((np.abs(rgb - bald[0]).max(-1) > 0.02) | (alpha > bald[1] + 0.3), np.bool_)


def _ratio(wanted: Floats, drawn: Floats, where: Region) -> Floats:
    """The factor (3,) that brings the typical colour of ``drawn`` to that of ``wanted``."""
    if where.sum() < 8:
        return np.ones(3, np.float32)
    return np.asarray(np.median(wanted[where], axis=0) / np.maximum(np.median(drawn[where], axis=0), 1e-3), np.float32)


def _misfit(target: Target, rgb: Floats, alpha: Floats, strands: Region) -> float:
    """How far a drawing with ``strands`` (S, S) is from the photo: in coverage by head and by hair, and in colour where
    both show the head; below the chin, where clothes are, less.
    """
    drawn = linear_to_srgb(rgb / np.maximum(alpha, 0.05)[..., None])
    colour = np.minimum(np.abs(drawn - target.srgb).mean(-1), 0.4)
    weight = np.where(np.arange(target.size) < target.landmarks[points.JAW, 1].max(), 1.0, 0.3)[:, None]
    both = np.minimum(alpha, target.mask) * np.where(target.face, BARE, 1.0)
    covered = np.abs(alpha - target.mask) + ON_HAIR * np.abs(strands * alpha - target.hair)
    return float((weight * target.inside * (covered + 2 * both * colour)).sum())
