"""H of INFAMOUS-NeRF (Eq. 2): from a person's code θ the weights of every layer of that person's own two networks."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.models.blend_field import Layer
from faceeditor.models.infamous_config import Sizes
from faceeditor.models.infamous_layers import LEAK

Weights = Mapping[str, Layer]
"""Layer -> weights (people, out, in) and biases (people, out)."""

OWN: Final = 0.3
"""How far people's weights lie apart at first, as a share of their usual size."""


class LayerWeights(nn.Module):
    """The weights of one layer with ``inputs`` and ``outputs``: two layers, ``theta`` x ``hidden`` followed by
    LeakyReLU, and ``hidden`` x P (section 12). Without ``hidden``, the same weights for everyone.
    """

    def __init__(self, theta: int, hidden: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hidden = hidden
        spread = math.sqrt(2 / (1 + LEAK**2) / inputs)
        weight = torch.randn(outputs, inputs) * spread
        self.usual = nn.Parameter(functional.pad(weight, (0, 1)))
        if hidden:
            self.first = nn.Linear(theta, hidden)
            nn.init.kaiming_normal_(self.first.weight, a=LEAK)
            apart = torch.randn(outputs, inputs, hidden) * OWN * spread / math.sqrt(hidden)
            self.own = nn.Parameter(functional.pad(apart, (0, 0, 0, 1)))

    def forward(self, theta: Tensor) -> Layer:
        """The layers of people with codes (people, theta)."""
        both = self.usual.expand(len(theta), -1, -1)
        if self.hidden:
            heard = functional.leaky_relu(self.first(theta), LEAK)
            both = both + (heard @ self.own.flatten(0, 1).T).view(-1, *self.usual.shape)
        return Layer(both[..., :-1], both[..., -1])

    @torch.no_grad()
    def silence(self, columns: slice, share: float = 0.0) -> None:
        """Makes what the layer hears in some ``columns`` of its input softer at first."""
        for table in self.parameters(recurse=False):
            table[:, :-1][:, columns] *= share

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """What the layer says is nothing at first."""
        for table in self.parameters(recurse=False):
            nn.init.zeros_(table)


class Hypernetwork(nn.Module):
    """H(θ): a :class:`LayerWeights` for every layer of F_A and F_S."""

    def __init__(self, theta: int, hidden: int, sizes: Sizes) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: LayerWeights(theta, hidden, *ends) for name, ends in sizes.items()})

    def __getitem__(self, name: str) -> LayerWeights:
        found = self.layers[name]
        assert isinstance(found, LayerWeights)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def forward(self, theta: Tensor) -> Weights:
        """W'_A and W'_S of people with codes (people, theta)."""
        return {name: layer(theta) for name, layer in self.layers.items()}
