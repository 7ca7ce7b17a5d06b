"""ImFace++: a face as a signed distance field that is warped to a template (Zheng et al., imface-plus-plus).

A point is moved by expression and identity to the template, whose distance, corrected a little, is the face's; a
displacement along the normal adds what is finer. Lengths are in the model's own unit (10 cm, the origin 4 cm behind the
nose tip) everywhere but in the last part of :class:`ImFace`, which speaks head space and metres. Distances are negative
behind the surface.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.landmarks import LEFT_EYE_CORNER, NOSE_TIP, RIGHT_EYE_CORNER
from faceeditor.faces.latents import Codes, Space
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.faces.mesh import Mesh
from faceeditor.models import se3
from faceeditor.models.blend_field import Blend, BlendConfig, BlendField, LandmarkNet
from faceeditor.models.bundle import Bundle, load_model, misfit
from faceeditor.models.contract import Frame, Quality, Refinement, do_nothing
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.models.mesh_look import MeshLook

if TYPE_CHECKING:
    from faceeditor.models.face_mesh import FaceMesher

DETAIL: Final = "detail"
"""The space of fine detail; the other two have their names in :mod:`faceeditor.faces.layout`."""

FACE: Final = (RIGHT_EYE_CORNER, LEFT_EYE_CORNER, NOSE_TIP, 48, 54)
"""The five landmarks of section 3.3, by their numbers among the 68: outer eye corners, nose tip, mouth corners."""
EAR_TO_EAR: Final = (*FACE, 0, 16)
"""Seven, for heads from ear to ear (section 4.6.5): also the ends of the jaw line. The paper does not tell which."""

CHUNK: Final = 4096
"""Points evaluated at once where nothing asks for gradients: what lies between stays in the cache."""


PAPER: Final = BlendConfig()
PAPER_DETAIL: Final = replace(PAPER, width=256, frequency=60.0)
"""The sizes of the Mini-Nets in section 4.2."""


@dataclass(frozen=True)
class ImFaceConfig:
    """Sizes of the model; the paper's (section 4.2) are the defaults.

    ``landmarks``: which of the 68 the blend fields hang on; ``..._dims``: of the codes; ``expression``, ``identity``,
    ``template`` and ``detail``: the four Mini-Nets, the last one absent where there is no second stage; ``warp``: how
    points are moved; ``landmark_width``: of the Landmark-Nets.

    ``attenuation`` is where the displacement has half its strength and ``reach`` the largest displacement, both in the
    model's unit. They belong to the attenuation that the paper takes from Yifan et al., "Geometry-Consistent Neural
    Shape Representation with Implicit Displacement Fields", 2022.

    ``unit`` metres and ``origin``, metres in head space, are the similarity from the model's space to head space.
    """

    landmarks: tuple[int, ...] = FACE
    identity_dims: int = 160
    expression_dims: int = 160
    detail_dims: int = 160
    expression: BlendConfig = PAPER
    identity: BlendConfig = PAPER
    template: BlendConfig = PAPER
    detail: BlendConfig | None = PAPER_DETAIL
    warp: Literal["se3", "translation"] = "se3"
    landmark_width: int = 256
    attenuation: float = 0.02
    reach: float = 0.05
    unit: float = 0.1
    origin: tuple[float, float, float] = (0.0, 0.0, 0.05)

    @classmethod
    def small(cls, landmarks: tuple[int, ...] = FACE) -> Self:
        """Sizes that train and draw on two cores: one net answers for all landmarks, codes scale and shift its units,
        and the warps are slow waves.
        """
        warp = BlendConfig(
            width=96, hidden=2, frequency=10.0, octaves=2, separate=False, fusion=32, hyper=(128,), film=True
        )
        return cls(
            landmarks=landmarks,
            expression=warp,
            identity=warp,
            template=replace(warp, width=128, frequency=30.0),
            detail=replace(warp, width=128, frequency=30.0, octaves=4),
            landmark_width=64,
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that a bundle holds."""
        facts = dict(stored)
        for name in ("expression", "identity", "template", "detail"):
            sizes = facts[name]
            facts[name] = sizes and BlendConfig(**{**sizes, "hyper": tuple(sizes["hyper"])})
        return cls(**{**facts, "landmarks": tuple(facts["landmarks"]), "origin": tuple(facts["origin"])})

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)


class Stages(NamedTuple):
    """The way of points (..., N, 3) through the first stage: p' on the ``neutral`` face (Eq. 2) and p'' on the
    ``template`` (Eq. 3), both (..., N, 3); the ``template_sdf`` s0 (Eq. 4) and the ``correction`` δ, both (..., N).
    """

    neutral: Tensor
    template: Tensor
    template_sdf: Tensor
    correction: Tensor

    @property
    def sdf(self) -> Tensor:
        """Eq. 5: s0 + δ (..., N)."""
        return self.template_sdf + self.correction


