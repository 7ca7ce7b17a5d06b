"""The sRGB transfer function (IEC 61966-2-1), in one place: numpy for pictures, torch for gradients."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_STEPS = 1 << 14


def srgb_to_linear(srgb: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Linear light of sRGB values in [0, 1], any shape."""
    return np.asarray(
        np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4), np.float32
    )


def linear_to_srgb(linear: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """sRGB values in [0, 1] of linear light, any shape; clipped to [0, 1]."""
    x = np.clip(linear, 0, 1)
    return np.asarray(np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055), np.float32)


_FROM_8 = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)
_TO_8 = np.rint(linear_to_srgb(np.arange(_STEPS, dtype=np.float32) / (_STEPS - 1)) * 255).astype(np.uint8)


def srgb8_to_linear(srgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear light in [0, 1] of an 8-bit sRGB picture, by table."""
    return np.asarray(_FROM_8[srgb])


def linear_to_srgb8(linear: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The 8-bit sRGB picture of linear light, clipped to [0, 1], by table (at most one level off in deep shadow)."""
    return np.asarray(_TO_8[(np.clip(linear, 0, 1) * (_STEPS - 1) + 0.5).astype(np.int32)])


def linear_to_srgb_torch(linear: torch.Tensor) -> torch.Tensor:
    """sRGB values of linear light, differentiable; not clipped above 1, and with a finite slope at 0."""
    curve = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve)


def srgb_to_linear_torch(srgb: torch.Tensor) -> torch.Tensor:
    """Linear light of sRGB values, differentiable; not clipped above 1."""
    curve = ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, curve)
