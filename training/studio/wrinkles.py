"""Fine detail of the studio's heads: folds that deepen with age and with expressions, and low bumps of each person.

A detail code's components are depths of folds and heights of bumps at fixed places of the mean head; the skin is moved
along its normal by their sum. Detail therefore moves with the skin, as in ImFace++ (section 3.2).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.faces.layout import EXPRESSION_COMPONENTS

Floats = NDArray[np.float64]

MM: Final = 1e-3
MIRROR: Final = np.array([-1.0, 1.0, 1.0])


class Family(NamedTuple):
    """Parallel folds near one landmark, listed for the subject's left side.

    ``start`` millimetres from the landmark with number ``landmark``; ``step`` to the next of ``folds``; ``along``
    is the direction of a fold and ``fan`` degrees by which each next one is turned about the viewer's axis; ``length``
    and ``width`` are standard deviations in millimetres, ``depth`` is the largest usual depth in millimetres.
    ``drivers`` are the movements that deepen it, on its own side; ``centred`` folds are not mirrored.
    """

    landmark: int
    start: tuple[float, float, float]
    step: tuple[float, float, float]
    folds: int
    along: tuple[float, float, float]
    fan: float
    length: float
    width: float
    depth: float
    drivers: tuple[str, ...]
    centred: bool = False


FAMILIES: Final[dict[str, Family]] = {
    "forehead": Family(24, (-7, 13, 0), (0, 7, -1), 5, (1, 0, 0), 0, 13, 1.5, 0.9, ("browInnerUp", "browOuterUp")),
    "frown": Family(27, (5, 12, 0), (-2.5, 1, 0), 2, (0.15, 1, 0), 0, 6, 1.4, 1.08, ("browDown",)),
    "root": Family(27, (0, 1, 0), (0, -4, 0), 2, (1, 0, 0), 0, 5, 1.2, 0.72, ("noseSneer",), centred=True),
    "crow": Family(45, (10, 6, -6), (0, -4, 0), 4, (0.9, 0.5, -0.6), -18, 6, 1.1, 0.81, ("eyeSquint", "mouthSmile")),
    "under eye": Family(47, (-2, -6, 0), (1, -4, 0), 2, (1, 0.1, -0.2), 0, 8, 1.3, 0.72, ("cheekSquint", "eyeSquint")),
    "smile": Family(35, (9, -3, -6), (6, -2, -4), 2, (0.35, -1, -0.1), 0, 11, 2.0, 1.44, ("mouthSmile", "noseSneer")),
    "marionette": Family(54, (5, -9, -4), (5, 0, -3), 2, (0.1, -1, 0), 0, 8, 1.7, 0.9, ("mouthFrown", "mouthPress")),
    "lip": Family(52, (-2, 4, 0), (5, 0, -1.5), 3, (0.1, 1, 0), 0, 4, 0.9, 0.54, ("mouthPucker",)),
    "chin": Family(57, (0, -11, -1), (0, -8, 0), 2, (1, 0, 0), 0, 9, 1.8, 0.9, ("mouthShrugLower",), centred=True),
}  # fmt: skip
"""The folds of the studio's skin."""

BUMPS: Final[tuple[tuple[int, tuple[float, float, float]], ...]] = (
    (35, (22, 8, -12)), (35, (30, -12, -22)), (45, (6, -20, -8)), (54, (14, 4, -12)), (54, (12, -18, -14)),
    (24, (6, 24, -8)),
)  # fmt: skip
"""Landmark and offset in millimetres of the low bumps on the subject's left side."""
BUMP_WIDTH: Final = 5.0
BUMP_HEIGHT: Final = 0.6
ACROSS_SKIN: Final = 10.0
"""Millimetres across the skin over which detail is the same: it must not reach the back of the head or the tongue."""


