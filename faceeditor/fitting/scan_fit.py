"""A scan becomes a face: codes of a surface model by descent on its distances (ImFace++, Eq. 21), coarse to fine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.landmarks import INNER_LIPS, RIGHT_EYE
from faceeditor.faces.latents import Codes, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.front_surface import FrontSurface, NoSurface
from faceeditor.fitting.progress import FitProgress, Watch
from faceeditor.fitting.scan_placing import Placement
from faceeditor.fitting.scan_units import SPREAD, off_unit
from faceeditor.models import se3
from faceeditor.models.imface import DETAIL, FaceField, ImFace, ImFaceConfig
from faceeditor.models.template import Template

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What a quality means: ``steps`` for identity, expression and pose and ``detail_steps`` for fine detail, each with
    ``points`` of the scan, ``directed`` of them with normals.
    """

    steps: int
    detail_steps: int
    points: int
    directed: int


PLANS: Final[Mapping[str, Plan]] = {
    "draft": Plan(steps=50, detail_steps=15, points=700, directed=150),
    "standard": Plan(steps=220, detail_steps=120, points=1400, directed=300),
    "best": Plan(steps=600, detail_steps=300, points=2000, directed=400),
}

RATES: Final = {IDENTITY: 0.03, EXPRESSION: 0.02, DETAIL: 0.04, "pose": 0.001}
"""Adam's steps in each unknown at the beginning; they fall along a cosine."""
DISTANCE: Final = 3e3
NORMAL: Final = 1e2
LANDMARKS: Final = 2e1
"""Weights of the terms, lengths being in the model's unit; the first two are the paper's λ1 and λ2."""
PRIOR: Final = {IDENTITY: 0.04, EXPRESSION: 0.3, DETAIL: 0.004}
"""Of Eq. 15: of the square of a component in standard deviations; of an expression weight, which is in [0, 1]."""
SIZE: Final = 1.0
"""Of the square of what the scan's unit is off, in standard deviations."""
FARTHEST: Final = 0.05
"""A point farther from the face counts as if it were so far: it may belong to hair or clothes."""
NEAR: Final = 0.04
"""Standard deviation of the distances from the surface at which signed distances are asked for."""
POOL: Final = 30_000
FEATURES: Final = slice(RIGHT_EYE.start, INNER_LIPS.stop)
"""The landmarks of eyes and lips; the surface is sampled so much more densely within that reach of them."""
DENSER: Final = 5.0
FEATURE_REACH: Final = 0.09
PATIENCE: Final = 5
"""Steps between two pictures."""


class Samples(NamedTuple):
    """Points (N, 3) with their signed ``distance`` (N,) and its ``gradient`` (N, 3)."""

    points: Tensor
    distance: Tensor
    gradient: Tensor

    def some(self, count: int) -> "Samples":
        """``count`` of them, drawn at random."""
        chosen = torch.randint(len(self.points), (count,))
        return Samples(*(table[chosen] for table in self))


@dataclass(frozen=True, eq=False)
class ScanFit:
    """What a fit found: the ``codes`` and the ``similarity`` from the scan to head space."""

    codes: Codes
    similarity: Similarity


