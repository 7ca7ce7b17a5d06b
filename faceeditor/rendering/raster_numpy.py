"""Visibility buffers with numpy alone, for machines without OpenGL."""

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.rendering.raster import NOTHING, Cards, Floats, Ints, Scene


class SoftwareRasteriser:
    """The same answers with numpy alone, for machines without OpenGL. Slow, and right."""

    def visible(self, scene: Scene, camera: Camera, size: int, layers: int) -> Ints:
        """See :meth:`Rasteriser.visible`."""
        triangle, pixel, depth = _fragments(scene, camera, size)
        ids = np.full((layers, size * size), NOTHING, np.int32)
        opaque = triangle < scene.cards_from
        surface = _nearest(triangle[opaque], pixel[opaque], depth[opaque], size, ids[0])
        if scene.cards is None:
            return ids.reshape(layers, size, size)
        keep = ~opaque & (depth < surface[pixel])
        triangle, pixel, depth = triangle[keep], pixel[keep], depth[keep]
        keep = _card_opaque(scene, scene.cards, triangle, camera, size, pixel)
        triangle, pixel, depth = triangle[keep], pixel[keep], depth[keep]
        for layer in range(1, layers):
            nearest = _nearest(triangle, pixel, depth, size, ids[layer])
            keep = depth > nearest[pixel]
            triangle, pixel, depth = triangle[keep], pixel[keep], depth[keep]
        return ids.reshape(layers, size, size)


def _edges(triangles: Floats, camera: Camera, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Homogeneous edge functions (F, 3, 3) of triangles on the screen, and camera depths (F, 3).

    Row ``i`` times the pixel ``(x, y, 1)`` is the unnormalised barycentric weight of corner ``i`` over its depth (2D
    homogeneous rasterisation), so that weights divided by their sum are perspective-correct.
    """
    extrinsics, intrinsics = camera.extrinsics(), camera.intrinsics(size, size)
    corners = (triangles.astype(np.float64) @ extrinsics[:, :3].T + extrinsics[:, 3]) @ intrinsics.T
    return np.asarray(np.linalg.pinv(corners).transpose(0, 2, 1), np.float64), corners[..., 2]


def _fragments(scene: Scene, camera: Camera, size: int) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Every (triangle, pixel, depth) that a pixel's centre meets above the floor."""
    triangles = scene.triangles
    edges, depths = _edges(triangles, camera, size)
    screen = camera.project(triangles.astype(np.float64), size, size)
    low = np.clip(np.ceil(screen.min(1) - 0.5), 0, size).astype(np.int64)
    high = np.clip(np.floor(screen.max(1) - 0.5) + 1, 0, size).astype(np.int64)
    span = np.maximum(high - low, 0) * (depths.min(1) > 0)[:, None]
    count = span[:, 0] * span[:, 1]
    triangle = np.repeat(np.arange(len(triangles)), count)
    offset = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    x = low[triangle, 0] + offset % np.maximum(span[triangle, 0], 1)
    y = low[triangle, 1] + offset // np.maximum(span[triangle, 0], 1)
    centre = np.stack([x + 0.5, y + 0.5, np.ones(len(x))], axis=-1)
    weights = np.einsum("nij,nj->ni", edges[triangle], centre)
    total = weights.sum(-1)
    height = (weights * triangles[triangle, :, 1]).sum(-1)
    inside = (weights >= 0).all(-1) & (total > 0) & (height >= scene.floor * total)
    return triangle[inside].astype(np.int32), (y * size + x)[inside].astype(np.int32), 1.0 / total[inside]


def _nearest(triangle: Ints, pixel: Ints, depth: NDArray[np.float64], size: int, ids: Ints) -> NDArray[np.float64]:
    """Writes the nearest triangle of each pixel into ``ids`` and returns the depths (size * size,)."""
    order = np.argsort(-depth, kind="stable")
    nearest = np.full(size * size, np.inf)
    ids[pixel[order]] = triangle[order]
    nearest[pixel[order]] = depth[order]
    return nearest


def _card_opaque(
    scene: Scene, cards: Cards, triangle: Ints, camera: Camera, size: int, pixel: Ints
) -> NDArray[np.bool_]:
    """Which fragments of the scene's cards do not fall on a hole of the opacity map (bilinear, as OpenGL filters)."""
    edges, _ = _edges(scene.triangles[scene.cards_from :], camera, size)
    card = triangle - scene.cards_from
    centre = np.stack([pixel % size + 0.5, pixel // size + 0.5, np.ones(len(pixel))], axis=-1)
    weights = np.einsum("nij,nj->ni", edges[card], centre)
    weights /= weights.sum(-1, keepdims=True)
    uv = np.einsum("ni,nij->nj", weights, cards.corner_uv[card])
    height, width = cards.opacity.shape
    base = np.floor(uv * (width, height) - 0.5).astype(np.int64)
    found = np.zeros(len(uv), bool)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        found |= cards.opacity[(base[:, 1] + dy) % height, (base[:, 0] + dx) % width] > 0
    return found
