"""Rays through pixels, and where they meet triangles, with gradients."""

import torch

from faceeditor.faces.camera import Camera


def pixel_rays(camera: Camera, size: int, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The origin (3,) and unnormalised directions (N, 3) in head space of rays through the centres of ``pixels`` (N,).

    Pixels are flat indices, row by row, of a ``size`` x ``size`` picture. Directions have length 1 along the camera's
    axis, so that a ray's parameter is a depth in metres.
    """
    rotation = torch.as_tensor(camera.rotation(), dtype=torch.float32, device=pixels.device)
    origin = torch.as_tensor(camera.position(), dtype=torch.float32, device=pixels.device)
    return origin, through_pixels(camera, size, pixels) @ rotation


def through_pixels(camera: Camera, size: int, pixels: torch.Tensor) -> torch.Tensor:
    """The directions (N, 3) of :func:`pixel_rays` along the camera's own axes: right, down and forward."""
    k = camera.intrinsics(size, size)
    x = ((pixels % size).float() + 0.5 - float(k[0, 2])) / float(k[0, 0])
    y = ((pixels // size).float() + 0.5 - float(k[1, 2])) / float(k[1, 1])
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def meet(origin: torch.Tensor, directions: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where rays meet the planes of their triangles: barycentric weights (N, 3) and depths (N,).

    ``corners`` (N, 3, 3) are in head space. Differentiable in everything (Moeller and Trumbore, "Fast, Minimum
    Storage Ray/Triangle Intersection", 1997). Weights are clamped to the triangle: a rasteriser may choose a triangle
    whose edge passes a hair's breadth beside the ray.
    """
    first = corners[:, 0]
    edge_1, edge_2 = corners[:, 1] - first, corners[:, 2] - first
    across = torch.linalg.cross(directions, edge_2)
    determinant = (edge_1 * across).sum(-1)
    determinant = torch.where(determinant.abs() < 1e-14, torch.full_like(determinant, 1e-14), determinant)
    offset = origin - first
    u = (offset * across).sum(-1) / determinant
    turned = torch.linalg.cross(offset, edge_1)
    v = (directions * turned).sum(-1) / determinant
    depth = (edge_2 * turned).sum(-1) / determinant
    weights = torch.stack([1 - u - v, u, v], dim=-1).clamp(0, 1)
    return weights / weights.sum(-1, keepdim=True), depth


def from_outside(directions: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Which rays (N,) along ``directions`` (N, 3) meet their triangles (N, 3, 3) from the counter-clockwise side."""
    outward = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return torch.lt((outward * directions).sum(-1), 0)
