"""Pictures of a mesh with its texture in soft light, for models that give a surface and no radiance."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.mesh import Mesh
from faceeditor.rendering.colour import srgb8_to_linear
from faceeditor.rendering.harmonics import ambient, directional, irradiance
from faceeditor.rendering.raster import NOTHING, Rasteriser, Scene
from faceeditor.rendering.rasterisers import make_rasteriser
from faceeditor.rendering.rays import meet, pixel_rays

Floats = NDArray[np.float32]

WHITE: Final = np.ones(3)
LIGHT: Final = (
    ambient(0.42 * WHITE)
    + directional(np.array([0.0, 0.45, 0.89]), 0.42 * WHITE)
    + directional(np.array([0.80, 0.30, 0.52]), 0.18 * WHITE)
    + directional(np.array([-0.80, 0.30, 0.52]), 0.06 * WHITE)
)
"""The light that surfaces are shown in: from the front and above, a little more from the subject's left."""
PLAIN_LINEAR: Final = np.array([0.55, 0.40, 0.32], np.float32)
"""The colour of what has no texture."""


class MeshPainter:
    """Draws meshes; belongs to the thread that draws first, for it may own an OpenGL context."""

    def __init__(self) -> None:
        self._rasteriser: Rasteriser | None = None

    def draw(self, mesh: Mesh, camera: Camera, size: int, rays_a_side: int = 1) -> tuple[Floats, Floats, Floats]:
        """``rgb_linear`` (S, S, 3) premultiplied by ``alpha`` (S, S), and ``depth`` (S, S) in metres along the camera's
        axis, infinite where nothing is; ``rays_a_side`` squared rays a pixel. The mesh must have normals.
        """
        self._rasteriser = self._rasteriser or make_rasteriser()
        fine = size * rays_a_side
        corners = mesh.vertices[mesh.faces]
        ids = self._rasteriser.visible(Scene(corners, len(corners)), camera, fine, 1)[0].ravel()
        there = np.flatnonzero(ids != NOTHING)
        rgba, depth = np.zeros((fine * fine, 4), np.float32), np.full(fine * fine, np.inf, np.float32)
        if len(there):
            rgba[there, :3], depth[there] = _shaded(mesh, camera, fine, there, ids[there])
            rgba[there, 3] = 1
        blocks = rgba.reshape(size, rays_a_side, size, rays_a_side, 4).mean(axis=(1, 3))
        nearest = depth.reshape(size, rays_a_side, size, rays_a_side).min(axis=(1, 3))
        return blocks[..., :3], blocks[..., 3], nearest


def _shaded(
    mesh: Mesh, camera: Camera, size: int, pixels: NDArray[np.int64], ids: NDArray[np.int32]
) -> tuple[Floats, Floats]:
    """Linear colours (N, 3) and depths (N,) of ``pixels`` (N,) that show the triangles ``ids`` (N,)."""
    assert mesh.normals is not None
    faces = mesh.faces[ids]
    origin, ways = pixel_rays(camera, size, torch.from_numpy(pixels))
    weights, depth = meet(origin, ways, torch.from_numpy(mesh.vertices[faces]))
    share = weights.numpy()[..., None]
    normals = (share * mesh.normals[faces]).sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    albedo = PLAIN_LINEAR if mesh.uv is None else _texels(mesh, (share * mesh.uv[faces]).sum(1))
    return np.asarray(albedo * irradiance(LIGHT, normals), np.float32), depth.numpy()


def _texels(mesh: Mesh, uv: Floats) -> Floats:
    """Linear colours (N, 3) of the mesh's texture at ``uv`` (N, 2), between texels."""
    if mesh.texture_srgb is None:
        return PLAIN_LINEAR
    texture = torch.from_numpy(srgb8_to_linear(mesh.texture_srgb[..., :3])).permute(2, 0, 1)[None]
    grid = torch.from_numpy(np.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], axis=-1)).float()[None, None]
    found = torch.nn.functional.grid_sample(texture, grid, align_corners=False, padding_mode="border")
    return np.asarray(found[0, :, 0].T.numpy(), np.float32)
