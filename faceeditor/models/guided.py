"""The guided head: HeadNeRF's codes and camera, with a ray's samples where the template says the head is.

HeadNeRF (Hong et al., CVPR 2022) evaluates a dense field at 64 samples a ray. Here a ray is sampled only where it
meets the template: at most ``shell_layers`` times in the hair shell and once on the head. A sample's features lie in
the template's texture coordinates, its optical depth starts from the signed distance to the outline of a strand, and
its colour is albedo times reflected light plus sheen and a learned residual. Samples are composited by HeadNeRF's Eq.
2, the sub-pixels averaged, and a small network finishes the feature map.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes, Space
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS, HAIR, HAIR_STYLES, IDENTITY, LIGHT, SKIN
from faceeditor.faces.mesh import Mesh
from faceeditor.models.appearance import Appearance, AppearanceConfig, Look, Samples
from faceeditor.models.bundle import Bundle, load_model, misfit
from faceeditor.models.contract import Drawing, Frame, Quality, Refinement, Surface
from faceeditor.models.layers import tensors
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.models.proxy import Geometry, Proxy, Sheet
from faceeditor.rendering import rays, volume
from faceeditor.rendering.colour import linear_to_srgb8, srgb8_to_linear
from faceeditor.rendering.raster import Ints

Tensors = Mapping[str, torch.Tensor]

FINE: Final = 2
"""Rays a pixel's side at full quality."""
STRANDS: Final = (0.2, 0.8, 0.6, 0.4)
"""The opacities that the four rays of a pixel ask of a strand, by row and column: a fringe thins out in quarters."""
OUTLINE: Final = 12.0
"""Optical depth per unit of signed distance to the outline of a strand, in units of its opacity."""
CLEAREST: Final = 1e-6
MARGIN: Final = 4
"""Pixels around what rays meet that the finishing network draws too."""
SKINS, SKINS_SRGB8 = "appearance.skins", "appearance.skins_srgb8"
"""The skins' albedos among the weights, and as bundles store them: in 8 bits sRGB, of which half a step is not seen."""


