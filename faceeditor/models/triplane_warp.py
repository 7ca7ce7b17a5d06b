"""People as free-form deformations of one head: where points of a person's head lie on the mean head.

Offsets of control points are interpolated by quadratic B-splines (Sederberg and Parry, "Free-Form Deformation of Solid
Geometric Models", 1986); the offsets are linear in the identity code. The thesis has no such thing.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH: Final = 0.002
"""Offsets, in the model's unit, where a mode of size 1 has the weight 1: what an optimiser moves stays about 1."""
COARSE: Final = 8
"""Cells along each axis of the random modes that a warp starts with."""
TAPS: Final = 3
"""Control points along each axis that a point sees."""


@dataclass(frozen=True, eq=False)
class BoundWarp:
    """One person's warp, or those of a batch: ``offsets`` (..., S S S, 3) of control points over [-1, 1]³."""

    offsets: Tensor

    def bending(self) -> Tensor:
        """The mean squared second difference of control points along the axes: 0 for an affine warp."""
        side = side_of(self.offsets)
        table = self.offsets.reshape(-1, side, side, side, 3)
        return torch.stack([table.diff(n=2, dim=axis).square().mean() for axis in (1, 2, 3)]).sum()

    def __call__(self, points: Tensor) -> Tensor:
        """Offsets (..., N, 3) of ``points`` (..., N, 3), which may be differentiated twice."""
        table = self.offsets.reshape(-1, *self.offsets.shape[-2:])
        index, weights = spline(points.reshape(len(table), -1, 3), side_of(table))
        first = table.shape[1] * torch.arange(len(table), device=points.device)[:, None, None]
        if not torch.is_grad_enabled():
            rows = (index + first).flatten(0, 1), table.flatten(0, 1)
            summed = functional.embedding_bag(*rows, mode="sum", per_sample_weights=weights.flatten(0, 1))
            return summed.reshape(points.shape)
        held = functional.embedding(index + first, table.flatten(0, 1))
        return (weights[..., None, :] @ held)[..., 0, :].reshape(points.shape)

    def one(self, number: int) -> "BoundWarp":
        """The warp with this ``number`` in a batch."""
        return BoundWarp(self.offsets[number])


class Warp(nn.Module):
    """The warps of all identity codes (dims): ``side`` control points along each axis, moved by ``modes`` that all
    people share.
    """

    def __init__(self, dims: int, side: int, modes: int) -> None:
        super().__init__()
        rough = torch.randn(modes, 1, *[COARSE] * 3)
        smooth = functional.interpolate(rough, size=side, mode="trilinear", align_corners=True)
        self.modes = nn.Parameter(smooth.reshape(modes, -1).T.contiguous())
        self.mix = nn.Parameter(torch.zeros(dims, modes * 3))

    def bind(self, identity: Tensor) -> BoundWarp:
        """The warp of a code (..., dims)."""
        weights = (identity @ self.mix).reshape(*identity.shape[:-1], -1, 3)
        return BoundWarp(REACH * (self.modes @ weights))


def side_of(table: Tensor) -> int:
    """Control points along each axis of offsets (..., S S S, 3)."""
    return round(math.cbrt(table.shape[-2]))


def spline(points: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The control points (..., 27) of ``side`` along each axis that ``points`` (..., 3) see, and their weights. Points
    outside [-1, 1]³ are taken to its border.
    """
    place = (points.clamp(-1, 1) + 1) * (0.5 * (side - TAPS)) + 1
    centre = place.detach().round().clamp(1, side - 2)
    off = place - centre
    along = torch.stack([0.5 * (0.5 - off).square(), 0.75 - off.square(), 0.5 * (0.5 + off).square()], dim=-1)
    x, y, z = along.unbind(-2)
    weights = x[..., :, None, None] * y[..., None, :, None] * z[..., None, None, :]
    strides = torch.tensor([side * side, side, 1], device=points.device)
    steps = (torch.cartesian_prod(*[torch.arange(TAPS, device=points.device)] * 3) * strides).sum(-1)
    first = ((centre.long() - 1) * strides).sum(-1)
    return first[..., None] + steps, weights.flatten(-3)
