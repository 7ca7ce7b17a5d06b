"""The yardstick of ``bench``: a dense network of HeadNeRF's size, with random weights.

HeadNeRF (Hong et al., CVPR 2022), section 3 and its smallest published setting: 32 x 32 rays of 64 samples go through
an MLP of eight layers of 384, which gives a density and a 256-channel feature; the composited 32 x 32 feature map is
upsampled three times by 1x1 convolutions, pixel shuffles and blurs, with an RGB picture summed along the way.
"""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RAYS: Final = 32
SAMPLES: Final = 64
WIDTH: Final = 384
FEATURES: Final = 256
SHAPE_CODE: Final = 179
APPEARANCE_CODE: Final = 127
OCTAVES: Final = 10
DOUBLINGS: Final = 3


class DenseReference(nn.Module):
    """Draws a 256 x 256 picture at random-weight quality and published cost; single precision, as published."""

    def __init__(self) -> None:
        super().__init__()
        encoded = 3 + 6 * OCTAVES + SHAPE_CODE
        inputs = [encoded, *[WIDTH] * 4, WIDTH + encoded, WIDTH, WIDTH]
        self.trunk = nn.ModuleList(nn.Linear(size, WIDTH) for size in inputs)
        self.density = nn.Linear(WIDTH, 1)
        self.bottleneck = nn.Linear(WIDTH, WIDTH)
        self.colour = nn.Sequential(
            nn.Linear(WIDTH + APPEARANCE_CODE, WIDTH // 2), nn.ReLU(), nn.Linear(WIDTH // 2, FEATURES)
        )
        self.upsampler = _Upsampler()

    @torch.no_grad()
    def forward(self) -> Tensor:
        """A picture (3, 256, 256) of fixed codes."""
        count = RAYS * RAYS
        points = torch.linspace(-1, 1, count * SAMPLES * 3).view(-1, 3)
        waves = (points[:, None] * 2.0 ** torch.arange(OCTAVES)[:, None]).flatten(1)
        code = torch.zeros(len(points), SHAPE_CODE)
        encoded = torch.cat([points, waves.sin(), waves.cos(), code], 1)
        x = encoded
        for index, layer in enumerate(self.trunk):
            x = F.relu(layer(torch.cat([encoded, x], 1) if index == 5 else x))
        density = F.relu(self.density(x)).view(count, SAMPLES)
        appearance = torch.zeros(len(points), APPEARANCE_CODE)
        features = self.colour(torch.cat([self.bottleneck(x), appearance], 1)).view(count, SAMPLES, FEATURES)
        alpha = 1 - torch.exp(-density * (6 / SAMPLES))
        clear = torch.cumprod(torch.cat([torch.ones(count, 1), 1 - alpha[:, :-1] + 1e-10], 1), 1)
        merged = ((alpha * clear)[..., None] * features).sum(1)
        picture: Tensor = self.upsampler(merged.T.reshape(1, FEATURES, RAYS, RAYS))
        return picture[0]


class _Upsampler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [max(FEATURES >> level, 32) for level in range(DOUBLINGS + 1)]
        self.first = nn.ModuleList(nn.Conv2d(width, 2 * width, 1) for width in widths[:-1])
        self.second = nn.ModuleList(nn.Conv2d(2 * width, 4 * width, 1) for width in widths[:-1])
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        rgb = self.to_rgb[0](x)
        for level, (first, second, narrow) in enumerate(zip(self.first, self.second, self.narrow, strict=True)):
            wide = F.leaky_relu(second(F.leaky_relu(first(x), 0.2)), 0.2) + x.repeat(1, 4, 1, 1)
            x = F.leaky_relu(narrow(_blurred(F.pixel_shuffle(wide, 2))), 0.2)
            rgb = _blurred(F.interpolate(rgb, scale_factor=2, mode="bilinear")) + self.to_rgb[level + 1](x)
        return torch.sigmoid(rgb)


def _blurred(x: Tensor) -> Tensor:
    """A 3 x 3 binomial filter with reflected edges."""
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1])
