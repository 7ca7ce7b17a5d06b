"""The zero surface of a signed distance function, evaluated only where it can be.

The box is cut into blocks of 16 cells a side. A function that changes by at most L a metre has no zero in a block
whose centre's value exceeds L times the distance to its corners, so the block is skipped; what remains is cut into
smaller blocks. All but the largest are asked at their own corners too, which clears octants of them, and where a zero
is left to be found, the last ones at the corners of their cells. These are meshed by marching cubes
(Lewiner et al., "Efficient Implementation of Marching Cubes' Cases with Topological Guarantees", 2003), one block of 16
at a time, and joined by the grid edges on which their vertices lie: the same surface as of the dense grid.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

Points = NDArray[np.float32]
SignedDistance = Callable[[Points], NDArray[np.floating[Any]]]
"""Signed distances (N,) of points (N, 3), negative inside."""

LEVELS: Final = (16, 8, 4, 2)
"""Cells a side of the blocks that are tested, from coarse to fine; each divides the one before."""
CHUNK: Final = 4096
"""Points in one call of the function: few enough for a network's activations to stay in the cache."""
MARGIN: Final = 1.1
BENT: Final = 4.0
"""How much farther a function may be from linear in a block than its corners and centre show."""
SLACK: Final = 0.1
"""What is added to that, as a distance in edges of the block."""
_CLEAR: Final = 2e-4
"""Cells: values are kept this far from zero, so that every vertex lies within one grid edge."""
_SNAP: Final = 1e-5


@dataclass(frozen=True, eq=False)
class Isosurface:
    """Triangles: ``vertices`` (V, 3) float32, ``faces`` (F, 3) int32 counter-clockwise from outside (the positive
    side), and how many ``evaluations`` of the function they took.
    """

    vertices: Points
    faces: NDArray[np.int32]
    evaluations: int


def extract(
    sdf: SignedDistance,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    resolution: int,
    lipschitz: float,
    *,
    levels: tuple[int, ...] = LEVELS,
    chunk: int = CHUNK,
    ball: tuple[tuple[float, float, float], float] | None = None,
) -> Isosurface:
    """The zero surface of ``sdf`` in the box from ``low`` to ``high``, open where the box cuts it.

    Where a ``ball``, centre and radius, is given, only what lies in it is wanted: blocks outside are not looked at, and
    what comes out beyond the ball is of no use.

    ``resolution`` is the number of cells along the box' longest side. ``lipschitz`` is the most that ``sdf`` changes
    over a distance of 1 (:func:`measured_lipschitz`); where it is too small the surface gets holes. ``sdf`` is called
    with at most ``chunk`` points, all of them in the box. Raises ``ValueError`` for values that are not finite.
    """
    grid = _Grid.of(sdf, np.array(low, np.float64), np.array(high, np.float64), resolution, chunk)
    if ball is not None:
        grid.centre, grid.radius = (np.array(ball[0]) - grid.low) / grid.cell, ball[1] / grid.cell
    blocks, field = _sparse_field(grid, lipschitz, levels)
    vertices, faces = _mesh(grid, blocks, field)
    return Isosurface((grid.low + grid.cell * vertices).astype(np.float32), faces, grid.evaluations)


def measured_lipschitz(
    sdf: SignedDistance,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    *,
    samples: int = 4096,
    margin: float = MARGIN,
    seed: int = 0,
    chunk: int = CHUNK,
) -> float:
    """The steepest gradient of ``sdf`` found at ``samples`` random points of the box, times ``margin``.

    Central differences over a thousandth of the box: 6 evaluations a sample.
    """
    bottom, top = np.array(low, np.float64), np.array(high, np.float64)
    step = 5e-4 * float((top - bottom).max())
    points = np.random.default_rng(seed).uniform(bottom + step, top - step, (samples, 3))
    offsets = step * np.concatenate([np.eye(3), -np.eye(3)])
    around = (points[:, None] + offsets).astype(np.float32).reshape(-1, 3)
    values = _values(sdf, around, chunk).reshape(samples, 2, 3).astype(np.float64)
    gradients = (values[:, 0] - values[:, 1]) / (2 * step)
    return margin * float(np.linalg.norm(gradients, axis=1).max())


@dataclass
class _Grid:
    """The function over a grid of ``shape`` cells with edges of length ``cell``."""

    sdf: SignedDistance
    low: NDArray[np.float64]
    cell: float
    shape: NDArray[np.int64]
    chunk: int
    evaluations: int = 0
    centre: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    radius: float = np.inf

    @classmethod
    def of(
        cls, sdf: SignedDistance, low: NDArray[np.float64], high: NDArray[np.float64], resolution: int, chunk: int
    ) -> "_Grid":
        cell = float((high - low).max()) / resolution
        return cls(sdf, low, cell, np.floor((high - low) / cell + 1e-6).astype(np.int64), chunk)

    def values(self, places: NDArray[Any]) -> NDArray[np.float32]:
        """Distances in cells (N,) at ``places`` (N, 3), in cells from the grid's corner."""
        self.evaluations += len(places)
        found = np.empty(len(places), np.float32)
        for start in range(0, len(places), self.chunk):
            points = self.low + self.cell * places[start : start + self.chunk]
            found[start : start + self.chunk] = _values(self.sdf, points.astype(np.float32), self.chunk)
        return found / np.float32(self.cell)


