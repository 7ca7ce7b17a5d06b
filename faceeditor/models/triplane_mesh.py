"""A tri-plane head as a mesh: its zero surface at rest, found once for all people who are motions of it, moved to each
of them, and from there to every expression.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.latents import Code, Codes
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.mesh import Mesh
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import Quality, Refinement, do_nothing
from faceeditor.models.extraction import Extraction, require_resolution
from faceeditor.models.face_mesh import TEMPLATE, texture_of
from faceeditor.models.imface import in_chunks
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.models.root_finding import Guesser
from faceeditor.models.template import vertex_normals
from faceeditor.rendering.isosurface import Isosurface

if TYPE_CHECKING:
    from faceeditor.models.triplane import TriplaneHead

RESOLUTION: Final = {Quality.MOVING: 48, Quality.FULL: 128}
"""Cells along the ball's box of the meshes that are shown."""
SAMPLES: Final = 1024
"""Places that tell how much the distances of a head change: its network is the same everywhere."""
KEPT: Final = 4
"""Surfaces that are remembered of each quality; those of a resolution that was asked for are too large for that."""
SCRAP: Final = 1 / 20
"""Pieces with a smaller share of the largest one's faces are no head."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MeanSurface:
    """The surface at rest of all whose planes are the same, in the model's space: ``points`` (V, 3) of the mean head,
    joined by ``faces`` (F, 3).

    A mesh of it has those points twice that lie on a seam of the texture: its vertices show the points ``source`` (R,)
    and lie at ``uv`` (R, 2), joined by ``split`` (F, 3).
    """

    points: Tensor
    faces: Tensor
    source: Ints
    uv: NDArray[np.float32]
    split: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class RestSurface:
    """A person's surface at rest: the one of the ``mean`` head, moved to ``points`` (V, 3) of the model's space.
    ``shapes`` (dims, V * 3), where they are kept, are how far each component of the expression code moves the points.
    """

    mean: MeanSurface
    points: Tensor
    shapes: Tensor | None = None


class HeadMesher:
    """Makes meshes of the heads of ``model``; remembers surfaces, so that another person costs one motion, and people,
    so that an expression costs one product.
    """

    def __init__(self, model: "TriplaneHead") -> None:
        self._model = model
        self._surfaces: dict[Quality, Memo[MeanSurface]] = {quality: Memo(KEPT) for quality in Quality}
        self._people: dict[Quality, Memo[RestSurface]] = {quality: Memo(2) for quality in Quality}

    def mesh(
        self,
        codes: Codes,
        refinement: Refinement | None = None,
        *,
        morphs: bool = False,
        textured: bool = False,
        quality: Quality = Quality.FULL,
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.MeshModel.mesh`. While ``MOVING`` a person who was not seen in full yet
        is coarser.
        """
        person = self._person(codes[IDENTITY], quality)
        mesh = self._shown(person, self._posed(person, codes), refinement, textured)
        return replace(mesh, morphs=self._morphs(person, codes)) if morphs else mesh

    def extract(
        self,
        codes: Codes,
        resolution: int,
        refinement: Refinement | None = None,
        *,
        textured: bool = False,
        breathe: Callable[[], None] = do_nothing,
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.SurfaceModel.extract`: the surface at rest, moved."""
        require_resolution(resolution)
        identity = codes[IDENTITY]
        person = self._moved(identity, self._extracted(identity, resolution, breathe))
        return self._shown(person, self._posed(person, codes, breathe), refinement, textured)

    def extraction(self, identity: Code, breathe: Callable[[], None] = do_nothing) -> Extraction:
        """What to extract for the person of the code ``identity`` (dims,): the head at rest, before the warp moves it,
        to where that takes it.
        """
        model = self._model
        config, head = model.config, model.bound({IDENTITY: identity})

        def moved(points: NDArray[np.float32]) -> NDArray[np.float32]:
            return model.head(in_chunks(head.off_mean, model.own(points)))

        distances = partial(model.sdf_on_mean, identity=identity)
        return Extraction(distances, config.origin, config.unit, breathe, SAMPLES, moved)

    @cached_property
    def mean_landmarks(self) -> Tensor:
        """The 68 landmarks (68, 3) of the mean head at rest, in the model's space. Raises ``UserError`` when the
        template's bundle is missing.
        """
        model, template = self._model, load_model(TEMPLATE, self._model.device)
        still = torch.zeros(1, len(template.identity_signs), device=model.device)
        found = template.landmarks(template.vertices(still, model.deformation.rest[None]))
        return model.own(found[0].cpu().numpy())

    def guesses(self, targets: Tensor, codes: Codes) -> Tensor:
        """Where at rest (G, N, 3) the posed points ``targets`` (N, 3) may lie, in the model's space, the likeliest
        first.
        """
        person = self._person(codes[IDENTITY], Quality.MOVING)
        before, after = (points.cpu().numpy() for points in (person.points, self._posed(person, codes)))
        return Guesser(before, after).guesses(targets)

    def _person(self, identity: Code, quality: Quality) -> RestSurface:
        key = fingerprint([identity])
        full = self._people[Quality.FULL].known(key)
        return full or self._people[quality].get(key, lambda: self._made(identity, quality))

    @torch.no_grad()
    def _made(self, identity: Code, quality: Quality) -> RestSurface:
        """The surface that is shown; what expressions do to people who come and go, ``MOVING``, is not kept."""
        model, key = self._model, self._model.key(identity)
        mean = self._surfaces[quality].get(key, lambda: self._extracted(identity, RESOLUTION[quality]))
        person = self._moved(identity, mean)
        if quality is Quality.MOVING or model.config.deformation.kind != "blend":
            return person
        code = model.tensor(identity)
        shapes = in_chunks(lambda part: model.deformation.blendshapes(part, code), person.mean.points)
        return replace(person, shapes=shapes.movedim(1, 0).flatten(1).contiguous())

    def _moved(self, identity: Code, mean: MeanSurface) -> RestSurface:
        return RestSurface(mean, in_chunks(self._model.bound({IDENTITY: identity}).off_mean, mean.points))

    def _extracted(self, identity: Code, resolution: int, breathe: Callable[[], None] = do_nothing) -> MeanSurface:
        """The surface before the warp moves it. Raises ``UserError`` where there is none."""
        config = self._model.config
        found = self.extraction(identity, breathe).unmoved(resolution)
        vertices, faces = _head_of(found, config.origin, config.unit)
        if not len(faces):
            raise UserError("This head has no surface where its model knows one; choose another face.")
        points = self._model.own(vertices)
        source, uv, split = _unwrapped(_places(points.cpu().numpy()), faces)
        return MeanSurface(points, torch.from_numpy(faces).to(points.device), source, uv, split)

    @torch.no_grad()
    def _posed(self, person: RestSurface, codes: Codes, breathe: Callable[[], None] = do_nothing) -> Tensor:
        """The person's points (V, 3) with the expression of ``codes``."""
        if person.shapes is not None:
            weights = self._model.tensor(codes[EXPRESSION]) - self._model.deformation.rest
            return person.points + (weights @ person.shapes).reshape(-1, 3)
        motion = self._model.bound(codes).motion
        if motion is None:
            return person.points

        def offsets(part: Tensor) -> Tensor:
            breathe()
            return motion(part)

        return person.points + in_chunks(offsets, person.mean.points)

    def _morphs(self, person: RestSurface, codes: Codes) -> dict[str, NDArray[np.float32]]:
        """Vertex offsets (R, 3) from this person's neutral face to each of the ARKit names at 1."""
        still = np.zeros_like(codes[EXPRESSION])
        neutral, unit, offsets = self._posed(person, {**codes, EXPRESSION: still}), self._model.config.unit, {}
        for name, parts in ARKIT.items():
            expression = still.copy()
            expression[[EXPRESSION_COMPONENTS.index(part) for part in parts]] = 1
            moved = self._posed(person, {**codes, EXPRESSION: expression}) - neutral
            offsets[name] = (unit * moved).cpu().numpy()[person.mean.source]
        return offsets

    def _shown(self, person: RestSurface, points: Tensor, refinement: Refinement | None, textured: bool) -> Mesh:
        """The mesh of a person whose ``points`` (V, 3) were moved."""
        mean = person.mean
        return Mesh(
            vertices=self._model.head(points)[mean.source],
            faces=mean.split,
            uv=mean.uv,
            normals=vertex_normals(points[None], mean.faces)[0].cpu().numpy()[mean.source],
            texture_srgb=texture_of(refinement) if textured else None,
            parts={"skin": (0, len(mean.split))},
        )


def _head_of(
    found: Isosurface, centre: tuple[float, float, float], radius: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The vertices (V, 3) and faces (F, 3) that lie in the ball, of the largest piece there and of others that are no
    scrap beside it.
    """
    inside = np.linalg.norm(found.vertices - np.array(centre, np.float32), axis=1) <= radius
    faces = found.faces[inside[found.faces].all(axis=1)].astype(np.int64)
    if not len(faces):
        return found.vertices[:0], faces
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    label = trimesh.graph.connected_component_labels(edges, len(found.vertices))  # type: ignore[no-untyped-call]
    piece = label[faces[:, 0]]
    sizes = np.bincount(piece)
    kept, number = np.unique(faces[sizes[piece] >= SCRAP * sizes.max()], return_inverse=True)
    return found.vertices[kept], number.reshape(-1, 3)


def _places(mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Texture places (V, 2) of points ``mean`` (V, 3) of the mean head: longitude, its seam behind, and latitude, as
    the middle of the ball sees them.
    """
    x, y, z = mean.T
    across, up = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    return np.stack([0.5 + across / (2 * np.pi), 0.5 + up / np.pi], axis=-1).astype(np.float32)


def _unwrapped(
    uv: NDArray[np.float32], faces: NDArray[np.int64]
) -> tuple[Ints, NDArray[np.float32], NDArray[np.int32]]:
    """``source`` (R,), ``uv`` (R, 2) and ``split`` (F, 3) of :class:`RestSurface` for points at ``uv`` (V, 2).

    Triangles that the seam cuts end at the right border: what they have beyond lies on it.
    """
    across = uv[faces, 0]
    cut = np.ptp(across, axis=1) > 0.5
    beyond = cut[:, None] & (across < 0.5)
    again, number = np.unique(faces[beyond], return_inverse=True)
    split = faces.copy()
    split[beyond] = len(uv) + number
    there = uv[again]
    there[:, 0] = 1
    return np.append(np.arange(len(uv)), again), np.concatenate([uv, there]), split.astype(np.int32)
