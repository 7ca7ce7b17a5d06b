"""What a head is expected to be before anything is learned: the template with its hair, as signed distances."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.layout import EXPRESSION, HAIR, HAIR_STYLES, IDENTITY
from faceeditor.models.headnerf_config import HeadNerfConfig
from faceeditor.models.template import Template

CELL: Final = 0.01
"""Metres from one point of the grid to the next."""
STRAND: Final = 0.005
"""Half the thickness, in metres, of what hair lies in."""
NECK: Final = -0.1
"""The height, in metres, below which the template may be open."""
FAR: Final = 0.1
"""Metres to hair where a head has none."""
SOLID: Final = ("skin", "eyeLeft", "eyeRight")
"""The parts that are filled; an eye by its front alone."""
FRONT: Final = 0.3
"""Of an eye: where its normals point out of the face by so much."""
CORNERS: Final = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (1 / 3, 1 / 3, 1 / 3))
"""Points of a triangle that stand for it, as weights of its corners."""


Array = NDArray[np.float64]


class TemplateDistance(nn.Module):
    """Signed distances to the head of a code, in the unit and space of a model with ``config``.

    The distances of the mean head, and of every hair style on it, are measured once, on a grid around the region. A
    head's own are those at the places that its points come from: the nearest part of the template tells how a point of
    the mean head moves. That is a distance to first order, which is all that a field to be corrected asks for.
    """

    low: Tensor
    high: Tensor
    origin: Tensor
    head: Tensor
    hair: Tensor
    nearest: Tensor
    measured: Tensor

    def __init__(self, config: HeadNerfConfig, template: Template) -> None:
        super().__init__()
        if config.region is None:
            raise ValueError("distances are measured inside a region")
        self.template, self.unit = template, config.unit
        centre, radii = (np.array(numbers) for numbers in (config.region.centre, config.region.radii))
        low, high = centre - radii, centre + radii
        if config.region.floor is not None:
            low[1] = max(low[1], config.region.floor)
        counts = np.ceil((high - low) * config.unit / CELL).astype(int) + 1
        shape = tuple(int(count) for count in counts[::-1])
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32), persistent=False)
        self.register_buffer("high", torch.tensor(high, dtype=torch.float32), persistent=False)
        self.register_buffer("origin", torch.tensor(config.origin), persistent=False)
        self.register_buffer("head", torch.zeros(1, 1, *shape))
        self.register_buffer("hair", torch.zeros(len(template.styles), *shape))
        self.register_buffer("nearest", torch.zeros(shape, dtype=torch.long))
        self.register_buffer("measured", torch.tensor(False))

    @torch.no_grad()
    def measure(self) -> None:
        """Fills the grid, which takes seconds; bundles keep it, so that it is done for new models alone."""
        places = self._places()
        points, normals, numbers = self._surface()
        distance, found = cKDTree(points).query(places)
        behind = ((places - points[found]) * normals[found]).sum(-1) < 0
        behind &= places[:, 1] > points[:, 1].min()  # the template ends there, and is open
        far = (distance > CELL) & (places[:, 1] > NECK)
        behind[far] = self._wound_around(places[far]) > 0.5
        self._fill(self.head[0, 0], np.where(behind, -distance, distance) / self.unit)
        self._fill(self.nearest, numbers[found])
        for number, style in enumerate(self.template.styles.values()):
            triangles = self.template.hair_rest[self.template.hair_faces[style.faces]].cpu().numpy()
            strands = np.einsum("kc,fcx->kfx", CORNERS, triangles).reshape(-1, 3)
            away = np.minimum(cKDTree(strands).query(places, distance_upper_bound=FAR)[0], FAR)
            self._fill(self.hair[number], (away - STRAND) / self.unit)
        self.measured.fill_(True)

    def bind(self, codes: Mapping[str, Tensor]) -> "BoundDistance":
        """The distances of the heads of ``codes`` (batch, dims), with gradients to them. The first 100 components of
        ``identity`` and the hair's styles count, as in studio coordinates.
        """
        with torch.autocast(self.head.device.type, enabled=False):
            if not self.measured:
                self.measure()
            template = self.template = self.template.to(self.head.device)
            modes = len(template.identity_signs)
            moved = template.vertices(codes[IDENTITY][:, :modes].float(), codes[EXPRESSION].float()) - template.mean
            moves = (moved / self.unit)[:, self.nearest].movedim(-1, 1)
            shares = codes[HAIR][:, HAIR_STYLES].float().clamp(0, 1)
            bald = (1 - shares.sum(-1)).clamp_min(0)[:, None, None, None] * (FAR / self.unit)
            hair = torch.einsum("bs,szyx->bzyx", shares, self.hair) + bald
            smooth = functional.avg_pool3d(moves, 3, 1, padding=1, count_include_pad=False)
            return BoundDistance(smooth, torch.minimum(self.head, hair[:, None]), self.low, self.high)

    def _places(self) -> Array:
        """The points (N, 3) of the grid in head space, x running fastest."""
        axes = [
            torch.linspace(float(low), float(high), count)
            for low, high, count in zip(self.low, self.high, reversed(self.nearest.shape), strict=True)
        ]
        z, y, x = torch.meshgrid(*reversed(axes), indexing="ij")
        own = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
        return (own * self.unit + self.origin.cpu()).double().numpy()

    def _surface(self) -> tuple[Array, Array, NDArray[np.int64]]:
        """Places and normals (N, 3) of the template's vertices that bound what is solid, and their numbers (N,)."""
        template = self.template
        rows = [template.render_vertex[template.faces[slice(*template.parts[part])]].cpu().numpy() for part in SOLID]
        mean, normals = (
            table.double().cpu().numpy() for table in (template.mean, template.normals(template.mean[None])[0])
        )
        numbers = np.unique(np.concatenate(rows))
        eye = np.isin(numbers, np.concatenate(rows[1:]))
        numbers = numbers[~eye | (normals[numbers, 2] > FRONT)]
        return mean[numbers], normals[numbers], numbers

    def _wound_around(self, places: Array) -> Array:
        """How often (N,) the skin of the mean head winds around ``places`` (N, 3) that are not near it; its triangles
        are dipoles (Barill et al., "Fast Winding Numbers for Soups and Clouds", 2018).
        """
        template = self.template
        faces = template.render_vertex[template.faces[slice(*template.parts["skin"])]]
        corners = template.mean[faces].double().cpu().numpy()
        area = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        middle = corners.mean(1)
        # Triangles of one cell are one dipole: no place asked for is so near.
        _, cell = np.unique(np.floor(middle / CELL), axis=0, return_inverse=True)
        count = np.bincount(cell)[:, None]
        dipoles, sums = (np.stack([np.bincount(cell, part) for part in table.T], axis=1) for table in (area, middle))
        centres = sums / count
        found = []
        for part in np.array_split(places, len(places) // 1024 + 1):
            away = cdist(part, centres)
            found.append((((dipoles * centres).sum(1) - part @ dipoles.T) / (away * away * away)).sum(1) / (4 * np.pi))
        return np.concatenate(found)

    def _fill(self, grid: Tensor, values: NDArray[np.generic]) -> None:
        grid.copy_(torch.from_numpy(values).reshape(grid.shape))


class BoundDistance:
    """The distances of a batch of heads: ``moves`` (batch, 3, D, H, W) of points of the mean head, whose ``distances``
    (batch, 1, D, H, W) they are, on a grid from ``low`` to ``high`` (3,), in the model's unit.
    """

    def __init__(self, moves: Tensor, distances: Tensor, low: Tensor, high: Tensor) -> None:
        self.moves, self.distances, self.low, self.high = moves, distances, low, high

    def __call__(self, points: Tensor) -> Tensor:
        """Signed distances (batch, N), negative inside, of ``points`` (batch, N, 3)."""
        return self._read(self.distances, self.on_mean(points))[:, 0]

    def on_mean(self, points: Tensor) -> Tensor:
        """Where ``points`` (batch, N, 3) of a head and its expression lie on the mean head, to first order."""
        return points - self._read(self.moves, points).transpose(1, 2)

    def _read(self, grid: Tensor, points: Tensor) -> Tensor:
        """Values (batch, C, N) of a ``grid`` (batch, C, D, H, W) at ``points`` (batch, N, 3)."""
        places = ((points - self.low) / (self.high - self.low) * 2 - 1)[:, None, None].to(grid.dtype)
        found = functional.grid_sample(grid, places, padding_mode="border", align_corners=True)
        return found[:, :, 0, 0].to(points.dtype)
