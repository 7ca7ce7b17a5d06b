"""What the attribute encoder's first training minimises: codes in units of their spread, options as classes, and what
codes mean: where landmarks are, how light falls.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.camera import TARGET
from faceeditor.faces.landmarks import COUNT
from faceeditor.faces.layout import (
    BROW_COLOUR,
    DIMS,
    EXPRESSION_COMPONENTS,
    HAIR_COLOUR,
    HAIR_GLOSS,
    IDENTITY,
    LIGHT_SHAPE,
    SHEEN,
    SKIN_TINT,
)
from faceeditor.models.attributes import Attributes
from faceeditor.models.attributes_codes import EXP, HAIR_HEAD, ILLU, OPTIONS, ROT, SHAPE, TEX, TRAN
from faceeditor.models.template import CONTOUR_YAW, Template
from faceeditor.rendering.harmonics import basis
from training.attributes_batches import GAMMA, Lesson
from training.augment import points_distance
from training.studio.sampling import FACE_NORMALS
from training.train_portrait import heat_loss

MEASURED: Final[dict[str, list[int]]] = {
    SHAPE: list(range(DIMS[IDENTITY])),
    EXP: list(range(len(EXPRESSION_COMPONENTS))),
    TEX: [*range(SKIN_TINT.start, SKIN_TINT.stop), *range(BROW_COLOUR.start, BROW_COLOUR.stop), SHEEN],
    ILLU: list(range(LIGHT_SHAPE[0] * LIGHT_SHAPE[1])),
    HAIR_HEAD: [*range(HAIR_COLOUR.start, HAIR_COLOUR.stop), HAIR_GLOSS],
}
"""Components of the codes that are measured, not chosen."""
POSE_UNITS: Final = {ROT: (5.0, 5.0, 5.0), TRAN: (0.01, 0.01, 0.03)}
"""Errors of the pose that weigh alike: degrees; fractions of the picture, and of the size."""
EYES_APART: Final = 0.09
"""Metres between the outer eye corners, about."""


@dataclass(frozen=True)
class Weights:
    """Of every term of :class:`AttributeLoss`."""

    shape: float = 1.0
    exp: float = 1.0
    tex: float = 0.5
    illu: float = 1.0
    hair: float = 0.5
    rot: float = 1.0
    tran: float = 1.0
    options: float = 0.3
    geometry: float = 10.0
    projection: float = 20.0
    shade: float = 1.0
    colour: float = 3.0
    landmarks: float = 20.0
    heat: float = 0.1


class FaceLandmarks(nn.Module):
    """The template's landmarks as the linear function of codes that they are."""

    mean: Tensor
    modes: Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        views = []
        for yaw in (0.0, CONTOUR_YAW + 1, -CONTOUR_YAW - 1):
            mean = template.landmarks(template.mean[None], yaw)[0]
            modes = template.landmarks(template.basis, yaw)
            views.append((mean, modes))
        self.register_buffer("mean", torch.stack([mean for mean, _ in views]))
        self.register_buffer("modes", torch.stack([modes.flatten(1) for _, modes in views]))
        self.identity = len(template.identity_signs)

    def forward(self, identity: Tensor, expression: Tensor, yaw: Tensor) -> Tensor:
        """Landmarks (B, 68, 3) in head space metres, the jaw line as seen from ``yaw`` (B,) degrees."""
        used = self.modes.shape[1] - self.identity
        weights = torch.cat([identity[:, : self.identity], expression[:, :used]], dim=1)
        view = (yaw > CONTOUR_YAW).long() + 2 * (yaw < -CONTOUR_YAW).long()
        moved = torch.einsum("bm,bmc->bc", weights, self.modes[view])
        return self.mean[view] + moved.reshape(-1, COUNT, 3)


def rotations(degrees: Tensor) -> Tensor:
    """World-to-camera rotations (B, 3, 3) of yaw, pitch and roll (B, 3), as :meth:`Camera.rotation` has them."""
    yaw, pitch, roll = torch.deg2rad(degrees).unbind(-1)
    zero = torch.zeros_like(yaw)
    forward = -torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], dim=-1)
    right = torch.stack([yaw.cos(), zero, -yaw.sin()], dim=-1)
    down = torch.cross(forward, right, dim=-1)
    cos, sin = roll.cos()[:, None], roll.sin()[:, None]
    return torch.stack([cos * right + sin * down, cos * down - sin * right, forward], dim=1)


def projected(places: Tensor, rotation: Tensor, translation: Tensor, distance: Tensor) -> Tensor:
    """Where (B, N, 2) a picture shows ``places`` (B, N, 3) of head space, in fractions of it; ``rotation`` (B, 3) and
    ``translation`` (B, 3) are what the heads say, ``distance`` (B,) is the camera's.
    """
    target = torch.tensor(TARGET, dtype=places.dtype, device=places.device)
    seen = (places - target) @ rotations(rotation).transpose(1, 2)
    nearer = 1 / (1 + seen[..., 2] / distance[:, None])
    size = translation[:, 2].exp()[:, None, None]
    return 0.5 + (translation[:, None, :2] + size * seen[..., :2]) * nearer[..., None]


