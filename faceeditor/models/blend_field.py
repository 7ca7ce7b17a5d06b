"""The Neural Blend-Field: local fields around landmarks, blended by where a point lies (ImFace++, section 3.3, Eq. 9).

Each local field is a sine MLP (Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions",
2020) that sees a point relative to the landmarks. Its weights are the same for every face, or come from the face's code
through hyper nets. Binding a field to a code does that once; what it gives, a :class:`Blend`, is asked for points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL_START = 0.01
"""How much of its usual start a last layer gets where little shall happen at first."""


@dataclass(frozen=True)
class BlendConfig:
    """Sizes of a blend field; the paper's are the defaults.

    ``width`` and ``hidden``: of the sine MLPs, which have ``hidden`` square layers between the first and the last;
    ``frequency``: ω of their activations sin(ω x); ``octaves``: of the encoding of relative positions, which the paper
    does not tell; ``separate``: an MLP for every landmark that sees its own relative position, or else, as in the
    authors' first ImFace, one that sees all of them and answers for all landmarks; ``fusion``: width of the fusion
    net; ``hyper``: widths of the hyper nets' hidden layers; ``film``: the code scales and shifts what each layer gives
    and adds to the last one's weights, instead of making all weights, as on two cores.
    """

    width: int = 128
    hidden: int = 3
    frequency: float = 30.0
    octaves: int = 6
    separate: bool = True
    fusion: int = 128
    hyper: tuple[int, ...] = (32,)
    film: bool = False


class Layer(NamedTuple):
    """A linear layer of G networks side by side: ``weight`` (..., G, out, in) and ``bias`` (..., G, out)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Values (..., G, N, out) of ``x`` (..., G, N, in); weights of all faces have no leading dimensions."""
        if self.weight.shape[:-2] == (1,):
            return functional.linear(x, self.weight[0], self.bias[0])
        before = x.shape[:-2]
        weight = self.weight.expand(*before, -1, -1).flatten(0, -3)
        bias = self.bias.expand(*before, -1).flatten(0, -2)
        values = torch.baddbmm(bias[:, None], x.flatten(0, -3), weight.mT)
        return values.reshape(*before, *values.shape[1:])

    def to(self, dtype: torch.dtype) -> "Layer":
        """The same in other numbers."""
        return Layer(self.weight.to(dtype), self.bias.to(dtype))


def encode(positions: Tensor, octaves: int) -> Tensor:
    """``positions`` (..., 3) with their sines and cosines at 2^0, 2^1, ... up to ``octaves``: (..., 3 + 6 octaves)."""
    if not octaves:
        return positions
    scaled = (positions[..., None, :] * 2.0 ** torch.arange(octaves, device=positions.device)[:, None]).flatten(-2)
    return torch.cat([positions, scaled.sin(), scaled.cos()], dim=-1)


@dataclass(frozen=True, eq=False)
class Blend:
    """A blend field whose weights and landmarks are those of one face, or of a batch of faces.

    Codes and landmarks may have leading batch dimensions; points then have the same. ``layers`` have ω multiplied in.
    """

    layers: tuple[Layer, ...]
    landmarks: Tensor
    fusion: nn.Module
    octaves: int

    def __call__(self, points: Tensor) -> Tensor:
        """Eq. 9: values (..., N, V) at ``points`` (..., N, 3)."""
        return (self.weights(points)[..., None] * self.local(points)).sum(-2)

    def weights(self, points: Tensor) -> Tensor:
        """The blend weights (..., N, k), which sum to one, at ``points`` (..., N, 3)."""
        weights: Tensor = self.fusion(points)
        return weights

    def local(self, points: Tensor) -> Tensor:
        """What each landmark's field says (..., N, k, V) at ``points`` (..., N, 3)."""
        seen = encode(points[..., :, None, :] - self.landmarks[..., None, :, :], self.octaves)
        separate = self.layers[0].weight.shape[-3] > 1
        x = seen.transpose(-3, -2) if separate else seen.flatten(-2).unsqueeze(-3)
        for layer in self.layers[:-1]:
            x = layer(x).sin()
        x = self.layers[-1](x)
        return x.transpose(-3, -2) if separate else x.reshape(*x.shape[:-3], *seen.shape[-3:-1], -1)


class BlendField(nn.Module):
    """A blend field with ``values`` numbers at every point, for ``landmarks`` landmarks.

    ``dims`` components of a code make its weights; without, they are the same for every face. Where it is ``still``
    it starts with values near zero, as a motion should.
    """

    def __init__(self, landmarks: int, values: int, config: BlendConfig, dims: int = 0, *, still: bool = False) -> None:
        super().__init__()
        self.config = config
        groups, of_each = (landmarks, 1) if config.separate else (1, landmarks)
        inside = of_each * (3 + 6 * config.octaves)
        widths = (inside, *[config.width] * (config.hidden + 1), of_each * values)
        *waves, last = sine_start(groups, widths, config.frequency)
        start = (*waves, Layer(*(SMALL_START * tensor for tensor in last)) if still else last)
        self.nets: SharedNets | FilmNets | HyperNets
        if not dims:
            self.nets = SharedNets(start)
        elif config.film:
            self.nets = FilmNets(start, dims, config.hyper)
        else:
            self.nets = HyperNets(start, dims, config.hyper)
        self.fusion = fusion_net(landmarks, config.fusion)

    def bind(self, code: Tensor | None, landmarks: Tensor) -> Blend:
        """The field of a face with ``code`` (..., dims) and ``landmarks`` (..., k, 3)."""
        *waves, last = self.nets(code)
        scaled = (Layer(layer.weight * self.config.frequency, layer.bias * self.config.frequency) for layer in waves)
        return Blend((*scaled, last), landmarks, self.fusion, self.config.octaves)


