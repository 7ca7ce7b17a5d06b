"""The tri-plane head: a whole head as a signed distance field that three feature planes hold (triplane-head-2d-gan).

F_id is the head at rest: planes are generated from the identity code once, and a small net reads distances from them.
F_ex moves the head at rest to an expression. Lengths are in the model's own unit everywhere but in the last part of
:class:`TriplaneHead`, which speaks head space and metres; the head lies in the ball of radius 1. Distances are negative
inside.
"""

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, Codes, Space
from faceeditor.faces.layout import DIMS, EXPRESSION, HAIR_STYLES, IDENTITY
from faceeditor.faces.mesh import Mesh
from faceeditor.models.bundle import Bundle, misfit
from faceeditor.models.contract import Frame, Quality, Refinement, do_nothing
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.models.mesh_look import MeshLook
from faceeditor.models.root_finding import Roots, find_roots, with_gradient
from faceeditor.models.triplane_deformation import BoundDeformation, Deformation, DeformationConfig
from faceeditor.models.triplane_layers import BoundMLP, CodedMLP, PlaneGenerator, as_rows, sample_planes
from faceeditor.models.triplane_warp import BoundWarp, Warp

if TYPE_CHECKING:
    from faceeditor.models.triplane_mesh import HeadMesher

_LOG = logging.getLogger(__name__)

ENOUGH: Final = 0.99
"""The share of points that are expected to be traced back."""
CHUNK: Final = 4096
"""Points evaluated at once where nothing asks for gradients: what lies between stays in the cache."""


