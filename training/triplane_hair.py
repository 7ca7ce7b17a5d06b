"""Hair as a solid: the studio's hair cards, filled to one closed shell a style, which follows the head.

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
PLACE: Final = 0.006
"""Metres between the places of the skin that tell how people's hair differs, and over which they do at the skin."""
FARTHER: Final = 1 / 3
"""How much wider that is for hair, beside its distance from the skin."""
PLACES: Final = 128
CARD_SAMPLES: Final = 400_000
TRIANGLES: Final = 16_000


@dataclass(frozen=True, eq=False)
class HairShell:
    """A closed shell on the mean head: ``vertices`` (n, 3) in head space, ``faces`` (f, 3).

    From person to person it moves as the skin ``around`` (n, p) does on average, with the weights ``pull`` (n, p),
    which are a function of the place: hair and what it lies on move alike, whatever the style.

    With expressions every vertex hangs on head vertices ``bind`` (n, 8) with ``weights`` (n, 8), as the card does that
    it is nearest to, and moves as its neighbours ``near`` (n, m) do on average, with the weights ``share`` (n, m):
    cards that hang on distant places of the head would tear a solid, and hair beside a jaw does not move with it.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    bind: NDArray[np.int32]
    weights: NDArray[np.float32]
    near: NDArray[np.int32]
    share: NDArray[np.float32]
    around: NDArray[np.int32]
    pull: NDArray[np.float32]

    @classmethod
    def of(cls, style: HairStyle, space: "HairSpace", skin: "Skin") -> Self:
        """The shell of a ``style`` on a bald head with this ``skin``."""
        hair = _filled(_cards(style, space), space.head) & space.known
        vertices, faces = _shell(hair, space.low)
        card = cKDTree(style.vertices).query(vertices)[1]
        away, near = cKDTree(vertices).query(vertices, k=min(NEIGHBOURS, len(vertices)))
        share = _shares(away**2, np.full(len(vertices), ALIKE))
        cards = style.bind_vertices[card], style.bind_weights[card]
        return cls(vertices, faces, *cards, near.astype(np.int32), share, *skin.around(vertices))

    def follow(self, person: Floats, expression: Floats) -> NDArray[np.float32]:
        """The shell's vertices (n, 3) when the head's differ from the neutral mean head's by the offsets ``person``
        (V, 3) and ``expression`` (V, 3).
        """
        moved = np.einsum("nk,nkc->nc", self.weights, expression[self.bind])
        moved = np.einsum("nm,nmc->nc", self.share, moved[self.near])
        return np.asarray(self.vertices + moved + np.einsum("np,npc->nc", self.pull, person[self.around]), np.float32)


@dataclass(frozen=True, eq=False)
class Skin:
    """The head's skin: ``vertices`` (V, 3) of the neutral mean head, of which ``places`` (P,) are evenly apart."""

    vertices: Floats
    places: NDArray[np.int64]

    @classmethod
    def of(cls, vertices: Floats, skin: NDArray[np.int64]) -> Self:
        """Where of the ``vertices`` (V, 3) of a head those named ``skin`` (S,) are its skin."""
        cells = np.floor(vertices[skin] / PLACE).astype(int)
        _, first = np.unique(cells, axis=0, return_index=True)
        return cls(vertices, skin[first])

    def around(self, points: Floats) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The vertices (n, p) that tell how ``points`` (n, 3) move, and their weights (n, p): a Gaussian that is the
        wider the farther away the skin is.
        """
        away, near = cKDTree(self.vertices[self.places]).query(points, k=min(PLACES, len(self.places)))
        nearest = away[:, :1]
        pull = _shares(away**2 - nearest**2, PLACE + FARTHER * nearest[:, 0])
        return self.places[near].astype(np.int32), pull


def _shares(squared: Floats, wide: Floats) -> NDArray[np.float32]:
    """Weights (n, m), 1 in sum, that fall with squared distances (n, m) as Gaussians of deviations ``wide`` (n,)."""
    share = np.exp(-0.5 * squared / wide[:, None] ** 2)
    return np.asarray(share / share.sum(1, keepdims=True), np.float32)


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
        names, parts = (dict.fromkeys(key.split("/")[at] for key in file.files) for at in range(2))
        return {name: HairShell(**{part: file[f"{name}/{part}"] for part in parts}) for name in names}


def write_shells(shells: dict[str, HairShell], path: Path) -> None:
    """Stores the shells of styles by name."""
    beside = path.with_suffix(".new.npz")
    arrays = {f"{name}/{part}": table for name, shell in shells.items() for part, table in vars(shell).items()}
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
