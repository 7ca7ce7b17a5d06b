"""Where along rays to ask a signed distance function, so that the opacity it makes is right to within a bound.

Algorithm 1 of Yariv et al., "Volume Rendering of Neural Implicit Surfaces", 2021: a ray is sampled ever more densely
where the opacity may be wrong, until Theorem 1 vouches for it at the true β, or at the smallest greater one that it
can be vouched for at. The samples to render with are then drawn from that opacity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from faceeditor.rendering.volume import density, opacity, weights

Distance = Callable[[Tensor], Tensor]
"""Signed distances (N,) of points (N, 3), negative inside."""

TINY: Final = 1e-6
MOST: Final = 30.0
"""Exponents beyond which an error is as good as infinite."""


@dataclass(frozen=True)
class Sampling:
    """How rays are sampled; the tri-plane thesis' numbers are the defaults (section 5.2.2).

    ``samples`` to render with; ``evaluations`` at first and in each of at most ``rounds`` rounds; ``error``: ε, the
    most that an opacity may be wrong by; ``halvings`` of the interval that the least vouched-for β is searched in.
    """

    samples: int = 32
    evaluations: int = 32
    rounds: int = 10
    error: float = 0.1
    halvings: int = 10


@dataclass(frozen=True, eq=False)
class Rays:
    """``origin`` (3,), unit ``ways`` (R, 3), and between which depths ``near`` and ``far`` (R,) something may be."""

    origin: Tensor
    ways: Tensor
    near: Tensor
    far: Tensor

    def at(self, depths: Tensor) -> Tensor:
        """Points (R, S, 3) at ``depths`` (R, S)."""
        return self.origin + depths[..., None] * self.ways[:, None]

    def some(self, chosen: Tensor) -> "Rays":
        """The ``chosen`` ones (R,), by number or mask."""
        return Rays(self.origin, self.ways[chosen], self.near[chosen], self.far[chosen])


@torch.no_grad()
def sample_depths(sdf: Distance, rays: Rays, beta: float, sampling: Sampling, jitter: bool = False) -> Tensor:
    """Ascending depths (R, samples) to render ``sdf`` with at the density's ``beta``; with ``jitter`` they are drawn at
    random, else evenly, from the opacity along each ray.
    """
    depths = _between(rays.near, rays.far, _steps(len(rays.ways), sampling.evaluations, jitter, rays.near))
    values = _values(sdf, rays, depths)
    betas = _first_beta(depths, sampling.error)
    result = torch.empty(len(depths), sampling.samples, device=depths.device)
    active = torch.arange(len(depths), device=depths.device)
    for left in reversed(range(sampling.rounds + 1)):
        betas = _least_beta(depths, values, betas, beta, sampling)
        done = betas <= beta if left else torch.ones_like(betas, dtype=torch.bool)
        result[active[done]] = _from_opacity(depths[done], values[done], betas[done], sampling.samples, jitter)
        active, depths, values, betas = (table[~done] for table in (active, depths, values, betas))
        if not len(active):
            break
        more = _from_error(depths, values, betas, sampling.evaluations)
        found = _values(sdf, rays.some(active), more)
        depths, order = torch.cat([depths, more], dim=1).sort(dim=1)
        values = torch.cat([values, found], dim=1).gather(1, order)
    return result


def _values(sdf: Distance, rays: Rays, depths: Tensor) -> Tensor:
    return sdf(rays.at(depths).reshape(-1, 3)).reshape(depths.shape)


def _steps(rays: int, count: int, jitter: bool, like: Tensor) -> Tensor:
    """Ascending numbers (R, count) in [0, 1], one in each of ``count`` equal parts; its ends where they are even."""
    if not jitter:
        return torch.linspace(0, 1, count, device=like.device).expand(rays, count)
    first = torch.arange(count, device=like.device) / count
    return first + torch.rand(rays, count, device=like.device) / count


def _between(near: Tensor, far: Tensor, steps: Tensor) -> Tensor:
    return near[:, None] + (far - near)[:, None] * steps


def _first_beta(depths: Tensor, error: float) -> Tensor:
    """A β (R,) at which the bound holds whatever the distances are (Lemma 2)."""
    return (depths.diff(dim=1).square().sum(1) / (4 * torch.log1p(torch.tensor(error)))).sqrt()


def _least_beta(depths: Tensor, values: Tensor, good: Tensor, beta: float, sampling: Sampling) -> Tensor:
    """The least β (R,) from ``beta`` to ``good`` (R,), at which the bound holds, that it is found to hold at."""
    lengths, nearest = depths.diff(dim=1), _nearest(depths, values)

    def worst(betas: Tensor) -> Tensor:
        return _error(lengths, values, nearest, betas).amax(1)

    bad = torch.full_like(good, beta)
    good = torch.where(worst(bad) <= sampling.error, bad, good)
    for _ in range(sampling.halvings):
        middle = (good + bad) / 2
        holds = worst(middle) <= sampling.error
        good, bad = torch.where(holds, middle, good), torch.where(holds, bad, middle)
    return good


def _nearest(depths: Tensor, values: Tensor) -> Tensor:
    """A lower bound (R, S - 1) of the distance from between two samples to the surface: two balls around the samples
    are empty.
    """
    length = depths.diff(dim=1).clamp_min(TINY)
    here, there = values[:, :-1].abs(), values[:, 1:].abs()
    along = (length**2 + here**2 - there**2) / (2 * length)
    height = (here**2 - along**2).clamp_min(0).sqrt()
    between = (along > 0) & (along < length)
    lowest = torch.where(between, height, torch.minimum(here, there))
    return torch.where(here + there <= length, torch.zeros_like(lowest), lowest)


def _error(lengths: Tensor, values: Tensor, nearest: Tensor, betas: Tensor) -> Tensor:
    """Theorem 1: a bound (R, S - 1) of the opacity's error in each interval between samples."""
    beta = betas[:, None]
    wrong = (lengths**2 / (4 * beta**2) * torch.exp(-nearest / beta)).cumsum(1)
    behind = density(values[:, :-1], beta) * lengths
    through = torch.exp(-(behind.cumsum(1) - behind))
    return through * torch.expm1(wrong.clamp_max(MOST))


def _from_error(depths: Tensor, values: Tensor, betas: Tensor, count: int) -> Tensor:
    """Depths (R, count) where the opacity may be wrong."""
    lengths = depths.diff(dim=1)
    return _drawn(depths, _error(lengths, values, _nearest(depths, values), betas), count, False)


def _from_opacity(depths: Tensor, values: Tensor, betas: Tensor, count: int, jitter: bool) -> Tensor:
    """Depths (R, count) where the ray is stopped."""
    optical = density(values[:, :-1], betas[:, None]) * depths.diff(dim=1)
    return _drawn(depths, weights(opacity(optical)), count, jitter)


def _drawn(depths: Tensor, share: Tensor, count: int, jitter: bool) -> Tensor:
    """``count`` depths (R, count) of intervals with ``share`` (R, S - 1), evenly within each."""
    share = share + TINY * share.amax(1, keepdim=True).clamp_min(TINY)
    edges = torch.nn.functional.pad((share / share.sum(1, keepdim=True)).cumsum(1), (1, 0))
    asked = _steps(len(depths), count, jitter, depths).contiguous()
    after = torch.searchsorted(edges, asked, right=True).clamp(1, edges.shape[1] - 1)
    low, high = edges.gather(1, after - 1), edges.gather(1, after)
    start, end = depths.gather(1, after - 1), depths.gather(1, after)
    return torch.lerp(start, end, ((asked - low) / (high - low).clamp_min(1e-12)).clamp(0, 1))
