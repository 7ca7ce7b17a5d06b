"""Hair as a solid: the studio's hair cards, filled to one closed shell a style, which follows the head as they do.

What lies between cards, or between cards and scalp, is hair: the cards are drawn into voxels with the solid head,
gaps are closed, and what is not head is left. It reaches a little under the skin, so that no gap opens there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from faceeditor.rendering.normal_maps import Ball
from training.studio.assets import HairStyle
from training.triplane_carving import Carving, Floats

VOXEL: Final = 0.002
GAP: Final = 0.008
"""Metres of gaps that are closed, half of them from either side."""
THICK: Final = 0.0025
"""Metres around a card that are hair."""
UNDER: Final = 0.006
"""Metres that hair reaches under the skin."""
SMOOTH: Final = 1.2
"""Voxels over which the shell is smoothed."""
OPAQUE: Final = 0.35
REACH: Final = 0.985
"""The share of the ball's radius that hair may reach."""
ALIKE: Final = 0.012
"""Metres: standard deviation of the Gaussian by which neighbours move alike."""
NEIGHBOURS: Final = 48
SHELL_PARTS: Final = ("vertices", "faces", "bind", "weights", "near", "share")
CARD_SAMPLES: Final = 400_000
TRIANGLES: Final = 16_000


@dataclass(frozen=True, eq=False)
class HairShell:
    """A closed shell on the mean head: ``vertices`` (n, 3) in head space, ``faces`` (f, 3).

    Every vertex hangs on head vertices ``bind`` (n, 8) with ``weights`` (n, 8), as the card does that it is nearest to,
    and moves as its neighbours ``near`` (n, m) do on average, with the weights ``share`` (n, m): cards that hang on
    distant places of the head would tear a solid.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    bind: NDArray[np.int32]
    weights: NDArray[np.float32]
    near: NDArray[np.int32]
    share: NDArray[np.float32]

    @classmethod
    def of(cls, style: HairStyle, space: "HairSpace") -> Self:
        """The shell of a ``style`` on a bald head."""
        hair = _filled(_cards(style, space), space.head) & space.known
        vertices, faces = _shell(hair, space.low)
        card = cKDTree(style.vertices).query(vertices)[1]
        away, near = cKDTree(vertices).query(vertices, k=min(NEIGHBOURS, len(vertices)))
        share = np.exp(-0.5 * (away / ALIKE) ** 2)
        share = (share / share.sum(1, keepdims=True)).astype(np.float32)
        return cls(vertices, faces, style.bind_vertices[card], style.bind_weights[card], near.astype(np.int32), share)

    def follow(self, head_offset: Floats) -> NDArray[np.float32]:
        """The shell's vertices (n, 3) when the head's differ from the neutral mean head's by ``head_offset``."""
        moved = np.einsum("nk,nkc->nc", self.weights, head_offset[self.bind])
        return np.asarray(self.vertices + np.einsum("nm,nmc->nc", self.share, moved[self.near]), np.float32)


@dataclass(frozen=True, eq=False)
class HairSpace:
    """Voxels (n, n, n) from the corner ``low`` (3,) on: which are in the bald ``head``, and where hair may be
    (``known``).
    """

    low: Floats
    head: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, head: Carving, ball: Ball, floor: float) -> Self:
        """The inside of the ``ball`` above ``floor``, metres, around a bald ``head``."""
        low = np.array(ball.centre) - ball.radius
        count = int(np.ceil(2 * ball.radius / VOXEL))
        axes = [start + VOXEL * (np.arange(count) + 0.5) for start in low]
        centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        within = np.linalg.norm(centres - np.array(ball.centre), axis=1) < REACH * ball.radius
        known = within & (centres[:, 1] > floor)
        solid = np.zeros(len(centres), bool)
        solid[within] = ~head.outside(centres[within])
        return cls(low, *(table.reshape(count, count, count) for table in (solid, known)))


def read_shells(path: Path) -> dict[str, HairShell]:
    """What :func:`write_shells` has written."""
    with np.load(path, allow_pickle=False) as file:
        names = dict.fromkeys(key.partition("/")[0] for key in file.files)
        return {name: HairShell(*(file[f"{name}/{part}"] for part in SHELL_PARTS)) for name in names}


def write_shells(shells: dict[str, HairShell], path: Path) -> None:
    """Stores the shells of styles by name."""
    beside = path.with_suffix(".new.npz")
    arrays = {f"{name}/{part}": getattr(shell, part) for name, shell in shells.items() for part in SHELL_PARTS}
    np.savez(beside, allow_pickle=False, **arrays)
    beside.replace(path)


def _cards(style: HairStyle, space: HairSpace) -> NDArray[np.bool_]:
    """Voxels (n, n, n) that opaque parts of cards pass."""
    low, count = space.low, len(space.head)
    mesh: Any = trimesh.Trimesh(style.vertices, style.faces, process=False)
    points, face = trimesh.sample.sample_surface(mesh, CARD_SAMPLES, seed=0)
    share = trimesh.triangles.points_to_barycentric(mesh.triangles[face], points)  # type: ignore[no-untyped-call]
    uv = np.einsum("nk,nkc->nc", share, style.uv[style.faces_uv[face]]) % 1.0
    height, width = style.texture.shape[:2]
    column, row = (uv * [width, height]).astype(int).clip(0, [width - 1, height - 1]).T
    cell = np.floor((points[style.texture[row, column, 1] > 255 * OPAQUE] - low) / VOXEL).astype(int)
    cell = cell[((cell >= 0) & (cell < count)).all(1)]
    found = np.zeros((count, count, count), bool)
    found[tuple(cell.T)] = True
    return found


def _filled(cards: NDArray[np.bool_], head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is hair among voxels, of ``cards`` on a solid ``head``."""
    thick = distance_transform_edt(~cards) * VOXEL <= THICK
    closed = _closed(thick | head)
    hair = closed & ~_closed(head)
    pieces, _ = label(hair | thick)
    hair = (hair | thick) & (pieces > 0) & ~head
    hair = hair & np.isin(pieces, _large(pieces))
    under = distance_transform_edt(head) * VOXEL
    near = distance_transform_edt(~hair) * VOXEL <= UNDER
    return np.asarray(hair | (near & head & (under > VOXEL)))


def _large(pieces: NDArray[np.integer]) -> NDArray[np.integer]:
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.flatnonzero(sizes > 0.05 * sizes.max())


def _closed(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``solid`` with gaps and hollows filled."""
    grown = distance_transform_edt(~solid) * VOXEL <= GAP / 2
    around, _ = label(~grown)
    outer = around == around[0, 0, 0]
    return np.asarray(distance_transform_edt(~outer) * VOXEL > GAP / 2)


def _shell(hair: NDArray[np.bool_], low: Floats) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The smoothed surface of voxels."""
    depth = distance_transform_edt(hair) - distance_transform_edt(~hair)
    smooth = gaussian_filter(np.clip(depth, -4, 4), SMOOTH)
    vertices, faces, _, _ = marching_cubes(-smooth, 0.0)  # type: ignore[no-untyped-call]
    mesh: Any = trimesh.Trimesh(low + VOXEL * (vertices + 0.5), faces, process=False)
    pieces = mesh.split(only_watertight=False)
    mesh = trimesh.util.concatenate([piece for piece in pieces if len(piece.faces) > 0.02 * len(mesh.faces)])
    if len(mesh.faces) > TRIANGLES:
        mesh = mesh.simplify_quadric_decimation(face_count=TRIANGLES)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
