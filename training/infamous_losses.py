"""The losses of INFAMOUS-NeRF's first stage (section 11).

Structure and gradients are compared in pictures whose drawn pixels replace the true ones. Elsewhere both are the same,
so that what lies around a patch is all that is needed of a picture.
"""

from typing import Final

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

RIM: Final = 3
"""True pixels around a drawn patch; SSIM looks as far."""
SPREAD: Final = 1.0
"""Standard deviation of SSIM's window, in pixels."""


def recon(drawn: Tensor, true: Tensor) -> Tensor:
    """L_recon (Eq. 10) of pixels (N, 3)."""
    return (drawn - true).abs().mean()


def dssim(replaced: Tensor, true: Tensor) -> Tensor:
    """L_DSSIM (Eq. 11) of patches (N, 3, H, W) with their rims."""
    found = ssim(replaced, true, gaussian_kernel=True, sigma=SPREAD, kernel_size=2 * RIM + 1, data_range=1.0)
    return (1 - torch.as_tensor(found)) / 2


def gradient(replaced: Tensor, true: Tensor) -> Tensor:
    """L_gradient (Eq. 12) of patches (N, 3, H, W) with their rims, for each of the drawn pixels."""
    off = replaced - true
    drawn = off.shape[0] * off.shape[1] * (off.shape[2] - 2 * RIM) * (off.shape[3] - 2 * RIM)
    return (off.diff(dim=-1).abs().sum() + off.diff(dim=-2).abs().sum()) / drawn
