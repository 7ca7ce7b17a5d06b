"""The latent spaces of a studio-trained ImFace++: the studio's identity and expression, longer, and fine detail."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.latents import Code, Direction, Space, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.imface import DETAIL, ImFaceConfig
from faceeditor.models.template import Template
from training.directions import words
from training.guided_spaces import DRAWS, EXAMPLES, covariance_factor, make_spaces
from training.studio.sampling import sample_expression
from training.studio.wrinkles import FAMILIES, Wrinkles

DEEPEST: Final = 1.5
"""Of the sliders of folds: the usual depth is 1."""


def imface_spaces(template: Template, wrinkles: Wrinkles, config: ImFaceConfig, seed: int) -> dict[str, Space]:
    """The spaces ``identity``, ``expression`` and ``detail``."""
    studio = make_spaces(template, seed)
    return {
        IDENTITY: lengthened(studio[IDENTITY], config.identity_dims),
        EXPRESSION: lengthened(studio[EXPRESSION], config.expression_dims),
        DETAIL: detail_space(wrinkles, config.detail_dims, seed),
    }


def lengthened(space: Space, dims: int) -> Space:
    """The same space with components that are always zero behind its own, ``dims`` in all."""

    def longer(values: NDArray[np.float32], axis: int = -1) -> NDArray[np.float32]:
        pads = [(0, 0)] * values.ndim
        pads[axis] = (0, dims - values.shape[axis])
        return np.pad(values, pads)

    def direction(old: Direction) -> Direction:
        return replace(old, vector=as_code(longer(old.vector)), reader=as_code(longer(old.reader)))

    return replace(
        space,
        mean=as_code(longer(space.mean)),
        scale=as_code(longer(space.scale)),
        low=as_code(longer(space.low)),
        high=as_code(longer(space.high)),
        factor=longer(space.factor, 0),
        examples=longer(space.examples),
        directions=tuple(direction(old) for old in space.directions),
    )


def detail_space(wrinkles: Wrinkles, dims: int, seed: int) -> Space:
    """The space of detail codes: a slider for every family of folds and one for the bumps."""
    random = np.random.default_rng(seed)
    codes = np.stack([wrinkles.sample(random, sample_expression(random)) for _ in range(DRAWS)])
    codes = np.pad(codes, ((0, 0), (0, dims - codes.shape[1])))
    return Space(
        name=DETAIL,
        label="Detail",
        mean=as_code(np.zeros(dims)),
        scale=as_code(codes.std(0)),
        low=as_code(codes.min(0)),
        high=as_code(codes.max(0)),
        factor=covariance_factor(codes),
        examples=codes[:EXAMPLES],
        gaussian=False,
        directions=fold_directions(wrinkles, dims),
    )


def fold_directions(wrinkles: Wrinkles, dims: int) -> tuple[Direction, ...]:
    """One slider for each family of :data:`training.studio.wrinkles.FAMILIES`, in its order."""
    found, start = [], 0
    for name, family in FAMILIES.items():
        end = start + family.folds * (1 if family.centred else 2)
        found.append(_folds(name, np.arange(start, end), dims))
        start = end
    return tuple(found)


def _folds(name: str, where: NDArray[np.int64], dims: int) -> Direction:
    vector: Code = np.zeros(dims, np.float32)
    vector[where] = 1
    first, *rest = name.split()
    key = first + "".join(word.title() for word in rest) + "Folds"
    return Direction(key, DETAIL, as_code(vector), as_code(vector / len(where)), 0.0, DEEPEST, "Folds", words(key))
