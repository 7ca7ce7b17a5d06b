"""What a transfer moves, read off pictures: every attribute is measured as it is seen, none by its code.

Skin is the colour of bare cheeks in even light; shape, the landmarks of the bald head from the front and at rest;
expression, how far it moves them; light, what it makes of the skin; hair, where it is seen and which colour it
has; pose, what the portrait network says. What is taken off or evened out for a reading cannot disturb it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.draw import polygon2mask
from torch.nn import functional

from faceeditor.editing.transfer import transfer
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.fitting.alignment import pose_of
from faceeditor.fitting.portrait import PortraitReader
from faceeditor.rendering.colour import linear_to_srgb, srgb8_to_linear
from faceeditor.rendering.harmonics import ambient
from training.attribute_scores import ATTRIBUTES, POSE, Features, Floats, placed_as_crops
from training.read_movements import Draw, places_and_rest, turned

Table = dict[str, dict[str, float]]

MOVES, STAYS = 0.8, 0.15
"""The least share of its way that a transferred attribute goes, and the greatest that any other does."""
EVEN: Final = as_code(ambient(np.full(3, 0.8)).ravel())
"""Light that is the same from everywhere."""
HIDDEN: Final = 0.2
"""How much hair over skin makes it other than bare."""
PATCHES: Final = {
    "right cheek": (36, 41, 40, 31, 48, 3, 2, 1),
    "left cheek": (45, 46, 47, 35, 54, 13, 14, 15),
    "nose": (39, 42, 35, 33, 31),
    "chin": (48, 59, 57, 55, 54, 10, 8, 6),
}
"""Bare skin, within landmarks, where colour and light are told."""
CELLS: Final = 16
"""Along each side of the picture of the hair."""


class TransferJudge:
    """Reads faces in what ``draw`` makes of them."""

    def __init__(self, draw: Draw, reader: PortraitReader) -> None:
        self._draw, self._reader = draw, reader

    def features(self, faces: Sequence[Face]) -> Features:
        """Of N faces: by attribute (N, features), so that differences are lengths, colours or angles."""
        each = [self._seen(face) for face in faces]
        return {name: np.stack([one[name] for one in each]) for name in ATTRIBUTES}

    def _seen(self, face: Face) -> dict[str, Floats]:
        front = turned(face, 0.0)
        even = front.with_code(LIGHT, EVEN)
        pictures = [self._draw(one) for one in (face, even)]
        said = self._reader.read(np.stack(pictures), thorough=True)
        landmarks = said.landmarks / len(pictures[0])
        places, still = places_and_rest(self._draw, self._reader, even)
        shown = _enlarged(said.hair[1], len(pictures[1])) < HIDDEN
        bare, bright = (patches(one, landmarks[1], shown) for one in (pictures[1], self._draw(front)))
        return {
            IDENTITY: still.ravel(),
            EXPRESSION: (places - still).ravel(),
            SKIN: linear_to_srgb(bare).mean(0),
            LIGHT: (bright / np.maximum(bare, 1e-3)).ravel(),
            HAIR: hair_picture(pictures[1], said.hair[1]),
            POSE: np.array(pose_of(said.rotation[0])[:2]),
        }


def patches(picture_srgb: NDArray[np.uint8], places: Floats, shown: NDArray[np.bool_]) -> Floats:
    """Mean linear colours (P, 3) of the :data:`PATCHES` in a picture (S, S, 3) with landmarks (68, 2), fractions, where
    skin is ``shown`` (S, S); where a patch shows none, of all of them.
    """
    linear = srgb8_to_linear(picture_srgb).astype(np.float64)
    corners = places[:, ::-1] * len(linear)
    inside = [
        polygon2mask(linear.shape[:2], corners[list(numbers)]) & shown  # type: ignore[no-untyped-call]
        for numbers in PATCHES.values()
    ]
    usual = linear[np.any(inside, axis=0)].mean(0)
    return np.stack([linear[mask].mean(0) if mask.any() else usual for mask in inside])


def _enlarged(mask: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    whole = functional.interpolate(torch.from_numpy(mask)[None, None], (size, size), mode="bilinear")
    return np.asarray(whole[0, 0].numpy())


def hair_picture(picture_srgb: NDArray[np.uint8], mask: NDArray[np.float32]) -> Floats:
    """Where hair is and its colours there (4 * CELLS**2,), coarse, of a picture (S, S, 3) with the ``mask`` (M, M)."""
    colours = torch.from_numpy(picture_srgb.astype(np.float32) / 255).permute(2, 0, 1)[None]
    share = torch.from_numpy(mask)[None, None]
    seen = torch.cat([torch.ones_like(share), functional.adaptive_avg_pool2d(colours, mask.shape)], 1) * share
    return functional.adaptive_avg_pool2d(seen, CELLS).flatten().double().numpy()


def moved(faces: Sequence[Face], judge: TransferJudge) -> Table:
    """By the attribute that is transferred to each face from the next: how much of the way to its source that attribute
    goes, and how much of its own way, forth or back, every other one.
    """
    faces = [placed_as_crops(face) for face in faces]
    sources = [*faces[1:], faces[0]]
    before = judge.features(faces)
    goal = {name: np.roll(values, -1, axis=0) for name, values in before.items()}
    table = {}
    for what in ATTRIBUTES:
        given = [_upright(transfer(what, source, face)) for face, source in zip(faces, sources, strict=True)]
        table[what] = shares(what, before, judge.features(given), goal)
    return table


def shares(what: str, before: Features, after: Features, goal: Mapping[str, Floats]) -> dict[str, float]:
    """Steps along the ways from ``before`` to ``goal``, summed over all pairs, as shares of the ways' lengths: of the
    attribute ``what`` forward steps less those back, of all others steps in either direction, which never make up for
    each other.
    """
    found = {}
    for name, start in before.items():
        way = goal[name] - start
        length = np.linalg.norm(way, axis=1)
        step = ((after[name] - start) * way).sum(1) / np.maximum(length, 1e-12)
        found[name] = float((step if name == what else np.abs(step)).sum() / length.sum())
    return found


def missed(table: Table) -> list[str]:
    """Where the bar is missed: what is transferred goes less than :data:`MOVES`, or something else more than
    :data:`STAYS`.
    """
    return [
        f"{what}: {name} {share:.3f}"
        for what, row in table.items()
        for name, share in row.items()
        if (share < MOVES if name == what else share > STAYS)
    ]


def _upright(face: Face) -> Face:
    return face.replace(camera=face.camera.replace(roll=0.0))
