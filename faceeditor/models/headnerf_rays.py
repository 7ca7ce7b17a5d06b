"""Where HeadNeRF looks along its rays: on planes of the world, as its authors do, or inside the head's bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from faceeditor.faces.camera import Camera
from faceeditor.rendering import rays

LEAST_SLOPE = 1e-3
"""Of a ray that is to meet planes; one along them would meet them nowhere."""


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays of a batch of maps, in the model's space: ``origins`` (batch, 3) and ``directions`` (batch, H, W, 3).

    A direction is what one unit of depth along the camera's axis is long, so that a ray's parameter is a depth.
    """

    origins: Tensor
    directions: Tensor

    @classmethod
    def stacked(cls, several: "Sequence[Rays]") -> "Rays":
        """All rays as one batch."""
        return cls(torch.cat([one.origins for one in several]), torch.cat([one.directions for one in several]))


@dataclass(frozen=True)
class Region:
    """The ellipsoid that holds the head, in the model's unit, as ``centre`` and ``radii``; cut flat at height ``floor``
    if there is one.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    floor: float | None = None

    def span(self, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Where rays (..., 3) enter and leave, two (...,); equal where they pass by, and never behind the camera."""
        centre, radii = (origin.new_tensor(numbers) for numbers in (self.centre, self.radii))
        away, along = (origin - centre) / radii, direction / radii
        square = along.square().sum(-1)
        middle = -(away * along).sum(-1) / square
        half = (middle.square() - (away.square().sum(-1) - 1) / square).clamp_min(0).sqrt()
        near, far = (middle - half).clamp_min(0), middle + half
        if self.floor is not None:
            slope = direction[..., 1]
            met = (self.floor - origin[..., 1]) / torch.where(slope.abs() < 1e-9, 1e-9, slope)
            near = torch.where(slope > 0, near.maximum(met), near)
            far = torch.where(slope > 0, far, far.minimum(met))
        return near, far.maximum(near)

    def holds(self, points: Tensor) -> Tensor:
        """Which ``points`` (..., 3) lie inside."""
        centre, radii = (points.new_tensor(numbers) for numbers in (self.centre, self.radii))
        inside = ((points - centre) / radii).square().sum(-1) <= 1
        return inside if self.floor is None else inside & (points[..., 1] >= self.floor)


class Places(NamedTuple):
    """Samples on rays: ``depths`` (..., samples) along the camera's axis; ``step`` (..., 1) from one to the next."""

    depths: Tensor
    step: Tensor


def between(near: Tensor, far: Tensor, samples: int, jitter: bool) -> Places:
    """A sample in each of equal parts of the ways from ``near`` to ``far`` (...,): the middle, or with ``jitter``
    anywhere.
    """
    return _placed(near, (far - near) / samples, samples, 0.5, jitter)


def on_planes(origin: Tensor, direction: Tensor, ends: tuple[float, float], samples: int, jitter: bool) -> Places:
    """The authors' samples: where rays (..., 3) meet equally spaced planes of constant z from the first of ``ends``,
    the last left out; with ``jitter`` anywhere before the next plane.
    """
    slope = direction[..., 2]
    slope = torch.where(slope.abs() < LEAST_SLOPE, torch.where(slope < 0, -LEAST_SLOPE, LEAST_SLOPE), slope)
    first, last = ((end - origin[..., 2]) / slope for end in ends)
    near, far = torch.minimum(first, last), torch.maximum(first, last)
    return _placed(near, (far - near) / samples, samples, 0.0, jitter)


def _placed(near: Tensor, step: Tensor, samples: int, offset: float, jitter: bool) -> Places:
    numbers = torch.arange(samples, dtype=near.dtype, device=near.device)
    shares = numbers + (torch.rand(*near.shape, samples, dtype=near.dtype, device=near.device) if jitter else offset)
    return Places(near[..., None] + step[..., None] * shares, step[..., None])


def camera_rays(
    camera: Camera,
    side: int,
    unit: float,
    origin: tuple[float, float, float],
    device: torch.device,
    window: tuple[slice, slice] = (slice(None), slice(None)),
) -> Rays:
    """Rays through the pixels of a ``side`` x ``side`` map, or of a ``window`` of its rows and columns.

    ``unit`` metres and ``origin``, metres, are the model's similarity to head space; depths are metres.
    """
    pixels = torch.arange(side * side, device=device).reshape(side, side)[window]
    with torch.autocast(device.type, enabled=False):  # a direction in 16 bits is a pixel off
        position, directions = rays.pixel_rays(camera, side, pixels.flatten())
    own = (position - position.new_tensor(origin)) / unit
    return Rays(own[None], (directions / unit).reshape(1, *pixels.shape, 3))


def posed_rays(
    rotation: Tensor, position: Tensor, camera: Camera, side: int, unit: float, origin: tuple[float, float, float]
) -> Rays:
    """The rays of :func:`camera_rays` of as many cameras as there are world-to-camera rotations (batch, 3, 3) and
    positions (batch, 3), metres in head space; all else is that of ``camera``. With gradients to both.
    """
    with torch.autocast(rotation.device.type, enabled=False):
        plane = rays.through_pixels(camera, side, torch.arange(side * side, device=rotation.device))
        ways = plane.to(rotation.dtype) @ rotation
    own = (position - position.new_tensor(origin)) / unit
    return Rays(own, (ways / unit).reshape(-1, side, side, 3))
