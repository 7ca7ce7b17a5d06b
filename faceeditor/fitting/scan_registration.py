"""The template laid onto a scan: similarity, identity and expression together, by non-rigid closest points.

The template's decoder is linear, so every step is one bounded linear least squares (Amberg et al., "Expression
Invariant 3D Face Recognition with a Morphable Model", 2008): points to planes of the scan, landmarks to the rays on
which the pictures show them, and the priors of the codes.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import lsq_linear
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.scan_surfels import Surfels
from faceeditor.fitting.scan_units import SPREAD, off_unit
from faceeditor.models.template import Template

Array = NDArray[np.float64]

MIDDLE: Final = np.array([0.0, 0.0, 0.05])
REACH: Final = 0.10
"""The face region of the template: what lies in this ball of head space, in metres, and faces forward."""
FORWARD: Final = 0.15
"""The least forward part of a normal of that region."""
EVERY: Final = 2
"""Of that region's vertices, every second one is laid onto the scan."""
TRIMS: Final = (0.02, 0.012, 0.008, 0.005, 0.004, 0.004)
"""Metres beyond which a closest point is not believed, step by step."""
ASIDE: Final = 0.004
"""Metres by which a closest point may lie aside of a vertex's normal; more is the rim of the scan."""
DISAGREEING: Final = 0.4
"""What the cosine between the normals of a vertex and of its closest point may fall short of 1."""
SURFACE_ERROR: Final = 0.0007
INDEPENDENT: Final = 200.0
"""Metres by which the template misses a true face, and how many independent observations its face region makes."""
LANDMARK_ERROR: Final = 0.0032
"""Metres by which a landmark that is trusted fully misses."""
EXPRESSION_SPREAD: Final = 0.35
EXPRESSION_COST: Final = 1.0
"""Standard deviation of an expression weight, and what each costs besides, so that few are used."""


@dataclass(frozen=True, eq=False)
class Rays:
    """Where pictures show landmarks: line ``i`` goes through ``origins`` (N, 3) along unit ``directions`` (N, 3), shows
    landmark ``index`` (N,) and is trusted ``weights`` (N,).
    """

    index: NDArray[np.int64]
    origins: Array
    directions: Array
    weights: Array

    def moved(self, similarity: Similarity) -> "Rays":
        """The same lines in another space."""
        return replace(
            self, origins=similarity.to_head(self.origins), directions=self.directions @ similarity.rotation.T
        )

    def and_also(self, other: "Rays") -> "Rays":
        """These lines and those."""
        return Rays(
            *(np.concatenate([getattr(self, field.name), getattr(other, field.name)]) for field in fields(self))
        )


@dataclass(frozen=True, eq=False)
class Registration:
    """``similarity`` from the space of the given points to head space; ``identity`` (100,) and ``expression`` (53,);
    ``distances`` (n,) in metres from the face region's vertices to the scan, nan where it has no surface.
    """

    similarity: Similarity
    identity: Array
    expression: Array
    distances: Array

    @classmethod
    def start(cls, similarity: Similarity) -> "Registration":
        """The mean face."""
        return cls(similarity, np.zeros(100), np.zeros(len(EXPRESSION_COMPONENTS)), np.zeros(0))


class FaceRegion:
    """The part of the template that is laid onto scans, and its landmarks."""

    def __init__(self, template: Template) -> None:
        mean = template.mean.double().numpy()
        normals = template.normals(template.mean[None])[0].double().numpy()
        skin = np.zeros(len(mean), bool)
        skin[template.shape_faces[slice(*template.parts["skin"])].numpy().ravel()] = True
        near = np.linalg.norm(mean - MIDDLE, axis=1) < REACH
        self.vertices = np.flatnonzero(skin & near & (normals[:, 2] > FORWARD))[::EVERY]
        self.landmarks = template.landmark_vertices.numpy()
        self._template = template
        used = np.concatenate([self.vertices, self.landmarks])
        self._basis = template.basis[:, torch.from_numpy(used)].double().numpy()

    def shape(self, identity: Array, expression: Array) -> tuple[Array, Array, Array]:
        """Vertices (n, 3) of the region, their unit normals (n, 3), and the landmarks (68, 3)."""
        codes = [torch.from_numpy(code[None]).float() for code in (identity, expression)]
        whole = self._template.vertices(*codes)
        normals = self._template.normals(whole)[0].double().numpy()
        positions = whole[0].double().numpy()
        return positions[self.vertices], normals[self.vertices], positions[self.landmarks]

    @property
    def surface_basis(self) -> Array:
        """(153, n, 3)."""
        return self._basis[:, : len(self.vertices)]

    @property
    def landmark_basis(self) -> Array:
        """(153, 68, 3)."""
        return self._basis[:, len(self.vertices) :]


def register(
    region: FaceRegion,
    surface: Surfels,
    rays: Rays,
    start: Registration,
    *,
    trims: tuple[float, ...] = TRIMS,
    breathe: Callable[[], None] = lambda: None,
) -> Registration:
    """Lays the face region onto ``surface``; this and ``rays`` lie in the space that ``start.similarity`` is from."""
    tree = cKDTree(surface.points)
    now = start
    for trim in trims:
        breathe()
        now = _step(region, tree, surface, rays, now, trim)
    return now


