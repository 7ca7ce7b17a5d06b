"""What the networks that look at pictures of heads are made of: residual blocks (He et al., "Deep Residual Learning for
Image Recognition", 2015) and a feature pyramid over them (Lin et al., "Feature Pyramid Networks", 2017).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(inside: int, outside: int, stride: int = 1, reach: int = 3) -> nn.Sequential:
    """A convolution over ``reach`` pixels, normalised and rectified."""
    layer = nn.Conv2d(inside, outside, reach, stride, reach // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions beside the identity; with ``squeeze`` above one, a bottleneck of so many times fewer channels
    with one convolution between.
    """

    def __init__(self, width: int, squeeze: int = 1) -> None:
        super().__init__()
        inner = width // squeeze
        if squeeze == 1:
            self.first, reach = convolution(width, width), 3
        else:
            self.first, reach = nn.Sequential(*convolution(width, inner, reach=1), *convolution(inner, inner)), 1
        self.second = nn.Sequential(nn.Conv2d(inner, width, reach, 1, reach // 2, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, width, H, W) and what is added to it."""
        return functional.relu(x + self.second(self.first(x)))


def halving(inside: int, outside: int, squeeze: int = 1) -> nn.Sequential:
    """Halves the resolution and changes the channels: by one convolution, or, before bottlenecks, after averaging."""
    if squeeze == 1:
        return convolution(inside, outside, 2)
    return nn.Sequential(nn.AvgPool2d(2), *convolution(inside, outside, reach=1))


def stages(widths: Sequence[int], blocks: Sequence[int], squeeze: int = 1) -> nn.ModuleList:
    """Stages that halve the resolution and go from each of ``widths`` to the next, with so many residual blocks."""
    return nn.ModuleList(
        nn.Sequential(halving(inside, outside, squeeze), *(Residual(outside, squeeze) for _ in range(count)))
        for (inside, outside), count in zip(pairwise(widths), blocks, strict=True)
    )


def doubled(x: Tensor) -> Tensor:
    """``x`` (B, C, H, W) at twice the resolution."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Pyramid(nn.Module):
    """Features of all scales, brought together at the resolution of the finest."""

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(inside, width, 1) for inside in widths)
        self.smooth = nn.ModuleList(convolution(width, width) for _ in widths[1:])
        self.last = Residual(width)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """One map (B, width, H, W) of ``features``, each half as large as the one before."""
        laterals = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        x = laterals[-1]
        for smooth, finer in zip(self.smooth, laterals[-2::-1], strict=True):
            x = smooth(doubled(x) + finer)
        result: Tensor = self.last(x)
        return result


def expectation(heat: Tensor) -> Tensor:
    """Expected position (B, N, 2) in fractions of the picture under the softmax of the maps ``heat`` (B, N, H, W)."""
    chances = heat.flatten(2).softmax(-1).view_as(heat)
    rows, columns = heat.shape[-2:]
    across, down = ((torch.arange(count, device=heat.device) + 0.5) / count for count in (columns, rows))
    # Sums, for a product of matrices would be taken in 16 bits where training is, and places need more.
    x, y = (chances.sum(-2) * across).sum(-1), (chances.sum(-1) * down).sum(-1)
    return torch.stack([x, y], dim=-1)
