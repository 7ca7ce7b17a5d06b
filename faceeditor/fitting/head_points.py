"""What a scan says about a whole head: points of its surface, thinned by averaging, and places that it saw free."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.depth_noise import noise_of, steadied
from faceeditor.fitting.scan_surfels import Ball, Sampler

Floats = NDArray[np.float64]

SURFELS: Final = 60_000
"""Points drawn from a mesh that no camera saw."""
BEFORE: Final = (0.003, 0.006, 0.012, 0.025, 0.05)
"""Metres before a point, towards the camera, where nothing is."""
FREE_EVERY: Final = 3
"""Before every so many-th point such a place is noted."""


@dataclass(frozen=True, eq=False)
class HeadPoints:
    """``points`` (N, 3) in the scan's unit, each the mean of ``counts`` (N,) measured ones; ``noise``, the standard
    deviation of a measured one in metres; ``free`` (M, 3) are places where nothing is.
    """

    points: Floats
    counts: Floats
    noise: float
    free: Floats

    @classmethod
    def of(
        cls, scan: Scan, placed: Similarity, centre: Floats, radius: float, floor: float, cell: float
    ) -> "HeadPoints":
        """Those of a scan that lies in head space as ``placed`` says, inside the ball and above ``floor``, one in a
        ``cell``; all in metres of head space.
        """
        own = _measured(steadied(scan), Ball(placed.inverse().to_head(centre), radius / placed.scale))
        where = placed.to_head(own)
        own = own[(np.linalg.norm(where - centre, axis=1) < radius) & (where[:, 1] > floor)]
        points, counts = thinned(own, cell / placed.scale)
        noise = noise_of(own if scan.viewpoint is None else scan.vertices)
        return cls(points, counts, noise * placed.scale, _free(points, scan.viewpoint, placed.scale))


def _measured(scan: Scan, ball: Ball) -> Floats:
    if scan.faces is None or scan.viewpoint is not None:
        return scan.vertices
    return Sampler(scan).draw(SURFELS, ball).points


def thinned(points: Floats, cell: float) -> tuple[Floats, Floats]:
    """The means (K, 3) of the ``points`` (N, 3) in each cell of a grid, and how many these are (K,)."""
    _, number = np.unique(np.floor(points / cell).astype(np.int64), axis=0, return_inverse=True)
    number = number.ravel()
    counts = np.bincount(number).astype(np.float64)
    sums = [np.bincount(number, points[:, axis]) for axis in range(3)]
    return np.stack(sums, axis=1) / counts[:, None], counts


def _free(points: Floats, viewpoint: Floats | None, scale: float) -> Floats:
    if viewpoint is None:
        return np.zeros((0, 3))
    ways = viewpoint - points
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    some = slice(None, None, FREE_EVERY)
    before = np.resize(np.array(BEFORE), len(points[some])) / scale
    return np.asarray(points[some] + before[:, None] * ways[some])
