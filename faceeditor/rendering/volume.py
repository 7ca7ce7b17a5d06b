"""Volume rendering: distances to densities to opacities to pictures."""

import torch
from torch import Tensor, nn


def density(sdf: Tensor, beta: Tensor) -> Tensor:
    """Density of ``sdf`` (..., samples), negative inside: 1/β deep inside, half of that on the surface, falling like
    Laplace's distribution outside (Yariv et al., "Volume Rendering of Neural Implicit Surfaces", 2021).

    Eq. 3.6 of the tri-plane thesis with s = -sdf: as printed, with distances that are negative inside, the outside
    would be dense. ``beta`` broadcasts against the samples.
    """
    tail = 0.5 * torch.exp(-sdf.abs() / beta)
    return torch.where(sdf > 0, tail, 1 - tail) / beta


class Sharpness(nn.Module):
    """The learnable β of :func:`density`, in the unit of the distances, never below ``least``."""

    def __init__(self, start: float = 1e-3, least: float = 1e-4) -> None:
        super().__init__()
        self.least = least
        self.above = nn.Parameter(torch.tensor(start - least))

    def forward(self) -> Tensor:
        """β, a number."""
        return self.above.abs() + self.least


def opacity(optical_depth: Tensor) -> Tensor:
    """Opacity ``1 - exp(-sigma delta)`` of samples, any shape, from density times length (HeadNeRF, Eq. 2)."""
    return 1 - torch.exp(-optical_depth)


def weights(alpha: Tensor) -> Tensor:
    """Compositing weights (..., samples) of opacities from front to back: ``alpha_i prod_{j<i} (1 - alpha_j)``."""
    through = torch.cumprod(1 - alpha, dim=-1)
    return alpha * torch.cat([torch.ones_like(through[..., :1]), through[..., :-1]], dim=-1)