@dataclass(frozen=True)
class GuidedConfig:
    """Sizes of a guided head. ``finish``: channels of the finishing network; ``shell_layers``: samples of a ray in
    the hair shell; ``bust``: the height, in metres, at which the bust is cut; ``template``: the
    template's bundle.
    """

    appearance: AppearanceConfig
    finish: int = 16
    shell_layers: int = 4
    bust: float = -0.15
    template: str = "template-studio"

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that a bundle holds."""
        facts = dict(stored["appearance"])
        facts["sheet"] = Sheet(**facts["sheet"])
        facts["brow_window"] = tuple(facts["brow_window"])
        facts["eye_windows"] = tuple(tuple(window) for window in facts["eye_windows"])
        return cls(**{**stored, "appearance": AppearanceConfig(**facts)})

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)


class Finish(nn.Module):
    """Finishes the composited map (batch, 4 + features, S, S) of premultiplied linear R, G, B, opacity and features.

    Three 3 x 3 convolutions whose output, zero at first, scales and shifts the colour and sharpens the outline.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4 + features, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 7, 3, padding=1),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, composited: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Premultiplied linear colour (batch, 3, S, S) and opacity (batch, S, S)."""
        rgb, alpha = composited[:, :3], composited[:, 3:4]
        seen = torch.cat([(rgb + 1e-4).sqrt(), composited[:, 3:]], dim=1).contiguous(memory_format=torch.channels_last)
        change = self.layers(seen)
        coverage = (alpha + 4 * alpha * (1 - alpha) * change[:, 6:]).clamp(0, 1)
        colour = (rgb * (1 + change[:, :3]) + 0.1 * alpha * change[:, 3:6]).clamp_min(0)
        return colour * (coverage / alpha.clamp_min(1e-3)), coverage[:, 0]


@dataclass(frozen=True, eq=False)
class Hits:
    """Samples where rays meet triangles: ``face`` and ``pixel`` (N,), counted in a picture of ``size``; ``asked``
    (N,) is the opacity that a strand must have to stop the ray.
    """

    face: torch.Tensor
    pixel: torch.Tensor
    size: int
    asked: torch.Tensor

    def take(self, chosen: slice) -> "Hits":
        """Some of the samples."""
        return Hits(self.face[chosen], self.pixel[chosen], self.size, self.asked[chosen])


class GuidedHead(nn.Module):
    """The guided head. Capabilities: radiance, mesh, fitting."""

    name: str
    spaces: Mapping[str, Space]

    def __init__(self, config: GuidedConfig, proxy: Proxy) -> None:
        super().__init__()
        self.config = config
        self.proxy = proxy
        self.appearance = Appearance(config.appearance)
        self.finish = Finish(config.appearance.features, config.finish)
        self._looks: Memo[tuple[Refinement | None, Look]] = Memo(4)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The model of a bundle that was read. Raises ``UserError`` when its template is missing or its weights do not
        fit.
        """
        config = GuidedConfig.from_json(bundle.configuration)
        model = cls(config, Proxy(load_model(config.template, device), config.appearance.sheet))
        try:
            model.load_stored(bundle.tensors)
        except RuntimeError as error:
            raise misfit(bundle) from error
        model.name, model.spaces = bundle.name, bundle.spaces
        model.to(device).eval().requires_grad_(False)
        model.show_opacity()
        return model

    def stored(self) -> dict[str, torch.Tensor]:
        """The tensors of the bundle that :meth:`load_stored` reads back."""
        weights = dict(self.state_dict())
        skins = weights.pop(SKINS).detach().cpu().numpy()
        return {**weights, SKINS_SRGB8: torch.from_numpy(linear_to_srgb8(skins))}

    def load_stored(self, stored: Tensors) -> None:
        """Takes over the tensors of a bundle. Raises ``RuntimeError`` when they do not fit."""
        weights = dict(stored)
        if SKINS_SRGB8 in weights:
            weights[SKINS] = torch.from_numpy(srgb8_to_linear(weights.pop(SKINS_SRGB8).numpy()))
        self.load_state_dict({name: value.float() for name, value in weights.items()})

    def show_opacity(self) -> None:
        """Tells the proxy where its cards are clear; to be called when the weights have changed."""
        self.proxy.show_opacity(self.appearance.cards[0, 0])

    def composite(
        self, geometry: Geometry, look: Look, codes: Tensors, ids: Ints, camera: Camera, rays_a_side: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The composited map (4 + features, S, S), premultiplied linear R, G, B, opacity and features, and depth (S,
        S).

        ``ids`` (layers, S, S) say which triangle each ray meets, as a rasteriser found them for ``geometry``; a pixel
        of the finished picture has ``rays_a_side`` x ``rays_a_side`` of them.
        """
        size, device = ids.shape[-1], codes[LIGHT].device
        layered = torch.as_tensor(np.concatenate([ids[1:], ids[:1]]), device=device).reshape(len(ids), -1)
        lit = (layered >= 0).any(0).nonzero()[:, 0]
        layered = layered[:, lit]
        layer, slot = (layered >= 0).nonzero(as_tuple=True)
        hits = Hits(layered[layer, slot].long(), lit[slot], size, self._asked(lit[slot], size, rays_a_side))
        values, optical_depth, depth = self._sampled(geometry, look, codes, hits, camera)

        def by_ray(of_hits: torch.Tensor) -> torch.Tensor:
            return of_hits.new_zeros(len(lit), len(layered), *of_hits.shape[1:]).index_put((slot, layer), of_hits)

        weight = volume.weights(volume.opacity(by_ray(optical_depth)))
        alpha = weight.sum(-1, keepdim=True)
        mixed = (weight[..., None] * by_ray(values)).sum(1)
        rows = torch.cat([mixed[:, :3].clamp_max(1), alpha, mixed[:, 3:]], dim=-1)
        picture = rows.new_zeros(size * size, rows.shape[1]).index_put((lit,), rows)
        nearest = (weight * by_ray(depth)).sum(-1) / alpha[:, 0].clamp_min(CLEAREST)
        nearest = torch.where(alpha[:, 0] > CLEAREST, nearest, torch.inf)
        depths = torch.full_like(picture[:, 0], torch.inf).index_put((lit,), nearest)
        return picture.T.reshape(-1, size, size), depths.reshape(size, size)

    def _sampled(
        self, geometry: Geometry, look: Look, codes: Tensors, hits: Hits, camera: Camera
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Linear colour and features (N, 3 + F), optical depth (N,) and depth (N,) of samples, those on cards first."""
        topology = geometry.topology
        origin, direction = rays.pixel_rays(camera, hits.size, hits.pixel)
        corners = self._vertex_table(geometry, codes)[topology.faces[hits.face]]
        weight, depth = rays.meet(origin, direction, corners[..., :3])
        place, normal, openness = torch.split((weight[:, None] @ corners)[:, 0], [3, 3, 1], dim=-1)
        samples = Samples(
            uv=(weight[:, None] @ topology.corner_uv[hits.face])[:, 0],
            normal=functional.normalize(normal, dim=-1),
            to_eye=-functional.normalize(direction, dim=-1),
            openness=openness,
            place=place,
            lash=(hits.face < topology.hair_from).float()[:, None],
        )
        cards = int((hits.face >= topology.cards_from).sum())
        strand, opaque, strand_features = self.appearance.shade_cards(look, samples.take(slice(cards)), codes[LIGHT])
        outside = rays.from_outside(direction[cards:], corners[cards:, :, :3])
        skin, skin_features = self.appearance.shade_head(look, samples.take(slice(cards, None)), codes[LIGHT], outside)
        solid = torch.full_like(depth[cards:], -math.log(CLEAREST))
        stopped = torch.cat([self._card_depth(opaque, hits.take(slice(cards)), topology.style, codes[HAIR]), solid])
        values = torch.cat([torch.cat([strand, skin]), torch.cat([strand_features, skin_features])], dim=-1)
        return values, stopped, depth

    def _vertex_table(self, geometry: Geometry, codes: Tensors) -> torch.Tensor:
        """What is interpolated over triangles (R, 7): place, normal and openness of every vertex."""
        head = self.appearance.openness(codes[EXPRESSION], codes[HAIR], geometry.restyled)
        openness = torch.cat([head, self.appearance.strand_openness[geometry.topology.strand]])
        return torch.cat([geometry.vertices, geometry.normals, openness[:, None]], dim=1)

    def _asked(self, pixel: torch.Tensor, size: int, rays_a_side: int) -> torch.Tensor:
        """The opacity (N,) that each ray asks of a strand: one of ``STRANDS`` if a pixel has that many rays, else a
        half.
        """
        if rays_a_side != FINE:
            return torch.full_like(pixel, 0.5, dtype=torch.float32)
        place = (pixel // size) % FINE * FINE + pixel % size % FINE
        return torch.tensor(STRANDS, device=pixel.device)[place]

    def _card_depth(self, opaque: torch.Tensor, hits: Hits, styles: torch.Tensor, hair: torch.Tensor) -> torch.Tensor:
        """Optical depth (N,) of samples on cards, from the signed distance of their opacity to what their ray asks."""
        style = styles[hits.face]
        strand = (
            functional.softplus(OUTLINE * (opaque - hits.asked)) * hair[HAIR_STYLES].clamp(0, 1)[style.clamp_min(0)]
        )
        lash = -torch.log1p(-opaque.clamp(0, 1 - CLEAREST))
        return torch.where(style < 0, lash, strand)

    def finished(self, composited: torch.Tensor, depth: torch.Tensor, rays_a_side: int) -> Drawing:
        """Averages the rays of each pixel of one composited map and finishes the picture."""
        pooled = functional.avg_pool2d(composited[None], rays_a_side) if rays_a_side > 1 else composited[None]
        rgb, alpha = self.finish(pooled)
        nearest = -functional.max_pool2d(-depth[None, None], rays_a_side) if rays_a_side > 1 else depth[None, None]
        return Drawing(rgb_linear=rgb[0], alpha=alpha[0], depth=nearest[0, 0])

    # Fitting

    def landmarks(self, codes: Tensors, yaw: float = 0.0) -> torch.Tensor:
        """See :meth:`faceeditor.models.contract.FittableModel.landmarks`."""
        return self.proxy.landmarks(codes[IDENTITY], codes[EXPRESSION], yaw)

    def draw(
        self,
        codes: Tensors,
        camera: Camera,
        size: int,
        *,
        rays_a_side: int = 1,
        refinement: Tensors | None = None,
    ) -> Drawing:
        """See :meth:`faceeditor.models.contract.FittableModel.draw`."""
        extra = refinement or {}
        geometry = self.proxy.of_face(codes, extra)
        look = self.appearance.look(codes[SKIN], codes[HAIR], extra.get("albedo_gain"), extra.get("hair_gain"))
        return self._drawn(geometry, look, codes, camera, size, rays_a_side)

    def surface(self, codes: Tensors, refinement: Tensors | None = None) -> Surface:
        """See :meth:`faceeditor.models.contract.FittableModel.surface`."""
        return self.proxy.surface(self.proxy.of_face(codes, refinement or {}))

    def _drawn(
        self, geometry: Geometry, look: Look, codes: Tensors, camera: Camera, size: int, rays_a_side: int
    ) -> Drawing:
        ids = self.proxy.visible(geometry, camera, size * rays_a_side, 1 + self.config.shell_layers, self.config.bust)
        top, bottom, left, right = _window(ids, MARGIN * rays_a_side)
        composited, depth = self.composite(geometry, look, codes, ids, camera, rays_a_side)
        part = self.finished(composited[:, top:bottom, left:right], depth[top:bottom, left:right], rays_a_side)
        before, after = (
            (left // rays_a_side, top // rays_a_side),
            (size - right // rays_a_side, size - bottom // rays_a_side),
        )
        around = (before[0], after[0], before[1], after[1])
        return Drawing(
            rgb_linear=functional.pad(part.rgb_linear, around),
            alpha=functional.pad(part.alpha, around),
            depth=functional.pad(part.depth, around, value=torch.inf),
        )

    # Use

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.appearance.material.device

    @torch.inference_mode()
    def render(
        self,
        codes: Codes,
        camera: Camera,
        size: int,
        quality: Quality = Quality.FULL,
        refinement: Refinement | None = None,
    ) -> Frame:
        """See :meth:`faceeditor.models.contract.RadianceModel.render`."""
        own, extra = tensors(codes, self.device), tensors(refinement or {}, self.device)
        geometry = self.proxy.known_face(codes, refinement or {})
        _, look = self._looks.get(
            (fingerprint([codes[SKIN], codes[HAIR]]), id(refinement)),
            lambda: (
                refinement,
                self.appearance.look(own[SKIN], own[HAIR], extra.get("albedo_gain"), extra.get("hair_gain")),
            ),
        )
        rays_a_side = FINE if quality is Quality.FULL else 1
        return self._drawn(geometry, look, own, camera, size, rays_a_side).frame()

    @torch.inference_mode()
    def mesh(
        self,
        codes: Codes,
        refinement: Refinement | None = None,
        *,
        morphs: bool = False,
        textured: bool = False,
        quality: Quality = Quality.FULL,
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.MeshModel.mesh`: the template's opaque parts, by render vertices."""
        template = self.proxy.template
        own, extra = tensors(codes, self.device), tensors(refinement or {}, self.device)
        shape = template.vertices(own[IDENTITY][None], own[EXPRESSION][None])
        shape = shape + extra["offsets"] if "offsets" in extra else shape
        render = template.render_vertex
        texture = None
        if textured:
            look = self.appearance.look(own[SKIN], own[HAIR], extra.get("albedo_gain"))
            texture = linear_to_srgb8(look.head[0, :3].permute(1, 2, 0).cpu().numpy())
        return Mesh(
            vertices=shape[0, render].cpu().numpy(),
            faces=template.faces[: template.cards_from].cpu().numpy().astype(np.int32),
            uv=template.uv.cpu().numpy(),
            normals=template.normals(shape)[0, render].cpu().numpy(),
            texture_srgb=texture,
            morphs=self._morphs() if morphs else {},
            parts={name: ends for name, ends in template.parts.items() if ends[1] <= template.cards_from},
        )

    def _morphs(self) -> dict[str, Any]:
        """Vertex offsets (R, 3) of the ARKit names."""
        basis = self.proxy.template.expression_basis
        chosen = {name: [EXPRESSION_COMPONENTS.index(part) for part in parts] for name, parts in ARKIT.items()}
        render = self.proxy.template.render_vertex
        return {name: basis[parts].sum(0)[render].cpu().numpy() for name, parts in chosen.items()}


def _window(ids: Ints, margin: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the rays that meet something, ``margin`` wider, in whole margins, never empty."""
    met = np.any(ids >= 0, axis=0)
    ends: list[int] = []
    for lines in (np.any(met, axis=1), np.any(met, axis=0)):
        found = np.flatnonzero(lines) if lines.any() else np.zeros(1, np.int64)
        low, high = int(found[0]) // margin - 1, int(found[-1]) // margin + 2
        ends += [max(low, 0) * margin, min(high * margin, ids.shape[-1])]
    return ends[0], ends[1], ends[2], ends[3]
