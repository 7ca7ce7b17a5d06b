"""How the signed distances of a tri-plane head at a scan's points change with its codes and with the scan's pose.

What the descent of Eq. 4.23 needs: every distance is about linear in all of them, so that a few steps of Gauss and
Newton end where a thousand steps along the gradient do not yet.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.faces.layout import IDENTITY
from faceeditor.models.root_finding import Roots, jacobian
from faceeditor.models.triplane import TriplaneHead

TOGETHER: Final = 16
"""Heads whose planes are made at once."""
AT_ONCE: Final = 1024
"""Points whose motion by all components is held at once."""
SMALL: Final = 0.05
"""The change of an identity component by which its effect on the planes is measured."""


@dataclass(frozen=True, eq=False)
class Rows:
    """At N points: ``distance`` (N,), and its derivatives by identity (N, dims), expression (N, dims) and pose (N, 7),
    a small turn, shift and growth of the points about the origin. ``roots`` are the points at rest. Lengths are in the
    model's unit.
    """

    distance: Tensor
    identity: Tensor
    expression: Tensor
    pose: Tensor
    roots: Roots


class RowMaker:
    """Makes rows for one person; ``moving`` (K,) are the identity's components that change."""

    def __init__(self, model: TriplaneHead, moving: NDArray[np.int64]) -> None:
        self._model, self._moving = model, torch.from_numpy(moving)

    @torch.no_grad()
    def rows(self, codes: dict[str, Tensor], posed: Tensor, guesses: Tensor, planes: Tensor | None = None) -> Rows:
        """The rows of ``posed`` (N, 3), traced back to rest from ``guesses`` (G, N, 3); ``planes`` (M, K) is what
        :meth:`planes` told of the first of these points.
        """
        head = self._model.field(codes)
        roots = head.at_rest(posed, guesses)
        distance, by_rest = head.sdf_and_gradient(roots.points)
        _, motion = jacobian(head.posed, roots.points)
        by_posed = torch.linalg.solve(motion.mT, by_rest[..., None])[..., 0]
        identity = self._by_warp(head.on_mean(roots.points), by_rest)
        shapes = self._model.deformation.blendshapes(head.on_mean(roots.points), codes[IDENTITY])
        return Rows(
            distance,
            identity if planes is None else _added(identity, planes),
            -torch.einsum("nkc,nc->nk", shapes, by_posed),
            torch.cat([torch.linalg.cross(posed, by_posed), by_posed, (posed * by_posed).sum(1, keepdim=True)], dim=1),
            roots,
        )

    def _by_warp(self, mean: Tensor, by_rest: Tensor) -> Tensor:
        """When the point of a surface moves on, what stays behind is as much farther inside it."""
        warp, told = self._model.warp, by_rest.new_zeros(len(mean), len(self._moving))
        if warp is None:
            return told
        felt = self._moving < warp.dims
        parts = zip(torch.split(mean, AT_ONCE), torch.split(by_rest, AT_ONCE), strict=True)
        told[:, felt] = -torch.cat([warp.along(*part)[:, self._moving[felt]] for part in parts])
        return told

    @torch.no_grad()
    def planes(self, codes: dict[str, Tensor], at_rest: Tensor) -> Tensor:
        """Derivatives (N, K) of the distances at ``at_rest`` (N, 3) by what identity does to the planes."""
        identity, heard = codes[IDENTITY], self._model.heard
        told = at_rest.new_zeros(len(at_rest), len(self._moving))
        felt = torch.nonzero((self._moving >= heard.start) & (self._moving < heard.stop))[:, 0]
        if not len(felt):
            return told
        head = self._model.field({IDENTITY: identity})
        mean, still = head.on_mean(at_rest), replace(head, warp=None)
        here = still.sdf(mean)
        for columns in torch.split(felt, TOGETHER):
            part = self._moving[columns]
            changed = identity.repeat(len(part), 1)
            changed[torch.arange(len(part)), part] += SMALL
            many = replace(self._model.field({IDENTITY: changed}), warp=None)
            told[:, columns] = (many.sdf(mean.expand(len(part), -1, -1)) - here).T / SMALL
        return told


def _added(table: Tensor, planes: Tensor) -> Tensor:
    return torch.cat([table[: len(planes)] + planes, table[len(planes) :]])
