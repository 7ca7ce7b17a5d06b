"""The U-Net that tells noise from what a coarse picture lacks (Ho et al., "Denoising Diffusion Probabilistic Models",
2020).

It has no normalisation over places, so that what it says of a pixel depends on its surroundings alone and a picture
may be refined in tiles.
"""

import itertools
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVEL: Final = 32
"""Numbers that a noise level is told in."""
SLOWEST, FASTEST = 0.5, 30.0
"""Frequencies of the waves that tell it, over the angle between signal and noise."""

QUIET: Final = 0.3
"""How loud a block is beside the identity at first."""


class Told(nn.Module):
    """What layers hear of a noise level."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        frequencies = SLOWEST * (FASTEST / SLOWEST) ** torch.linspace(0, 1, LEVEL // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(LEVEL, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, signal: Tensor) -> Tensor:
        """Numbers (batch, width) of the shares of ``signal`` (batch,), √ᾱ."""
        angle = torch.acos(signal.clamp(0, 1))[:, None] * self.frequencies
        told: Tensor = self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))
        return told


class Block(nn.Module):
    """Two 3 x 3 convolutions beside the identity; the noise level scales and shifts what lies between."""

    def __init__(self, inside: int, outside: int, told: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.level = nn.Linear(told, 2 * outside)
        self.beside = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)
        for values in (self.level.weight, self.level.bias):
            nn.init.zeros_(values)
        nn.init.normal_(self.second.weight, std=QUIET / (9 * outside) ** 0.5)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Features (batch, outside, H, W) of ``x`` (batch, inside, H, W)."""
        scale, shift = self.level(told)[:, :, None, None].chunk(2, dim=1)
        between = self.first(functional.silu(x)) * (1 + scale) + shift
        found: Tensor = self.beside(x) + self.second(functional.silu(between))
        return found


class UNet(nn.Module):
    """Features (batch, C, H, W) to as many maps of the same size; H and W are multiples of ``2 ** len(widths)``."""

    def __init__(self, inside: int, outside: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        told = 2 * widths[0]
        self.told = Told(told)
        self.enter = nn.Conv2d(inside * 4, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Block(width, width, told) for width in widths)
        pairs = list(itertools.pairwise(widths))
        self.smaller = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.middle = Block(widths[-1], widths[-1], told)
        self.larger = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(Block(2 * width, width, told) for width in widths)
        self.leave = nn.Conv2d(widths[0], outside * 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """Maps (batch, outside, H, W) of ``x`` (batch, inside, H, W) at shares of ``signal`` (batch,)."""
        told = self.told(signal)
        x = self.enter(functional.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        seen: list[Tensor] = []
        for number, block in enumerate(self.down):
            x = block(x, told)
            seen.append(x)
            x = self.smaller[number](x) if number < len(self.smaller) else self.middle(x, told)
        for number in reversed(range(len(seen))):
            x = self.up[number](torch.cat([x, seen[number]], dim=1), told)
            if number:
                x = functional.interpolate(self.larger[number - 1](x), scale_factor=2.0)
        return functional.pixel_shuffle(self.leave(functional.silu(x)), 2)
