"""INFAMOUS-NeRF (Hou et al., "INFAMOUS-NeRF: ImproviNg FAce MOdeliNg Using Semantically-Aligned Hypernetworks with
Neural Radiance Fields", WACV 2024).

A person's code θ becomes the weights of two networks of that person's own (Eq. 2), which give the colour and the
density of points (Eq. 1), from codes of appearance α, shape β and expression ε that mean the same for all people.

Beyond the paper: the four codes come from the studio's coordinates, so that sliders, transfers and fits work as with
every other model, and a face may have moves of its own codes on top; rays are sampled where the template says that a
head is (:mod:`faceeditor.models.infamous_guide`); and colours are what a place sends back of white light, which the
picture's light then multiplies, for the paper's pictures all have the same light.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes, Space
from faceeditor.faces.layout import BROW_COLOUR, DIMS, EXPRESSION, HAIR, HAIR_COLOUR, IDENTITY, SKIN
from faceeditor.models.bundle import Bundle, load_model, misfit
from faceeditor.models.contract import Drawing, Frame, Quality, Refinement, Surface
from faceeditor.models.infamous_config import InfamousConfig
from faceeditor.models.infamous_guide import Crossings, Guide, OnFaces, Samples, crossings
from faceeditor.models.infamous_hyper import Hypernetwork, Weights
from faceeditor.models.infamous_layers import FaceColour, FaceShape, waves
from faceeditor.models.layers import has_short_numbers, tensors
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.models.proxy import MOVING, Geometry, Proxy
from faceeditor.rendering import volume
from faceeditor.rendering.colour import linear_to_srgb_torch, srgb_to_linear_torch

FINE: Final = 2
"""Rays a pixel's side at full quality."""
CHUNK: Final = 8192
"""Samples evaluated at once where nothing asks for gradients: what lies between stays in the cache."""
CLEAREST: Final = 1e-6
THETA, ALPHA, BETA = "theta", "alpha", "beta"
OWN: Final = (THETA, ALPHA, BETA)
"""The refinements that are moves of a face's own codes."""
UNLIT: Final = (IDENTITY, EXPRESSION, HAIR, SKIN)
"""What a picture shows whatever its light."""
REMEMBERED: Final = 1024
"""Rays a side of the largest picture of which it is remembered what it shows."""


class FaceCodes(NamedTuple):
    """θ, α, β and ε (faces, dims) of some faces."""

    theta: Tensor
    alpha: Tensor
    beta: Tensor
    epsilon: Tensor


class Face(NamedTuple):
    """F_A and F_S of some faces."""

    colour: FaceColour
    shape: FaceShape

    @property
    def dtype(self) -> torch.dtype:
        """Of what the networks hear."""
        return self.colour.a1.weight.dtype

    def to(self, dtype: torch.dtype) -> "Face":
        """The same in other numbers."""
        colour, shape = ([layer.to(dtype) for layer in network] for network in self)
        return Face(FaceColour(*colour), FaceShape(*shape))


