"""What the cameras of a group see of a person: drawn patches beside the truth, and the surface seen by both."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.models.infamous import Infamous, Seen, composited, weights_along
from faceeditor.models.infamous_guide import Crossings, Samples, crossings
from faceeditor.models.proxy import Geometry
from faceeditor.rendering import rays
from faceeditor.rendering.colour import linear_to_srgb_torch
from training.datasets import Pictured
from training.infamous_losses import RIM

HIDDEN: Final = 0.004
"""Metres by which a point may lie behind what a camera sees and still be what it sees."""


@dataclass(frozen=True, eq=False)
class View:
    """One picture of a group and the patches that are drawn of it: ``corners`` (patches, 2) of squares of ``side``
    pixels. ``ids`` are the triangles that its rays meet.
    """

    pictured: Pictured
    geometry: Geometry
    ids: NDArray[np.int16]
    corners: Tensor
    side: int

    @property
    def size(self) -> int:
        """Pixels of the picture's side."""
        return int(self.pictured.alpha.shape[-1])

    @property
    def camera(self) -> Camera:
        """Where it was taken from."""
        return self.pictured.camera

    @cached_property
    def pixels(self) -> Tensor:
        """Row and column (N, 2) of the drawn pixels, patch by patch."""
        line = torch.arange(self.side)
        square = torch.cartesian_prod(line, line)
        return (self.corners[:, None] + square).flatten(0, 1)

    @cached_property
    def found(self) -> Crossings:
        """What the drawn pixels' rays cross."""
        return crossings(self.ids, self.pixels[:, 0] * self.size + self.pixels[:, 1])

    def samples(self, model: Infamous) -> Samples:
        """The samples on those rays."""
        return model.samples(self.geometry, self.pictured.codes, self.camera, self.size, self.found, {})

    def true(self, values: Tensor) -> Tensor:
        """The drawn pixels (N, C) of the true ``values`` (C, S, S)."""
        return values[:, self.pixels[:, 0], self.pixels[:, 1]].T

    def replaced(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (patches, 3, H, W) of the picture with their rims, the ``drawn`` pixels (N, 3) in place of the true
        ones; and the true ones.
        """
        line = torch.arange(-RIM, self.side + RIM)
        rows, columns = ((self.corners[:, axis, None] + line).clamp(0, self.size - 1) for axis in (0, 1))
        true = self.pictured.srgb[:, rows[:, :, None], columns[:, None]].transpose(0, 1)
        inner = drawn.view(len(self.corners), self.side, self.side, 3).permute(0, 3, 1, 2)
        mask = functional.pad(torch.ones(self.side, self.side), (RIM,) * 4) > 0
        return torch.where(mask, functional.pad(inner, (RIM,) * 4), true), true

    def nearest(self, pixels: Tensor) -> Tensor:
        """The depth (N,), metres, of what flat ``pixels`` (N,) see first; infinite where that is nothing."""
        found = crossings(self.ids, pixels)
        _, direction = rays.pixel_rays(self.camera, self.size, found.pixel[found.ray])
        origin = torch.as_tensor(self.camera.position(), dtype=torch.float32)
        corners = self.geometry.vertices[self.geometry.topology.faces[found.face]]
        _, depth = rays.meet(origin, direction, corners)
        return torch.full((len(pixels),), torch.inf).scatter_reduce(0, found.ray, depth, "amin")


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a model makes of a ``view``: the ``seen`` rays, and of their surface samples (Eq. 5) the linear ``colour``
    (M, 3) and ``depth`` (M,) on the rays ``ray`` (M,) that meet anything.
    """

    view: View
    seen: Seen
    ray: Tensor
    colour: Tensor
    depth: Tensor

    @classmethod
    def of(cls, view: View, samples: Samples, colour: Tensor, depth: Tensor) -> "Drawn":
        """Of linear ``colour`` (N, 3) and optical ``depth`` (N,) of ``samples``."""
        found = view.found
        strongest = weights_along(found, depth.detach()).argmax(1)
        at = strongest[found.ray] == found.layer
        return cls(view, composited(found, samples, colour, depth), found.ray[at], colour[at], samples.depth[at])

    @property
    def srgb(self) -> Tensor:
        """The drawn pixels (N, 3) over white."""
        return linear_to_srgb_torch((self.seen.rgb + 1 - self.seen.alpha[:, None]).clamp(0, 1))

    def surface(self, other: View) -> tuple[Tensor, Tensor]:
        """Terms of L_sur (Eq. 13), the differences (M, 3) of surface colours to the own picture and (K, 3) to the
        ``other`` view's where that sees the same points.
        """
        view, srgb = self.view, linear_to_srgb_torch(self.colour.clamp(0, 1))
        own = (srgb - view.true(view.pictured.srgb)[self.ray]).abs()
        origin, direction = rays.pixel_rays(view.camera, view.size, view.found.pixel[self.ray])
        points = (origin + self.depth[:, None] * direction).double().numpy()
        where = torch.from_numpy(other.camera.project(points, other.size, other.size)).float()
        extrinsics = other.camera.extrinsics()
        deep = torch.from_numpy(points @ extrinsics[2, :3] + extrinsics[2, 3]).float()
        inside = ((where >= 0) & (where < other.size)).all(-1).nonzero()[:, 0]
        column, row = where[inside].long().unbind(-1)
        seen = inside[deep[inside] < other.nearest(row * other.size + column) + HIDDEN]
        there = functional.grid_sample(
            other.pictured.srgb[None], (2 * where[seen] / other.size - 1)[None, None], align_corners=False
        )[0, :, 0].T
        return own, (srgb[seen] - there).abs()