def _values(sdf: SignedDistance, points: Points, chunk: int) -> NDArray[np.float32]:
    found = [np.asarray(sdf(points[i : i + chunk]), np.float32) for i in range(0, len(points), chunk)]
    values = np.concatenate([np.zeros(0, np.float32), *found])
    if not np.isfinite(values).all():
        raise ValueError("the signed distance function gave a value that is not finite")
    return values


def _sparse_field(
    grid: _Grid, lipschitz: float, levels: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The first cells (B, 3) of the coarsest blocks that may hold the surface, and the values (B, s + 1, ...) at the
    corners of their cells; where these were not evaluated, they are a skipped block's centre's, which has their sign.
    """
    size = levels[0]
    counts = -(-grid.shape // size)
    blocks = size * np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    values, alive = _test(grid, blocks, size, lipschitz)
    corners = _Corners.of(grid, blocks[alive], size)
    centres, alive = values[alive].reshape(-1, 1, 1, 1), np.ones((int(alive.sum()), 1, 1, 1), bool)
    for coarse, fine in pairwise(levels):
        if coarse < size:
            alive = _octants(corners, centres, alive, coarse)
        centres, alive = _finer(centres, coarse // fine), _finer(alive, size // fine // alive.shape[1])
        block, *place = np.nonzero(alive)
        first = corners.blocks[block] + fine * np.stack(place, axis=-1)
        centres[alive], alive[alive] = _test(grid, first, fine, lipschitz)
    octants = _octants(corners, centres, alive, levels[-1])
    corners.ask(_corners(_finer(octants, size // octants.shape[1])))
    beside = _at_corners(_finer(centres, levels[-1]), grid.shape - corners.blocks)
    return corners.blocks, np.where(corners.known, corners.values, beside)


@dataclass
class _Corners:
    """The corners of the cells of ``blocks`` (B, 3), told by their first cells: ``values`` (B, s + 1, ...) where they
    are ``known`` (B, s + 1, ...).
    """

    grid: _Grid
    blocks: NDArray[np.int64]
    values: NDArray[np.float32]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, grid: _Grid, blocks: NDArray[np.int64], size: int) -> "_Corners":
        shape = (len(blocks), *[size + 1] * 3)
        return cls(grid, blocks, np.zeros(shape, np.float32), np.zeros(shape, bool))

    def ask(self, wanted: NDArray[np.bool_]) -> None:
        """Evaluates the ``wanted`` ones (B, s + 1, ...) that are not known; what blocks share, once."""
        shape, side = tuple(self.grid.shape + 1), wanted.shape[1]
        asked = np.flatnonzero(wanted & ~self.known)
        block, corner = np.divmod(asked, side**3)
        place = np.stack(np.unravel_index(np.arange(side**3), (side,) * 3))
        strides = np.array([shape[1] * shape[2], shape[2], 1])
        code = (self.blocks @ strides)[block] + (strides @ place)[corner]
        cut = (self.blocks + side > shape).any(axis=1)
        inside = ~cut[block]
        inside[~inside] = (self.blocks[block[~inside]] + place.T[corner[~inside]] < shape).all(axis=1)
        code, back = np.unique(code[inside], return_inverse=True)
        values = self.grid.values(np.stack(np.unravel_index(code, shape), axis=-1))
        self.values.reshape(-1)[asked[inside]] = values[back]
        self.known |= wanted


def _octants(corners: _Corners, centres: NDArray[np.float32], alive: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Which octants (B, 2n, 2n, 2n) of the blocks ``alive`` (B, n, n, n) of this ``size`` may hold a zero, or which
    blocks (B, n, n, n) where these are single cells.

    They are told by the linear function that fits the block's corners: the true one is believed to be no farther from
    it than ``BENT`` times as far as corners and centre are, and ``SLACK``.
    """
    wanted = np.zeros_like(corners.known)
    wanted[:, ::size, ::size, ::size] = _corners(alive)
    corners.ask(wanted)
    block, *place = np.nonzero(alive)
    first, middle = size * np.stack(place, axis=-1), centres[alive]
    whole = (corners.blocks[block] + first + size <= corners.grid.shape).all(axis=1)
    if size > 1:
        inner = (block[whole], *(first[whole] + size // 2).T)
        corners.values[inner], corners.known[inner] = middle[whole], True
    outer = [corners.values[(block, *(first + corner).T)] for corner in product((0, size), repeat=3)]
    cube = np.stack(outer).reshape(2, 2, 2, -1)
    mean = cube.mean(axis=(0, 1, 2))
    slopes = [np.diff(cube, axis=axis).mean(axis=(0, 1, 2)) for axis in range(3)]
    sides = np.stack(np.meshgrid(*[(-1, 1)] * 3, indexing="ij")).astype(np.float32)
    rise = np.einsum("axyz,ak->xyzk", sides, np.stack(slopes))
    bend = np.maximum(np.abs(cube - mean - rise / 2).max(axis=(0, 1, 2)), np.abs(middle - mean))
    least = np.abs(mean + rise / 4) - np.abs(slopes).sum(axis=0) / 4
    far = (least > BENT * bend + SLACK * size) & whole
    found = np.zeros((*alive.shape, 2, 2, 2), bool)
    found[alive] = ~np.moveaxis(far, -1, 0)
    if size == 1:
        return np.asarray(found.any(axis=(4, 5, 6)))
    count, side = len(alive), 2 * alive.shape[1]
    return found.transpose(0, 1, 4, 2, 5, 3, 6).reshape(count, side, side, side)


def _test(
    grid: _Grid, first: NDArray[np.int64], size: int, lipschitz: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The values (N,) at the centres of blocks that start at the cells ``first`` (N, 3), as far as they lie in the
    grid, and which of them (N,) may hold a zero.
    """
    last = np.minimum(first + size, grid.shape)
    inside = (first < last).all(axis=1)
    values = np.ones(len(first), np.float32)
    reach, middle = np.linalg.norm(last - first, axis=1) / 2, (first + last) / 2
    inside &= np.linalg.norm(middle - grid.centre, axis=1) <= grid.radius + reach
    values[inside] = grid.values(middle[inside])
    return values, inside & (np.abs(values) <= lipschitz * reach + _CLEAR)


def _finer(table: NDArray[Any], factor: int) -> NDArray[Any]:
    """Each entry of (B, n, n, n) repeated ``factor`` times along the last three axes."""
    for axis in (1, 2, 3):
        table = np.repeat(table, factor, axis=axis)
    return table


def _at_corners(cells: NDArray[np.float32], room: NDArray[np.int64]) -> NDArray[np.float32]:
    """Values of cells (B, s, s, s) given to their corners (B, s + 1, ...); ``room`` (B, 3) is how many of a block's
    cells along each axis lie in the grid, for the others have no value.
    """
    size = cells.shape[1]
    corners = np.pad(cells, [(0, 0), *[(0, 1)] * 3], mode="edge")
    cut = np.flatnonzero((room < size).any(axis=1))
    for axis in range(3):
        source = np.minimum(np.arange(size + 1), np.minimum(room[cut, axis], size)[:, None] - 1)
        shape = [len(cut), 1, 1, 1]
        shape[axis + 1] = size + 1
        corners[cut] = np.take_along_axis(corners[cut], source.reshape(shape), axis=axis + 1)
    return corners


def _corners(alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which corners (B, s + 1, s + 1, s + 1) belong to the cells ``alive`` (B, s, s, s)."""
    corners = np.pad(alive, [(0, 0), *[(0, 1)] * 3])
    for axis in (1, 2, 3):
        later = np.roll(corners, 1, axis=axis)  # what comes round is the padding: nothing
        corners |= later
    return corners


def _mesh(
    grid: _Grid, blocks: NDArray[np.int64], field: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices (V, 3), in cells, and faces (F, 3) of all blocks, joined."""
    field = np.where(field <= 0, np.minimum(field, -_CLEAR), np.maximum(field, _CLEAR))
    crossed = (field.min(axis=(1, 2, 3)) < 0) & (field.max(axis=(1, 2, 3)) > 0)
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for block in np.flatnonzero(crossed):
        x, y, z = np.minimum(grid.shape - blocks[block], field.shape[1] - 1) + 1
        volume = field[block, :x, :y, :z]
        if volume.min() > 0 or volume.max() < 0:
            continue
        found, corners, _, _ = marching_cubes(volume, 0.0)  # type: ignore[no-untyped-call]
        vertices.append(found + blocks[block].astype(np.float64))
        faces.append(corners + count)
        count += len(found)
    return _joined(np.concatenate(vertices), np.concatenate(faces), grid.shape)


def _joined(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], shape: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """One vertex for each grid edge that is crossed; those within a cell stay by themselves."""
    nearest = np.rint(vertices)
    between = np.abs(vertices - nearest) > _SNAP
    vertices = np.where(between, vertices, nearest)
    edge = np.ravel_multi_index(tuple(np.floor(vertices).astype(np.int64).T), tuple(shape + 1)) * 4
    edge += np.where(between.any(axis=1), between.argmax(axis=1), 3)
    alone = between.sum(axis=1) > 1
    edge[alone] = -1 - np.arange(alone.sum())
    _, first, number = np.unique(edge, return_index=True, return_inverse=True)
    return vertices[first], number[faces].astype(np.int32)