class Seen(NamedTuple):
    """What rays see: premultiplied linear colour ``rgb`` (rays, 3), opacity ``alpha`` and mean ``depth`` (rays,)."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor


class InWhiteLight(NamedTuple):
    """What rays of a picture meet: the ``samples`` of a ``geometry`` at ``found`` places ``on`` its faces, with their
    linear ``colour`` (N, 3) in white light and optical ``depth`` (N,).
    """

    geometry: Geometry
    found: Crossings
    on: OnFaces
    samples: Samples
    colour: Tensor
    depth: Tensor


class FromStudio(nn.Module):
    """From the studio's coordinates to θ, α, β and ε. Who someone is tells θ; their looks α; the shape of head and hair
    β. An expression's own code tells ε alone, for everybody the same.
    """

    def __init__(self, config: InfamousConfig) -> None:
        super().__init__()
        self.theta = _map((IDENTITY, SKIN, HAIR), config.theta)
        self.alpha = _map((SKIN, HAIR), config.alpha)
        self.beta = _map((IDENTITY, HAIR), config.beta)
        self.epsilon = nn.Linear(DIMS[EXPRESSION], config.epsilon, bias=False)
        nn.init.eye_(self.epsilon.weight)

    def forward(self, codes: Mapping[str, Tensor]) -> FaceCodes:
        """Those of ``codes`` (faces, dims) by space."""
        identity = codes[IDENTITY]
        skin, hair = _as_bright(codes[SKIN], BROW_COLOUR), _as_bright(codes[HAIR], HAIR_COLOUR)
        return FaceCodes(
            self.theta(torch.cat([identity, skin, hair], dim=-1)),
            self.alpha(torch.cat([skin, hair], dim=-1)),
            self.beta(torch.cat([identity, hair], dim=-1)),
            self.epsilon(codes[EXPRESSION]),
        )


def _map(spaces: tuple[str, ...], dims: int) -> nn.Linear:
    linear = nn.Linear(sum(DIMS[space] for space in spaces), dims)
    spreads = torch.cat([torch.full((DIMS[space],), 0.1 if space == IDENTITY else 0.5) for space in spaces])
    with torch.no_grad():
        linear.weight.copy_(torch.randn_like(linear.weight) * spreads)
        linear.bias.zero_()
    return linear


def _as_bright(code: Tensor, colour: slice) -> Tensor:
    """``code`` (faces, dims) with its ``colour``, linear, as bright as it looks: brown and black are far apart."""
    srgb = linear_to_srgb_torch(code[:, colour].clamp_min(0))
    return torch.cat([code[:, : colour.start], srgb, code[:, colour.stop :]], dim=-1)


class Infamous(nn.Module):
    """INFAMOUS-NeRF. Capabilities: radiance, fitting."""

    name: str = ""
    spaces: Mapping[str, Space] = MappingProxyType({})
    opacity: Tensor
    opaque: Tensor

    def __init__(self, config: InfamousConfig, proxy: Proxy) -> None:
        super().__init__()
        self.config, self.proxy = config, proxy
        self.guide = Guide(config, proxy)
        self.from_studio = FromStudio(config)
        sizes = config.appearance_layers() | config.shape_layers()
        self.hyper = Hypernetwork(config.theta, config.hidden if config.hyper else 0, sizes)
        self.softness = nn.Parameter(torch.ones(3))
        rows, columns = config.sheet.rows * config.sheet.tile, config.sheet.columns * config.sheet.tile
        self.register_buffer("opacity", torch.full((rows, columns), 255, dtype=torch.uint8))
        self.register_buffer("opaque", torch.ones(rows, columns), persistent=False)
        self.hyper["A_4"].silence(slice(config.colour, None))
        if config.known:
            self.hyper["S_6"].start_at_zero()
        self._weights: Memo[Weights] = Memo(4)
        self._seen: Memo[InWhiteLight] = Memo(2)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The model of a bundle that was read. Raises ``UserError`` when its template is missing or its weights do not
        fit.
        """
        config = InfamousConfig.from_json(bundle.configuration)
        model = cls(config, Proxy(load_model(config.template, device), config.sheet))
        try:
            tensors = {name: v.float() if v.is_floating_point() else v for name, v in bundle.tensors.items()}
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise misfit(bundle) from error
        model.name, model.spaces = bundle.name, bundle.spaces
        model.to(device).eval().requires_grad_(False)
        model.show_opacity()
        return model

    def show_opacity(self) -> None:
        """Tells the proxy where its cards are clear; to be called when the sheet's ``opacity`` has changed."""
        self.opaque.copy_(self.opacity / 255)
        self.proxy.show_opacity(self.opaque)
        self._seen.clear()

    # The field

    def face(self, codes: FaceCodes, weights: Weights | None = None) -> Face:
        """Eq. 2: the networks of faces; ``weights`` if H(θ) is known."""
        weights = weights or self.hyper(codes.theta)
        _, alpha, beta, epsilon = codes
        return Face(FaceColour.of(weights, alpha), FaceShape.of(weights, alpha, beta, epsilon))

    def field(self, face: Face, samples: Samples) -> tuple[Tensor, Tensor]:
        """Eq. 1: linear colours (faces, N, 3) and optical depths (faces, N) of ``samples`` (faces, N, ...), each of a
        whole crossing of the shell.
        """
        colour, depth = self.white(face, samples)
        return colour * samples.light, depth

    def white(self, face: Face, samples: Samples) -> tuple[Tensor, Tensor]:
        """The same in white light."""
        x, d = (waves(vectors).to(face.dtype) for vectors in (samples.place, samples.direction))
        said, colour = face.shape(x).float(), srgb_to_linear_torch(face.colour(x, d).float())
        depth = (said + samples.known if self.config.known else said).relu()
        return colour, depth

    def white_in_parts(self, face: Face, samples: Samples) -> tuple[Tensor, Tensor]:
        """:meth:`white` of one face's samples (N, ...), in parts where no gradients are asked for."""
        if torch.is_grad_enabled() or not len(samples.depth):
            colour, depth = self.white(face, Samples(*(part[None] for part in samples)))
            return colour[0], depth[0]
        parts = zip(*(torch.split(part, CHUNK) for part in samples), strict=True)
        found = [self.white(face, Samples(*(values[None] for values in part))) for part in parts]
        colours, depths = zip(*found, strict=True)
        return torch.cat(colours, dim=1)[0], torch.cat(depths, dim=1)[0]

    # Drawing

    def own_codes(self, codes: Mapping[str, Tensor], moves: Mapping[str, Tensor]) -> FaceCodes:
        """θ, α, β and ε of one face of ``codes`` (dims,) with ``moves`` (dims,) of its own."""
        found: FaceCodes = self.from_studio({name: code[None] for name, code in codes.items()})
        return found._replace(**{name: getattr(found, name) + moves[name] for name in OWN if name in moves})

    def samples(
        self,
        geometry: Geometry,
        codes: Mapping[str, Tensor],
        camera: Camera,
        size: int,
        found: Crossings,
        gains: Mapping[str, Tensor],
    ) -> Samples:
        """The samples of a face of ``codes`` (dims,) where rays through a picture of ``size`` cross its template."""
        return self.guide.samples(geometry, self.opaque, self.softness, codes, camera, size, found, gains)

    def _met(
        self, face: Face, geometry: Geometry, codes: Mapping[str, Tensor], camera: Camera, side: int
    ) -> "InWhiteLight":
        """What rays through a picture of ``side`` pixels meet."""
        ids = self.proxy.visible(geometry, camera, side, 1 + self.config.shell_layers, self.config.bust)
        found = crossings(ids).to(self.device)
        face = face.to(torch.bfloat16) if has_short_numbers(self.device) else face
        on = self.guide.met(geometry, camera, side, found)
        samples = self.guide.unlit(geometry, self.opaque, codes, on)
        return InWhiteLight(geometry, found, on, samples, *self.white_in_parts(face, samples))

    def _lit(
        self, met: "InWhiteLight", codes: Mapping[str, Tensor], gains: Mapping[str, Tensor], size: int, rays_a_side: int
    ) -> Drawing:
        """The picture of what was ``met`` in the light of ``codes``."""
        side, found = size * rays_a_side, met.found
        light = self.guide.light(met.geometry, self.softness, codes, met.on, gains)
        seen = composited(found, met.samples, met.colour * light, met.depth)
        rows = torch.cat([seen.rgb, seen.alpha[:, None]], dim=1)
        picture = rows.new_zeros(side * side, 4).index_put((found.pixel,), rows).T.reshape(1, 4, side, side)
        depth = rows.new_full((side * side,), torch.inf).index_put((found.pixel,), seen.depth).view(1, 1, side, side)
        if rays_a_side > 1:
            picture = functional.avg_pool2d(picture, rays_a_side)
            depth = -functional.max_pool2d(-depth, rays_a_side)
        return Drawing(rgb_linear=picture[0, :3], alpha=picture[0, 3], depth=depth[0, 0])

    # Fitting

    def landmarks(self, codes: Mapping[str, Tensor], yaw: float = 0.0) -> Tensor:
        """See :meth:`faceeditor.models.contract.FittableModel.landmarks`."""
        return self.proxy.landmarks(codes[IDENTITY], codes[EXPRESSION], yaw)

    def draw(
        self,
        codes: Mapping[str, Tensor],
        camera: Camera,
        size: int,
        *,
        rays_a_side: int = 1,
        refinement: Mapping[str, Tensor] | None = None,
    ) -> Drawing:
        """See :meth:`faceeditor.models.contract.FittableModel.draw`."""
        gains = refinement or {}
        face = self.face(self.own_codes(codes, gains))
        met = self._met(face, self.proxy.of_face(codes, gains), codes, camera, size * rays_a_side)
        return self._lit(met, codes, gains, size, rays_a_side)

    def surface(self, codes: Mapping[str, Tensor], refinement: Mapping[str, Tensor] | None = None) -> Surface:
        """See :meth:`faceeditor.models.contract.FittableModel.surface`."""
        return self.proxy.surface(self.proxy.of_face(codes, refinement or {}))

    @property
    def own_dims(self) -> dict[str, int]:
        """Components by name of the codes that a face may have moves of, as refinements."""
        return {THETA: self.config.theta, ALPHA: self.config.alpha, BETA: self.config.beta}

    # Use

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.softness.device

    @torch.inference_mode()
    def render(
        self,
        codes: Codes,
        camera: Camera,
        size: int,
        quality: Quality = Quality.FULL,
        refinement: Refinement | None = None,
    ) -> Frame:
        """See :meth:`faceeditor.models.contract.RadianceModel.render`. A person's weights are predicted once, and what
        a picture shows in white light is asked once for all lights and gains.
        """
        refined = refinement or {}
        said, gains = tensors(codes, self.device), tensors(refined, self.device)
        rays_a_side = FINE if quality is Quality.FULL else 1
        side = size * rays_a_side
        shape = fingerprint([*(codes[name] for name in UNLIT), *map(refined.get, (*MOVING, *OWN))])
        made = self._seen if side <= REMEMBERED else Memo[InWhiteLight](1)
        met = made.get((shape, camera, side), lambda: self._met_by(codes, refined, said, gains, camera, side))
        return self._lit(met, said, gains, size, rays_a_side).frame()

    def _met_by(
        self,
        codes: Codes,
        refined: Refinement,
        said: Mapping[str, Tensor],
        gains: Mapping[str, Tensor],
        camera: Camera,
        side: int,
    ) -> "InWhiteLight":
        own = self.own_codes(said, gains)
        weights = self._weights.get(
            fingerprint([*(codes[name] for name in (IDENTITY, SKIN, HAIR)), refined.get(THETA)]),
            lambda: self.hyper(own.theta),
        )
        return self._met(self.face(own, weights), self.proxy.known_face(codes, refined), said, camera, side)


def composited(found: Crossings, samples: Samples, colour: Tensor, depth: Tensor) -> Seen:
    """HeadNeRF's Eq. 2 along rays: of samples at ``found`` places with linear ``colour`` (N, 3) and optical ``depth``
    (N,), premultiplied.
    """
    weight = weights_along(found, depth)
    values = torch.cat([colour, torch.ones_like(depth)[:, None], samples.depth[:, None]], dim=1)
    table = values.new_zeros(*weight.shape, 5).index_put((found.ray, found.layer), values)
    rows = (weight[..., None] * table).sum(1)
    alpha = rows[:, 3]
    depth = torch.where(alpha > CLEAREST, rows[:, 4] / alpha.clamp_min(CLEAREST), torch.inf)
    return Seen(rows[:, :3], alpha, depth)


def weights_along(found: Crossings, depth: Tensor) -> Tensor:
    """ω of Eq. 5, (rays, layers), of optical ``depth`` (N,) at ``found`` places."""
    layers = int(found.layer.max()) + 1 if len(found.layer) else 1
    table = depth.new_zeros(len(found.pixel), layers).index_put((found.ray, found.layer), depth)
    return volume.weights(volume.opacity(table))
