"""The two networks of HeadNeRF (Hong et al., CVPR 2022): the field h_θ (Eq. 2) and the neural renderer π_ψ (Eq. 4)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.models.blend_field import encode

LEAK = 0.2
SOFTLY = 0.05
"""How loud codes are heard at first."""
SOFT = 1e-3
"""What keeps the logarithm of an opacity finite, and a slope where nothing is."""


class CodedLinear(nn.Linear):
    """A linear layer that sees ``inputs`` numbers of a point and a code of ``dims`` components.

    All points of a face share the code, so that what it says is computed once. Its weights come last.
    """

    def __init__(self, inputs: int, dims: int, outputs: int) -> None:
        super().__init__(inputs + dims, outputs)
        self.inputs, self.dims = inputs, dims

    def start(self) -> None:
        """Weights that keep what points say as loud as it was behind a ReLU (He et al., "Delving Deep into Rectifiers",
        2015), whatever the number of layers; codes, of which most components are 0, are heard softly.
        """
        nn.init.kaiming_normal_(self.weight[:, : self.inputs], nonlinearity="relu")
        nn.init.normal_(self.weight[:, self.inputs :], std=SOFTLY)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:  # type: ignore[override]
        """Values (batch, N, outputs) of ``x`` (batch, N, inputs) and ``code`` (batch, dims)."""
        if not self.dims:
            return functional.linear(x, self.weight, self.bias)
        own, shared = self.weight[:, : self.inputs], self.weight[:, self.inputs :]
        said = functional.linear(code, shared, self.bias)
        if len(said) == 1:
            return functional.linear(x, own, said[0])
        return functional.linear(x, own) + said[:, None]


class RadianceField(nn.Module):
    """h_θ: points, encoded in ``octaves``, and codes to a raw density and ``features``; no viewing direction.

    ``hidden`` layers of ``width`` see the shape code at the first layer and, with the point again, at layer ``skip``.
    The appearance code joins after the density, so that it cannot change the shape. With ``mapped`` it passes a net of
    that width first, which also says how loud the field's features are: light on skin is a product, and sums learn
    products slowly. The paper has no such net.
    """

    def __init__(
        self,
        shape: int,
        appearance: int,
        *,
        octaves: int,
        width: int,
        hidden: int,
        skip: int,
        features: int,
        mapped: int = 0,
    ) -> None:
        super().__init__()
        self.octaves, self.skip = octaves, skip
        seen = 3 + 6 * octaves
        inputs = [(seen if number in (0, skip) else 0) + (width if number else 0) for number in range(hidden)]
        dims = [shape if number in (0, skip) else 0 for number in range(hidden)]
        self.layers = nn.ModuleList(CodedLinear(into, code, width) for into, code in zip(inputs, dims, strict=True))
        for layer in self.layers:
            assert isinstance(layer, CodedLinear)
            layer.start()
        self.density = nn.Linear(width, 1)
        self.between = nn.Linear(width, width)
        self.mapping = mapping(appearance, mapped) if mapped else nn.Identity()
        self.loudness = nn.Linear(mapped, width) if mapped else None
        self.coloured = CodedLinear(width, mapped or appearance, width // 2)
        self.feature = nn.Linear(width // 2, features)

    def forward(self, points: Tensor, shape: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        """Raw densities (batch, N) and features (batch, N, features) of ``points`` (batch, N, 3)."""
        seen = x = encode(points, self.octaves)
        for number, layer in enumerate(self.layers):
            if number and number == self.skip:
                x = torch.cat([seen, x], dim=-1)
            x = layer(x, shape).relu()
        said, between = self.mapping(appearance), self.between(x)
        if self.loudness is not None:
            between = between * (1 + self.loudness(said))[:, None]
        coloured = self.coloured(between, said).relu()
        return self.density(x)[..., 0], self.feature(coloured)


def mapping(dims: int, width: int) -> nn.Sequential:
    """Two layers of ``width`` that a code of ``dims`` components passes."""
    return nn.Sequential(nn.Linear(dims, width), nn.LeakyReLU(LEAK), nn.Linear(width, width), nn.LeakyReLU(LEAK))


def blurred(x: Tensor) -> Tensor:
    """K of Eq. 4: ``x`` (batch, channels, H, W) under the kernel [1 2 1] x [1 2 1] / 16, edges reflected."""
    padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    return functional.avg_pool2d(functional.avg_pool2d(padded, 2, 1), 2, 1)


class Upsample(nn.Module):
    """Eq. 4 and the 1 x 1 convolution after it: twice the size, from ``channels`` to ``fewer``.

    The input four times plus a 2-layer MLP, shuffled to pixels and blurred. The blur and the last convolution may
    change places, and are quicker so.
    """

    def __init__(self, channels: int, fewer: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 2 * channels, 1)
        self.second = nn.Conv2d(2 * channels, 4 * channels, 1)
        self.narrow = nn.Conv2d(channels, fewer, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, fewer, 2 H, 2 W) of ``x`` (batch, channels, H, W)."""
        learned = self.second(functional.leaky_relu(self.first(x), LEAK))
        spread = functional.leaky_relu(learned, LEAK) + x.repeat(1, 4, 1, 1)
        return functional.leaky_relu(blurred(self.narrow(functional.pixel_shuffle(spread, 2))), LEAK)


class NeuralRenderer(nn.Module):
    """π_ψ: a feature map to a picture ``2 ** doublings`` times its size, by 1 x 1 convolutions alone.

    Each level has half the channels of the one before, down to ``narrowest``, and adds a picture of its own to the one
    before, enlarged. With ``outline`` the picture has an opacity too, which starts as the map's own.
    """

    def __init__(self, features: int, doublings: int, narrowest: int, outline: bool) -> None:
        super().__init__()
        self.outline = outline
        channels = [features, *(max(features >> number, narrowest) for number in range(1, doublings + 1))]
        self.upsamples = nn.ModuleList(Upsample(*ends) for ends in pairwise(channels))
        self.pictures = nn.ModuleList(nn.Conv2d(count, 4 if outline else 3, 1) for count in channels)
        if outline:
            self._start_at_the_maps_opacity()

    def _start_at_the_maps_opacity(self) -> None:
        for picture in self.pictures:
            assert isinstance(picture, nn.Conv2d)
            assert picture.bias is not None
            nn.init.zeros_(picture.weight[3:])
            nn.init.zeros_(picture.bias[3:])

    def forward(self, features: Tensor, opacity: Tensor) -> Tensor:
        """The picture (batch, 3 or 4, H, W) in [0, 1], sRGB and perhaps opacity, of a map's ``features`` (batch, F, h,
        w) and ``opacity`` (batch, 1, h, w).
        """
        features = features.contiguous(memory_format=torch.channels_last)
        picture: Tensor = self.pictures[0](features).to(opacity.dtype)
        if self.outline:
            start = (opacity + SOFT).log() - (1 + SOFT - opacity).log()
            picture = picture + functional.pad(start, (0, 0, 0, 0, 3, 0))
        for upsample, told in zip(self.upsamples, self.pictures[1:], strict=True):
            features = upsample(features)
            enlarged = functional.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
            picture = blurred(enlarged) + told(features)
        return picture.sigmoid()
