"""Pictures of normals: what a camera sees of a signed distance function or of a mesh.

A normal map (..., 3, S, S) holds unit normals along the camera's axes as OpenGL has them (right, up, towards the
viewer), and nothing, (0, 0, 0), where the camera sees nothing.
"""

from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from faceeditor.faces.camera import OPENGL, TARGET, Camera
from faceeditor.rendering.error_bound import Rays, Sampling, sample_depths
from faceeditor.rendering.raster import NOTHING, Rasteriser, Scene
from faceeditor.rendering.rays import meet, pixel_rays
from faceeditor.rendering.volume import density, opacity, weights

Floats = NDArray[np.floating]

DISTANCE: Final = 2.6
"""Of the cameras from the middle of the ball, in its radii (section 5.2.2 of the tri-plane thesis)."""
FIELD_OF_VIEW: Final = 45.0
"""Degrees, at which the ball just fits; the thesis does not tell it."""
GOLDEN: Final = (1 + 5**0.5) / 2


class SignedDistance(Protocol):
    """A field that can be asked for distances and their gradients."""

    def sdf(self, points: Tensor) -> Tensor:
        """Signed distances (N,) of ``points`` (N, 3), negative inside."""
        ...

    def sdf_and_gradient(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The same with their gradients (N, 3)."""
        ...


@dataclass(frozen=True)
class Ball:
    """All that a field knows: ``centre`` in head space and ``radius``, metres. The field's own space has the centre as
    its origin and the radius as its unit.
    """

    centre: tuple[float, float, float]
    radius: float

    def camera(self, way: Floats, distance: float = DISTANCE, field_of_view: float = FIELD_OF_VIEW) -> Camera:
        """The camera ``distance`` radii from the centre in the direction ``way`` (3,), looking at it."""
        x, y, z = way / np.linalg.norm(way)
        turned = Camera(
            yaw=float(np.degrees(np.arctan2(x, z))),
            pitch=float(np.degrees(np.arcsin(np.clip(y, -1, 1)))),
            field_of_view=field_of_view,
        )
        right, down, forward = turned.rotation() @ (np.array(self.centre) - TARGET)
        return turned.replace(distance=float(distance * self.radius - forward), pan=(float(right), float(-down)))

    def cameras(self, count: int) -> list[Camera]:
        """``count`` cameras spread evenly around on a Fibonacci lattice, all looking at the centre."""
        height = 1 - (2 * np.arange(count) + 1) / count
        turn = 2 * np.pi * np.arange(count) / GOLDEN
        flat = np.sqrt(1 - height**2)
        return [self.camera(way) for way in np.stack([flat * np.sin(turn), height, flat * np.cos(turn)], axis=1)]

    def rays(self, camera: Camera, size: int) -> tuple[Rays, Tensor]:
        """Rays through the pixels of a ``size`` x ``size`` picture that meet the ball, in the field's own space, and
        the numbers (R,) of their pixels.
        """
        origin, ways = pixel_rays(camera, size, torch.arange(size * size))
        ways = functional.normalize(ways, dim=-1)
        own = (origin - torch.tensor(self.centre)) / self.radius
        middle = -(ways @ own)
        half = (1 - own.square().sum() + middle**2).clamp_min(0).sqrt()
        met = torch.nonzero((half > 0) & (middle > 0))[:, 0]
        near, far = (middle + side * half for side in (-1, 1))
        return Rays(own, ways, near.clamp_min(0), far).some(met), met


@dataclass(frozen=True, eq=False)
class Composite:
    """What rays saw: ``normals`` (R, 3) times their opacity, in the field's own space; ``depths`` (R,) from the rays'
    origin; ``alpha`` (R,).
    """

    normals: Tensor
    depths: Tensor
    alpha: Tensor


def composite(field: SignedDistance, rays: Rays, beta: Tensor, sampling: Sampling, jitter: bool = False) -> Composite:
    """Eq. 3.7: the normals of ``field`` along ``rays``, with gradients to the field and to ``beta``."""
    depths = sample_depths(field.sdf, rays, float(beta.detach()), sampling, jitter)
    distance, slope = field.sdf_and_gradient(rays.at(depths).reshape(-1, 3))
    normals = functional.normalize(slope, dim=-1, eps=1e-6).reshape(*depths.shape, 3)
    lengths = torch.cat([depths, rays.far[:, None]], dim=1).diff(dim=1)
    weight = weights(opacity(density(distance.reshape(depths.shape), beta) * lengths))
    return Composite((weight[..., None] * normals).sum(1), (weight * depths).sum(1), weight.sum(1))


def field_normals(
    field: SignedDistance, ball: Ball, camera: Camera, size: int, beta: Tensor, sampling: Sampling, jitter: bool = False
) -> Tensor:
    """The normal map (3, S, S) of a ``field`` that knows the inside of ``ball``, with gradients to it."""
    rays, pixels = ball.rays(camera, size)
    seen = composite(field, rays, beta, sampling, jitter).normals
    turned = seen @ _from_head_space(camera).T
    return torch.zeros(size * size, 3).index_add(0, pixels, turned).T.reshape(3, size, size)


@dataclass(frozen=True, eq=False)
class NormalPainter:
    """Draws normal maps of one mesh: ``vertices`` (V, 3) in head space with unit ``normals`` (V, 3), ``faces``
    (F, 3).
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    faces: NDArray[np.integer]
    rasteriser: Rasteriser

    @classmethod
    def of(cls, vertices: Floats, normals: Floats, faces: NDArray[np.integer], rasteriser: Rasteriser) -> Self:
        """The same from arrays of any precision."""
        return cls(np.asarray(vertices, np.float32), np.asarray(normals, np.float32), faces, rasteriser)

    def draw(self, camera: Camera, size: int) -> Tensor:
        """The normal map (3, S, S)."""
        corners = self.vertices[self.faces]
        return self.shaded(self.rasteriser.visible(Scene(corners, len(corners)), camera, size, 1)[0], camera)

    def shaded(self, ids: NDArray[np.int32], camera: Camera) -> Tensor:
        """The normal map (3, S, S) where it is known which triangle each pixel shows: ``ids`` (S, S)."""
        size = len(ids)
        pixels = torch.from_numpy(np.flatnonzero(ids.ravel() != NOTHING))
        faces = self.faces[ids.ravel()[pixels.numpy()]]
        origin, ways = pixel_rays(camera, size, pixels)
        share, _ = meet(origin, ways, torch.from_numpy(self.vertices[faces]))
        seen = functional.normalize((share[..., None] * torch.from_numpy(self.normals[faces])).sum(1), dim=-1)
        turned = seen @ _from_head_space(camera).T
        return torch.zeros(size * size, 3).index_add(0, pixels, turned).T.reshape(3, size, size)


def _from_head_space(camera: Camera) -> Tensor:
    """The rotation (3, 3) from head space to the camera's axes as OpenGL has them."""
    return torch.from_numpy(OPENGL @ camera.rotation()).float()
