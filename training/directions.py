"""Named directions: what the sliders of a studio-trained bundle mean.

A direction has a *vector*, what one unit of the slider adds to a code, and a *reader*, which reads the slider's value
off a code. Expression, tint, lamps and colours are directions by construction and their readers are the dual basis.
Identity directions are found by regression: a measure of the shape, taken on random identities, is regressed on the
code.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces import layout
from faceeditor.faces.latents import Direction, as_code
from faceeditor.rendering import harmonics

Floats = NDArray[np.float32]
Measure = Callable[[Floats], Floats]
"""A length in metres (count,) of landmarks (count, 68, 3)."""


def words(name: str) -> str:
    """``mouthSmileLeft`` -> ``Mouth smile left``."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return spaced[:1].upper() + spaced[1:]


def dual(space: str, named: dict[str, tuple[Floats, float, float]], group: str) -> tuple[Direction, ...]:
    """Directions with given vectors and ranges, read by their dual basis so that no slider moves another."""
    vectors = np.stack([vector for vector, _, _ in named.values()])
    readers = np.linalg.pinv(vectors).T
    return tuple(
        Direction(name, space, as_code(vector), as_code(reader), low, high, group, words(name))
        for (name, (vector, low, high)), reader in zip(named.items(), readers, strict=True)
    )


def unit(space: str, positions: slice | int, values: Sequence[float] | Floats | float = 1.0) -> Floats:
    """A vector of ``space`` with ``values`` at ``positions`` and zero elsewhere."""
    vector = np.zeros(layout.DIMS[space], np.float32)
    vector[positions] = values
    return vector


EXPRESSION_GROUPS: Final = {
    "brow": "Brows",
    "eye": "Eyes",
    "jaw": "Jaw",
    "mouth": "Mouth",
    "cheek": "Cheeks",
    "nose": "Nose",
}


def expression_directions() -> tuple[Direction, ...]:
    """The 51 ARKit names, each from 0 to 1."""
    found = []
    for name, parts in layout.ARKIT.items():
        where = [layout.EXPRESSION_COMPONENTS.index(part) for part in parts]
        vector = np.zeros(layout.DIMS[layout.EXPRESSION], np.float32)
        vector[where] = 1.0
        group = next(label for start, label in EXPRESSION_GROUPS.items() if name.startswith(start))
        reader = as_code(vector / len(where))
        found.append(Direction(name, layout.EXPRESSION, as_code(vector), reader, 0.0, 1.0, group, words(name)))
    return tuple(found)


def _gap(first: int, second: int, axis: int | None = None) -> Measure:
    def measure(landmarks: Floats) -> Floats:
        difference = landmarks[:, second] - landmarks[:, first]
        return np.asarray(difference[:, axis] if axis is not None else np.linalg.norm(difference, axis=-1), np.float32)

    return measure


def _mean(*measures: Measure) -> Measure:
    return lambda landmarks: np.mean([measure(landmarks) for measure in measures], axis=0)


X, Y, Z = 0, 1, 2

SHAPES: Final[dict[str, tuple[str, Measure]]] = {
    "faceWidth": ("Face", _gap(1, 15)),
    "faceLength": ("Face", _gap(8, 27, Y)),
    "cheekWidth": ("Face", _gap(2, 14)),
    "jawWidth": ("Jaw", _gap(5, 11)),
    "jawAngle": ("Jaw", _mean(_gap(4, 2, Y), _gap(12, 14, Y))),
    "chinLength": ("Jaw", _gap(8, 57, Y)),
    "chinWidth": ("Jaw", _gap(7, 9)),
    "chinForward": ("Jaw", _gap(33, 8, Z)),
    "noseLength": ("Nose", _gap(33, 27, Y)),
    "noseWidth": ("Nose", _gap(31, 35)),
    "noseForward": ("Nose", _gap(33, 30, Z)),
    "noseTipUp": ("Nose", _gap(33, 30, Y)),
    "noseBridge": ("Nose", _mean(_gap(39, 27, Z), _gap(42, 27, Z))),
    "mouthWidth": ("Mouth", _gap(48, 54)),
    "mouthHeight": ("Mouth", _gap(57, 33, Y)),
    "upperLip": ("Mouth", _gap(62, 51, Y)),
    "lowerLip": ("Mouth", _gap(57, 66, Y)),
    "mouthForward": ("Mouth", _mean(_gap(33, 51, Z), _gap(33, 57, Z))),
    "eyeWidth": ("Eyes", _mean(_gap(36, 39), _gap(42, 45))),
    "eyeOpening": ("Eyes", _mean(_gap(41, 37, Y), _gap(46, 44, Y))),
    "eyeDistance": ("Eyes", _gap(39, 42)),
    "eyeTilt": ("Eyes", _mean(_gap(39, 36, Y), _gap(42, 45, Y))),
    "eyeDepth": ("Eyes", _mean(_gap(36, 27, Z), _gap(45, 27, Z))),
    "browHeight": ("Brows", _mean(_gap(37, 19, Y), _gap(44, 24, Y))),
    "browDistance": ("Brows", _gap(21, 22)),
    "browArch": ("Brows", _mean(_gap(17, 19, Y), _gap(26, 24, Y))),
    "browForward": ("Brows", _mean(_gap(37, 19, Z), _gap(44, 24, Z))),
}
"""Measured lengths of the neutral face, by the group they are shown in."""

