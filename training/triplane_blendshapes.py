"""How each expression of the studio moves points of the mean head: what neural blendshapes are first trained on.

Eq. 4.17 knows two heads and an expression of many parts; the studio knows what every part does.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import trimesh
from numpy.typing import NDArray
from torch import Tensor, nn

from faceeditor.faces.layout import DIMS, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.fitting.front_surface import sample_triangles
from faceeditor.models.triplane_deformation import Deformation
from training.loop import Losses
from training.studio.assets import HAIR_STYLES
from training.studio.factors import expression_code
from training.triplane_sampling import LOOSE, Heads, read_known, write_known
from training.triplane_scans import REST, HeadMaker

BLENDSHAPE_FILE: Final = "blendshapes.npz"
POINTS: Final = 40_000
"""Of the bald mean head."""
HAIR_POINTS: Final = 1500
"""Of each hair style."""

Floats = NDArray[np.float64]


class BlendshapeStep(nn.Module):
    """The deformation network on known blendshapes."""

    def __init__(self, deformation: Deformation) -> None:
        super().__init__()
        self.deformation = deformation.requires_grad_(True)

    def forward(self, identity: Tensor, points: Tensor, offsets: Tensor) -> Losses:
        """The loss of a head with code ``identity`` (dims,) at ``points`` (N, 3) of the mean head, which the first
        components move by ``offsets`` (N, C, 3).
        """
        found = self.deformation.blendshapes(points, identity)[:, : offsets.shape[1]]
        return {"total": 100 * (found - offsets).abs().sum(-1).mean()}


def known_blendshapes(maker: HeadMaker, seed: int = 0) -> Heads:
    """``points`` (N, 3) on and beside the mean head at rest, bald and with hair, half of the head's in the face, and
    ``offsets`` (N, C, 3) by which each of the studio's C expression components at 1 moves them, in the model's unit.
    """
    random = np.random.default_rng(seed)
    facial = np.stack([maker.facial, ~maker.facial]).astype(float)
    parts = [_part(maker, None, share, POINTS // 2, random) for share in facial]
    for style in HAIR_STYLES:
        mesh = maker.mesh(np.zeros(DIMS[IDENTITY]), np.zeros(DIMS[EXPRESSION]), style)
        share = (np.arange(len(mesh[1])) >= len(maker.faces)).astype(float)
        parts.append(_part(maker, style, share, HAIR_POINTS, random))
    points, offsets = (np.concatenate(tables) for tables in zip(*parts, strict=True))
    return {"points": points.astype(np.float32), "offsets": offsets.astype(np.float32)}


def read_blendshapes(folder: Path) -> dict[str, Tensor] | None:
    """What is stored beside the heads of a ``folder``; ``None`` for heads that no studio made."""
    return read_known(folder / BLENDSHAPE_FILE)


def write_blendshapes(maker: HeadMaker, folder: Path) -> None:
    """Stores :func:`known_blendshapes` beside the heads of a ``folder``, if they are not there."""
    write_known(folder / BLENDSHAPE_FILE, lambda: known_blendshapes(maker))


def _part(
    maker: HeadMaker, style: str | None, share: Floats, count: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    still = np.zeros(DIMS[IDENTITY])
    rest = expression_code(**REST)
    vertices, faces = maker.mesh(still, rest, style)
    mesh: Any = trimesh.Trimesh(vertices, faces, process=False)
    points, face, weights = sample_triangles(mesh.triangles, count, random, share)
    ways = np.einsum("nk,nkc->nc", weights, mesh.vertex_normals[faces[face]])
    away = random.normal(size=(count, 1)) * np.array(LOOSE)[np.arange(count) % 2][:, None] * maker.config.unit
    offsets = np.empty((count, len(EXPRESSION_COMPONENTS), 3))
    for number in range(offsets.shape[1]):
        moved = rest.copy()
        moved[number] += 1
        change = maker.mesh(still, moved, style)[0] - vertices
        offsets[:, number] = np.einsum("nk,nkc->nc", weights, change[faces[face]])
    own = (points + away * ways - np.array(maker.config.origin)) / maker.config.unit
    return own, offsets / maker.config.unit