def sine_start(groups: int, widths: Sequence[int], frequency: float) -> tuple[Layer, ...]:
    """Weights that a sine MLP starts from (Sitzmann et al., section 3.2), for ``groups`` of them."""
    layers = []
    for number, (inside, outside) in enumerate(pairwise(widths)):
        bound = math.sqrt(6 / inside) / frequency if number else 1 / inside
        weight = torch.empty(groups, outside, inside).uniform_(-bound, bound)
        layers.append(Layer(weight, torch.empty(groups, outside).uniform_(-1, 1) / math.sqrt(inside)))
    return tuple(layers)


class SharedNets(nn.Module):
    """Weights that are the same for every face."""

    def __init__(self, start: Sequence[Layer]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([layer.weight for layer in start])
        self.biases = nn.ParameterList([layer.bias for layer in start])

    def forward(self, code: Tensor | None = None) -> tuple[Layer, ...]:
        """The layers, whatever the code."""
        return tuple(Layer(*both) for both in zip(self.weights, self.biases, strict=True))


class FilmNets(nn.Module):
    """Weights for every face, scaled and shifted unit by unit by what a hyper net makes of its code (Perez et al.,
    "FiLM: Visual Reasoning with a General Conditioning Layer", 2018); the code is also mixed into the last layer's, so
    that a face is a sum of shared waves, with as many shares as the code has components.
    """

    def __init__(self, start: Sequence[Layer], dims: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.shared = SharedNets(start)
        self.sizes = [layer.bias.shape[-1] for layer in start for _ in Layer._fields]
        self.hyper = hyper_net(start[0].bias.shape[0], dims, *hidden, sum(self.sizes))
        self.mix = nn.Parameter(torch.zeros(*start[-1].weight.shape, dims))

    def forward(self, code: Tensor) -> tuple[Layer, ...]:
        """The layers of faces with ``code`` (..., dims)."""
        changes = self.hyper(code[..., None, :]).split(self.sizes, dim=-1)
        *waves, last = (
            Layer(layer.weight * (1 + gain)[..., None], layer.bias * (1 + gain) + shift)
            for layer, gain, shift in zip(self.shared(), changes[::2], changes[1::2], strict=True)
        )
        mixed = torch.einsum("...c,goic->...goi", code, self.mix)
        return (*waves, Layer(last.weight + mixed, last.bias))


class HyperNets(nn.Module):
    """Weights that hyper nets make from a face's code (section 3.3.2): one for each tensor of each local field."""

    def __init__(self, start: Sequence[Layer], dims: int, hidden: Sequence[int]) -> None:
        super().__init__()
        tensors = [tensor for layer in start for tensor in layer]
        self.shapes = [tensor.shape[1:] for tensor in tensors]
        self.heads = nn.ModuleList(
            hyper_net(len(tensor), dims, *hidden, math.prod(tensor.shape[1:])) for tensor in tensors
        )
        for head, tensor in zip(self.heads, tensors, strict=True):
            assert isinstance(head, nn.Sequential)
            last = head[-1]
            assert isinstance(last, GroupedLinear)
            last.bias.data.copy_(tensor.flatten(1))

    def forward(self, code: Tensor) -> tuple[Layer, ...]:
        """The layers of faces with ``code`` (..., dims)."""
        made = [head(code[..., None, :]) for head in self.heads]
        made = [flat.reshape(*flat.shape[:-1], *shape) for flat, shape in zip(made, self.shapes, strict=True)]
        return tuple(Layer(weight, bias) for weight, bias in zip(made[::2], made[1::2], strict=True))


class GroupedLinear(nn.Module):
    """G linear layers side by side."""

    def __init__(self, groups: int, inside: int, outside: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inside)
        self.weight = nn.Parameter(torch.empty(groups, outside, inside).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, outside).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Values (..., G, out) of ``x`` (..., G or 1, in)."""
        return (self.weight @ x[..., None])[..., 0] + self.bias


def hyper_net(groups: int, *widths: int) -> nn.Sequential:
    """``groups`` MLPs with ReLU side by side, whose output hardly depends on the input at first."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(widths):
        layers += [GroupedLinear(groups, inside, outside), nn.ReLU()]
    last = layers[-2]
    assert isinstance(last, GroupedLinear)
    with torch.no_grad():
        last.weight.mul_(SMALL_START)
        last.bias.zero_()
    return nn.Sequential(*layers[:-1])


def fusion_net(landmarks: int, width: int) -> nn.Sequential:
    """Points (..., 3) to blend weights (..., ``landmarks``) (Fig. 3 c), normalised as in the authors' release."""
    return nn.Sequential(
        nn.Linear(3, width),
        nn.LayerNorm(width),
        nn.LeakyReLU(),
        nn.Linear(width, width),
        nn.LayerNorm(width),
        nn.LeakyReLU(),
        nn.Linear(width, landmarks),
        nn.LayerNorm(landmarks),
        nn.Softmax(dim=-1),
    )


class LandmarkNet(nn.Module):
    """The Landmark-Nets η and η' (Fig. 3 b): codes (..., dims) to landmarks (..., k, 3)."""

    def __init__(self, dims: int, landmarks: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dims, width),
            nn.LeakyReLU(),
            nn.Linear(width, width),
            nn.LeakyReLU(),
            nn.Linear(width, 3 * landmarks),
        )

    def forward(self, code: Tensor) -> Tensor:
        """Landmarks (..., k, 3)."""
        landmarks: Tensor = self.layers(code)
        return landmarks.reshape(*code.shape[:-1], -1, 3)

    @torch.no_grad()
    def start_at(self, landmarks: Tensor) -> None:
        """Makes ``landmarks`` (k, 3) the middle of what it says."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(SMALL_START)
        last.bias.copy_(landmarks.flatten())
