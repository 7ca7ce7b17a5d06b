"""The noise of depth frames: how much there is, and a frame in which faces can be found for all of it."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.faces.scan import Scan

Floats = NDArray[np.float64]

NEIGHBOURS: Final = 48
"""Points among which the noise is measured: what they spread across their plane."""
MEASURED: Final = 2000
"""Points whose neighbours are looked at."""
STEADY: Final = 0.0004
"""Metres of noise that do not hide a face."""
MOST: Final = 64
"""Points that are averaged, at most."""
APART: Final = 0.02
"""Metres by which depths of one surface differ, at most."""


def noise_of(points: Floats) -> float:
    """The standard deviation of the noise of ``points`` (N, 3): how far neighbours lie off their common plane."""
    if len(points) <= NEIGHBOURS:
        return 0.0
    some = points[:: max(1, len(points) // MEASURED)]
    around = points[cKDTree(points).query(some, NEIGHBOURS)[1]]
    around = around - around.mean(1, keepdims=True)
    least = np.linalg.eigvalsh(np.einsum("nki,nkj->nij", around, around))[:, 0]
    return float(np.sqrt(np.median(least) / (NEIGHBOURS - 3)))


def steadied(scan: Scan) -> Scan:
    """A depth frame whose depths are averaged over so many neighbouring pixels that the noise is no more than
    :data:`STEADY`; any other scan as it is.
    """
    if scan.viewpoint is None:
        return scan
    count = int(min(MOST, (noise_of(scan.vertices) / STEADY) ** 2, len(scan.vertices)))
    if count < 2:
        return scan
    seen = scan.vertices - scan.viewpoint
    pixels = seen[:, :2] / seen[:, 2:]
    depths = seen[cKDTree(pixels).query(pixels, count)[1], 2]
    alike = np.abs(depths - np.median(depths, axis=1, keepdims=True)) < APART
    mean = (depths * alike).sum(1) / np.maximum(alike.sum(1), 1)
    kept = np.where(np.abs(mean - seen[:, 2]) < APART, mean, seen[:, 2])
    return replace(scan, vertices=scan.viewpoint + seen * (kept / seen[:, 2])[:, None])
