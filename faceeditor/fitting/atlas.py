"""The atlas of a head's mesh: which triangle each texel lies on, and how values seen in a photo fill it."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom
from torch.nn import functional

from faceeditor.faces.camera import TARGET, Camera
from faceeditor.models.contract import Surface
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.rendering.raster import Scene
from faceeditor.rendering.raster_numpy import SoftwareRasteriser

Floats = NDArray[np.float32]

FLAT: Final = Camera(distance=1.0, field_of_view=float(np.degrees(2 * np.arctan(0.5))))
"""A camera that sees a square of one metre around its target fill the picture."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """The N covered texels of an atlas of ``size``: ``texel`` (N,) flat index, row 0 at v = 1; ``corner`` (N, 3)
    vertices and ``weight`` (N, 3) barycentric weights; ``face`` (N,) the triangle.
    """

    size: int
    texel: NDArray[np.int64]
    face: NDArray[np.int64]
    corner: NDArray[np.int64]
    weight: Floats

    @classmethod
    def of(cls, surface: Surface, size: int) -> Self:
        """The atlas of a surface's head, made once for all faces that share it."""
        faces, uv = surface.faces.cpu().numpy(), surface.uv.detach().cpu().numpy()
        found = _KNOWN.get((*fingerprint([faces, uv]), size), lambda: cls.over(faces, uv, size))
        assert isinstance(found, cls)
        return found

    @classmethod
    def over(cls, faces: NDArray[np.integer[Any]], uv: Floats, size: int) -> Self:
        """The atlas of triangles ``faces`` (F, 3) with texture coordinates ``uv`` (R, 2): flattened to them, they are
        looked at like a picture.
        """
        uv = uv.astype(np.float64)
        flat = np.stack([uv[:, 0] - 0.5, uv[:, 1] - 0.5, np.zeros(len(uv))], axis=-1) + TARGET
        corners = flat[faces]
        turned = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] < 0
        corners[turned] = corners[turned][:, ::-1]
        scene = Scene(corners.astype(np.float32), len(faces))
        ids = SoftwareRasteriser().visible(scene, FLAT, size, 1)[0].ravel()
        texel = np.flatnonzero(ids >= 0)
        face = ids[texel].astype(np.int64)
        centre = np.stack([(texel % size + 0.5) / size, 1 - (texel // size + 0.5) / size], axis=-1)
        weight = _barycentric(uv[faces[face]], centre)
        return cls(size, texel, face, faces[face], weight)

    def carried(self, values: Floats) -> Floats:
        """Values of vertices (R, C) at the texels, (N, C)."""
        return np.asarray(np.einsum("nk,nkc->nc", self.weight, values[self.corner]), np.float32)

    def picture(self, values: Floats) -> Floats:
        """Values of texels (N, C) as a texture (C, T, T), zero elsewhere."""
        texture = np.zeros((self.size * self.size, values.shape[1]), np.float32)
        texture[self.texel] = values
        return texture.T.reshape(-1, self.size, self.size)


_KNOWN: Final[Memo[Atlas]] = Memo(4)


def _barycentric(corners: NDArray[np.float64], point: NDArray[np.float64]) -> Floats:
    """Weights (N, 3) of ``corners`` (N, 3, 2) that give ``point`` (N, 2), clamped to the triangle."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    to = point - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    area = np.where(np.abs(area) < 1e-14, 1e-14, area)
    second = (to[:, 0] * b[:, 1] - to[:, 1] * b[:, 0]) / area
    third = (a[:, 0] * to[:, 1] - a[:, 1] * to[:, 0]) / area
    weight = np.clip(np.stack([1 - second - third, second, third], axis=-1), 0, 1)
    return np.asarray(weight / weight.sum(-1, keepdims=True), np.float32)


def sampled(picture: Floats, xy: NDArray[np.floating[Any]], mode: str = "bilinear") -> Floats:
    """Values (N, C) of ``picture`` (S, S, C) at pixels ``xy`` (N, 2); the edge goes on beyond it."""
    planes = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
    size = np.array([picture.shape[1], picture.shape[0]])
    grid = torch.from_numpy((xy / size * 2 - 1).astype(np.float32))[None, None]
    return functional.grid_sample(planes, grid, mode, "border", align_corners=False)[0, :, 0].T.numpy()


def splatted(values: Floats, weight: Floats, uv: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """A map (C, H, W) of the means of ``values`` (N, C) that fall on each texel at ``uv`` (N, 2), v up, shared
    between four texels each, and the sum of their weights (H, W).
    """
    height, width = shape
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros((height * width, values.shape[1] + 1))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = weight * (1 - np.abs(x - left - dx)) * (1 - np.abs(y - top - dy))
        texel = np.clip(top + dy, 0, height - 1) * width + (left + dx) % width
        np.add.at(total, texel, np.concatenate([values * share[:, None], share[:, None]], axis=1))
    mean = total[:, :-1] / np.maximum(total[:, -1:], 1e-6)
    return mean.T.reshape(-1, height, width).astype(np.float32), total[:, -1].reshape(shape).astype(np.float32)


def filled(values: Floats, weight: Floats, pull: float = 0.0) -> Floats:
    """``values`` (C, H, W) where ``weight`` (H, W) is one, elsewhere what lies around, smoothly: push and pull.

    Height and width are powers of two. Whenever the distance to what is known doubles,
    it is divided by one plus ``pull``.
    """
    height, width = weight.shape
    if min(height, width) <= 2:
        mean = (values * weight).sum((1, 2)) / (weight.sum() + 1e-9)
        return np.broadcast_to(mean[:, None, None], values.shape).astype(np.float32)
    half = (height // 2, 2, width // 2, 2)
    coarse_weight = weight.reshape(half).mean((1, 3))
    coarse = (values * weight).reshape(-1, *half).mean((2, 4)) / (coarse_weight + 1e-6)
    below = filled(coarse / (1 + pull), np.minimum(coarse_weight * 4, 1), pull)
    smooth = np.stack([zoom(plane, 2, order=1, mode="nearest", grid_mode=True) for plane in below])
    return np.asarray(weight * values + (1 - weight) * smooth, np.float32)
