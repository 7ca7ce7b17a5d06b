"""Small building blocks that more than one model uses."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from faceeditor.faces.layout import LIGHT_SHAPE
from faceeditor.rendering.harmonics import BASIS_CONSTANTS, COSINE_LOBE


def tensors(arrays: Mapping[str, NDArray[Any]], device: torch.device | None = None) -> dict[str, torch.Tensor]:
    """The same arrays, any shapes, as float32 tensors of their own on ``device``."""
    return {name: torch.as_tensor(np.array(values, np.float32), device=device) for name, values in arrays.items()}


def has_short_numbers(device: torch.device) -> bool:
    """Whether bfloat16 is quicker: on GPUs, and on CPUs with the instructions for it (measured: two to three times)."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()


def reflected(light: torch.Tensor, normals: torch.Tensor, softness: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Linear colour (N, 3) of a white matt surface with ``normals`` (N, 3) under ``light`` (27,), with gradients.

    The same as :func:`faceeditor.rendering.harmonics.irradiance`, with band 2 scaled by ``softness`` (N, 3), below
    one where light wanders under the surface.
    """
    x, y, z = normals.unbind(-1)
    c0, c1, c2, c3, c4 = BASIS_CONSTANTS
    table = light.reshape(LIGHT_SHAPE)
    first = torch.stack([torch.full_like(x, c0), c1 * y, c1 * z, c1 * x], dim=-1) @ table[:4]
    second = [c2 * x * y, c2 * y * z, c3 * (3 * z * z - 1), c2 * x * z, c4 * (x * x - y * y)]
    return (first + softness * (torch.stack(second, dim=-1) @ table[4:])).clamp_min(0)


def key_light(light: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The direction (3,) and linear colour (3,) of the lamp that best explains band 1 of ``light`` (27,), with
    gradients.

    The same as :func:`faceeditor.rendering.harmonics.key_light`.
    """
    vectors = light.reshape(LIGHT_SHAPE)[[3, 1, 2]]
    towards = vectors @ vectors.new_tensor([0.2126, 0.7152, 0.0722])
    direction = functional.normalize(towards + towards.new_tensor([0.0, 0.0, 1e-6]), dim=0)
    return direction, (direction @ vectors).clamp_min(0) / (math.pi * float(COSINE_LOBE[1]) * BASIS_CONSTANTS[1])


def mlp(*widths: int, zero_last: bool = False) -> nn.Sequential:
    """Linear layers with LeakyReLU(0.2) between them; with ``zero_last`` the output starts at zero."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    last = layers[-2]
    assert isinstance(last, nn.Linear)
    if zero_last:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers[:-1])
