"""Light as nine spherical harmonics a colour: the one definition that the studio and the models share.

A light code (27,) is a table (9, 3) of coefficients for the real, orthonormal basis functions of bands 0 to 2, already
convolved with the clamped cosine and divided by pi (Ramamoorthi and Hanrahan, "An Efficient Representation for
Irradiance Environment Maps", SIGGRAPH 2001). So ``albedo * basis(normal) @ table`` is the linear colour of an
unoccluded matt surface.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.layout import LIGHT_SHAPE

COSINE_LOBE: Final = np.array([1.0] + [2 / 3] * 3 + [1 / 4] * 5)
"""What the clamped cosine over pi does to radiance coefficients, (9,)."""

BASIS_CONSTANTS: Final = (0.28209479, 0.48860251, 1.09254843, 0.31539157, 0.54627422)
"""Normalisation of band 0, band 1, and of xy yz xz, 3zz-1, xx-yy in band 2."""


def basis(normals: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The harmonics (..., 9) in unit directions ``normals`` (..., 3): 1, y, z, x, xy, yz, 3zz-1, xz, xx-yy."""
    x, y, z = np.moveaxis(np.asarray(normals), -1, 0)
    c0, c1, c2, c3, c4 = BASIS_CONSTANTS
    one = np.ones_like(x)
    terms = [
        c0 * one,
        c1 * y,
        c1 * z,
        c1 * x,
        c2 * x * y,
        c2 * y * z,
        c3 * (3 * z * z - 1),
        c2 * x * z,
        c4 * (x * x - y * y),
    ]
    return np.asarray(np.stack(terms, axis=-1), np.float32)


def irradiance(light: NDArray[np.floating[Any]], normals: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Linear colour (..., 3), never < 0, of a white matt surface with ``normals`` (..., 3) under the code ``light``."""
    return np.asarray(np.maximum(basis(normals) @ np.asarray(light).reshape(LIGHT_SHAPE), 0), np.float32)


def directional(direction: NDArray[np.floating[Any]], colour: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The table (9, 3) of a distant lamp in unit ``direction`` (3,); a white surface facing it gets ``colour``."""
    coefficients = np.pi * COSINE_LOBE * basis(direction)
    return np.asarray(np.outer(coefficients, colour), np.float32)


def ambient(colour: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The table (9, 3) of light that comes alike from everywhere and gives a matt surface ``colour`` (3,)."""
    table = np.zeros(LIGHT_SHAPE, np.float32)
    table[0] = np.asarray(colour) / BASIS_CONSTANTS[0]
    return table


def key_light(light: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lamp that best explains band 1 of ``light`` (27,): unit direction (3,) and linear colour (3,), never < 0."""
    table = np.asarray(light, np.float64).reshape(LIGHT_SHAPE)
    vectors = table[[3, 1, 2]]
    towards = vectors @ np.array([0.2126, 0.7152, 0.0722])
    length = np.linalg.norm(towards)
    direction = towards / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
    colour = np.maximum(direction @ vectors, 0) / (np.pi * COSINE_LOBE[1] * BASIS_CONSTANTS[1])
    return direction.astype(np.float32), colour.astype(np.float32)
