"""The losses of ImFace++ (section 3.5, Eq. 13-20)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from faceeditor.models.imface import FaceField, Stages
from training.loop import Losses


@dataclass(frozen=True)
class LossWeights:
    """λ1 to λ9 of section 4.2, in its order; lengths are in the model's unit.

    ``distance`` and ``normal``: of Eq. 13; ``eikonal``: of Eq. 14; ``embedding``: of expression and identity codes and
    ``detail_embedding``: of detail codes in Eq. 15; ``landmarks``: of Eq. 16; ``matches``: of Eq. 17; ``residual``: of
    Eq. 18; ``neutral``: of the improved expression embedding. ``bridge``: how much the points of bridges count
    among those of Eq. 13, all in the paper.
    """

    distance: float = 3e3
    normal: float = 1e2
    eikonal: float = 5e1
    embedding: float = 1e5
    detail_embedding: float = 1e3
    landmarks: float = 1e3
    matches: float = 1e2
    residual: float = 1e2
    neutral: float = 1e4
    bridge: float = 1.0


class Batch(NamedTuple):
    """Scans (B, ...) as :data:`training.imface_scans.Scans` tells, some points of each; ``codes`` by space."""

    surface: Tensor
    normals: Tensor
    neutral: Tensor
    template: Tensor
    matched: Tensor
    detailed: Tensor
    detailed_normals: Tensor
    bridge: Tensor
    space: Tensor
    distance: Tensor
    gradient: Tensor
    landmarks: Tensor
    neutral_landmarks: Tensor
    codes: dict[str, Tensor]


def first_stage(field: FaceField, batch: Batch, weights: LossWeights, directed: int) -> Losses:
    """The terms of Eq. 19 but Eq. 15; normals and eikonal terms of ``directed`` points of each kind and face."""
    surface, bridge = batch.surface.shape[1], batch.bridge.shape[1]
    stages = field.stages(torch.cat([batch.surface, batch.bridge, batch.space], dim=1))
    found = torch.split(stages.sdf, [surface, bridge, batch.space.shape[1]], dim=1)
    losses = {
        "distance": weights.distance * _distance(found, batch.distance, weights.bridge),
        "matches": weights.matches * _matches(stages, batch),
        "landmarks": weights.landmarks * _landmarks(field, batch),
        "residual": weights.residual * stages.correction.abs().mean(),
        "neutral": weights.neutral * _neutral(stages, batch),
        **directions(field, batch, weights, directed),
    }
    return losses | {"total": torch.stack(list(losses.values())).sum()}


def _distance(found: tuple[Tensor, ...], truth: Tensor, bridge: float) -> Tensor:
    """The first term of Eq. 13."""
    on_surface, on_bridge, around = found
    apart = (on_surface.abs(), bridge * on_bridge.abs(), (around - truth).abs())
    return torch.cat([part.flatten() for part in apart]).mean()


def _matches(stages: Stages, batch: Batch) -> Tensor:
    """Eq. 17, at points whose places on the neutral face and on the template are known."""
    count = batch.surface.shape[1]
    to_neutral = (stages.neutral[:, :count] - batch.neutral).abs().sum(-1)
    to_template = (stages.template[:, :count] - batch.template).abs().sum(-1)
    mean: Tensor = ((to_neutral + to_template) * batch.matched).sum() / batch.matched.sum().clamp_min(1)
    return mean


def _landmarks(field: FaceField, batch: Batch) -> Tensor:
    """Eq. 16."""
    return (field.landmarks - batch.landmarks).abs().mean() + (
        field.neutral_landmarks - batch.neutral_landmarks
    ).abs().mean()


def _neutral(stages: Stages, batch: Batch) -> Tensor:
    """L_imp: faces without expression are not moved by it (Eq. 12)."""
    still = (batch.surface - batch.neutral).abs().amax(dim=(1, 2)) < 1e-6
    moved = (stages.neutral[:, : batch.surface.shape[1]] - batch.surface).square().sum(-1)
    return (moved.mean(1) * still).mean()


def directions(field: FaceField, batch: Batch, weights: LossWeights, count: int) -> dict[str, Tensor]:
    """Eq. 14 and the second term of Eq. 13, whose sum as printed is unbounded below: the cosine is meant."""
    points = torch.cat([batch.surface[:, :count], batch.space[:, :count]], dim=1)
    truth = torch.cat([batch.normals[:, :count], batch.gradient[:, :count]], dim=1)
    _, slope = field.sdf_and_gradient(points)
    still = FaceField(field.config, None, field.identity, field.template, None)
    _, still_slope = still.sdf_and_gradient(field.to_neutral(points).detach())
    return {
        "normal": weights.normal * (1 - functional.cosine_similarity(slope, truth, dim=-1)).mean(),
        "eikonal": weights.eikonal * (_eikonal(slope) + _eikonal(still_slope)),
    }


def _eikonal(slope: Tensor) -> Tensor:
    away: Tensor = (slope.norm(dim=-1) - 1).abs().mean()
    return away


def second_stage(field: FaceField, batch: Batch, weights: LossWeights, directed: int, near: float) -> Losses:
    """The terms of Eq. 20 but Eq. 15, on the detailed surface and up to ``near`` before and behind it."""
    away = near * (2 * torch.rand_like(batch.matched) - 1)
    points = batch.detailed + away[..., None] * batch.detailed_normals
    distance, slope = field.sdf_and_gradient(points[:, :directed])
    further = field.sdf(points[:, directed:])
    around = torch.cat([distance, further], dim=1) - away
    cosine = functional.cosine_similarity(slope, batch.detailed_normals[:, :directed], dim=-1)
    losses = {
        "distance": weights.distance * around.abs().mean(),
        "normal": weights.normal * (1 - cosine).mean(),
        "eikonal": weights.eikonal * _eikonal(slope),
    }
    return losses | {"total": torch.stack(list(losses.values())).sum()}
