"""What tells real normal maps from drawn ones: π-GAN's discriminator at one resolution (Chan et al., "pi-GAN: Periodic
Implicit Generative Adversarial Networks for 3D-Aware Image Synthesis", 2021), and its losses (Eq. 4.8-4.11).
"""

import math
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS: Final[dict[int, int]] = {256: 32, 128: 64, 64: 128, 32: 256, 16: 400, 8: 400, 4: 400, 2: 400}
"""Channels of the pictures of each size."""
PENALTY: Final = 5.0
"""λ of R1 in Eq. 4.8."""


class CoordConv(nn.Module):
    """A 3 x 3 convolution that also sees where it is (Liu et al., "An intriguing failing of convolutional neural
    networks and the CoordConv solution", 2018).
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before + 2, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, after, S, S) of ``x`` (B, before, S, S)."""
        axis = torch.linspace(-1, 1, x.shape[-1], device=x.device)
        place = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).expand(len(x), -1, -1, -1)
        found: Tensor = self.conv(torch.cat([x, place], dim=1))
        return found


class Block(nn.Module):
    """Two convolutions beside a shortcut, and half as many pixels a side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = CoordConv(before, after), CoordConv(after, after)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, after, S / 2, S / 2) of ``x`` (B, before, S, S)."""
        found = functional.leaky_relu(self.second(functional.leaky_relu(self.first(x), 0.2)), 0.2)
        return functional.avg_pool2d((found + self.shortcut(x)) / math.sqrt(2), 2)


class Discriminator(nn.Module):
    """Scores (B,) of normal maps (B, 3, ``size``, ``size``), higher for real ones. ``share`` scales the widths."""

    def __init__(self, size: int = 64, share: float = 1.0) -> None:
        super().__init__()
        if size not in WIDTHS or size < 4:
            raise ValueError(f"the discriminator knows maps of {', '.join(map(str, WIDTHS))} pixels")
        widths = [max(1, round(share * width)) for pixels, width in WIDTHS.items() if pixels <= size]
        self.adapt = nn.Conv2d(3, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(before, after) for before, after in pairwise(widths)))
        self.score = nn.Conv2d(widths[-1], 1, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.score(self.blocks(functional.leaky_relu(self.adapt(maps), 0.2)))
        return found.flatten()


def discriminator_loss(discriminator: nn.Module, real: Tensor, drawn: Tensor) -> dict[str, Tensor]:
    """Eq. 4.8 of maps (B, 3, S, S): the terms ``d`` and the penalty ``r1``, and their sum as ``total``."""
    shown = real.detach().requires_grad_()
    scores = discriminator(shown)
    apart = functional.softplus(discriminator(drawn.detach())).mean() + functional.softplus(-scores).mean()
    (slope,) = torch.autograd.grad(scores.sum(), shown, create_graph=True)
    penalty = PENALTY * slope.square().flatten(1).sum(1).mean()
    return {"d": apart.detach(), "r1": penalty.detach(), "total": apart + penalty}


def generator_loss(discriminator: nn.Module, drawn: Tensor) -> Tensor:
    """Eq. 4.9: low where the ``drawn`` maps (B, 3, S, S) pass as real."""
    return functional.softplus(-discriminator(drawn)).mean()