@dataclass(frozen=True, eq=False)
class FaceField:
    """One face, or a batch of faces: all weights that its codes make, ready to be asked for points.

    Codes may have leading batch dimensions; points then have the same: (..., N, 3). Everything has gradients to the
    points and to the codes. Without ``expression`` the face is neutral (Eq. 12); without ``detail``, or at an
    ``amount`` of 0, it is that of the first stage. Normals take a backward pass, so a field with detail must not be
    made or asked in inference mode; ``torch.no_grad`` is right.
    """

    config: ImFaceConfig
    expression: Blend | None
    identity: Blend
    template: Blend
    detail: Blend | None
    amount: float = 1.0

    @property
    def landmarks(self) -> Tensor:
        """l (..., k, 3): the landmarks of this face with its expression."""
        return (self.expression or self.identity).landmarks

    @property
    def neutral_landmarks(self) -> Tensor:
        """l' (..., k, 3): the landmarks of this face without its expression."""
        return self.identity.landmarks

    @property
    def template_landmarks(self) -> Tensor:
        """l'' (k, 3): the landmarks of the template."""
        return self.template.landmarks

    def with_detail(self, amount: float) -> "FaceField":
        """The same face with its detail scaled by ``amount``: 0 is none, 1 is its own."""
        return replace(self, amount=amount)

    def to_neutral(self, points: Tensor) -> Tensor:
        """Eq. 2: ``points`` (..., N, 3) moved to the neutral face of the same person."""
        return points if self.expression is None else self._moved(points, self.expression(points))

    def stages(self, points: Tensor) -> Stages:
        """The first stage at ``points`` (..., N, 3), whatever the detail."""
        neutral = self.to_neutral(points)
        said = self.identity(neutral)
        template = self._moved(neutral, said[..., :-1])
        return Stages(neutral, template, self.template(template)[..., 0], said[..., -1])

    def sdf(self, points: Tensor) -> Tensor:
        """Eq. 8, or Eq. 5 without detail: signed distances (..., N) at ``points`` (..., N, 3)."""
        return self.stages(self.on_base(points)).sdf

    def to_template(self, points: Tensor) -> Tensor:
        """The points (..., N, 3) of the template that ``points`` (..., N, 3) correspond to."""
        return self.stages(self.on_base(points)).template

    def sdf_and_gradient(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distances (..., N) and their gradients (..., N, 3) at ``points`` (..., N, 3).

        Both can be differentiated again where gradients are recorded.
        """
        return _with_gradient(self.sdf, points)

    def on_base(self, points: Tensor) -> Tensor:
        """Eq. 7: where ``points`` (..., N, 3) near the detailed surface lie about the smooth one of the first stage.

        As in the paper, the displacement is looked up at the template point of p instead of that of p_b.
        """
        if self.detail is None or self.amount == 0:
            return points
        (smooth, gradient), stages = self._smooth(points)
        along = self.attenuation(smooth) * self.displacement(stages.template)
        return points + along[..., None] * functional.normalize(gradient, dim=-1)

    def displacement(self, template: Tensor) -> Tensor:
        """How far (..., N) the smooth surface lies above the detailed one, along its normal, where points of it
        correspond to ``template`` (..., N, 3).
        """
        if self.detail is None:
            return torch.zeros_like(template[..., 0])
        reach = self.config.reach
        return self.amount * reach * torch.tanh(self.detail(template)[..., 0] / reach)

    def attenuation(self, distance: Tensor) -> Tensor:
        """χ of Eq. 7 (...) at ``distance`` (...) from the smooth surface: 1 on it, falling with the fourth power."""
        return 1 / (1 + (distance / self.config.attenuation) ** 4)

    def _smooth(self, points: Tensor) -> tuple[tuple[Tensor, Tensor], Stages]:
        found: list[Stages] = []

        def distance(at: Tensor) -> Tensor:
            found.append(self.stages(at))
            return found[0].sdf

        return _with_gradient(distance, points), found[0]

    def _moved(self, points: Tensor, motion: Tensor) -> Tensor:
        return se3.move(points, motion) if self.config.warp == "se3" else points + motion


def _with_gradient(function: Callable[[Tensor], Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
    """``function`` (..., N) of ``points`` (..., N, 3) and its gradient (..., N, 3)."""
    recording = torch.is_grad_enabled()
    with torch.enable_grad():
        at = points if recording and points.requires_grad else points.detach().requires_grad_()
        value = function(at)
        (gradient,) = torch.autograd.grad(value.sum(), at, create_graph=recording)
    return (value, gradient) if recording else (value.detach(), gradient)


def in_chunks(function: Callable[[Tensor], Tensor], points: Tensor, chunk: int = CHUNK) -> Tensor:
    """``function`` of ``points`` (N, 3), a chunk at a time, without gradients to anything."""
    with torch.no_grad():
        return torch.cat([function(part) for part in torch.split(points, chunk)])


class ImFace(nn.Module):
    """ImFace++, and the first ImFace by configuration. Capabilities: surface and mesh."""

    name: str
    spaces: Mapping[str, Space]
    template_landmarks: Tensor

    def __init__(self, config: ImFaceConfig) -> None:
        super().__init__()
        self.config = config
        count, motion = len(config.landmarks), 6 if config.warp == "se3" else 3
        codes = config.expression_dims + config.identity_dims
        self.landmark_net = LandmarkNet(codes, count, config.landmark_width)
        self.neutral_landmark_net = LandmarkNet(config.identity_dims, count, config.landmark_width)
        self.expression = BlendField(count, motion, config.expression, config.expression_dims, still=True)
        self.identity = BlendField(count, motion + 1, config.identity, config.identity_dims, still=True)
        self.template = BlendField(count, 1, config.template)
        self.detail = BlendField(count, 1, config.detail, config.detail_dims, still=True) if config.detail else None
        self.register_buffer("template_landmarks", torch.zeros(count, 3))
        self._fields: Memo[FaceField] = Memo(4)
        self._look = MeshLook()

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The model of a bundle, frozen, on ``device``. Raises ``UserError`` when its weights do not fit."""
        try:
            model = cls(ImFaceConfig.from_json(bundle.configuration))
            model.load_state_dict({name: value.float() for name, value in bundle.tensors.items()})
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise misfit(bundle) from error
        model.name, model.spaces = bundle.name, bundle.spaces
        return model.to(device).eval().requires_grad_(False)

    def start_at(self, landmarks: Tensor) -> None:
        """Before training: sets the template's landmarks l'' (k, 3), from which the Landmark-Nets set out."""
        self.template_landmarks.copy_(landmarks)
        self.landmark_net.start_at(landmarks)
        self.neutral_landmark_net.start_at(landmarks)

    def field(self, codes: Mapping[str, Tensor], amount: float = 1.0) -> FaceField:
        """The face of ``codes`` (..., dims) with gradients to them; hyper nets run here and nowhere else.

        ``identity`` is asked for; without ``expression`` the face is neutral, without ``detail`` it is smooth.
        ``amount`` scales the detail.
        """
        identity, expression, detail = (codes.get(name) for name in (IDENTITY, EXPRESSION, DETAIL))
        if identity is None:
            raise ValueError("a face has an identity code")
        # The authors' order: expression first.
        landmarks = None if expression is None else self.landmark_net(torch.cat([expression, identity], dim=-1))
        return FaceField(
            config=self.config,
            expression=None if landmarks is None else self.expression.bind(expression, landmarks),
            identity=self.identity.bind(identity, self.neutral_landmark_net(identity)),
            template=self.template.bind(None, self.template_landmarks),
            detail=self.detail.bind(detail, self.template_landmarks) if self.detail and detail is not None else None,
            amount=amount,
        )

    # Use, in head space and metres

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.template_landmarks.device

    @property
    def extent(self) -> float:
        """See :meth:`faceeditor.models.contract.SurfaceModel.extent`."""
        return 2 * self.config.unit

    def sdf(self, points: NDArray[Any], codes: Codes, detail: float = 1.0) -> NDArray[np.float32]:
        """See :meth:`faceeditor.models.contract.SurfaceModel.sdf`."""
        asked = self._bound(codes).with_detail(detail)
        return np.asarray(in_chunks(asked.sdf, self._own(points)).cpu().numpy() * self.config.unit, np.float32)

    def to_template(self, points: NDArray[Any], codes: Codes, detail: float = 1.0) -> NDArray[np.float32]:
        """See :meth:`faceeditor.models.contract.SurfaceModel.to_template`."""
        asked = self._bound(codes).with_detail(detail)
        return self._head(in_chunks(asked.to_template, self._own(points)))

    def landmarks(self, codes: Codes) -> NDArray[np.float32]:
        """See :meth:`faceeditor.models.contract.SurfaceModel.landmarks`."""
        return self._head(self._bound(codes).landmarks)

    def mesh(
        self,
        codes: Codes,
        refinement: Refinement | None = None,
        *,
        morphs: bool = False,
        textured: bool = False,
        quality: Quality = Quality.FULL,
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.MeshModel.mesh`: the template, put on the face."""
        return self.mesher.mesh(codes, refinement, morphs=morphs, textured=textured)

    def extract(
        self,
        codes: Codes,
        resolution: int,
        refinement: Refinement | None = None,
        *,
        textured: bool = False,
        breathe: Callable[[], None] = do_nothing,
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.SurfaceModel.extract`: what the field knows of the face."""
        from faceeditor.models.extraction import extract_face

        return extract_face(self, codes, resolution, refinement, textured=textured, breathe=breathe)

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
    def mesher(self) -> "FaceMesher":
        """What puts the template on this model's faces. Raises ``UserError`` when its bundle is missing."""
        from faceeditor.models.face_mesh import TEMPLATE, FaceMesher

        return FaceMesher(self, load_model(TEMPLATE, self.device))

    def _bound(self, codes: Codes) -> FaceField:
        def bind() -> FaceField:
            with torch.no_grad():
                return self.field({name: self._tensor(code) for name, code in codes.items()})

        return self._fields.get((tuple(codes), fingerprint(codes.values())), bind)

    def _own(self, points: NDArray[Any]) -> Tensor:
        return self._tensor((points - np.asarray(self.config.origin)) / self.config.unit)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(np.asarray(array, np.float32), device=self.device)

    def _head(self, points: Tensor) -> NDArray[np.float32]:
        return np.asarray(points.cpu().numpy() * self.config.unit + self.config.origin, np.float32)
