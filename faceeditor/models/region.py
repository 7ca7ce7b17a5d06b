"""Where on the template a field speaks, and how the rest of the head is carried along.

A field of ImFace++ knows the front of a face inside a ball. Its word is taken for the template's skin there, less and
less towards the border; the back of the head, the inner mouth, eyes, teeth, tongue and lashes have none and move with
what lies around them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu, spsolve
from scipy.spatial import cKDTree

from faceeditor.faces.camera import Camera
from faceeditor.models.template import Template
from faceeditor.rendering.raster import NOTHING, Scene
from faceeditor.rendering.raster_numpy import SoftwareRasteriser

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BALL: Final = 0.97
"""Radius, in the model's unit, that vertices of the mean head must lie within."""
STEEPEST: Final = 0.05
"""The least z of their normals."""
FADE: Final = 0.012
"""Metres over which the field's word fades in from the border."""
FALL: Final = 0.06
"""Metres over which what carries the rest along falls by a factor e."""
HIDDEN: Final = 0.0015
"""Metres that a vertex may lie behind the visible surface."""
PIXELS: Final = 512
AROUND: Final = 24
"""Skin vertices around an eye, a tooth or a lash that it moves with."""
BEND: Final = 0.1
"""Share of its way by which a vertex may move otherwise than those around it."""
LEAST: Final = 2e-3
"""Shares below this are left out."""

FACING: Final = Camera(distance=40.0, field_of_view=float(np.degrees(2 * np.arctan(0.15 / 40.0))))
"""From so far away that rays are parallel to within a fifth of a degree; the picture's side is 30 cm."""


@dataclass(frozen=True, eq=False)
class Region:
    """The N shape ``vertices`` (N,) of the template that a field has a word about, and ``weight`` (N,) in (0, 1] how
    much it counts; ``shares`` (V, N), sparse, gives what all V vertices move by from what these do.
    """

    vertices: Ints
    weight: Floats
    shares: sparse.csr_array
    links: sparse.csr_array

    @classmethod
    def of(cls, template: Template, unit: float, origin: tuple[float, float, float]) -> "Region":
        """The region of ``template`` in a ball about ``origin``, metres, for a model of this ``unit``."""
        mean = template.mean.cpu().numpy().astype(np.float64)
        faces = template.shape_faces.cpu().numpy()
        start, end = template.parts["skin"]
        skin = np.isin(np.arange(len(mean)), faces[start:end])
        turned = template.normals(template.mean[None])[0, :, 2].cpu().numpy() > STEEPEST
        near = np.linalg.norm(mean - origin, axis=1) < BALL * unit
        known = skin & turned & near & _visible(mean, faces[: template.cards_from])
        links = _links(mean, faces)
        weight = _faded(mean, links, known, skin)
        known &= weight > 0
        vertices = np.flatnonzero(known)
        return cls(vertices, weight[known], _shares(mean, links, skin, vertices, weight[known]), links)

    def carried(self, moves: Floats, sure: Floats) -> Floats:
        """What all vertices (V, 3) move by when those of the region move by ``moves`` (N, 3); ones that are not
        ``sure`` (N,), from 0 to 1, go with their neighbours.
        """
        return np.asarray(self.shares @ self.mended(moves, sure), np.float64)

    def mended(self, moves: Floats, sure: Floats) -> Floats:
        """``moves`` (N, 3) with the unsure ones drawn towards the harmonic continuation of the sure ones."""
        doubtful = sure < 1
        if not doubtful.any():
            return moves
        inner = self._between[doubtful]
        system = sparse.diags_array(inner.sum(axis=1) + 1e-6) - inner[:, doubtful]
        around = inner[:, ~doubtful] @ moves[~doubtful]
        smooth = spsolve(system.tocsc(), around).reshape(-1, 3)
        mended = moves.copy()
        share = sure[doubtful, None]
        mended[doubtful] = share * np.where(share > 0, moves[doubtful], 0) + (1 - share) * smooth
        return mended

    def raggedness(self, moves: Floats, sure: Floats) -> Floats:
        """How far (N,) each of ``moves`` (N, 3) is from the mean of its neighbours', in which the ``sure`` (N,) count,
        beyond what a bend would explain.
        """
        weight = self._between @ sure[:, None]
        around = (self._between @ (moves * sure[:, None])) / np.maximum(weight, 1e-9)
        apart = np.linalg.norm(moves - around, axis=1) - BEND * np.linalg.norm(around, axis=1)
        return np.asarray(np.where(weight[:, 0] > 1e-9, apart.clip(0), 0.0), np.float64)

    @cached_property
    def _between(self) -> sparse.csr_array:
        """The links (N, N) within the region."""
        return self.links[self.vertices][:, self.vertices].tocsr()


