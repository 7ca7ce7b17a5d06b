"""The proxy surface that guides samples: the template's head and the cards of its hair and lashes, for given codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes
from faceeditor.faces.layout import EXPRESSION, HAIR, HAIR_STYLES, IDENTITY
from faceeditor.models.contract import Refinement, Surface
from faceeditor.models.layers import tensors
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.models.template import Template
from faceeditor.rendering.raster import Cards, Ints, Rasteriser, Scene
from faceeditor.rendering.rasterisers import make_rasteriser

FAINTEST: Final = 0.02
"""A hair style with less weight than this is not drawn."""
CLEAR: Final = 0.08
"""Rays pass where a card has less opacity than this: no ray asks for less than 0.2."""
MOVING: Final = ("offsets", "strand_offsets")
"""The refinements that move points."""


@dataclass(frozen=True, eq=False)
class Topology:
    """What does not move: triangles ``faces`` (F, 3) of the head, then from ``cards_from`` the lashes, then from
    ``hair_from`` the hair styles shown.

    ``corner_uv`` (F, 3, 2) lies in the head's atlas before ``cards_from`` and on the card sheet after; ``strand``
    lists the hair vertices that follow the head's, counted over all styles; ``style`` (F,) is the hair style, or -1.
    """

    faces: torch.Tensor
    corner_uv: torch.Tensor
    strand: torch.Tensor
    style: torch.Tensor
    cards_from: int
    hair_from: int
    cards: Cards


@dataclass(frozen=True, eq=False)
class Geometry:
    """One face: ``vertices`` and unit ``normals`` (R, 3) in head space, how triangles join them, and whether the hair
    is ``restyled``, so that what it usually hides may come to light.
    """

    vertices: torch.Tensor
    normals: torch.Tensor
    topology: Topology
    restyled: bool


@dataclass(frozen=True)
class Sheet:
    """How card textures lie on one sheet: ``rows`` x ``columns`` square tiles of ``tile`` texels; tile 0 is the lashes,
    tile ``1 + style`` a hair style.
    """

    rows: int
    columns: int
    tile: int

    def place(self, index: int, uv: torch.Tensor) -> torch.Tensor:
        """Sheet coordinates of a tile's own coordinates ``uv`` (..., 2) in [0, 1], v up, kept half a texel inside."""
        row, column = divmod(index, self.columns)
        inside = uv.clamp(0.5 / self.tile, 1 - 0.5 / self.tile)
        u = (column + inside[..., 0]) / self.columns
        v = (self.rows - 1 - row + inside[..., 1]) / self.rows
        return torch.stack([u, v], dim=-1)


