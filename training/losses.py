"""Losses and measures on pictures, shared by every system's training and by ``evaluate``."""

import torch
from torch.nn import functional


def gradient_l1(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of horizontal and vertical finite differences of pictures (..., H, W)."""
    difference = first - second
    across = (difference[..., :, 1:] - difference[..., :, :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return across + down


def dilated(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    """``mask`` (H, W) bool grown by ``pixels`` in every direction."""
    grown = functional.max_pool2d(mask[None, None].float(), 2 * pixels + 1, stride=1, padding=pixels)
    return grown[0, 0] > 0.5


def eroded(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    """``mask`` (H, W) bool shrunk by ``pixels`` in every direction."""
    return ~dilated(~mask, pixels)


def psnr(first: torch.Tensor, second: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB of pictures (3, H, W) in [0, 1], over ``mask`` (H, W) if given."""
    error = (first - second).square().mean(0)
    mean = error[mask].mean() if mask is not None else error.mean()
    return float(-10 * torch.log10(mean.clamp_min(1e-10)))
