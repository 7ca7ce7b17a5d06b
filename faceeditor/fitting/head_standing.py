"""Where a head stands in a scan when hair may hide its face: a known head laid onto the points by a rigid motion."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.head_points import HeadPoints
from faceeditor.models.triplane import HeadField, TriplaneHead

Floats = NDArray[np.float64]

TRIMS: Final = (0.04, 0.04, 0.03, 0.02, 0.015, 0.01, 0.01, 0.01)
"""Metres at which a point counts half, step by step."""
HELD: Final = 1e-3
"""Stiffness of the pose beside the mean of all points, metres squared."""


@dataclass(frozen=True, eq=False)
class Standing:
    """A head of the model, ``similarity`` from a scan to head space under which it meets the scan, and the ``misfit``,
    the robust mean of the distances in metres.
    """

    head: HeadField
    similarity: Similarity
    misfit: float


def stood(model: TriplaneHead, head: HeadField, points: HeadPoints, start: Similarity) -> Standing:
    """Lays a ``head`` at rest onto ``points``, beginning at ``start``; its scale stays."""
    every = np.concatenate([points.points, points.free])
    seen, now = len(points.points), start
    for trim in TRIMS:
        where = now.to_head(every)
        off, slope = _distances(model, head, where, seen)
        weights = 1 / (1 + (off / trim) ** 2) ** 2
        table = np.concatenate([np.cross(where - model.config.origin, slope), slope], axis=1)
        weighted = table * weights[:, None]
        normal = weighted.T @ table / len(off) + HELD * np.diag([1e-3] * 3 + [1e-1] * 3)
        now = now.then(_small(np.linalg.solve(normal, -weighted.T @ off / len(off)), np.array(model.config.origin)))
    off, _ = _distances(model, head, now.to_head(every), seen)
    return Standing(head, now, float(np.minimum(np.abs(off), TRIMS[-1]).mean()))


def _distances(model: TriplaneHead, head: HeadField, where: Floats, seen: int) -> tuple[Floats, Floats]:
    """Distances (N,) that shall be 0, in metres, and their slopes (N, 3); free places count where they are inside."""
    with torch.no_grad():
        distance, slope = head.sdf_and_gradient(model.own(where))
    off, slopes = distance.double().numpy() * model.config.unit, slope.double().numpy()
    fine = np.arange(len(off)) >= seen
    fine &= off >= 0
    off[fine], slopes[fine] = 0.0, 0.0
    return off, slopes


def _small(motion: Floats, about: Floats) -> Similarity:
    rotation = Rotation.from_rotvec(motion[:3]).as_matrix()
    return Similarity(1.0, rotation, about + motion[3:] - rotation @ about)