def _step(
    region: FaceRegion, tree: cKDTree, surface: Surfels, rays: Rays, now: Registration, trim: float
) -> Registration:
    vertices, normals, landmarks = region.shape(now.identity, now.expression)
    back = now.similarity.inverse()
    _, near = tree.query(back.to_head(vertices))
    targets = now.similarity.to_head(surface.points[near])
    planes = surface.normals[near] @ now.similarity.rotation.T
    planes *= np.sign((planes * normals).sum(1, keepdims=True))
    gap = ((vertices - targets) * planes).sum(1)
    aside = np.linalg.norm(vertices - targets - gap[:, None] * planes, axis=1)
    trust = _fading(np.abs(gap), trim) * _fading(aside, ASIDE + trim / 4)
    trust *= _fading(1 - (planes * normals).sum(1), DISAGREEING)
    normal, right = _surface_equations(region, now, gap, planes, vertices, trust / (1 + (2 * gap / trim) ** 2))
    more, more_right = _landmark_equations(region, now, landmarks, rays.moved(now.similarity))
    return _solved(normal + more, right + more_right, now, np.where(trust > 0, gap, np.nan))


def _surface_equations(
    region: FaceRegion,
    now: Registration,
    gap: Array,
    planes: Array,
    vertices: Array,
    trust: Array,
) -> tuple[Array, Array]:
    """Normal equations (160, 160) and (160,) of the gaps along the planes."""
    weights = trust / len(gap) * INDEPENDENT / SURFACE_ERROR**2
    rows = np.concatenate([np.einsum("bnc,nc->nb", region.surface_basis, planes), -_moves(vertices, planes)], axis=1)
    codes = np.concatenate([now.identity, now.expression, np.zeros(7)])
    wanted = rows @ codes - gap
    weighted = rows * weights[:, None]
    return weighted.T @ rows, weighted.T @ wanted


def _landmark_equations(region: FaceRegion, now: Registration, landmarks: Array, rays: Rays) -> tuple[Array, Array]:
    """Normal equations of the landmarks' distances to their rays."""
    codes = np.concatenate([now.identity, now.expression, np.zeros(7)])
    size = len(codes)
    normal, right = np.zeros((size, size)), np.zeros(size)
    basis = region.landmark_basis[:, rays.index]
    away = landmarks[rays.index] - rays.origins
    for axis in _across(rays.directions):
        gap = (away * axis).sum(1)
        robust = rays.weights / (1 + (gap / (3 * LANDMARK_ERROR)) ** 2)
        rows = np.concatenate([np.einsum("bnc,nc->nb", basis, axis), -_moves(landmarks[rays.index], axis)], axis=1)
        weighted = rows * (robust / LANDMARK_ERROR**2)[:, None]
        normal += weighted.T @ rows
        right += weighted.T @ (rows @ codes - gap)
    return normal, right


def _across(directions: Array) -> tuple[Array, Array]:
    """Two unit axes (N, 3) at right angles to ``directions``."""
    first = np.cross(directions, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(directions, first)


def _moves(positions: Array, axes: Array) -> Array:
    """How ``positions`` (N, 3) move along ``axes`` under a small turn, shift and growth of the scan (N, 7)."""
    return np.concatenate([np.cross(positions, axes), axes, (positions * axes).sum(1, keepdims=True)], axis=1)


def _solved(normal: Array, right: Array, now: Registration, distances: Array) -> Registration:
    people, size = len(now.identity), len(right)
    moving = slice(size - 7, size)
    weights = slice(people, size - 7)
    diagonal = np.zeros(size)
    diagonal[:people] = 1.0
    diagonal[weights] = 1 / EXPRESSION_SPREAD**2
    diagonal[moving] = 1e-3
    right = right.copy()
    right[weights] -= EXPRESSION_COST
    if (off := off_unit(now.similarity.scale)) is not None:
        diagonal[-1] += 1 / SPREAD**2
        right[-1] -= off / SPREAD**2
    codes = bounded(normal + np.diag(diagonal), right, weights)
    turn, shift, growth = codes[moving][:3], codes[moving][3:6], codes[moving][6]
    small = Similarity(float(np.exp(growth)), Rotation.from_rotvec(turn).as_matrix(), shift)
    return Registration(now.similarity.then(small), codes[:people], codes[weights], distances)


def bounded(normal: Array, right: Array, limited: slice) -> Array:
    """The minimum of ``x normal x / 2 - right x`` with ``x[limited]`` in [0, 1]: the others are eliminated first."""
    inside = np.zeros(len(right), bool)
    inside[limited] = True
    factor = cho_factor(normal[np.ix_(~inside, ~inside)])
    cross = normal[np.ix_(~inside, inside)]
    left = normal[np.ix_(inside, inside)] - cross.T @ cho_solve(factor, cross)
    root = np.linalg.cholesky((left + left.T) / 2)
    wanted = solve_triangular(root, right[inside] - cross.T @ cho_solve(factor, right[~inside]), lower=True)
    x = np.zeros(len(right))
    x[inside] = lsq_linear(root.T, wanted, (0.0, 1.0), method="bvls").x.clip(0.0, 1.0)  # bvls is off by rounding
    x[~inside] = cho_solve(factor, right[~inside] - cross @ x[inside])
    return x


def _fading(values: Array, limit: float) -> Array:
    """1 up to half the ``limit``, 0 from the limit on."""
    return np.clip(2 - 2 * values / limit, 0.0, 1.0)
