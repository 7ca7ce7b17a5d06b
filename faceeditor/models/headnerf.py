"""HeadNeRF (Hong et al., "HeadNeRF: A Real-time NeRF-based Parametric Head Model", CVPR 2022).

A dense radiance field of points and codes (Eq. 2) is drawn to a small map of features (Eq. 3), which a 2D network makes
a picture of (Eq. 4). Points are in the model's own space, but depths along rays are metres where rays come from a
:class:`~faceeditor.faces.camera.Camera`.

Beyond the paper: samples may lie inside the head's bounds instead of on planes of the world, so that a head can be seen
from all sides; a hair code; an opacity of the picture's own, so that no background is learned; and a density that
starts at a template's signed distance, because a dense field that starts from nothing empties itself.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes, Space
from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.models.bundle import Bundle, load_model, misfit
from faceeditor.models.contract import Drawing, Frame, Quality, Refinement
from faceeditor.models.headnerf_config import HeadNerfConfig
from faceeditor.models.headnerf_layers import NeuralRenderer, RadianceField
from faceeditor.models.headnerf_prior import BoundDistance, TemplateDistance
from faceeditor.models.headnerf_rays import Places, Rays, between, camera_rays, on_planes
from faceeditor.models.layers import has_short_numbers
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.rendering import volume
from faceeditor.rendering.colour import srgb_to_linear_torch

Distances = Callable[[Tensor], Tensor]
"""Signed distances (batch, N) of points (batch, N, 3) to what a head is expected to be, negative inside, in the model's
unit."""

CHUNK: Final = 8192
"""Points evaluated at once where nothing asks for gradients: what lies between stays in the cache."""
SMALLEST_MAP: Final = 8
CLEAREST: Final = 1e-3
"""Where less of a head is seen, it has no depth."""
SHAPE: Final = (IDENTITY, EXPRESSION, HAIR)
APPEARANCE: Final = (SKIN, LIGHT, HAIR)
"""The spaces whose codes make the two halves of Eq. 2's input, in this order. The hair code joins both."""


class FeatureMap(NamedTuple):
    """I_F of Eq. 3: ``features`` (batch, F, h, w), premultiplied, ``opacity`` and mean ``depth`` (batch, 1, h, w)."""

    features: Tensor
    opacity: Tensor
    depth: Tensor


class Picture(NamedTuple):
    """A batch of pictures: ``rgb_linear`` (batch, 3, S, S) premultiplied by ``alpha`` (batch, 1, S, S), and the ``map``
    they were made of.
    """

    rgb_linear: Tensor
    alpha: Tensor
    map: FeatureMap


