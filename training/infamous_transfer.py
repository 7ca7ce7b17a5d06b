"""Expressions given from one held-out person to another by the aligned and by the "naive" training (section 4, Fig. 5),
and what named sliders move on held-out people's fits.

Nothing but pictures is compared: landmarks that the portrait network reads off what the model draws, against those that
it reads off the studio's pictures of the same person with the giver's true expression.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import ARKIT, DIMS, EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.fitting.easel import Codes, Gains
from faceeditor.fitting.portrait import PortraitReader
from faceeditor.models.infamous import FaceCodes, Infamous
from faceeditor.models.layers import tensors
from training.attribute_scores import BEHIND, SIZE, drawn
from training.evaluate_infamous import Trial, fitted
from training.infamous_expressions import Heard, Movements
from training.read_movements import Draw, Floats, places_and_rest
from training.studio.factors import StudioFactors
from training.studio.renderer import Studio

STEPS: Final = 300
RATE: Final = 0.03
USUAL: Final = 0.02
"""Latent optimisation of ε: Adam's steps and their size, and how much codes at their usual distance weigh, in mm."""
CORNERS: Final = (36, 45)
"""The outer corners of the eyes; their distance is the unit of errors."""
SLIDERS: Final = (
    "jawOpen", "jawLeft", "mouthLeft", "mouthSmileLeft", "mouthFrownLeft", "mouthStretchLeft", "mouthUpperUpLeft",
    "mouthPucker", "mouthFunnel", "mouthRollLower", "cheekPuff", "noseSneerLeft", "eyeBlinkLeft", "browDownLeft",
    "browOuterUpLeft", "browInnerUp",
)  # fmt: skip
"""Sliders whose movements are seen from the front."""
AMOUNT: Final = 0.8
Giving = Callable[["Held", "Held"], NDArray[np.float32]]
"""The expression (64,) that a taker, the second, wears when a giver's is given."""


@dataclass(frozen=True, eq=False)
class Held:
    """A held-out person: what a fit found, ``codes`` and ``gains``, and the true ``factors`` of the fitted picture."""

    codes: Codes
    gains: Gains
    factors: StudioFactors

    def fit(self, expression: NDArray[np.float32]) -> Face:
        """The fitted face with another expression, upright and from the front."""
        return Face("", "", {**self.codes, EXPRESSION: as_code(expression)}, Camera(), refinement=self.gains)

    def truth(self, expression: NDArray[np.float32]) -> Face:
        """The person with another expression, likewise."""
        return Face("", "", {**self.factors.codes, EXPRESSION: as_code(expression)}, Camera())


def fits(several: Sequence[Trial], starts: Sequence[tuple[Codes, Gains]], model: Infamous) -> list[Held]:
    """Held-out people as fits of ``model`` find them."""
    return [
        Held(codes, fitted(trial, model, codes, gains), trial.shown.factors)
        for trial, (codes, gains) in zip(several, starts, strict=True)
    ]


