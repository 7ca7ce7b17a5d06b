"""Volume rendering: densities to opacities to pictures."""

import torch


def opacity(optical_depth: torch.Tensor) -> torch.Tensor:
    """Opacity ``1 - exp(-sigma delta)`` of samples, any shape, from density times length (HeadNeRF, Eq. 2)."""
    return 1 - torch.exp(-optical_depth)


def weights(alpha: torch.Tensor) -> torch.Tensor:
    """Compositing weights (..., samples) of opacities from front to back: ``alpha_i prod_{j<i} (1 - alpha_j)``."""
    through = torch.cumprod(1 - alpha, dim=-1)
    return alpha * torch.cat([torch.ones_like(through[..., :1]), through[..., :-1]], dim=-1)
