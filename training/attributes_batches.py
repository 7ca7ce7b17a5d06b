"""What the attribute encoder is shown: captured heads before any background, placed as a reading of a photo places
them, in any light, through bad cameras; and what it should say of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, LIGHT_SHAPE, SKIN
from faceeditor.models.attributes_codes import ROT, SPACES, TRAN
from faceeditor.models.template import Template
from training.attributes_shots import ROWS, AttributeShots
from training.augment import MIRROR, Augment

ACROSS: Final = (3, 4, 7)
"""The harmonics of x to an odd power, whose sign the mirror image changes."""
GAMMA: Final = 2.2
"""By this power of sRGB values light is told nearly enough for a change of some tens of per cent."""


class Lesson(NamedTuple):
    """A batch: ``pictures`` (B, 3, S, S) and the truth of each: ``codes`` (B, dims) by head, ``landmarks`` (B, 68, 2)
    in fractions of the picture, the camera's ``distance`` (B,) in metres.
    """

    pictures: Tensor
    codes: Mapping[str, Tensor]
    landmarks: Tensor
    distance: Tensor


@dataclass(frozen=True)
class Relight:
    """Spread of the logarithm of ``exposure`` and of ``balance``, exposure by colour, that pictures are changed by,
    together with their light.
    """

    exposure: float = 0.2
    balance: float = 0.07


class Lessons:
    """Draws batches from shots, half of them mirrored as the ``template`` says."""

    def __init__(
        self, shots: AttributeShots, augment: Augment, template: Template, relight: Relight, *, mirror: bool = True
    ) -> None:
        self.shots, self.augment, self.template, self.relight, self.mirror = shots, augment, template, relight, mirror

    def forever(self, batch: int) -> Iterator[Lesson]:
        """Batches without end; every shot once before any comes again."""
        order = torch.randperm(len(self.shots))
        while True:
            while len(order) < batch:
                order = torch.cat([order, torch.randperm(len(self.shots))])
            chosen, order = order[:batch], order[batch:]
            yield self.take(chosen)

    def take(self, chosen: Tensor) -> Lesson:
        """The batch made of the shots with the numbers ``chosen`` (B,)."""
        shots = self.shots.take(chosen)
        if self.mirror:
            shots = either(torch.rand(len(chosen)) < 0.5, mirrored(shots, self.template), shots)
        shots = relit(shots, self.relight)
        sample = self.augment(shots.pictures, shots.landmarks, shots.upright)
        codes = {head: shots.codes[space] for space, head in SPACES.items()}
        pose = placed(shots, sample.landmarks, sample.turn)
        return Lesson(sample.pictures, {**codes, **pose}, sample.landmarks, shots.distance)


def placed(shots: AttributeShots, landmarks: Tensor, turn: Tensor) -> dict[str, Tensor]:
    """What the pose's heads should say where a similarity that turns by ``turn`` (B, 2, 2) has brought the shots'
    landmarks to ``landmarks`` (B, 68, 2).
    """
    before, after = shots.landmarks.mean(1), landmarks.mean(1)
    zoom = _extent(landmarks - after[:, None]) / _extent(shots.landmarks - before[:, None])
    middle = after + zoom[:, None] * (turn @ (shots.middle - before)[..., None])[..., 0]
    clockwise = torch.rad2deg(torch.atan2(turn[:, 1, 0], turn[:, 0, 0]))
    rotation = torch.stack([shots.rotation[:, 0], shots.rotation[:, 1], shots.rotation[:, 2] - clockwise], dim=1)
    size = torch.log(zoom * shots.focal / shots.distance)
    return {ROT: rotation, TRAN: torch.cat([middle - 0.5, size[:, None]], dim=1)}


def _extent(centred: Tensor) -> Tensor:
    return centred.square().sum((1, 2)).sqrt()


def relit(shots: AttributeShots, relight: Relight) -> AttributeShots:
    """The same heads in stronger or weaker light, of another colour."""
    count = len(shots)
    gain = torch.exp(relight.exposure * torch.randn(count, 1) + relight.balance * torch.randn(count, 3))
    alpha = shots.pictures[:, 3:4].float()
    colour = torch.minimum(shots.pictures[:, :3] * gain[..., None, None] ** (1 / GAMMA), alpha)
    pictures = torch.cat([colour.round().byte(), shots.pictures[:, 3:]], dim=1)
    light = (shots.codes[LIGHT].reshape(count, *LIGHT_SHAPE) * gain[:, None]).flatten(1)
    return replace(shots, pictures=pictures, codes={**shots.codes, LIGHT: light})


def mirrored(shots: AttributeShots, template: Template) -> AttributeShots:
    """The mirror images of heads, and the codes that draw them. Hair styles and skins count as even."""
    across = torch.tensor([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    light = shots.codes[LIGHT].reshape(-1, *LIGHT_SHAPE).clone()
    light[:, ACROSS] *= -1
    expression = shots.codes[EXPRESSION].clone()
    used = len(template.expression_mirror)
    expression[:, :used] = shots.codes[EXPRESSION][:, template.expression_mirror]
    return replace(
        shots,
        pictures=shots.pictures.flip(-1),
        landmarks=shots.landmarks[:, MIRROR] * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0]),
        upright=across @ shots.upright @ across,
        rotation=shots.rotation * torch.tensor([-1.0, 1, -1]),
        middle=shots.middle * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0]),
        codes={
            IDENTITY: shots.codes[IDENTITY] * template.identity_signs,
            EXPRESSION: expression,
            LIGHT: light.flatten(1),
            SKIN: shots.codes[SKIN],
            HAIR: shots.codes[HAIR],
        },
    )


def either(which: Tensor, first: AttributeShots, second: AttributeShots) -> AttributeShots:
    """Those of ``first`` where ``which`` (B,) says so, those of ``second`` else."""

    def chosen(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(which.reshape(-1, *[1] * (one.dim() - 1)), one, other)

    rows: dict[str, Any] = {name: chosen(getattr(first, name), getattr(second, name)) for name in ROWS}
    codes = {name: chosen(code, second.codes[name]) for name, code in first.codes.items()}
    return replace(second, **rows, codes=codes)