def found_code(heard: Heard, theta: Tensor, beta: Tensor, expression: Tensor, moved: Movements) -> Tensor:
    """ε (1, epsilon) that says an ``expression`` (1, 64) to a person with θ and β (1, dims), by latent optimisation
    that begins in the middle of all codes.
    """
    rows = heard.table.flatten(0, 1)
    middle, spread = rows.mean(0, keepdim=True), rows.std(0, keepdim=True)
    step = torch.zeros_like(middle).requires_grad_()
    adam = torch.optim.Adam([step], lr=RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        with torch.enable_grad():
            said = heard(theta, beta, middle + step)
            loss = moved.loss(said, expression) + USUAL * (step / spread).square().mean()
        torch.autograd.backward(loss)
        adam.step()
    return (middle + step).detach()


def as_learned(heard: Heard, model: Infamous, moved: Movements) -> Giving:
    """What expression codes do that a training learned to hear: the giver's ε is found by what the fit shows, and the
    taker's own network says what it means.
    """
    codes: dict[Held, Tensor] = {}

    @torch.no_grad()
    def own(person: Held) -> FaceCodes:
        found: FaceCodes = model.from_studio({name: code[None] for name, code in tensors(person.codes).items()})
        return found

    def giving(giver: Held, taker: Held) -> NDArray[np.float32]:
        if giver not in codes:
            gives, wanted = own(giver), torch.from_numpy(np.array(giver.codes[EXPRESSION]))[None]
            codes[giver] = found_code(heard, gives.theta, gives.beta, wanted, moved)
        takes = own(taker)
        said: NDArray[np.float32] = heard(takes.theta, takes.beta, codes[giver])[0].numpy()
        return said

    return giving


def givings(variants: Mapping[str, Heard], model: Infamous, moved: Movements) -> dict[str, Giving]:
    """All that are compared: the ``variants``, the shipped model, whose codes the template moves by, and no expression
    at all.
    """
    return {
        "shipped": lambda giver, taker: np.asarray(giver.codes[EXPRESSION]),
        **{name: as_learned(heard, model, moved) for name, heard in variants.items()},
        "nothing": lambda giver, taker: np.zeros(DIMS[EXPRESSION], np.float32),
    }


def by_model(model: Infamous) -> Draw:
    """Draws faces by a model."""
    return lambda face: drawn(model, face)


def by_studio(studio: Studio) -> Draw:
    """Draws faces by the studio."""
    return lambda face: studio.shoot(StudioFactors.from_codes(face.codes, face.camera), SIZE, BEHIND).picture_srgb


@dataclass(frozen=True, eq=False)
class Reading:
    """Reads how expressions move held-out people as ``model`` draws their fits, and in truth, drawn by ``studio``."""

    model: Draw
    studio: Draw
    reader: PortraitReader

    def truth(self, person: Held, expression: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Landmarks of the person with an ``expression``, and at rest."""
        return places_and_rest(self.studio, self.reader, person.truth(expression))

    def transfer(self, taker: Held, expression: NDArray[np.float32], true: tuple[Floats, Floats]) -> dict[str, float]:
        """Landmarks of the ``taker``'s fit with an ``expression`` against the :meth:`truth`, in percent of the distance
        between the eyes' outer corners; and ``moved``, the same of how far they have moved, which neither the fit's
        shape nor the reader's habits disturb.
        """
        places, rest = places_and_rest(self.model, self.reader, taker.fit(expression))
        true_places, true_rest = true
        unit = float(np.linalg.norm(true_rest[:, CORNERS[0]] - true_rest[:, CORNERS[1]], axis=-1).mean()) / 100
        return {
            "landmarks": _apart(places, true_places) / unit,
            "moved": _apart(places - rest, true_places - true_rest) / unit,
        }

    def slider(self, person: Held, name: str) -> dict[str, float]:
        """What a slider does to the person's fit, against the truth: the cosine of both movements, and how much of the
        ``way`` the fit's goes.
        """
        wanted = slider(name)
        there, rest = places_and_rest(self.model, self.reader, person.fit(wanted))
        true_there, true_rest = self.truth(person, wanted)
        way, step = (true_there - true_rest).ravel(), (there - rest).ravel()
        along = float(step @ way)
        return {"cosine": along / float(np.linalg.norm(step) * np.linalg.norm(way)), "way": along / float(way @ way)}


def slider(name: str) -> NDArray[np.float32]:
    """The expression (64,) of a named slider at :data:`AMOUNT`, at rest otherwise."""
    found = np.zeros(DIMS[EXPRESSION], np.float32)
    found[[EXPRESSION_COMPONENTS.index(part) for part in ARKIT[name]]] = AMOUNT
    return found


def _apart(first: Floats, second: Floats) -> float:
    return float(np.linalg.norm(first - second, axis=-1).mean())


def transfers(
    people: Sequence[Held], gives: Mapping[str, Giving], moved: Movements, reading: Reading
) -> Iterator[tuple[str, dict[str, float]]]:
    """Mean figures of each way of giving: everybody's expression given to the next, read off pictures; and given to
    everybody else, ``template_mm`` between the template's landmarks and those of the true expression.
    """
    pairs = list(zip(people, [*people[1:], people[0]], strict=True))
    truths = [reading.truth(taker, giver.factors.expression) for giver, taker in pairs]
    for name, give in gives.items():
        worn = {(one, other): give(one, other) for one in people for other in people if one is not other}
        true = {one: torch.from_numpy(np.array(one.factors.expression))[None] for one in people}
        off = [
            float(moved.distance(torch.from_numpy(np.array(found))[None], true[giver]))
            for (giver, _), found in worn.items()
        ]
        rows = [
            reading.transfer(taker, worn[giver, taker], truth)
            for (giver, taker), truth in zip(pairs, truths, strict=True)
        ]
        yield (
            name,
            {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} | {"template_mm": float(np.mean(off))},
        )


def sliders(people: Sequence[Held], reading: Reading) -> dict[str, dict[str, float]]:
    """Mean figures of each of the :data:`SLIDERS` on ``people``'s fits."""
    found = {}
    for name in SLIDERS:
        rows = [reading.slider(person, name) for person in people]
        found[name] = {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}
    return found