class AttributeLoss(nn.Module):
    """The terms and their weighted sum, ``total``."""

    def __init__(self, weights: Weights, template: Template, scales: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.weights = asdict(weights)
        self.landmarks = FaceLandmarks(template)
        self.register_buffer("normals", torch.from_numpy(basis(FACE_NORMALS)))
        for name, chosen in MEASURED.items():
            spread = scales[name][chosen]
            self.register_buffer(f"{name}_unit", torch.where(spread > 1e-4, spread, 1.0))

    def forward(self, said: Attributes, lesson: Lesson) -> dict[str, Tensor]:
        """Each term, not weighted, and ``total``."""
        terms = {
            **self._codes(said, lesson),
            **{name: self._pose(said, lesson, name) for name in (ROT, TRAN)},
            "options": self._options(said, lesson),
            **self._shape(said, lesson),
            "shade": self._shade(said, lesson),
            "colour": self._colour(said, lesson),
            **self._found(said, lesson),
        }
        return {"total": torch.stack([self.weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def _codes(self, said: Attributes, lesson: Lesson) -> dict[str, Tensor]:
        terms = {}
        for name, chosen in MEASURED.items():
            off = (said.codes[name][:, chosen] - lesson.codes[name][:, chosen]) / self.get_buffer(f"{name}_unit")
            each = functional.smooth_l1_loss(off, torch.zeros_like(off), reduction="none").mean(1)
            terms[name] = (each * hairy(lesson)).mean() if name == HAIR_HEAD else each.mean()
        return terms

    def _pose(self, said: Attributes, lesson: Lesson, name: str) -> Tensor:
        off = (said.codes[name] - lesson.codes[name]) / said.codes[name].new_tensor(POSE_UNITS[name])
        return functional.smooth_l1_loss(off, torch.zeros_like(off))

    def _options(self, said: Attributes, lesson: Lesson) -> Tensor:
        """Cross entropies of what is chosen; of none too, where there is such a thing."""
        terms = []
        for name, one in OPTIONS.items():
            logits, true = said.logits[name], lesson.codes[one.head][:, one.part]
            if one.none:
                logits, true = functional.pad(logits, (1, 0)), torch.cat([1 - true.sum(1, keepdim=True), true], dim=1)
            terms.append(functional.cross_entropy(logits, true))
        return torch.stack(terms).sum()

    def _shape(self, said: Attributes, lesson: Lesson) -> dict[str, Tensor]:
        """Landmarks in head space, in distances of the eyes, and in the picture, in extents of the face."""
        yaw = lesson.codes[ROT][:, 0]
        true = self.landmarks(lesson.codes[SHAPE], lesson.codes[EXP], yaw)
        told = self.landmarks(said.codes[SHAPE], said.codes[EXP], yaw)
        seen = projected(told, said.codes[ROT], said.codes[TRAN], lesson.distance)
        off = (seen - lesson.landmarks).norm(dim=-1).mean(1) / points_distance(lesson.landmarks)
        return {"geometry": (told - true).norm(dim=-1).mean() / EYES_APART, "projection": off.mean()}

    def _shade(self, said: Attributes, lesson: Lesson) -> Tensor:
        """How light falls on a face, as a share of the brightest."""
        told, true = (
            torch.einsum("nk,bkc->bnc", self.get_buffer("normals"), codes[ILLU].reshape(-1, *LIGHT_SHAPE))
            for codes in (said.codes, lesson.codes)
        )
        return ((told - true).abs().mean((1, 2)) / true.mean(2).amax(1).clamp_min(0.05)).mean()

    def _colour(self, said: Attributes, lesson: Lesson) -> Tensor:
        """Colours of brows and hair as eyes see them."""

        def off(head: str, part: slice) -> Tensor:
            told, true = (codes[head][:, part].clamp(2e-3, 1) ** (1 / GAMMA) for codes in (said.codes, lesson.codes))
            return (told - true).abs().mean(1)

        return (off(TEX, BROW_COLOUR) + off(HAIR_HEAD, HAIR_COLOUR) * hairy(lesson)).mean()

    def _found(self, said: Attributes, lesson: Lesson) -> dict[str, Tensor]:
        away = (said.landmarks - lesson.landmarks).norm(dim=-1) / points_distance(lesson.landmarks)[:, None]
        return {"landmarks": away.mean(), "heat": heat_loss(said.heat, lesson.landmarks).mean()}


def hairy(lesson: Lesson) -> Tensor:
    """One (B,) for heads that have hair."""
    return lesson.codes[HAIR_HEAD][:, OPTIONS["hair"].part].sum(1)
