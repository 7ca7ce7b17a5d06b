"""Where INFAMOUS-NeRF looks along its rays, and what the template tells it there.

The paper takes 128 samples on a ray (Eq. 3). A head fills little of it, and the template knows where: the field lives
in a thin shell around the template's head and cards of hair, so that a ray needs one sample for each that it crosses.
Points are looked up where they lie on the template's mean head, so that the networks need not learn how heads differ in
shape, and move. What lies on top of each other there is looked up apart: cards beside the head, and the inside of the
cut bust below it.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import HAIR, HAIR_STYLES, LIGHT
from faceeditor.models.appearance import around_skull, sample
from faceeditor.models.infamous_config import InfamousConfig
from faceeditor.models.layers import reflected
from faceeditor.models.proxy import Geometry, Proxy
from faceeditor.rendering import rays

SOLID: Final = 7.0
"""Optical depth of what is opaque."""
CLEAR: Final = 0.995
"""The greatest opacity of a card."""
CARDS: Final = (0.0, 0.0, -0.6)
INSIDE: Final = (0.0, -0.6, 0.0)
"""Metres by which cards, and the inside of the bust, are looked up beside the head."""


class Crossings(NamedTuple):
    """Where rays cross triangles: ``face`` (N,), and of which of the looked along rays, ``ray`` and ``layer`` (N,),
    nearest first. ``pixel`` (rays,) are the rays' flat indices in the picture.
    """

    face: Tensor
    ray: Tensor
    layer: Tensor
    pixel: Tensor

    def to(self, device: torch.device) -> "Crossings":
        """The same on another device."""
        return Crossings(*(part.to(device) for part in self))


class OnFaces(NamedTuple):
    """Points on triangles ``face`` (N,) at barycentric ``weight`` (N, 3), looked at along ``direction`` (N, 3), which
    has length 1 along the camera's axis, at ``depth`` (N,).
    """

    face: Tensor
    weight: Tensor
    direction: Tensor
    depth: Tensor


class Samples(NamedTuple):
    """Samples of one face: ``place`` (N, 3) on the mean head and unit ``direction`` (N, 3) as the networks see them;
    ``depth`` (N,) metres along the camera's axis; ``known`` (N,), the optical depth that the template tells;
    ``light`` (N, 3), linear, that falls on a white matt surface there, times the face's own gains.
    """

    place: Tensor
    direction: Tensor
    depth: Tensor
    known: Tensor
    light: Tensor

    @classmethod
    def joined(cls, several: "list[Samples]") -> Self:
        """All of them, one after the other."""
        return cls(*(torch.cat(parts) for parts in zip(*several, strict=True)))

    @classmethod
    def stacked(cls, several: "list[Samples]") -> Self:
        """Those of several faces as one batch (faces, N, ...), filled up with samples that nothing is seen of."""
        most = max(len(one.depth) for one in several)

        def filled(values: Tensor) -> Tensor:
            return functional.pad(values, (0, 0) * (values.dim() - 1) + (0, most - len(values)))

        return cls(*(torch.stack([filled(part) for part in parts]) for parts in zip(*several, strict=True)))


def crossings(ids: NDArray[np.signedinteger[Any]], chosen: Tensor | None = None) -> Crossings:
    """What the rays of a picture cross, of ``ids`` (layers, S, S) as a rasteriser finds them: all that meet something,
    or the ``chosen`` (rays,).
    """
    rows = ids.reshape(len(ids), -1)
    rows = rows if chosen is None else rows[:, chosen.numpy()]
    ordered = torch.from_numpy(np.concatenate([rows[1:], rows[:1]]))
    pixel = chosen
    if pixel is None:
        pixel = (ordered >= 0).any(0).nonzero()[:, 0]
        ordered = ordered[:, pixel]
    layer, ray = (ordered >= 0).nonzero(as_tuple=True)
    return Crossings(ordered[layer, ray].long(), ray, layer, pixel)


class Guide:
    """Places samples for a model of ``config``, guided by the ``proxy``."""

    def __init__(self, config: InfamousConfig, proxy: Proxy) -> None:
        self.config, self.proxy = config, proxy

    def samples(
        self,
        geometry: Geometry,
        opacity: Tensor,
        softness: Tensor,
        codes: Mapping[str, Tensor],
        camera: Camera,
        size: int,
        found: Crossings,
        gains: Mapping[str, Tensor],
    ) -> Samples:
        """The samples of a face of ``codes`` (dims,) at ``found`` places of a picture of ``size``, with gradients to
        codes and ``gains``, the face's own. ``opacity`` (H, W) in [0, 1] is the sheet's; ``softness`` (3,) how much
        of the light's quickest changes shows.
        """
        return self.told(geometry, opacity, softness, codes, self.met(geometry, camera, size, found), gains)

    def met(self, geometry: Geometry, camera: Camera, size: int, found: Crossings) -> OnFaces:
        """The points at ``found`` places of a picture of ``size``."""
        origin, direction = rays.pixel_rays(camera, size, found.pixel[found.ray])
        weight, depth = rays.meet(origin, direction, geometry.vertices[geometry.topology.faces[found.face]])
        return OnFaces(found.face, weight, direction, depth)

    def told(
        self,
        geometry: Geometry,
        opacity: Tensor,
        softness: Tensor,
        codes: Mapping[str, Tensor],
        on: OnFaces,
        gains: Mapping[str, Tensor],
    ) -> Samples:
        """The samples ``on`` faces; see :meth:`samples`."""
        unlit = self.unlit(geometry, opacity, codes, on)
        return unlit._replace(light=self.light(geometry, softness, codes, on, gains))

    def unlit(self, geometry: Geometry, opacity: Tensor, codes: Mapping[str, Tensor], on: OnFaces) -> Samples:
        """The same in white light."""
        topology = geometry.topology
        weight = on.weight[:, None]
        place = (weight @ self.rest(geometry)[topology.faces[on.face]])[:, 0]
        card, hair = on.face >= topology.cards_from, on.face >= topology.hair_from
        place = place + _where(card, CARDS, place) + _where(self._inside(geometry, on), INSIDE, place)
        share = codes[HAIR][HAIR_STYLES].clamp(0, 1)[topology.style[on.face].clamp_min(0)]
        opaque = sample(opacity[None, None], (weight @ topology.corner_uv[on.face])[:, 0])[:, 0]
        strand = -torch.log1p(-opaque.clamp(0, CLEAR)) * torch.where(hair, share, 1.0)
        return Samples(
            place=place / self.config.unit,
            direction=functional.normalize(on.direction, dim=-1),
            depth=on.depth,
            known=torch.where(card, strand, SOLID),
            light=torch.ones_like(place),
        )

    def light(
        self,
        geometry: Geometry,
        softness: Tensor,
        codes: Mapping[str, Tensor],
        on: OnFaces,
        gains: Mapping[str, Tensor],
    ) -> Tensor:
        """What falls on samples ``on`` faces: ``light`` of :class:`Samples`."""
        topology = geometry.topology
        rows, weight = topology.faces[on.face], on.weight[:, None]
        card, hair = on.face >= topology.cards_from, on.face >= topology.hair_from
        normal = (weight @ geometry.normals[rows])[:, 0]
        inside = self._inside(geometry, on)
        normal = torch.where(inside[:, None], normal.new_tensor([0.0, -1.0, 0.0]), functional.normalize(normal, dim=-1))
        light = reflected(codes[LIGHT], normal, softness)
        if "albedo_gain" in gains:
            own = sample(gains["albedo_gain"][None], (weight @ topology.corner_uv[on.face])[:, 0]).exp()
            light = light * torch.where(card[:, None], 1.0, own)
        if "hair_gain" in gains:
            dyed = sample(gains["hair_gain"][None], around_skull((weight @ geometry.vertices[rows])[:, 0])).exp()
            light = light * torch.where(hair[:, None], dyed, 1.0)
        return light

    def _inside(self, geometry: Geometry, on: OnFaces) -> Tensor:
        """Which points (N,) are seen on the inside of the head."""
        topology = geometry.topology
        outside = rays.from_outside(on.direction, geometry.vertices[topology.faces[on.face]])
        return (on.face < topology.cards_from) & ~outside

    def rest(self, geometry: Geometry) -> Tensor:
        """Where the vertices (R, 3) of ``geometry`` lie on the mean head, metres."""
        template = self.proxy.template
        return torch.cat([template.mean[template.render_vertex], template.hair_rest[geometry.topology.strand]])


def _where(chosen: Tensor, shift: tuple[float, float, float], like: Tensor) -> Tensor:
    return chosen[:, None] * like.new_tensor(shift)