@dataclass(frozen=True)
class TriplaneConfig:
    """Sizes of the model; the thesis' (sections 4.2.2 and 4.3.2) are the defaults.

    ``planes`` cells a side with ``features`` each, generated from a picture of ``first`` with ``channels`` before the
    last layer, enlarged ``scale`` times, normalised by ``norm``; ``width`` and ``hidden``: of the decoder; ``skip``:
    before which of its layers its input joins again. Without ``planes`` the decoder sees point and code instead: the
    NPM baseline. ``deformation``: of F_ex.

    With ``warp`` control points along each axis, which the thesis does not have, points of a person's head are taken to
    where they lie on the mean head before planes, decoder and F_ex see them; ``warp_kept`` of them have offsets of
    their own, and the first ``warp_dims`` components of the identity code move them. Planes then hold what people share
    and what no motion explains, as hair: the generator may hear no more than ``hears`` components of the identity code
    from ``hears_from`` on.

    ``unit`` metres and ``origin``, metres in head space, are the similarity from the model's space to head space.
    """

    identity_dims: int = 512
    expression_dims: int = 200
    planes: int = 256
    features: int = 32
    channels: int = 64
    first: int = 4
    hears_from: int = 0
    hears: int = 0
    scale: int = 4
    norm: Literal["batch", "none"] = "batch"
    width: int = 256
    hidden: int = 4
    skip: int = 0
    deformation: DeformationConfig = field(default_factory=DeformationConfig)
    warp: int = 0
    warp_kept: int = 1
    warp_dims: int = 0
    unit: float = 0.17
    origin: tuple[float, float, float] = (0.0, 0.02, -0.03)

    @classmethod
    def small(cls) -> Self:
        """Sizes that train and draw on two cores."""
        return cls(
            identity_dims=128,
            expression_dims=64,
            planes=128,
            features=16,
            channels=80,
            first=64,
            hears_from=DIMS[IDENTITY],
            hears=HAIR_STYLES.stop - HAIR_STYLES.start,
            scale=1,
            norm="none",
            width=64,
            deformation=DeformationConfig(kind="blend", width=128, hidden=3, skip=0, octaves=6),
            warp=40,
            warp_dims=DIMS[IDENTITY],
        )

    @classmethod
    def npm(cls) -> Self:
        """The coordinate network that the thesis compares with (section 5.2.2): 8 layers of 1024."""
        return cls(planes=0, features=0, width=1024, hidden=8, skip=4)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that a bundle holds."""
        changed = {"deformation": DeformationConfig(**stored["deformation"]), "origin": tuple(stored["origin"])}
        return cls(**{**stored, **changed})

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class HeadField:
    """One head, or a batch of heads: all that its codes make, ready to be asked for points.

    Codes may have leading batch dimensions; points then have the same: (..., N, 3). Everything has gradients to the
    points and to the codes. ``rows`` are the planes (:func:`faceeditor.models.triplane_layers.as_rows`), ``decoder``
    reads them, at the places of the mean head where ``warp`` takes points. Without ``motion`` the head is at rest.
    """

    rows: Tensor | None
    decoder: BoundMLP
    warp: BoundWarp | None = None
    motion: BoundDeformation | None = None

    def one(self, number: int) -> "HeadField":
        """The head at rest with this ``number`` in a batch."""
        rows = None if self.rows is None else self.rows[number]
        return HeadField(rows, self.decoder.one(number), None if self.warp is None else self.warp.one(number))

    def on_mean(self, points: Tensor) -> Tensor:
        """Where ``points`` (..., N, 3) of the head at rest lie on the mean head, as far as the model tells."""
        return points if self.warp is None else points + self.warp(points)

    def off_mean(self, points: Tensor) -> Tensor:
        """Where ``points`` (..., N, 3) of the mean head lie on the head at rest, exactly."""
        return points if self.warp is None else points + self.warp.moved(points)

    def sdf(self, points: Tensor) -> Tensor:
        """F_id: signed distances (..., N) at ``points`` (..., N, 3) of the head at rest."""
        places = self.on_mean(points)
        seen = places if self.rows is None else torch.cat([places, sample_planes(self.rows, places)], dim=-1)
        return self.decoder(seen)[..., 0]

    def sdf_and_gradient(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distances (..., N) at rest and their gradients (..., N, 3) at ``points`` (..., N, 3).

        Both can be differentiated again where gradients are recorded.
        """
        recording = torch.is_grad_enabled()
        with torch.enable_grad():
            at = points if recording and points.requires_grad else points.detach().requires_grad_()
            value = self.sdf(at)
            (gradient,) = torch.autograd.grad(value.sum(), at, create_graph=recording)
        return (value, gradient) if recording else (value.detach(), gradient)

    def posed(self, points: Tensor) -> Tensor:
        """Where the expression takes ``points`` (..., N, 3) of the head at rest."""
        return points if self.motion is None else points + self.motion(self.on_mean(points))

    def from_mean(self, points: Tensor) -> Tensor:
        """Where ``points`` (..., N, 3) of the mean head lie on this one, with its expression."""
        at_rest = self.off_mean(points)
        return at_rest if self.motion is None else at_rest + self.motion(points)

    def at_rest(self, points: Tensor, guesses: Tensor | None = None) -> Roots:
        """Eq. 4.22: the points of one head at rest that its expression takes to ``points`` (N, 3), searched for from
        ``guesses`` (G, N, 3), else from the points themselves; with gradients to codes where they are recorded.
        """
        tries = points.detach()[None] if guesses is None else guesses
        roots = find_roots(self.posed, points.detach(), tries)
        if not torch.is_grad_enabled():
            return roots
        found = with_gradient(self.posed, roots.points, points)
        return Roots(found, roots.residual, roots.arrived, roots.evaluations)