class Proxy:
    """Makes geometry from codes and finds what rays meet. Its rasteriser belongs to the thread that first draws."""

    def __init__(self, template: Template, sheet: Sheet) -> None:
        self.template = template
        self.sheet = sheet
        self._opacity: NDArray[np.uint8] = np.full((sheet.rows * sheet.tile, sheet.columns * sheet.tile), 255, np.uint8)
        self._topologies: dict[tuple[int, ...], Topology] = {}
        self._rasteriser: Rasteriser | None = None
        self._faces: Memo[Geometry] = Memo(4)

    def show_opacity(self, opacity: torch.Tensor) -> None:
        """Takes the sheet's opacities (H, W), row 0 at the top: rays pass where a card is all but clear."""
        clear = opacity.detach().cpu().numpy() < CLEAR
        self._opacity = np.where(clear, 0, 255).astype(np.uint8)[::-1].copy()
        self._topologies.clear()
        self._faces.clear()

    def of_face(self, codes: Mapping[str, torch.Tensor], refinement: Mapping[str, torch.Tensor]) -> Geometry:
        """The :meth:`geometry` of a face of ``codes`` (dims,), moved by its own ``refinement``."""
        moved = {name: refinement[name] for name in MOVING if name in refinement}
        return self.geometry(codes[IDENTITY], codes[EXPRESSION], codes[HAIR], **moved)

    def known_face(self, codes: Codes, refinement: Refinement) -> Geometry:
        """The same without gradients, made once for what is asked again and again."""
        device = self.template.mean.device
        shape = (codes[name] for name in (IDENTITY, EXPRESSION, HAIR))
        moving = {name: refinement[name] for name in MOVING if name in refinement}
        return self._faces.get(
            fingerprint([*shape, *map(moving.get, MOVING)]),
            lambda: self.of_face(tensors(codes, device), tensors(moving, device)),
        )

    def geometry(
        self,
        identity: torch.Tensor,
        expression: torch.Tensor,
        hair: torch.Tensor,
        offsets: torch.Tensor | None = None,
        strand_offsets: torch.Tensor | None = None,
    ) -> Geometry:
        """The triangles of a face with codes ``identity`` (100,), ``expression`` (64,) and ``hair`` (16,).

        ``offsets`` (V, 3) metres move the template's shape vertices, and ``strand_offsets`` (H, 3) metres the hair
        vertices of all styles: per-face refinements.
        """
        template = self.template
        weights = hair[HAIR_STYLES].detach()
        shown = tuple(int(style) for style in (weights > FAINTEST).nonzero()[:, 0])
        shape = template.vertices(identity[None], expression[None])
        shape = shape if offsets is None else shape + offsets
        strands = [template.hair_vertices(shape, style)[0] for style in shown]
        ranges = list(template.styles.values())
        if strand_offsets is not None:
            strands = [
                places + strand_offsets[ranges[style].vertices] for style, places in zip(shown, strands, strict=True)
            ]
        strand_normals = [template.hair_normals[ranges[style].vertices] for style in shown]
        return Geometry(
            vertices=torch.cat([shape[0, template.render_vertex], *strands]),
            normals=torch.cat([template.normals(shape)[0, template.render_vertex], *strand_normals]),
            topology=self._topology(shown),
            restyled=strand_offsets is not None,
        )

    def landmarks(self, identity: torch.Tensor, expression: torch.Tensor, yaw: float) -> torch.Tensor:
        """See :meth:`faceeditor.models.contract.FittableModel.landmarks`, of codes (dims,)."""
        template = self.template
        return template.landmarks(template.vertices(identity[None], expression[None]), yaw)[0]

    def surface(self, geometry: Geometry) -> Surface:
        """The points of a face; see :meth:`faceeditor.models.contract.FittableModel.surface`."""
        template = self.template
        count = len(template.render_vertex)
        return Surface(
            head=geometry.vertices[:count],
            faces=template.faces[: template.cards_from],
            uv=template.uv,
            parts={name: ends for name, ends in template.parts.items() if ends[1] <= template.cards_from},
            shape=template.render_vertex,
            shape_count=len(template.mean),
            strands=geometry.vertices[count:],
            strand=geometry.topology.strand,
            strand_count=len(template.hair_rest),
        )

    def _topology(self, shown: tuple[int, ...]) -> Topology:
        if shown not in self._topologies:
            self._topologies[shown] = self._join(shown)
        return self._topologies[shown]

    @torch.inference_mode(False)  # what is remembered serves drawing with gradients too
    def _join(self, shown: tuple[int, ...]) -> Topology:
        template, sheet = self.template, self.sheet
        head, ranges = template.faces, list(template.styles.values())
        cards_from, device = template.cards_from, template.faces.device
        faces = [head]
        corner_uv = [template.uv[head[:cards_from]], sheet.place(0, template.card_uv[head[cards_from:]])]
        strand: list[torch.Tensor] = []
        count = len(template.render_vertex)
        styles = [torch.full((len(head),), -1, device=device)]
        for style in shown:
            own = template.hair_style_faces(style)
            faces.append(own + count + sum(map(len, strand)))
            corner_uv.append(sheet.place(1 + style, template.hair_uv[ranges[style].vertices][own]))
            strand.append(torch.arange(ranges[style].vertex_start, ranges[style].vertex_end, device=device))
            styles.append(torch.full((len(own),), style, device=device))
        joined = torch.cat(corner_uv)
        return Topology(
            faces=torch.cat(faces),
            corner_uv=joined,
            strand=torch.cat([torch.zeros(0, dtype=torch.long, device=device), *strand]),
            style=torch.cat(styles),
            cards_from=cards_from,
            hair_from=len(head),
            cards=Cards(joined[cards_from:].cpu().numpy(), self._opacity),
        )

    def visible(self, geometry: Geometry, camera: Camera, size: int, layers: int, floor: float) -> Ints:
        """Which triangles rays meet; see :meth:`faceeditor.rendering.raster.Rasteriser.visible`."""
        if self._rasteriser is None:
            self._rasteriser = make_rasteriser()
        topology = geometry.topology
        triangles = geometry.vertices.detach()[topology.faces].cpu().numpy()
        scene = Scene(triangles, topology.cards_from, topology.cards, floor)
        return self._rasteriser.visible(scene, camera, size, layers)