DRAWS: Final = 2000
IDENTITY_SIGMA: Final = 0.8
IDENTITY_RANGE: Final = 3.0


def identity_directions(landmarks_of: Callable[[torch.Tensor], torch.Tensor], seed: int = 0) -> tuple[Direction, ...]:
    """Directions of the identity code, one unit being one standard deviation of the measured length.

    ``landmarks_of`` gives neutral landmarks (count, 68, 3) of identity codes (count, 100). A measure's gradient is
    found by least squares on random identities; it is the direction in which the measure grows fastest at equal
    plausibility.
    """
    codes = (
        np.random.default_rng(seed).normal(0, IDENTITY_SIGMA, (DRAWS, layout.DIMS[layout.IDENTITY])).astype(np.float32)
    )
    with torch.no_grad():
        landmarks = landmarks_of(torch.from_numpy(codes)).numpy()
    design = np.concatenate([codes, np.ones((DRAWS, 1), np.float32)], axis=1)
    found = []
    for name, (group, measure) in SHAPES.items():
        gradient = np.linalg.lstsq(design, measure(landmarks), rcond=None)[0][:-1]
        length = float(np.linalg.norm(gradient))
        vector, reader = IDENTITY_SIGMA * gradient / length, gradient / (IDENTITY_SIGMA * length)
        found.append(
            Direction(
                name,
                layout.IDENTITY,
                as_code(vector),
                as_code(reader),
                -IDENTITY_RANGE,
                IDENTITY_RANGE,
                group,
                words(name),
            )
        )
    return tuple(found)


def light_directions() -> tuple[Direction, ...]:
    """Lamps that can be turned up from six sides, ambient light, and warmth."""
    sides = {
        "lampFront": (0.0, 0.2, 1.0),
        "lampLeft": (1.0, 0.2, 0.3),
        "lampRight": (-1.0, 0.2, 0.3),
        "lampAbove": (0.0, 1.0, 0.2),
        "lampBelow": (0.0, -1.0, 0.4),
        "lampBehind": (0.0, 0.3, -1.0),
    }
    white = np.ones(3, np.float32)
    named = {
        name: (harmonics.directional(np.array(side) / np.linalg.norm(side), white).reshape(-1), -0.5, 2.0)
        for name, side in sides.items()
    }
    named["ambient"] = (harmonics.ambient(white).reshape(-1), -0.5, 1.5)
    named["warmth"] = (harmonics.ambient(np.array([0.5, 0.0, -0.5])).reshape(-1), -1.0, 1.0)
    return dual(layout.LIGHT, named, "Light")


def hair_directions() -> tuple[Direction, ...]:
    """Hair colour as lightness and warmth, and gloss."""
    hair = layout.HAIR
    return dual(
        hair,
        {
            "lightness": (unit(hair, layout.HAIR_COLOUR, (1.0, 0.8, 0.6)), 0.0, 0.6),
            "warmth": (unit(hair, layout.HAIR_COLOUR, (0.3, -0.1, -0.3)), -0.3, 0.6),
            "green": (unit(hair, layout.HAIR_COLOUR, (-0.3, 0.6, -0.3)), -0.2, 0.5),
            "gloss": (unit(hair, layout.HAIR_GLOSS), 0.0, 1.0),
        },
        "Hair",
    )


def skin_directions(skins: Sequence[str]) -> tuple[Direction, ...]:
    """Tint, sheen and brow colour, and the skins' labelled age, depth of colour and femininity.

    ``skins`` names the skins in the code's order; age, colour and sex are read off the names.
    """
    skin = layout.SKIN
    made = dual(
        skin,
        {
            "lightness": (unit(skin, layout.SKIN_TINT, (1, 0, 0)), -0.4, 0.4),
            "warmth": (unit(skin, layout.SKIN_TINT, (0, 1, 0)), -0.3, 0.3),
            "redness": (unit(skin, layout.SKIN_TINT, (0, 0, 1)), -0.3, 0.3),
            "sheen": (unit(skin, layout.SHEEN), 0.0, 1.0),
            "browLightness": (unit(skin, layout.BROW_COLOUR, (1.0, 0.8, 0.6)), 0.0, 0.5),
        },
        "Skin",
    )
    labels = {
        "age": [{"young": 0.0, "middleage": 0.5, "old": 1.0}[name.split("_")[0]] for name in skins],
        "darkness": [float("dark" in name) for name in skins],
        "femininity": [float("female" in name) for name in skins],
    }
    return made + tuple(_labelled(name, np.array(values, np.float32)) for name, values in labels.items())


def _labelled(name: str, label: Floats) -> Direction:
    """The direction among skin weights along which the expected ``label`` rises by one and the weights' sum stays."""
    centred = label - label.mean()
    vector = unit(layout.SKIN, layout.SKIN_WEIGHTS, centred / (centred @ centred))
    reader = unit(layout.SKIN, layout.SKIN_WEIGHTS, label)
    return Direction(name, layout.SKIN, as_code(vector), as_code(reader), -0.5, 0.5, "Skin", words(name))
