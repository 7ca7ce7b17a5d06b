"""Expressions as a forward deformation of the head at rest (section 4.3): x_posed = x + F_ex(x, z_ex, z_id).

At the code of ``rest`` nothing moves, by construction; in the thesis that is only learned. A head at rest may have its
mouth open, so that its lips are apart, and the code 0 then closes it.
"""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import torch
from torch import Tensor, nn

from faceeditor.models.blend_field import encode
from faceeditor.models.triplane_layers import BoundMLP, CodedMLP

REACH: Final = 0.02
"""The offset, in the model's unit, of a blendshape whose net says 1: the steps of an optimiser are as small as motions.
"""


@dataclass(frozen=True)
class DeformationConfig:
    """Sizes of F_ex; the thesis' are the defaults (section 4.3.2).

    ``kind``: ``deepsdf``, an MLP that sees point and both codes, or ``blend``, one that sees point and identity and
    gives an offset for every component of the expression code, which are then summed: neural blendshapes. These are
    found once for a head at rest; after that an expression costs one product of matrices. ``hidden`` layers of
    ``width``; point and codes join again before layer ``skip``; ``octaves`` of sines and cosines are seen beside a
    point.
    """

    kind: Literal["deepsdf", "blend"] = "deepsdf"
    width: int = 1024
    hidden: int = 8
    skip: int = 4
    octaves: int = 0


class BoundDeformation(Protocol):
    """How one person's head moves with one expression, or those of a batch."""

    def __call__(self, points: Tensor) -> Tensor:
        """Offsets (..., N, 3) of ``points`` (..., N, 3) of the head at rest."""
        ...


@dataclass(frozen=True, eq=False)
class _Difference:
    """What an expression's net says beyond what the net of rest says."""

    posed: BoundMLP
    still: BoundMLP
    octaves: int

    def __call__(self, points: Tensor) -> Tensor:
        seen = encode(points, self.octaves)
        return self.posed(seen) - self.still(seen)


@dataclass(frozen=True, eq=False)
class _Blend:
    """The sum of a net's offsets, with the expression's weights in its last layer."""

    net: BoundMLP
    octaves: int

    def __call__(self, points: Tensor) -> Tensor:
        return self.net(encode(points, self.octaves))


class Deformation(nn.Module):
    """F_ex. ``rest`` (expression_dims,) is the code at which nothing moves."""

    rest: Tensor

    def __init__(self, config: DeformationConfig, expression_dims: int, identity_dims: int) -> None:
        super().__init__()
        self.config = config
        inputs = 3 + 6 * config.octaves
        blend = config.kind == "blend"
        codes = identity_dims if blend else expression_dims + identity_dims
        outputs = 3 * expression_dims if blend else 3
        self.net = CodedMLP(inputs, codes, outputs, config.width, config.hidden, config.skip)
        self.net.start_small()
        self.register_buffer("rest", torch.zeros(expression_dims))

    def bind(self, expression: Tensor, identity: Tensor) -> BoundDeformation:
        """The motion of codes ``expression`` and ``identity`` (..., dims)."""
        octaves = self.config.octaves
        if self.config.kind == "blend":
            return _Blend(blended(self.net.bind(identity), REACH * (expression - self.rest)), octaves)
        posed, still = (
            self.net.bind(torch.cat([code, identity], dim=-1)) for code in (expression, self.rest.expand_as(expression))
        )
        return _Difference(posed, still, octaves)

    def blendshapes(self, points: Tensor, identity: Tensor) -> Tensor:
        """Offsets (N, dims, 3) of ``points`` (N, 3) for each component of the expression code. ``blend`` alone has
        them.
        """
        if self.config.kind != "blend":
            raise ValueError("only neural blendshapes are linear in the expression")
        said = self.net.bind(identity)(encode(points, self.config.octaves))
        return REACH * said.reshape(*said.shape[:-1], len(self.rest), 3)


def blended(net: BoundMLP, weights: Tensor) -> BoundMLP:
    """``net`` with ``weights`` (..., dims) of its blendshapes summed in the last layer: three outputs."""
    weight, bias = net.weights[-1], net.biases[-1]
    table = weight.reshape(-1, 3, weight.shape[-1])
    offset = bias.reshape(*bias.shape[:-1], -1, 3)
    last = torch.einsum("...e,ecw->...cw", weights, table)
    moved = torch.einsum("...e,...ec->...c", weights, offset)
    return BoundMLP((*net.weights[:-1], last), (*net.biases[:-1], moved), net.skip)