class HeadNerf(nn.Module):
    """HeadNeRF. Capability: radiance."""

    name: str = ""
    spaces: Mapping[str, Space] = MappingProxyType({})

    def __init__(self, config: HeadNerfConfig) -> None:
        super().__init__()
        if config.placement == "region" and config.region is None:
            raise ValueError("samples inside a region need one")
        self.config = config
        self.field = RadianceField(
            config.components(SHAPE),
            config.components(APPEARANCE),
            octaves=config.octaves,
            width=config.width,
            hidden=config.hidden,
            skip=config.skip,
            features=config.features,
            mapped=config.mapped,
        )
        self.renderer = NeuralRenderer(
            config.features, config.doublings, config.narrowest, outline=not config.background
        )
        if config.background:
            self.background = nn.Parameter(torch.zeros(1, config.features, config.map, config.map))
        if config.density == "distance":
            nn.init.zeros_(self.field.density.weight)
            nn.init.zeros_(self.field.density.bias)
            self.sharpness = volume.Sharpness(start=0.05, least=0.005)
        self.template = TemplateDistance(config, load_model(config.template)) if config.template else None
        self._behind: Memo[Tensor] = Memo(4)
        self._distances: Memo[Distances | None] = Memo(4)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The model of a bundle, frozen, on ``device``. Raises ``UserError`` when its weights do not fit."""
        try:
            model = cls(HeadNerfConfig.from_json(bundle.configuration))
            tensors = {name: v.float() if v.is_floating_point() else v for name, v in bundle.tensors.items()}
            model.load_state_dict(tensors)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise misfit(bundle) from error
        model.name, model.spaces = bundle.name, bundle.spaces
        return model.to(device).eval().requires_grad_(False)

    # The field and the map

    def forward(
        self, codes: Mapping[str, Tensor], rays: Rays, *, jitter: bool = False, prior: Distances | None = None
    ) -> Picture:
        """Eq. 1: the pictures that ``rays`` see of the heads of ``codes`` (batch, dims). Their map may be of any size,
        or a part of one. See :meth:`feature_map` for the rest.
        """
        return self.picture(self.feature_map(codes, rays, jitter=jitter, prior=prior))

    def feature_map(
        self, codes: Mapping[str, Tensor], rays: Rays, *, jitter: bool = False, prior: Distances | None = None
    ) -> FeatureMap:
        """Eq. 3, with gradients to codes and weights. ``jitter`` moves samples at random, for training; ``prior`` tells
        the distances that a density of the kind ``distance`` corrects, where they are not the template's.
        """
        prior = prior or self._expected(codes)
        shape, appearance = (self._joined(codes, spaces) for spaces in (SHAPE, APPEARANCE))
        batch, height, width, _ = rays.directions.shape
        directions = rays.directions.flatten(1, 2)
        origins = rays.origins[:, None].expand_as(directions)
        chosen, met = self._worth_looking(origins, directions)
        at_once = chosen.shape[1] if torch.is_grad_enabled() else max(CHUNK // (batch * self.config.samples), 1)
        rows = []
        for index in torch.split(chosen, max(at_once, 1), dim=1):
            origin, direction = (_taken(vectors, index) for vectors in (origins, directions))
            part = self._composited(shape, appearance, origin, direction, jitter, prior)
            rows.append(part * _taken(met[..., None], index))
        found = torch.cat(rows, dim=1)
        empty = found.new_zeros(batch, height * width, found.shape[-1])
        whole = empty.scatter(1, chosen[..., None].expand_as(found), found)
        cells = whole.transpose(1, 2).reshape(batch, -1, height, width)
        return FeatureMap(*torch.split(cells, [self.config.features, 1, 1], dim=1))

    def _joined(self, codes: Mapping[str, Tensor], spaces: tuple[str, ...]) -> Tensor:
        return torch.cat([codes[space] for space in spaces if self.config.dims.get(space)], dim=-1)

    def _expected(self, codes: Mapping[str, Tensor]) -> Distances | None:
        """The template's distances for heads of ``codes`` (batch, dims), ``None`` for a model without one."""
        return None if self.template is None else self.template.bind(codes)

    def _worth_looking(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers (batch, K) of rays that are looked along, and which rays (batch, R) meet the region. In a batch,
        some that pass by may be looked along too, so that all have as many.
        """
        if self.config.region is None:
            met = torch.ones_like(directions[..., 0], dtype=torch.bool)
        else:
            near, far = self.config.region.span(origins, directions)
            met = far > near
        most = int(met.sum(1).max())
        return met.byte().argsort(dim=1, descending=True, stable=True)[:, :most], met

    def _composited(
        self,
        shape: Tensor,
        appearance: Tensor,
        origins: Tensor,
        directions: Tensor,
        jitter: bool,
        prior: Distances | None,
    ) -> Tensor:
        """Features, opacity and mean depth (batch, K, F + 2) along rays (batch, K, 3)."""
        places = self._places(origins, directions, jitter)
        points = origins[..., None, :] + places.depths[..., None] * directions[..., None, :]
        flat = points.flatten(1, 2)
        asked = prior.on_mean(flat) if self.config.on_mean and isinstance(prior, BoundDistance) else flat
        raw, features = (said.to(points.dtype) for said in self.field(asked, shape, appearance))
        density = self._density(raw, flat, prior).view(*places.depths.shape)
        seen = places.depths > 0
        if self.config.placement == "planes" and self.config.region is not None:
            seen = seen & self.config.region.holds(points)
        length = places.step * directions.norm(dim=-1, keepdim=True)
        weight = volume.weights(volume.opacity(density * seen * length))
        mixed = (weight[..., None, :] @ features.view(*places.depths.shape, self.config.features)).squeeze(-2)
        opacity = weight.sum(-1, keepdim=True)
        depth = (weight * places.depths).sum(-1, keepdim=True)
        return torch.cat([mixed, opacity, depth / opacity.clamp_min(CLEAREST)], dim=-1)

    def _places(self, origins: Tensor, directions: Tensor, jitter: bool) -> Places:
        config = self.config
        if config.placement == "planes":
            return on_planes(origins, directions, config.planes, config.samples, jitter)
        assert config.region is not None
        return between(*config.region.span(origins, directions), config.samples, jitter)

    def _density(self, raw: Tensor, points: Tensor, prior: Distances | None) -> Tensor:
        """Densities (batch, N) of the field's numbers (batch, N) at ``points`` (batch, N, 3)."""
        kind = self.config.density
        if kind != "distance":
            return raw.relu() if kind == "relu" else functional.softplus(raw)
        if prior is None:
            raise ValueError("a density that corrects a distance needs that distance")
        return volume.density(prior(points) + raw, self.sharpness())

    # The picture

    def picture(self, map: FeatureMap) -> Picture:
        """Eq. 4: the pictures of feature maps."""
        if self.config.background:
            return self._over_learned(map)
        drawn = self.renderer(map.features, map.opacity)
        alpha = drawn[:, 3:]
        return Picture(srgb_to_linear_torch(drawn[:, :3]) * alpha, alpha, map)

    def opaque(self, map: FeatureMap) -> Tensor:
        """The authors' picture (batch, 3, S, S), sRGB in [0, 1], over the background that was learned."""
        around = (1 - map.opacity) * self._background(map.features.shape[-2:])
        drawn: Tensor = self.renderer(map.features + around, map.opacity)
        return drawn

    def _over_learned(self, map: FeatureMap) -> Picture:
        """The head of an opaque picture. What is darker than the background shining through would be is the head's,
        whatever the map, whose cells are large, says.
        """
        whole, behind = srgb_to_linear_torch(self.opaque(map)), self._alone(map.features.shape[-2:])
        spread = functional.interpolate(map.opacity, size=whole.shape[-2:], mode="bilinear", align_corners=False)
        least = 1 - (whole / behind.clamp_min(CLEAREST)).amin(1, keepdim=True)
        alpha = spread.maximum(least).clamp(0, 1)
        return Picture((whole - (1 - alpha) * behind).clamp_min(0), alpha, map)

    def _background(self, size: tuple[int, ...]) -> Tensor:
        if tuple(self.background.shape[-2:]) == tuple(size):
            return self.background
        return functional.interpolate(self.background, size=size, mode="bilinear", align_corners=False)

    def _alone(self, size: tuple[int, ...]) -> Tensor:
        """The picture (1, 3, S, S) of the learned background alone, in linear light."""

        def make() -> Tensor:
            features = self._background(size)
            return srgb_to_linear_torch(self.renderer(features, torch.zeros_like(features[:, :1])))

        return make() if self.background.requires_grad else self._behind.get(tuple(size), make)

    # Use, in head space and metres

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.field.density.weight.device

    def rays(self, camera: Camera, side: int, window: tuple[slice, slice] = (slice(None), slice(None))) -> Rays:
        """Rays through the pixels of a map with ``side`` pixels a side, or of a ``window`` of its rows and columns."""
        return camera_rays(camera, side, self.config.unit, self.config.origin, self.device, window)

    @torch.inference_mode()
    def render(
        self,
        codes: Codes,
        camera: Camera,
        size: int,
        quality: Quality = Quality.FULL,
        refinement: Refinement | None = None,
    ) -> Frame:
        """See :meth:`faceeditor.models.contract.RadianceModel.render`. While moving, a map has half as many pixels a
        side.
        """
        config = self.config
        largest = config.map if quality is Quality.FULL else config.map // 2
        side = min(max(-(-size * config.map // config.size), SMALLEST_MAP), max(largest, SMALLEST_MAP))
        tensors = {name: torch.tensor(np.asarray(code), device=self.device)[None] for name, code in codes.items()}
        rays = self.rays(camera, side)
        shape = fingerprint(codes.get(space) for space in SHAPE)
        prior = self._distances.get(shape, lambda: self._expected(tensors))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_short_numbers(self.device)):
            picture = self(tensors, rays, prior=prior)
        return _frame(picture, size)


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """The rows (batch, K, n) of ``values`` (batch, R, n) with the numbers ``index`` (batch, K)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def _frame(picture: Picture, size: int) -> Frame:
    """The first picture of a batch, ``size`` pixels a side."""

    def resized(values: Tensor) -> Tensor:
        return functional.interpolate(values, size=(size, size), mode="bilinear", antialias=values.shape[-1] > size)

    map = picture.map
    rgba = resized(torch.cat([picture.rgb_linear, picture.alpha], dim=1))
    weight, depth = torch.split(resized(torch.cat([map.opacity, map.opacity * map.depth], dim=1)), 1, dim=1)
    depth = torch.where(weight > CLEAREST, depth / weight.clamp_min(CLEAREST), torch.inf)
    return Drawing(rgb_linear=rgba[0, :3], alpha=rgba[0, 3], depth=depth[0, 0]).frame()