def fit_scan(
    vertices: Floats,
    faces: NDArray[np.int32] | None,
    placement: Placement,
    model: ImFace,
    template: Template,
    *,
    quality: str = "standard",
    on_step: Callable[[FitProgress, Codes | None], None] = lambda progress, codes: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ScanFit:
    """Fits ``model`` to a scan with ``vertices`` (N, 3) and ``faces`` (F, 3), both as the file has them, that lies as
    ``placement`` says.

    ``on_step`` is told every step, with codes about twice a second; what it raises ends the fit. Raises ``UserError``
    for a quality that there is not or a scan that does not show a face from ahead.
    """
    if quality not in PLANS:
        raise UserError(f"{quality} is not a quality; choose {', '.join(PLANS)}.")
    fit = _Descent(
        front_of(vertices, faces, placement.similarity, model.config), placement, model, template, PLANS[quality]
    )
    watch = Watch(lambda progress: on_step(progress, fit.shown()), cancelled)
    watch.stage("Fitting the shape", 0.65, PLANS[quality].steps)
    fit.shape(watch)
    watch.stage("Fitting fine detail", 1.0, PLANS[quality].detail_steps)
    fit.detail(watch)
    return ScanFit(fit.codes(), placement.similarity.then(fit.correction()))


def front_of(
    vertices: Floats, faces: NDArray[np.int32] | None, similarity: Similarity, config: ImFaceConfig
) -> FrontSurface:
    """The front of a scan in the model's unit. Raises ``UserError`` where there is too little of it."""
    own = (similarity.to_head(vertices) - np.array(config.origin)) / config.unit
    try:
        return FrontSurface.of(own, None if faces is None else faces.astype(np.int64))
    except NoSurface:
        raise UserError("Too little of the face is in this scan; use one that shows it from ahead.") from None


class _Descent:
    """The unknowns and the loss of a fit under way."""

    def __init__(
        self, front: FrontSurface, placement: Placement, model: ImFace, template: Template, plan: Plan
    ) -> None:
        torch.manual_seed(0)
        self.front, self.model, self.plan = front, model, plan
        origin, unit = torch.tensor(model.config.origin), model.config.unit
        self.marks = ((torch.from_numpy(placement.landmarks) - origin) / unit).float()
        self.surface, self.space = _samples(front, self.marks[FEATURES].double().numpy())
        self.sure = torch.from_numpy(placement.weights).float()
        self.off_unit = off_unit(placement.similarity.scale)
        rest = template.landmarks(template.mean[None])[0]
        self.rest_marks = (rest - origin) / unit
        self.unknowns = {
            IDENTITY: _padded(placement.identity, model.config.identity_dims),
            EXPRESSION: _padded(placement.expression, model.config.expression_dims),
            DETAIL: torch.zeros(model.config.detail_dims),
            "pose": torch.zeros(7),
        }
        self.used = {
            name: torch.from_numpy(np.asarray(space.scale > 1e-6)).float() for name, space in model.spaces.items()
        }
        self.scale = {name: torch.tensor(space.scale).clamp_min(1e-6) for name, space in model.spaces.items()}
        self._since_shown = 0

    def shape(self, watch: Watch) -> None:
        """Identity, expression and pose."""
        self._run([IDENTITY, EXPRESSION, "pose"], self.plan.steps, self._shape_loss, watch)

    def detail(self, watch: Watch) -> None:
        """Fine detail on the shape that was found."""
        self._run([DETAIL], self.plan.detail_steps, self._detail_loss, watch)

    def codes(self) -> Codes:
        """The codes as they are now."""
        names = (IDENTITY, EXPRESSION, DETAIL)
        return {name: as_code(self.unknowns[name].detach().numpy()) for name in names}

    def shown(self) -> Codes | None:
        """The codes, now and then."""
        self._since_shown += 1
        return self.codes() if self._since_shown % PATIENCE == 1 else None

    def _run(self, names: list[str], steps: int, loss: Callable[[], Tensor], watch: Watch) -> None:
        for name in names:
            self.unknowns[name].requires_grad_()
        optimiser = torch.optim.Adam([{"params": [self.unknowns[name]], "lr": RATES[name]} for name in names])
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1), 0.0)
        for _ in range(steps):
            watch.tick()
            optimiser.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            falling.step()
            self._keep_plausible()
        for name in names:
            self.unknowns[name].requires_grad_(False)

    @torch.no_grad()
    def _keep_plausible(self) -> None:
        for name, used in self.used.items():
            self.unknowns[name].mul_(used)
        self.unknowns[EXPRESSION].clamp_(0, 1)

    def _placed(self, samples: Samples) -> Samples:
        """The scan's samples as the pose now puts them."""
        pose = self.unknowns["pose"]
        still = torch.zeros(3)
        rigid, turn = pose[:6], torch.cat([pose[:3], still])
        size = pose[6].exp()
        points = se3.move(samples.points * size, rigid.expand(len(samples.points), 6))
        return Samples(points, samples.distance * size, se3.move(samples.gradient, turn.expand(len(points), 6)))

    def _shape_loss(self) -> Tensor:
        field = self.model.field({name: self.unknowns[name] for name in (IDENTITY, EXPRESSION)})
        surface, space = (self._placed(pool.some(self.plan.points // 2)) for pool in (self.surface, self.space))
        marks = self._placed(Samples(self.marks, self.sure, self.marks)).points
        apart = (field.to_template(marks) - self.rest_marks).abs().sum(-1)
        return (
            self._distances(field, surface, space)
            + LANDMARKS * (apart.clamp_max(FARTHEST) * self.sure).sum() / self.sure.sum().clamp_min(1)
            + PRIOR[IDENTITY] * self._squares(IDENTITY)
            + PRIOR[EXPRESSION] * self.unknowns[EXPRESSION].abs().sum()
            + (0 if self.off_unit is None else SIZE * ((self.off_unit + self.unknowns["pose"][6]) / SPREAD).square())
        )

    def _detail_loss(self) -> Tensor:
        field = self.model.field({name: self.unknowns[name] for name in (IDENTITY, EXPRESSION, DETAIL)})
        surface = self._placed(self.surface.some(self.plan.points // 2))
        return self._distances(field, surface, None) + PRIOR[DETAIL] * self._squares(DETAIL)

    def _distances(self, field: FaceField, surface: Samples, space: Samples | None) -> Tensor:
        """Eq. 13 with both of its terms, robust against what is no face."""
        count = self.plan.directed
        near, slope = field.sdf_and_gradient(surface.points[:count])
        others = surface.points[count:] if space is None else torch.cat([surface.points[count:], space.points])
        found = torch.cat([near, field.sdf(others)])
        truth = surface.distance if space is None else torch.cat([surface.distance, space.distance])
        turned = 1 - functional.cosine_similarity(slope, surface.gradient[:count], dim=-1)
        close = near.detach().abs() < FARTHEST
        return DISTANCE * (found - truth).abs().clamp_max(FARTHEST).mean() + NORMAL * (turned * close).mean()

    def _squares(self, name: str) -> Tensor:
        return (self.unknowns[name] / self.scale[name] * self.used[name]).square().sum()

    def correction(self) -> Similarity:
        """The pose that was found, in head space."""
        origin, unit = np.array(self.model.config.origin), self.model.config.unit
        corners = torch.cat([torch.zeros(1, 3), torch.eye(3)])
        moved = self._placed(Samples(corners, torch.zeros(4), corners)).points.detach().double().numpy()
        scale = float(np.exp(self.unknowns["pose"][6].item()))
        rotation = (moved[1:] - moved[0]).T / scale
        left, _, right = np.linalg.svd(rotation)
        rotation = left @ right
        return Similarity(scale, rotation, origin + unit * moved[0] - scale * rotation @ origin)


def _samples(front: FrontSurface, features: Floats) -> tuple[Samples, Samples]:
    """Points of the scan's surface, densest at the ``features`` (N, 3), and points around it, with distances and their
    gradients.
    """
    random = np.random.default_rng(0)
    apart = cKDTree(features).query(front.corners.mean(1))[0]
    importance = ~front.bridge * (1 + (DENSER - 1) * np.exp(-((apart / FEATURE_REACH) ** 2)))
    points, face, _ = front.sample(POOL, random, importance)
    away = points[: POOL // 2] + NEAR * random.normal(size=(POOL // 2, 3))
    distance, gradient = front.signed_distance(away, front.tree(random))
    on = Samples(*(torch.from_numpy(array).float() for array in (points, np.zeros(POOL), front.normals()[face])))
    return on, Samples(*(torch.from_numpy(array).float() for array in (away, distance, gradient)))


def _padded(code: NDArray[np.floating], dims: int) -> Tensor:
    return functional.pad(torch.from_numpy(np.array(code, np.float32)), (0, dims - len(code)))
