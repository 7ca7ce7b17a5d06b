"""How each component of the studio's identity code moves the mean head, and the warp that is nearest to it.

Offsets of control points are linear in what they do, so that the best are found by least squares and not by descent.
"""

from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sparse
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse.linalg import factorized
from torch import Tensor

from faceeditor.faces.layout import DIMS, IDENTITY
from faceeditor.models.triplane_warp import Warp, spline
from training.studio.assets import HAIR_STYLES
from training.studio.factors import expression_code
from training.triplane_sampling import Heads, Shape, read_known, write_known
from training.triplane_scans import REST, HeadMaker

PEOPLE_FILE: Final = "people.npz"
BENDING, STRETCHING = 1e-3, 1e-4
"""Of second and first differences of control points, beside a mean point of those that see one."""

Floats = NDArray[np.float64]


def known_people(maker: HeadMaker, seed: int = 0) -> Heads:
    """``points`` (N, 3) that a scanner sees of the mean head at rest, bald and with each hair style, half of them in
    the face, and the ``offsets`` (N, 100, 3) by which each component of the identity code moves them, in the model's
    unit.
    """
    random = np.random.default_rng(seed)
    parts = [_part(maker, style, random) for style in (None, *HAIR_STYLES)]
    points, offsets = (np.concatenate(tables).astype(np.float32) for tables in zip(*parts, strict=True))
    return {"points": points, "offsets": offsets}


def read_people(folder: Path) -> dict[str, Tensor] | None:
    """What is stored beside the heads of a ``folder``; ``None`` for heads that no studio made."""
    return read_known(folder / PEOPLE_FILE)


def write_people(maker: HeadMaker, folder: Path) -> None:
    """Stores :func:`known_people` beside the heads of a ``folder``, if they are not there."""
    write_known(folder / PEOPLE_FILE, lambda: known_people(maker))


def fitted_warp(points: Tensor, offsets: Tensor, side: int) -> Warp:
    """The warp with ``side`` control points along each axis whose components move ``points`` (N, 3) by ``offsets``
    (N, C, 3), as nearly as it can.
    """
    wanted = offsets.double().numpy().reshape(len(points), -1)
    seen = _seen_by(points, side)
    kept = np.unique(seen.indices)
    found = _least_squares(seen[:, kept].tocsr(), wanted, _stiffness(kept, side))
    table = found.reshape(len(kept), -1, 3).swapaxes(1, 2)
    return Warp.of(torch.from_numpy(table), torch.from_numpy(_owners(kept, side)))


def _part(maker: HeadMaker, style: str | None, random: np.random.Generator) -> tuple[Floats, Floats]:
    rest, still = expression_code(**REST), np.zeros(DIMS[IDENTITY])
    vertices, faces = maker.mesh(still, rest, style)
    facial = np.append(maker.facial, np.zeros(len(faces) - len(maker.faces), bool))
    surface, _ = maker.sampler.known(Shape.of(vertices, faces, facial), random)
    points = surface.on(vertices, faces)
    moved = [surface.on(maker.mesh(code, rest, style)[0], faces) - points for code in np.eye(DIMS[IDENTITY])]
    return maker.sampler.own(points).astype(np.float64), np.stack(moved, axis=1) / maker.config.unit


def _seen_by(points: Tensor, side: int) -> sparse.csr_matrix:
    """The weights (N, S S S) of control points at ``points`` (N, 3)."""
    index, weights = spline(points.double(), side)
    row = np.repeat(np.arange(len(points)), index.shape[1])
    return sparse.csr_matrix((weights.numpy().ravel(), (row, index.numpy().ravel())), shape=(len(points), side**3))


def _stiffness(kept: NDArray[np.integer], side: int) -> sparse.csr_matrix:
    """What differences between the control points ``kept`` (K,) that are neighbours cost: (K, K)."""
    number = np.full(side**3, -1)
    number[kept] = np.arange(len(kept))
    table = number.reshape(side, side, side)
    total = sparse.csr_matrix((len(kept), len(kept)))
    for axis in range(3):
        for cost, pattern in ((BENDING, (1, -2, 1)), (STRETCHING, (-1, 1))):
            along = np.moveaxis(table, axis, -1)
            rows = np.lib.stride_tricks.sliding_window_view(along, len(pattern), axis=-1).reshape(-1, len(pattern))
            rows = rows[(rows >= 0).all(1)]
            where = (np.repeat(np.arange(len(rows)), len(pattern)), rows.ravel())
            differences = sparse.csr_matrix((np.tile(pattern, len(rows)), where), shape=(len(rows), len(kept)))
            total = total + cost * (differences.T @ differences)
    return total


def _least_squares(seen: sparse.csr_matrix, wanted: Floats, stiffness: sparse.csr_matrix) -> Floats:
    """The offsets (K, M) with which ``seen`` (N, K) gives what is ``wanted`` (N, M)."""
    mean = len(wanted) / seen.shape[1]
    solve = factorized((seen.T @ seen + mean * stiffness).tocsc())
    return np.stack([solve(column) for column in np.asarray(seen.T @ wanted).T], axis=1)


def _owners(kept: NDArray[np.integer], side: int) -> NDArray[np.int32]:
    """The nearest (S S S,) of the control points ``kept`` (K,), as a number among them."""
    number = np.zeros(side**3, np.int32)
    number[kept] = np.arange(len(kept))
    without = np.ones(side**3, bool)
    without[kept] = False
    cube = (side, side, side)
    nearest = distance_transform_edt(without.reshape(cube), return_distances=False, return_indices=True)
    return np.asarray(number[np.ravel_multi_index(tuple(nearest.reshape(3, -1)), cube)])
