"""People as free-form deformations of one head, and where points of a person's head lie on it.

Offsets of control points are interpolated by quadratic B-splines (Sederberg and Parry, "Free-Form Deformation of Solid
Geometric Models", 1986); they are linear in the identity code. The way back, from a person to the mean head, is what
planes are asked through: w(x) = -d(x + w(x)) is iterated, on the control points once for a person and a last time at
every point. The thesis has no such thing.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import torch
from torch import Tensor, nn

from faceeditor.models.memo import Memo

REACH: Final = 0.002
"""The model's units that steps are counted in: stored sizes are neither large nor tiny."""
STEPS: Final = 127
"""Steps to either side."""
TAPS: Final = 3
"""Control points along each axis that a point sees."""
ROUNDS: Final = 3
"""Iterations on the control points; each leaves about a fifth of the error."""
SHARPER: Final = 1 / 8
"""The share of second differences by which a quadratic B-spline smooths the values of its control points."""


@dataclass(frozen=True, eq=False)
class BoundWarp:
    """One person's warp, or those of a batch. ``forward`` (..., S S S, 3) are the offsets of control points over
    [-1, 1]³ that take the mean head to the person; those of the way back, about, may be ``known``.
    """

    forward: Tensor
    known: Tensor | None = None

    @cached_property
    def back(self) -> Tensor:
        """The offsets (..., S S S, 3) of control points for the way back, found when they are first asked for."""
        if self.known is not None:
            return self.known
        places = control_points(side_of(self.forward)).to(self.forward).expand_as(self.forward)
        found = torch.zeros_like(self.forward)
        for _ in range(ROUNDS):
            found = -looked_up(self.forward, places + found)
        return _sharper(found)

    def __call__(self, points: Tensor) -> Tensor:
        """Offsets (..., N, 3) from ``points`` (..., N, 3) of the person to the mean head; they may be differentiated
        twice.
        """
        return -looked_up(self.forward, points + looked_up(self.back, points))

    def moved(self, points: Tensor) -> Tensor:
        """Offsets (..., N, 3) from ``points`` (..., N, 3) of the mean head to the person."""
        return looked_up(self.forward, points)

    def one(self, number: int) -> "BoundWarp":
        """The warp with this ``number`` in a batch."""
        return BoundWarp(self.forward[number], self.back[number])


class Warp(nn.Module):
    """The warps of all identity codes: ``side`` control points along each axis, which each of the code's first ``dims``
    components moves by so many ``steps`` (kept, 3, dims) of a ``size`` (3, dims) of its own. ``kept`` of them have
    offsets of their own, the others those of their ``owner`` (S S S,) among them: little of the box is near a head.
    """

    owner: Tensor
    steps: Tensor
    size: Tensor

    def __init__(self, side: int, kept: int, dims: int) -> None:
        super().__init__()
        self.side = side
        self._offsets: Memo[Tensor] = Memo(1)
        self.register_buffer("owner", torch.arange(side**3, dtype=torch.int32) % kept)
        self.register_buffer("steps", torch.zeros(kept, 3, dims, dtype=torch.int8))
        self.register_buffer("size", torch.zeros(3, dims))

    @classmethod
    def of(cls, offsets: Tensor, owner: Tensor) -> Self:
        """The warp whose control points each component moves by ``offsets`` (kept, 3, dims), to within half a step."""
        warp = cls(round(math.cbrt(len(owner))), len(offsets), offsets.shape[-1])
        warp.size.copy_(offsets.abs().amax(0) / (REACH * STEPS))
        warp.steps.copy_((offsets / (REACH * warp.size).clamp_min(1e-12)).round())
        warp.owner.copy_(owner)
        return warp

    @property
    def dims(self) -> int:
        """How many components of the code move points."""
        return self.size.shape[-1]

    @property
    def offsets(self) -> Tensor:
        """By what each component moves the control points that are kept: (kept, 3, dims)."""
        stored = self.size.device, self.size.dtype, self.size._version, self.steps._version
        return self._offsets.get(stored, lambda: REACH * self.size * self.steps)

    def bind(self, identity: Tensor) -> BoundWarp:
        """The warp of a code (..., dims and more)."""
        kept = identity[..., : self.dims] @ self.offsets.flatten(0, 1).T
        return BoundWarp(kept.reshape(*identity.shape[:-1], -1, 3)[..., self.owner.long(), :])

    def along(self, mean: Tensor, ways: Tensor) -> Tensor:
        """How far each component that moves points moves those at ``mean`` (N, 3) of the mean head along ``ways``
        (N, 3): (N, dims).
        """
        index, weights = spline(mean, self.side)
        moved = nn.functional.embedding_bag(
            self.owner[index], self.offsets.flatten(1), mode="sum", per_sample_weights=weights
        )
        return (ways[:, :, None] * moved.reshape(len(ways), 3, -1)).sum(1)


def control_points(side: int) -> Tensor:
    """Where the control points (S S S, 3) lie; the outermost are beyond [-1, 1]³."""
    along = (torch.arange(side) - 1) * 2 / (side - TAPS) - 1
    return torch.cartesian_prod(along, along, along)


def side_of(table: Tensor) -> int:
    """Control points along each axis of offsets (..., S S S, 3)."""
    return round(math.cbrt(table.shape[-2]))


def looked_up(table: Tensor, points: Tensor) -> Tensor:
    """What the spline of a ``table`` (..., S S S, 3) is at ``points`` (..., N, 3)."""
    rows = table.reshape(-1, *table.shape[-2:])
    index, weights = spline(points.reshape(-1, 3), side_of(table))
    if len(rows) > 1:
        first = rows.shape[1] * torch.arange(len(rows), dtype=index.dtype, device=points.device)
        index = index + first.repeat_interleave(len(index) // len(rows))[:, None]
    all_ = rows.flatten(0, 1)
    if not torch.is_grad_enabled():
        summed = nn.functional.embedding_bag(index, all_, mode="sum", per_sample_weights=weights)
        return summed.reshape(points.shape)
    return (weights[:, None] @ nn.functional.embedding(index, all_)).reshape(points.shape)


def spline(points: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The control points (N, 27) of ``side`` along each axis that ``points`` (N, 3) see, and their weights. Points
    outside [-1, 1]³ are taken to its border.
    """
    place = (points.clamp(-1, 1) + 1) * (0.5 * (side - TAPS)) + 1
    centre = place.detach().round().clamp(1, side - 2)
    off = place - centre
    rounded = 0.5 * off.square() + 0.125
    along = torch.stack([rounded - 0.5 * off, 1 - 2 * rounded, rounded + 0.5 * off], dim=-1)
    x, y, z = along.unbind(-2)
    weights = ((x[:, :, None] * y[:, None]).flatten(1)[:, :, None] * z[:, None]).flatten(1)
    column, row, layer = (centre.int() - 1).unbind(-1)
    steps = torch.arange(TAPS, dtype=torch.int32, device=points.device)
    steps = torch.cartesian_prod(side * side * steps, side * steps, steps).sum(-1, dtype=torch.int32)
    return ((column * side + row) * side + layer)[:, None] + steps, weights


def _sharper(values: Tensor) -> Tensor:
    """The offsets (..., S S S, 3) of control points whose spline has about the ``values`` there."""
    side = side_of(values)
    table = values.reshape(-1, side, side, side, 3)
    for axis in (1, 2, 3):
        inner = table.narrow(axis, 1, side - 2) - SHARPER * table.diff(n=2, dim=axis)
        table = torch.cat([table.narrow(axis, 0, 1), inner, table.narrow(axis, side - 1, 1)], dim=axis)
    return table.reshape(values.shape)
