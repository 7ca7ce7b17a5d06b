"""Find the triangle that holds a point: in a plane (texture charts) or on a surface."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats: TypeAlias = NDArray[np.floating]
Ints: TypeAlias = NDArray[np.int64]

CANDIDATES: Final = 24
"""How many triangles, by their centres' distance, are tried for each point."""
CHUNK: Final = 20000


def locate(points: Floats, corners: Floats, candidates: int = CANDIDATES) -> tuple[Ints, Floats, Floats]:
    """The nearest triangle of each point.

    ``points`` (points, D) and ``corners`` (triangles, 3, D), D = 2 or 3. Gives the triangle (points,), the barycentric
    weights (points, 3) of the nearest point on it, all >= 0, and the distance (points,). Triangles are searched among
    those with the nearest centres, so their sizes may not differ wildly from place to place.
    """
    tree = cKDTree(corners.mean(axis=1))
    count = min(candidates, len(corners))
    found, weights, distances = [], [], []
    for start in range(0, len(points), CHUNK):
        some = points[start : start + CHUNK]
        near = np.asarray(tree.query(some, k=count)[1]).reshape(len(some), count)
        weight = nearest_weights(some[:, None], corners[near])
        there = np.einsum("nkc,nkcd->nkd", weight, corners[near])
        distance = np.linalg.norm(there - some[:, None], axis=2)
        best = distance.argmin(axis=1)
        rows = np.arange(len(some))
        found.append(near[rows, best])
        weights.append(weight[rows, best])
        distances.append(distance[rows, best])
    return np.concatenate(found), np.concatenate(weights), np.concatenate(distances)


def nearest_weights(points: Floats, corners: Floats) -> Floats:
    """Barycentric weights (..., 3) of the point of each triangle (..., 3, D) that is nearest to ``points`` (..., D)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    inside = _plane_weights(points, a, b, c)
    options = [inside]
    for first, second, slots in ((a, b, (0, 1)), (b, c, (1, 2)), (c, a, (2, 0))):
        along = second - first
        t = ((points - first) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-20)
        t = np.clip(t, 0, 1)
        edge = np.zeros(inside.shape)
        edge[..., slots[0]], edge[..., slots[1]] = 1 - t, t
        options.append(edge)
    stacked = np.stack(options)
    there = np.einsum("o...c,...cd->o...d", stacked, corners)
    far = ((there - points) ** 2).sum(-1)
    far[0, ...] = np.where((inside < 0).any(axis=-1), np.inf, far[0])
    return np.asarray(np.take_along_axis(stacked, far.argmin(axis=0)[None, ..., None], axis=0)[0])


def _plane_weights(points: Floats, a: Floats, b: Floats, c: Floats) -> Floats:
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    area = np.maximum(uu * vv - uv * uv, 1e-30)
    second, third = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    return np.stack([1 - second - third, second, third], axis=-1)