class TriplaneHead(nn.Module):
    """The tri-plane head, and the NPM baseline by configuration. Capabilities: surface and mesh."""

    name: str = ""
    spaces: Mapping[str, Space] = MappingProxyType({})

    def __init__(self, config: TriplaneConfig) -> None:
        super().__init__()
        self.config = config
        dims = config.identity_dims
        self.generator = (
            PlaneGenerator(
                config.hears or dims,
                config.features,
                config.planes,
                config.channels,
                config.scale,
                config.norm,
                config.first,
            )
            if config.planes
            else None
        )
        inputs, codes = (3 + config.features, 0) if config.planes else (3, dims)
        self.decoder = CodedMLP(inputs, codes, 1, config.width, config.hidden, config.skip)
        self.decoder.start_as_sphere()
        self.deformation = Deformation(config.deformation, config.expression_dims, dims)
        self.warp = Warp(config.warp, config.warp_kept, config.warp_dims) if config.warp else None
        self._planes: Memo[HeadField] = Memo(4)
        self._people: Memo[HeadField] = Memo(4)
        self._look = MeshLook()

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The model of a bundle, frozen, on ``device``. Raises ``UserError`` when its weights do not fit."""
        try:
            model = cls(TriplaneConfig.from_json(bundle.configuration))
            tensors = {name: v.float() if v.is_floating_point() else v for name, v in bundle.tensors.items()}
            model.load_state_dict(tensors)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise misfit(bundle) from error
        model.name, model.spaces = bundle.name, bundle.spaces
        return model.to(device).eval().requires_grad_(False)

    def field(self, codes: Mapping[str, Tensor]) -> HeadField:
        """The head of ``codes`` (..., dims) with gradients to them; planes are made here and nowhere else.

        ``identity`` is asked for; without ``expression`` the head is at rest.
        """
        identity = codes.get(IDENTITY)
        if identity is None:
            raise ValueError("a head has an identity code")
        return self.expressed(replace(self.mean_head(identity), warp=self.warped(identity)), codes)

    def expressed(self, head: HeadField, codes: Mapping[str, Tensor]) -> HeadField:
        """``head``, the one of ``codes``, with their expression; the planes are those it has already."""
        expression = codes.get(EXPRESSION)
        motion = None if expression is None else self.deformation.bind(expression, codes[IDENTITY])
        return replace(head, motion=motion)

    def mean_head(self, identity: Tensor) -> HeadField:
        """The head at rest of ``identity`` (..., dims) before the warp moves it: what planes and decoder say alone."""
        if self.generator is None:
            return HeadField(None, self.decoder.bind(identity))
        return HeadField(self._rows(identity), self.decoder.bind(identity[..., :0]))

    def _rows(self, identity: Tensor) -> Tensor:
        """The planes as rows (..., R R 3, C). Those whom the generator hears alike have the same."""
        assert self.generator is not None
        heard = identity[..., self.heard]
        if not self.config.hears or heard.dim() < 2:
            return as_rows(self.generator(heard))
        all_ = heard.reshape(-1, heard.shape[-1])
        _, which = torch.unique(all_.detach(), dim=0, return_inverse=True)
        firsts = torch.stack([torch.nonzero(which == number)[0, 0] for number in range(int(which.max()) + 1)])
        rows = as_rows(self.generator(all_[firsts]))[which]
        return rows.reshape(*heard.shape[:-1], *rows.shape[1:])

    @property
    def heard(self) -> slice:
        """The components of the identity code that the generator hears."""
        return slice(self.config.hears_from, self.config.hears_from + (self.config.hears or self.config.identity_dims))

    def warped(self, identity: Tensor) -> BoundWarp | None:
        """The way from the head at rest of ``identity`` (..., dims) to the mean head, where the model knows one."""
        return None if self.warp is None else self.warp.bind(identity)

    def take_warp(self, warp: Warp) -> None:
        """People are from now on where ``warp`` says."""
        self.warp = warp
        self.config = replace(self.config, warp=warp.side, warp_kept=len(warp.steps), warp_dims=warp.dims)

    # Use, in head space and metres

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.deformation.rest.device

    @torch.no_grad()
    def bound(self, codes: Codes) -> HeadField:
        """The head of ``codes``, without gradients; people and planes are remembered."""
        tensors = {name: self.tensor(code) for name, code in codes.items()}
        identity = codes[IDENTITY]
        head = self._people.get(
            fingerprint([identity]),
            lambda: replace(self.bound_mean(identity), warp=self.warped(tensors[IDENTITY])),
        )
        return self.expressed(head, tensors)

    @torch.no_grad()
    def bound_mean(self, identity: Code) -> HeadField:
        """The head of ``identity`` (dims,) at rest before the warp moves it, without gradients. Where the code mixes
        options, as hair styles half-way between two people, the planes are mixed: the generator has seen one at a time.
        """
        return self._planes.get(self.key(identity), lambda: self._mixed(identity))

    def key(self, identity: Code) -> Hashable:
        """What people have in common whose heads differ by a motion alone."""
        return fingerprint([identity[self.heard]])

    def _mixed(self, identity: Code) -> HeadField:
        head = self.mean_head(self.tensor(identity))
        choices = self.spaces[IDENTITY].choices if IDENTITY in self.spaces else ()
        parts = choices[0].pure(identity) if choices else []
        if head.rows is None or len(parts) < 2:
            return head
        pure = [(share, self.mean_head(self.tensor(part)).rows) for share, part in parts]
        return replace(head, rows=torch.stack([share * rows for share, rows in pure if rows is not None]).sum(0))

    def sdf_at_rest(self, points: NDArray[Any], codes: Codes) -> NDArray[np.float32]:
        """Signed distances (N,) of ``points`` (N, 3) in head space to the person's head at rest, metres."""
        return self._distances(self.bound({IDENTITY: codes[IDENTITY]}), points)

    def sdf_on_mean(self, points: NDArray[Any], identity: Code) -> NDArray[np.float32]:
        """The same of the person's head before the warp moves it."""
        return self._distances(self.bound_mean(identity), points)

    def _distances(self, head: HeadField, points: NDArray[Any]) -> NDArray[np.float32]:
        own = self.own(points)
        with torch.no_grad():
            found = torch.cat([head.sdf(part) for part in torch.split(own, CHUNK)])
        return np.asarray(found.cpu().numpy() * self.config.unit, np.float32)

    def posed(self, points: NDArray[Any], codes: Codes) -> NDArray[np.float32]:
        """Where the expression takes ``points`` (N, 3) of the head at rest; both in head space."""
        head, own = self.bound(codes), self.own(points)
        with torch.no_grad():
            return self.head(torch.cat([head.posed(part) for part in torch.split(own, CHUNK)]))

    @property
    def extent(self) -> float:
        """See :meth:`faceeditor.models.contract.SurfaceModel.extent`."""
        return 2 * self.config.unit

    def sdf(self, points: NDArray[Any], codes: Codes, detail: float = 1.0) -> NDArray[np.float32]:
        """See :meth:`faceeditor.models.contract.SurfaceModel.sdf`: what the head at rest says where points come from.
        Motions stretch, so that off the surface it is near to a distance, but none.
        """
        return self.sdf_at_rest(self.head(self.traced(points, codes).points), codes)

    def to_template(self, points: NDArray[Any], codes: Codes, detail: float = 1.0) -> NDArray[np.float32]:
        """See :meth:`faceeditor.models.contract.SurfaceModel.to_template`: the mean head at rest is the template."""
        head, found = self.bound({IDENTITY: codes[IDENTITY]}), self.traced(points, codes).points
        with torch.no_grad():
            return self.head(torch.cat([head.on_mean(part) for part in torch.split(found, CHUNK)]))

    def traced(self, points: NDArray[Any], codes: Codes) -> Roots:
        """Where ``points`` (N, 3) in head space lie on the head at rest, in the model's space, and how well that was
        found: points that no point at rest is moved to have no such place. A warning is logged where they are many.
        """
        own = self.own(points)
        guesses = self.mesher.guesses(own, codes)
        with torch.no_grad():
            roots = self.bound(codes).at_rest(own, guesses)
        if roots.share < ENOUGH:
            _LOG.warning("%s", roots.report())
        return roots

    @torch.no_grad()
    def landmarks(self, codes: Codes) -> NDArray[np.float32]:
        """See :meth:`faceeditor.models.contract.SurfaceModel.landmarks`: the 68 of the mean head, on this person."""
        return self.head(self.bound(codes).from_mean(self.mesher.mean_landmarks))

    def mesh(
        self,
        codes: Codes,
        refinement: Refinement | None = None,
        *,
        morphs: bool = False,
        textured: bool = False,
        quality: Quality = Quality.FULL,
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.MeshModel.mesh`: the surface at rest, moved."""
        return self.mesher.mesh(codes, refinement, morphs=morphs, textured=textured, quality=quality)

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
        return self.mesher.extract(codes, resolution, refinement, textured=textured, breathe=breathe)

    def render(
        self,
        codes: Codes,
        camera: Camera,
        size: int,
        quality: Quality = Quality.FULL,
        refinement: Refinement | None = None,
    ) -> Frame:
        """See :meth:`faceeditor.models.contract.RadianceModel.render`: the mesh with its texture in soft light."""
        return self._look.frame(self, codes, camera, size, quality, refinement)

    @cached_property
    def mesher(self) -> "HeadMesher":
        """What makes this model's meshes."""
        from faceeditor.models.triplane_mesh import HeadMesher

        return HeadMesher(self)

    def own(self, points: NDArray[Any]) -> Tensor:
        """``points`` (..., 3) of head space in the model's space and unit."""
        return self.tensor((points - np.asarray(self.config.origin)) / self.config.unit)

    def head(self, points: Tensor) -> NDArray[np.float32]:
        """``points`` (..., 3) of the model's space in head space."""
        return np.asarray(points.cpu().numpy() * self.config.unit + self.config.origin, np.float32)

    def tensor(self, array: NDArray[Any] | Code) -> Tensor:
        """A code, or points, beside the weights."""
        return torch.tensor(np.asarray(array, np.float32), device=self.device)
