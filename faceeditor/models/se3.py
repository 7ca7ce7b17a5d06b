"""Rigid motions from six numbers: the exponential map of SE(3) (ImFace++, section 3.3.1)."""

import math
from typing import Final

import torch
from torch import Tensor

TERMS: Final = 7
"""Terms of the series for angles below one radian; what is left out there is below 1e-12."""


def move(points: Tensor, twist: Tensor) -> Tensor:
    """``points`` (..., 3) under ``twist`` (..., 6) = (ω, v): exp(ω) x + t of Eq. 10 and 11, about the origin.

    ω is axis times angle in radians. Both sums are written with cross products, for (ω^)² x = ω × (ω × x). Smooth
    everywhere, so that second derivatives are finite at ω = 0 too.
    """
    omega, v = twist[..., :3], twist[..., 3:]
    a, b, c = _coefficients((omega * omega).sum(-1, keepdim=True))
    return points + v + _cross(omega, a * points + b * v + _cross(omega, b * points + c * v))


def _coefficients(square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sin θ / θ, (1 - cos θ) / θ² and (θ - sin θ) / θ³ of ``square`` = θ²."""
    near = square < 1
    small, large = torch.where(near, square, 0), torch.where(near, 1, square)
    angle = large.sqrt()
    sine, cosine = angle.sin(), angle.cos()
    direct = (sine / angle, (1 - cosine) / large, (angle - sine) / (angle * large))
    a, b, c = (torch.where(near, _series(small, first), value) for first, value in enumerate(direct, start=1))
    return a, b, c


def _series(square: Tensor, first: int) -> Tensor:
    """The sum over n of (-θ²)^n / (2 n + ``first``)!, by Horner's rule."""
    total = torch.full_like(square, 1 / math.factorial(2 * TERMS - 2 + first))
    for n in range(TERMS - 2, -1, -1):
        total = 1 / math.factorial(2 * n + first) - square * total
    return total


def _cross(a: Tensor, b: Tensor) -> Tensor:
    ax, ay, az = a.unbind(-1)
    bx, by, bz = b.unbind(-1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], dim=-1)
