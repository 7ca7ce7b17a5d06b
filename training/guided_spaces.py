"""The latent spaces of a studio-trained bundle: means, ranges and covariances of the training codes, directions,
choices.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces import layout
from faceeditor.faces.latents import Choice, Direction, Space, as_code
from faceeditor.models.template import Template
from training import directions
from training.studio.assets import BROWS, HAIR_STYLES, IRISES, SKINS
from training.studio.factors import StudioFactors
from training.studio.sampling import sample_factors

Floats = NDArray[np.float32]

DRAWS: Final = 4000
EXAMPLES: Final = 200
IDENTITY_NORM: Final = 13.0
"""Largest length of an identity code in standard deviations: plausible ones of 100 components have about 10."""
LABELS: Final = {
    layout.IDENTITY: "Identity",
    layout.EXPRESSION: "Expression",
    layout.SKIN: "Skin",
    layout.LIGHT: "Light",
    layout.HAIR: "Hair",
}


def choices(space: str) -> tuple[Choice, ...]:
    """The exclusive choices of a space: skins, brows, irises, hair styles."""

    def made(name: str, start: slice, options: Sequence[str], none: str | None, label: str) -> Choice:
        return Choice(name, space, int(start.start), tuple(options), none, LABELS[space], label)

    if space == layout.HAIR:
        return (made("style", layout.HAIR_STYLES, HAIR_STYLES, "bald", "Style"),)
    if space == layout.SKIN:
        return (
            made("skin", layout.SKIN_WEIGHTS, SKINS, None, "Skin"),
            made("brows", layout.BROW_STYLES, BROWS, "none", "Brows"),
            made("iris", layout.IRIS_WEIGHTS, IRISES, None, "Iris"),
        )
    return ()


def neutral(space: str) -> Floats:
    """The code that "reset" means: the studio's defaults."""
    return np.asarray(StudioFactors().codes[space], np.float32)


def covariance_factor(codes: Floats) -> Floats:
    """A factor (dims, rank) of the covariance of ``codes`` (count, dims), of at least two."""
    centred = codes - codes.mean(0)
    _, spread, axes = np.linalg.svd(centred / np.sqrt(len(codes) - 1), full_matrices=False)
    rank = int((spread > 1e-4 * spread[0]).sum())
    return np.asarray((axes[:rank] * spread[:rank, None]).T, np.float32)


def make_space(name: str, codes: Floats, found: tuple[Direction, ...]) -> Space:
    """The space of training ``codes`` (count, dims)."""
    gaussian = name == layout.IDENTITY
    return Space(
        name=name,
        label=LABELS[name],
        mean=as_code(neutral(name)),
        scale=as_code(codes.std(0)),
        low=as_code(codes.min(0)),
        high=as_code(codes.max(0)),
        factor=covariance_factor(codes),
        examples=codes[:EXAMPLES],
        gaussian=gaussian,
        norm_limit=IDENTITY_NORM if gaussian else None,
        directions=found,
        choices=choices(name),
        components=layout.EXPRESSION_COMPONENTS if name == layout.EXPRESSION else (),
    )


def make_spaces(template: Template, seed: int) -> dict[str, Space]:
    """All five spaces, from ``DRAWS`` draws of the studio's factors."""
    generator = np.random.default_rng(seed)
    drawn = [sample_factors(generator).codes for _ in range(DRAWS)]
    rest = torch.zeros(1, layout.DIMS[layout.EXPRESSION])

    def landmarks_of(identity: torch.Tensor) -> torch.Tensor:
        return template.landmarks(template.vertices(identity, rest.expand(len(identity), -1)))

    found = {
        layout.IDENTITY: directions.identity_directions(landmarks_of),
        layout.EXPRESSION: directions.expression_directions(),
        layout.SKIN: directions.skin_directions(SKINS),
        layout.LIGHT: directions.light_directions(),
        layout.HAIR: directions.hair_directions(),
    }
    return {name: make_space(name, np.stack([codes[name] for codes in drawn]), found[name]) for name in layout.DIMS}
