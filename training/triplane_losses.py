"""The objectives of the tri-plane head (Table 4.1 and section 4.3.3 of the thesis). Sums over points are means."""

import math
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from faceeditor.models.triplane import HeadField
from training.loop import Losses

ALPHA = 10.0
"""α of Eq. 4.4."""
NUDGE = 0.01
"""Standard deviation of ω in Eq. 4.5: the square root of 0.0001."""


@dataclass(frozen=True)
class TriplaneWeights:
    """λ of Table 4.1 for the full model, by the names of the thesis; an objective with 0 is not computed.

    ``d`` is the discriminator's own. ``space``, which the thesis does not have: of the known distances of points
    between surface and ball and anywhere in it. Alone, ``ss`` would be least for a field that is zero.
    """

    ss: float = 20.0
    sn: float = 3.0
    eik: float = 2.0
    nsp: float = 0.1
    edr: float = 1e-5
    nmr: float = 2.0
    g: float = 1.0
    d: float = 1.0
    tv: float = 1e-4
    tp: float = 1e-4
    space: float = 0.0

    def without(self, names: tuple[str, ...]) -> Self:
        """The same with the objectives ``names`` switched off."""
        return replace(self, **dict.fromkeys(names, 0.0))

    @property
    def in_space(self) -> bool:
        """Whether points are asked for anything."""
        return any((self.ss, self.sn, self.eik, self.nsp, self.edr, self.space))

    @property
    def in_pictures(self) -> bool:
        """Whether normal maps are drawn."""
        return any((self.nmr, self.g, self.d))

    def total(self, losses: dict[str, Tensor]) -> Losses:
        """``losses`` by name, unweighted, with their weighted ``total``; those with weight 0 are left out."""
        weighted = [weight * losses[name] for name, weight in self._used() if name in losses]
        return {**losses, "total": torch.stack(weighted).sum()}

    def _used(self) -> list[tuple[str, float]]:
        return [(part.name, getattr(self, part.name)) for part in fields(self) if getattr(self, part.name)]


class Points(NamedTuple):
    """Points of heads (B, ...): ``surface`` (B, N, 3) with ``normals``, ``near`` (B, M, 3) with distances ``near_sdf``
    (B, M), ``ball`` (B, K, 3) anywhere with ``ball_sdf`` (B, K), ``space`` (B, K, 3) between with ``space_sdf``.
    """

    surface: Tensor
    normals: Tensor
    near: Tensor
    near_sdf: Tensor
    ball: Tensor
    ball_sdf: Tensor
    space: Tensor
    space_sdf: Tensor


def point_losses(head: HeadField, points: Points, weights: TriplaneWeights) -> dict[str, Tensor]:
    """The 3D objectives and their regularisers (Eq. 4.1-4.5).

    Eq. 4.2 takes the cosine: the scalar product with a slope of any length has no least value, and its weight is above
    Eq. 4.3's. Eq. 4.3 takes the absolute value, which is not printed.
    """
    count = points.surface.shape[-2]
    places, losses = torch.cat([points.surface, points.ball], dim=-2), {}
    if weights.sn or weights.eik:
        distance, slope = head.sdf_and_gradient(places)
        losses["eik"] = (slope.norm(dim=-1) - 1).abs().mean()
        losses["sn"] = (1 - functional.cosine_similarity(slope[..., :count, :], points.normals, dim=-1)).mean()
    else:
        distance = head.sdf(places)
    on, anywhere = distance[..., :count], distance[..., count:]
    if weights.ss:
        near = head.sdf(points.near) - points.near_sdf
        losses["ss"] = torch.cat([on, near], dim=-1).abs().mean()
    if weights.nsp:
        losses["nsp"] = torch.exp(-ALPHA * anywhere.abs()).mean()
    if weights.edr:
        nudged = points.ball + NUDGE * torch.randn_like(points.ball)
        losses["edr"] = (anywhere - head.sdf(nudged)).square().mean()
    if weights.space:
        between = head.sdf(points.space) - points.space_sdf
        losses["space"] = torch.cat([between, anywhere - points.ball_sdf], dim=-1).abs().mean()
    return losses


def plane_losses(rows: Tensor, weights: TriplaneWeights) -> dict[str, Tensor]:
    """Eq. 4.13 and 4.14 of planes as ``rows`` (B, R R 3, C), a mean over heads.

    Eq. 4.13 as printed takes a plane from its mirror image; that is no total variation. Neighbours are compared.
    """
    losses = {}
    side = math.isqrt(rows.shape[-2] // 3)
    planes = rows.reshape(*rows.shape[:-2], side, side, 3, rows.shape[-1])
    if weights.tv:
        steps = (planes.diff(dim=1), planes.diff(dim=2))
        losses["tv"] = torch.stack([_length(step) for step in steps]).sum(0).mean()
    if weights.tp:
        losses["tp"] = _length(planes).mean()
    return losses


def _length(planes: Tensor) -> Tensor:
    """The sum (B,) of the norms of planes (B, H, W, 3, C)."""
    return (planes.square().sum((1, 2, 4)) + 1e-12).sqrt().sum(1)


@dataclass(frozen=True)
class ExpressionWeights:
    """λ of Eq. 4.21: of correspondence, of motion outside the face, of the code."""

    c: float = 1e2
    dp: float = 1e-5
    r: float = 5e-5


class Pairs(NamedTuple):
    """The same points ``at_rest`` and ``posed`` (B, K, 3), and points ``beside`` (B, L, 3) that nothing moves."""

    at_rest: Tensor
    posed: Tensor
    beside: Tensor


def expression_losses(head: HeadField, code: Tensor, pairs: Pairs, weights: ExpressionWeights) -> Losses:
    """Eq. 4.17-4.21 of heads with expression codes ``code`` (B, dims)."""
    losses = {
        "c": (head.posed(pairs.at_rest) - pairs.posed).square().sum(-1).mean(),
        "dp": (head.posed(pairs.beside) - pairs.beside).square().sum(-1).mean(),
        "r": code.square().sum(-1).mean(),
    }
    return {**losses, "total": weights.c * losses["c"] + weights.dp * losses["dp"] + weights.r * losses["r"]}
