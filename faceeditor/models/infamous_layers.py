"""F_A and F_S of INFAMOUS-NeRF, layer by layer (Tables 8 and 9), for weights that belong to a person.

What a code says to a layer is the same for all points of a face, so that it is added to the layer's bias once
(:func:`told`); layers are asked for points with what remains.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from faceeditor.models.blend_field import Layer, encode
from faceeditor.models.infamous_config import WAVES

LEAK: Final = 0.2
"""Slope of every LeakyReLU."""
OCTAVES: Final = WAVES // 6


def waves(vectors: Tensor) -> Tensor:
    """PE: sines and cosines (..., 66) of ``vectors`` (..., 3)."""
    return encode(vectors, OCTAVES)[..., 3:]


def heard(layer: Layer, x: Tensor) -> Tensor:
    """What a layer with LeakyReLU makes of ``x`` (faces, N, in)."""
    return functional.leaky_relu(layer(x), LEAK)


def told(layer: Layer, code: Tensor, start: int = 0) -> Layer:
    """``layer`` for faces with a ``code`` (faces, dims), which is its input from column ``start``; what remains of its
    input keeps its order.
    """
    end = start + code.shape[-1]
    own = layer.weight[..., start:end]
    rest = torch.cat([layer.weight[..., :start], layer.weight[..., end:]], dim=-1)
    return Layer(rest, layer.bias + (own @ code[..., None])[..., 0])


class FaceColour(NamedTuple):
    """F_A of a batch of faces (Table 8)."""

    a1: Layer
    a2: Layer
    a3: Layer
    a4: Layer
    a5: Layer

    @classmethod
    def of(cls, weights: Mapping[str, Layer], alpha: Tensor) -> Self:
        """That of people with ``weights`` and appearance codes (faces, alpha)."""
        a2 = weights["A_2"]
        return cls(
            told(weights["A_1"], alpha),
            a2,
            told(weights["A_3"], alpha, start=a2.weight.shape[-2]),
            weights["A_4"],
            weights["A_5"],
        )

    def __call__(self, x: Tensor, d: Tensor) -> Tensor:
        """Colours (faces, N, 3) in [0, 1] at encoded points and encoded viewing directions (faces, N, 66)."""
        y = heard(self.a2, heard(self.a1, x))
        y = heard(self.a3, torch.cat([y, x], dim=-1))
        return self.a5(heard(self.a4, torch.cat([y, d], dim=-1))).sigmoid()


class FaceShape(NamedTuple):
    """F_S of a batch of faces (Table 9)."""

    e1: Layer
    e2: Layer
    e3: Layer
    s1: Layer
    s2: Layer
    s3: Layer
    s4: Layer
    s5: Layer
    s6: Layer

    @classmethod
    def of(cls, weights: Mapping[str, Layer], alpha: Tensor, beta: Tensor, epsilon: Tensor) -> Self:
        """That of people with ``weights`` and codes (faces, dims)."""
        return cls(
            told(weights["E_1"], expressed(weights, beta, epsilon)),
            weights["E_2"],
            weights["E_3"],
            told(weights["S_1"], beta),
            weights["S_2"],
            told(weights["S_3"], beta),
            weights["S_4"],
            told(weights["S_5"], alpha),
            weights["S_6"],
        )

    def __call__(self, x: Tensor) -> Tensor:
        """What is said of the density (faces, N) at encoded points (faces, N, 66), before the last ReLU."""
        e3 = heard(self.e3, heard(self.e2, heard(self.e1, x)))
        y = heard(self.s2, heard(self.s1, e3))
        y = heard(self.s4, heard(self.s3, torch.cat([e3, y], dim=-1)))
        return self.s6(heard(self.s5, torch.cat([x, y], dim=-1)))[..., 0]


def expressed(weights: Mapping[str, Layer], beta: Tensor, epsilon: Tensor) -> Tensor:
    """ε' = MS(β) * ε + MB(β), (faces, epsilon)."""
    scale, bias = (_three_layers(weights, net, beta) for net in ("MS", "MB"))
    return scale * epsilon + bias


def _three_layers(weights: Mapping[str, Layer], net: str, beta: Tensor) -> Tensor:
    first, second, third = (weights[f"{net}_{number}"] for number in (1, 2, 3))
    return third(heard(second, heard(first, beta[:, None])))[:, 0]