def _visible(mean: Floats, faces: Ints) -> NDArray[np.bool_]:
    """Which vertices (V,) a viewer far in front sees."""
    ids = SoftwareRasteriser().visible(Scene(mean[faces].astype(np.float32), len(faces)), FACING, PIXELS, 1)[0]
    depth = np.where(ids == NOTHING, -np.inf, mean[faces[ids], 2].min(-1))
    pixel = FACING.project(mean, PIXELS, PIXELS).astype(int).clip(0, PIXELS - 1)
    return np.asarray(mean[:, 2] > depth[pixel[:, 1], pixel[:, 0]] - HIDDEN)


def _links(mean: Floats, faces: Ints) -> sparse.csr_array:
    """How strongly vertices (V, V) that share an edge hold together: one over their distance."""
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    strength = 1 / np.linalg.norm(mean[edges[:, 0]] - mean[edges[:, 1]], axis=1).clip(1e-5)
    half = sparse.coo_array((strength, tuple(edges.T)), shape=(len(mean), len(mean)))
    return (half + half.T).tocsr()


def _faded(mean: Floats, links: sparse.csr_array, known: NDArray[np.bool_], skin: NDArray[np.bool_]) -> Floats:
    """Weights (V,): 0 outside, rising smoothly to 1 with the way along the skin from where the head goes on; lids,
    nostrils and lips are no border.
    """
    beyond = np.flatnonzero(skin & ~known)
    _, piece = csgraph.connected_components(links[beyond][:, beyond], directed=False)
    outside = beyond[piece == piece[mean[beyond, 2].argmin()]]
    lengths = links.copy()
    lengths.data = 1 / lengths.data
    away = csgraph.dijkstra(lengths, directed=False, indices=outside, min_only=True)
    along = np.clip(away / FADE, 0, 1)
    return np.where(known, along * along * (3 - 2 * along), 0)


def _shares(
    mean: Floats, links: sparse.csr_array, skin: NDArray[np.bool_], vertices: Ints, weight: Floats
) -> sparse.csr_array:
    """See :class:`Region`: the weight's part of a vertex' own move, and for the rest a screened harmonic continuation
    of the moves of those whose weight is 1; parts that hang on no skin move with the skin nearest to them.
    """
    count = len(mean)
    sure = vertices[weight == 1]
    _, piece = csgraph.connected_components(links, directed=False)
    skinned = piece == piece[sure[0]]
    free = np.flatnonzero(skinned & ~np.isin(np.arange(count), sure))
    pull = np.asarray(links.sum(axis=1)).ravel()
    spacing = np.asarray((links > 0).sum(axis=1)).ravel() / pull.clip(1e-9)
    kept = sparse.diags_array((pull * (1 + (spacing / FALL) ** 2 / 2))[free])
    column = np.searchsorted(vertices, sure)
    bound = links[free][:, sure].tocsc()
    rim = np.flatnonzero(np.diff(bound.indptr))
    solved = splu((kept - links[free][:, free]).tocsc()).solve(bound[:, rim].toarray())
    total = solved.sum(axis=1, keepdims=True)
    solved[solved < LEAST] = 0
    solved *= total / solved.sum(axis=1, keepdims=True).clip(1e-9)
    continued = sparse.coo_array(solved)
    whole = sparse.coo_array(
        (continued.data, (free[continued.row], column[rim[continued.col]])), shape=(count, len(vertices))
    ).tocsr()
    own = np.zeros(count)
    own[vertices] = weight
    mine = sparse.coo_array((weight, (vertices, np.arange(len(vertices)))), shape=(count, len(vertices)))
    joined = (sparse.diags_array(1 - own) @ whole + mine).tocsr()
    return (_hung(mean, skin, piece, skinned) @ joined).tocsr()


def _hung(mean: Floats, skin: NDArray[np.bool_], piece: Ints, skinned: NDArray[np.bool_]) -> sparse.csr_array:
    """A matrix (V, V) that leaves the vertices which are joined to the skin, and gives each vertex of any other
    connected ``piece`` (V,) the mean of the skin around that piece.
    """
    count = len(mean)
    near = np.flatnonzero(skin)
    tree = cKDTree(mean[near])
    rows: list[Any] = [np.flatnonzero(skinned)]
    columns: list[Any] = [rows[0]]
    values: list[Any] = [np.ones(len(rows[0]))]
    for number in np.unique(piece[~skinned]):
        members = np.flatnonzero(piece == number)
        around = near[np.unique(tree.query(mean[members], AROUND)[1])]
        rows.append(np.repeat(members, len(around)))
        columns.append(np.tile(around, len(members)))
        values.append(np.full(len(members) * len(around), 1 / len(around)))
    place = (np.concatenate(rows), np.concatenate(columns))
    return sparse.coo_array((np.concatenate(values), place), shape=(count, count)).tocsr()