@dataclass(frozen=True, eq=False)
class Wrinkles:
    """Folds and bumps, J together: ``centres``, unit ``along`` and ``across`` (J, 3) on the mean head in metres,
    ``sizes`` (J, 2) standard deviations along and across, ``heights`` (J,) what one unit of the code adds at most,
    ``fold`` (J,) true for folds; ``drivers`` (J, expressions) which movements deepen each.
    """

    centres: Floats
    along: Floats
    across: Floats
    sizes: Floats
    heights: Floats
    fold: NDArray[np.bool_]
    drivers: Floats

    @classmethod
    def of(cls, landmarks: NDArray[np.floating]) -> Self:
        """The studio's detail on a mean head with ``landmarks`` (68, 3) in metres."""
        rows = [*_folds(landmarks), *_bumps(landmarks)]
        return cls(*(np.array(column) for column in zip(*rows, strict=True)))

    def __len__(self) -> int:
        return len(self.heights)

    def sample(self, random: np.random.Generator, expression: NDArray[np.floating]) -> NDArray[np.float32]:
        """The components (J,) of a person of some age who makes ``expression`` (53 weights or more)."""
        age = np.sqrt(random.random())
        movement = self.drivers @ np.asarray(expression)[: self.drivers.shape[1]]
        folds = age * random.normal(1, 0.35, len(self)).clip(0) * (0.5 + 0.5 * movement.clip(0, 1))
        return np.where(self.fold, folds, random.normal(0, 0.6, len(self))).astype(np.float32)

    @cached_property
    def _tensors(self) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(x) for x in (self.centres, self.along, self.across, self.sizes, self.heights))

    def displacement(self, places: Tensor, code: Tensor) -> Tensor:
        """Metres (N,) by which the skin moves outwards where the mean head has ``places`` (N, 3), with gradients."""
        centres, along, across, sizes, heights = self._tensors
        offset = places[:, None] - centres
        forth, aside = (offset * along).sum(-1) / sizes[:, 0], (offset * across).sum(-1) / sizes[:, 1]
        inwards = (offset * torch.linalg.cross(along, across)).sum(-1) / (ACROSS_SKIN * MM)
        bell = torch.exp(-0.5 * (forth**2 + aside**2 + inwards**4))
        groove = torch.where(torch.from_numpy(self.fold), -(1 - aside**2), torch.ones_like(aside))
        return (bell * groove * heights * code[: len(self)]).sum(-1)


class Heights(Protocol):
    """Tells how far skin is moved outwards."""

    def displacement(self, places: Tensor, code: Tensor, /) -> Tensor:
        """Heights (N,) at ``places`` (N, C), with gradients to them."""


def wrinkled(
    corners: Tensor, normals: Tensor, rest: Tensor, weights: Tensor, wrinkles: Heights, code: Tensor
) -> tuple[Tensor, Tensor]:
    """Points and unit normals (N, 3) of the detailed skin, in the unit of ``corners`` and of the heights.

    Each point lies in a triangle with ``corners`` and unit ``normals`` (N, 3, 3), at ``weights`` (N, 3); ``rest``
    (N, 3, C) are the triangles' places where ``wrinkles`` are known.
    """
    place = (weights[..., None] * rest).sum(1).requires_grad_()
    height = wrinkles.displacement(place, code)
    (slope,) = torch.autograd.grad(height.sum(), place)
    normal = torch.nn.functional.normalize((weights[..., None] * normals).sum(1), dim=-1)
    edges = corners[:, 1:] - corners[:, :1]
    climbs = ((rest[:, 1:] - rest[:, :1]) * slope[:, None]).sum(-1, keepdim=True)
    tangents = edges + climbs * normal[:, None]
    across = torch.nn.functional.normalize(torch.linalg.cross(tangents[:, 0], tangents[:, 1]), dim=-1)
    points = (weights[..., None] * corners).sum(1) + height.detach()[:, None] * normal
    return points, across


def _folds(landmarks: NDArray[np.floating]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for family in FAMILIES.values():
        for number in range(family.folds):
            place = landmarks[family.landmark] + (np.array(family.start) + number * np.array(family.step)) * MM
            turn = np.radians(family.fan * number)
            x, y, z = np.array(family.along) / np.linalg.norm(family.along)
            way = np.array([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y, z])
            for side in (1,) if family.centred else (1, -1):
                sides = ("Left", "Right") if family.centred else ("Left",) if side > 0 else ("Right",)
                drivers = [name + end for name in family.drivers for end in ("", *sides)]
                rows.append(_row(place, way, side, (family.length, family.width), family.depth, True, drivers))
    return rows


def _bumps(landmarks: NDArray[np.floating]) -> list[tuple[object, ...]]:
    places = [landmarks[landmark] + np.array(offset) * MM for landmark, offset in BUMPS]
    size = (BUMP_WIDTH, BUMP_WIDTH)
    return [
        _row(place, np.array([0.0, 1.0, 0.0]), side, size, BUMP_HEIGHT, False, [])
        for place in places
        for side in (1, -1)
    ]


def _row(
    place: Floats, along: Floats, side: int, size: tuple[float, float], height: float, fold: bool, drivers: list[str]
) -> tuple[object, ...]:
    """One line of the tables of :class:`Wrinkles`, mirrored for ``side`` -1."""
    outwards = _outwards(place)
    along = along - (along @ outwards) * outwards
    along /= np.linalg.norm(along)
    across = np.cross(outwards, along)
    mirror = MIRROR if side < 0 else np.ones(3)
    driven = np.isin(EXPRESSION_COMPONENTS, drivers)
    driven = driven / max(driven.sum(), 1)
    return place * mirror, along * mirror, across * mirror, np.array(size) * MM, height * MM, fold, driven


def _outwards(place: Floats) -> Floats:
    """Roughly the skin's normal: away from an upright axis inside the head."""
    away = place * [1.0, 0.35, 1.0] - [0.0, 0.0, -0.005]
    return np.asarray(away / np.linalg.norm(away))
