"""The zero surface of a model's own field, at any resolution: what the template's vertices are too few to show."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.errors import UserError
from faceeditor.faces.latents import Codes
from faceeditor.faces.mesh import Mesh
from faceeditor.models.contract import Refinement, do_nothing
from faceeditor.models.face_mesh import detail_amount, texture_of
from faceeditor.models.imface import ImFace
from faceeditor.models.region import BALL
from faceeditor.models.template import Template
from faceeditor.rendering.isosurface import Isosurface, Points, SignedDistance, extract, measured_lipschitz

COARSEST, FINEST = 16, 512
NEAR: Final = 0.02
"""Metres from the template's face beyond which what a point is taken to is no face."""
NEIGHBOURS: Final = 8
"""Triangles among which a point's own is looked for."""
STEEPEST: Final = 0.0
"""The least z of normals on the surface: what faces backwards is the border's flaps."""

Corner = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Extraction:
    """What to extract: a field's ``distances`` (N,) of points (N, 3) in head space, which it knows in the ball about
    ``centre`` with ``radius``, metres. ``breathe`` is called between chunks of points and may raise to stop; at
    ``samples`` places it is measured how much the distances change. ``motion`` takes points (V, 3) of the surface to
    where they belong.
    """

    distances: SignedDistance
    centre: Corner
    radius: float
    breathe: Callable[[], None] = do_nothing
    samples: int = 4096
    motion: Callable[[Points], Points] | None = None

    @property
    def low(self) -> Corner:
        """The lower corner of the ball's box."""
        return _corner(np.array(self.centre) - self.radius)

    @property
    def high(self) -> Corner:
        """The upper corner of the ball's box."""
        return _corner(np.array(self.centre) + self.radius)

    @cached_property
    def lipschitz(self) -> float:
        """The most that the distances change over a metre, as measured."""
        return measured_lipschitz(self.sdf, self.low, self.high, samples=self.samples)

    def sdf(self, points: Points) -> NDArray[np.floating[Any]]:
        """Signed distances (N,) of ``points`` (N, 3), metres; outside the ball, those of the nearest point in it."""
        self.breathe()
        centre, radius = np.array(self.centre, np.float32), np.float32(self.radius)
        away = points - centre
        length = np.linalg.norm(away, axis=1, keepdims=True)
        return self.distances(centre + away * (radius / np.maximum(length, radius)))

    def sparse(self, resolution: int) -> Isosurface:
        """The surface in the whole box, ``resolution`` cells along it, evaluated where it can be, and moved."""
        found = self.unmoved(resolution)
        return replace(found, vertices=self.motion(found.vertices)) if self.motion else found

    def unmoved(self, resolution: int) -> Isosurface:
        """The surface before its motion."""
        return extract(self.sdf, self.low, self.high, resolution, self.lipschitz, ball=(self.centre, self.radius))


def face_extraction(
    model: ImFace, codes: Codes, refinement: Refinement | None = None, breathe: Callable[[], None] = do_nothing
) -> Extraction:
    """The face of ``codes``, with the detail that its ``refinement`` asks for."""
    distances = partial(model.sdf, codes=codes, detail=detail_amount(refinement))
    return Extraction(distances, model.config.origin, model.config.unit, breathe)


def extract_face(
    model: ImFace,
    codes: Codes,
    resolution: int,
    refinement: Refinement | None = None,
    *,
    textured: bool = False,
    breathe: Callable[[], None] = do_nothing,
) -> Mesh:
    """The surface of a face in head space, cut to where the field knows it.

    ``resolution`` is the number of cells along its box. Texture places are those of the template where it
    corresponds. Raises ``UserError`` for a resolution that is none, and where there is no surface.
    """
    require_resolution(resolution)
    found = face_extraction(model, codes, refinement, breathe).sparse(resolution)
    place, amount = _Places(model.mesher.template), detail_amount(refinement)
    taken = model.to_template(found.vertices, codes, amount) if len(found.vertices) else found.vertices
    distance, uv = place.of(taken)
    inside = np.linalg.norm(found.vertices - np.array(model.config.origin), axis=1) < BALL * model.config.unit
    vertices, faces, kept = _cut(found, inside & (distance < NEAR))
    if not len(faces):
        raise UserError("This face has no surface where its model knows one; choose another face.")
    shape = trimesh.Trimesh(vertices, faces, process=False)
    return Mesh(
        vertices=vertices,
        faces=faces,
        uv=uv[kept],
        normals=np.asarray(shape.vertex_normals, np.float32),
        texture_srgb=texture_of(refinement) if textured else None,
        parts={"skin": (0, len(faces))},
    )


def require_resolution(resolution: int) -> None:
    """Raises ``UserError`` unless surfaces can be extracted at ``resolution``."""
    if not COARSEST <= resolution <= FINEST:
        raise UserError(f"A surface's resolution must lie between {COARSEST} and {FINEST} cells.")


class _Places:
    """The template's face, to find texture places on it."""

    def __init__(self, template: Template) -> None:
        start, end = template.parts["skin"]
        faces = template.faces[start:end].cpu().numpy()
        corners = template.mean[template.render_vertex].cpu().numpy()[faces].astype(np.float64)
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0
        eyes = [template.faces[slice(*template.parts[name])].cpu().numpy() for name in ("eyeLeft", "eyeRight")]
        self._faces = np.concatenate([faces[facing], *eyes])
        self._corners = template.mean[template.render_vertex].cpu().numpy()[self._faces].astype(np.float64)
        self._uv = template.uv.cpu().numpy()[self._faces]
        self._tree = cKDTree(self._corners.mean(axis=1))

    def of(self, points: Points) -> tuple[NDArray[np.float64], Points]:
        """How far ``points`` (N, 3) of template space lie from the face (N,), and the texture places (N, 2) there."""
        distance, uv = np.full(len(points), np.inf), np.zeros((len(points), 2), np.float32)
        for face in self._tree.query(points, NEIGHBOURS)[1].T if len(points) else ():
            there = trimesh.triangles.closest_point(self._corners[face], points)  # type: ignore[no-untyped-call]
            away = np.linalg.norm(there - points, axis=1)
            better = away < distance
            corners = self._corners[face[better]]
            share = trimesh.triangles.points_to_barycentric(corners, there[better])  # type: ignore[no-untyped-call]
            uv[better] = np.einsum("nk,nkc->nc", share, self._uv[face[better]])
            distance[better] = away[better]
        return distance, uv


def _cut(found: Isosurface, inside: NDArray[np.bool_]) -> tuple[Points, NDArray[np.int32], NDArray[np.int64]]:
    """The vertices and faces of the largest piece whose corners are all ``inside`` (V,) and that faces ahead, and the
    old numbers of its vertices.
    """
    corners = found.vertices[found.faces].astype(np.float64)
    ahead = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] >= STEEPEST
    faces = found.faces[inside[found.faces].all(axis=1) & ahead]
    if not len(faces):
        return found.vertices[:0], faces, np.zeros(0, np.int64)
    beside = trimesh.graph.face_adjacency(faces)  # type: ignore[no-untyped-call]
    piece = trimesh.graph.connected_component_labels(beside, len(faces))  # type: ignore[no-untyped-call]
    faces = faces[piece == np.bincount(piece).argmax()]
    kept, number = np.unique(faces, return_inverse=True)
    return found.vertices[kept], number.reshape(-1, 3).astype(np.int32), kept


def _corner(values: NDArray[Any]) -> Corner:
    x, y, z = values.tolist()
    return x, y, z
