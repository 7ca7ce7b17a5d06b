"""The gradient stages of a fit: codes descend a sum of what the photo, its landmarks and mask, and the priors say.

Terms are negative logarithms of likelihoods, so that their weights are standard deviations: of colours and of their
differences between neighbouring pixels (what a perceptual term asks for: edges and shading, whatever the light's
level), of landmarks, of the head's outline against the mask, and of codes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, maximum_filter
from torch.nn import functional

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import (
    BROW_COLOUR,
    EXPRESSION,
    HAIR,
    HAIR_COLOUR,
    IDENTITY,
    LIGHT,
    SKIN,
    SKIN_TINT,
)
from faceeditor.fitting.easel import Codes, Gains
from faceeditor.fitting.placing import LIVELINESS, UNSEEN
from faceeditor.fitting.target import Target
from faceeditor.models.contract import FittableModel
from faceeditor.models.layers import tensors
from faceeditor.rendering.colour import linear_to_srgb_torch

Tensor = torch.Tensor

EXACT: Final = 0.014
"""How far landmarks are expected to lie from the truth, in extents of the face from brows to lips."""
LOOSENESS: Final = ((points.JAW, 2.0), (points.RIGHT_BROW, 1.5), (points.LEFT_BROW, 1.5))
"""Landmarks that slide along an edge, and how much less they are trusted."""
COLOUR: Final = 0.08
EDGE: Final = 0.04
"""Usual errors of sRGB colours, and of their differences between neighbours."""
PICTURE: Final = 120.0
"""How many independent observations a picture counts for, whatever its size."""
LANDMARKS: Final = 2.0
"""How much more landmarks count: they alone tell open lips from painted ones."""
OUTLINE: Final = 0.01
"""Usual distance, in picture heights, of what reaches over the mask."""
SHORT: Final = 0.004
"""The same of bare skin that does not reach it."""
OUTLINE_COUNT: Final = 60.0
RATES: Final = {IDENTITY: 0.05, EXPRESSION: 0.02, SKIN: 0.015, LIGHT: 0.02, HAIR: 0.004}
"""Adam's steps in the units of the codes."""
RIM: Final = 200
"""About how many points of the mask's outline are looked at."""
HAIRY: Final = 0.03
"""How near hair an outline may be the hair's, in picture heights."""
TINT: Final = 0.15
BROW_TINT: Final = 0.05


@dataclass(frozen=True, eq=False)
class Descent:
    """One stage: a picture size and what it is compared with. ``tick`` is called before each step."""

    model: FittableModel
    camera: Camera
    target: Target
    confidence: Tensor
    tick: Callable[[], None]

    def run(self, codes: Codes, gains: Gains, steps: int) -> Codes:
        """``codes`` after some steps down."""
        start = tensors(codes)
        now = {name: value.clone().requires_grad_(name in RATES) for name, value in start.items()}
        fixed = tensors(gains)
        groups = [{"params": [now[name]], "lr": rate} for name, rate in RATES.items()]
        adam = torch.optim.Adam(groups, betas=(0.8, 0.95))
        for step in range(steps):
            self.tick()
            adam.zero_grad()
            with torch.enable_grad():
                loss = self.loss(now, start, fixed)
            torch.autograd.backward(loss)
            _keep_still(now)
            for group, rate in zip(adam.param_groups, RATES.values(), strict=True):
                group["lr"] = rate * min(1.0, 2 * (1 - step / steps))
            adam.step()
            with torch.no_grad():
                _plausible(now)
        return {name: as_code(value.detach().numpy()) for name, value in now.items()}

    def loss(self, codes: Mapping[str, Tensor], start: Mapping[str, Tensor], gains: Mapping[str, Tensor]) -> Tensor:
        """The sum of all terms."""
        return self.picture(codes, gains) + self._landmarks(codes) + self._outline(codes) + self._prior(codes, start)

    def picture(self, codes: Mapping[str, Tensor], gains: Mapping[str, Tensor]) -> Tensor:
        """How unlikely the photo is where the face is drawn so."""
        drawing = self.model.draw(codes, self.camera, self.target.size, refinement=gains)
        behind = self._linear * (1 - drawing.alpha)
        drawn = linear_to_srgb_torch(drawing.rgb_linear + behind)
        off = drawn - self._srgb
        weight = self._weight
        colour = _robust(off / COLOUR).mean(0)
        across = _robust((off[:, :, 1:] - off[:, :, :-1]) / EDGE).mean(0) * weight[:, 1:] * weight[:, :-1]
        along = _robust((off[:, 1:] - off[:, :-1]) / EDGE).mean(0) * weight[1:] * weight[:-1]
        uncovered = (drawing.alpha - self._mask).abs() * self._upper
        total = (colour * weight).sum() + 0.5 * (across.sum() + along.sum()) + 2 * uncovered.sum()
        return PICTURE * total / weight.sum().clamp_min(1)

    def _landmarks(self, codes: Mapping[str, Tensor]) -> Tensor:
        found = self._projected(self.model.landmarks(codes, self.camera.yaw))
        off = ((found - self._wanted) * self._trust[:, None]).square().sum(-1)
        return LANDMARKS * (2 * torch.log1p(off / 4)).sum()

    def _outline(self, codes: Mapping[str, Tensor]) -> Tensor:
        """Points of the head, above the chin, that reach over the mask, and of the bare mask's rim that it does not
        reach.
        """
        where = self._projected(self.model.surface(codes).head)
        out = functional.grid_sample(
            self._distance[None, None], (2 * where - 1)[None, None], padding_mode="border", align_corners=False
        )[0, 0, 0]
        over = out * (where[:, 1] < self._chin)
        outside = (over > 0).float().sum().clamp_min(200)
        return OUTLINE_COUNT * (_robust(over / OUTLINE).sum() / outside + self._short_of(where))

    def _short_of(self, where: Tensor) -> Tensor:
        """How far points (N, 2) of the head stay away from where the photo shows the rim of bare skin."""
        if not len(self._rim):
            return torch.zeros(())
        with torch.no_grad():
            nearest = torch.cdist(self._rim, where).argmin(1)
        return _robust((where[nearest] - self._rim) / SHORT).mean()

    def _prior(self, codes: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Tensor:
        spaces = self.model.spaces
        scale = {name: torch.from_numpy(np.maximum(spaces[name].scale, 0.02)) for name in (IDENTITY, LIGHT)}
        parts = (
            codes[IDENTITY] / scale[IDENTITY],
            codes[EXPRESSION] / LIVELINESS,
            (codes[LIGHT] - torch.from_numpy(np.array(spaces[LIGHT].mean))) / scale[LIGHT],
            codes[SKIN][SKIN_TINT] / TINT,
            (codes[SKIN][BROW_COLOUR] - start[SKIN][BROW_COLOUR]) / BROW_TINT,
        )
        return 0.5 * sum((part.square().sum() for part in parts), torch.zeros(()))

    def _projected(self, places: Tensor) -> Tensor:
        """Places (N, 3) as the camera sees them (N, 2), in picture heights."""
        extrinsics = torch.from_numpy(self.camera.extrinsics()).float()
        image = (places @ extrinsics[:, :3].T + extrinsics[:, 3]) @ torch.from_numpy(
            self.camera.intrinsics(1, 1)
        ).float().T
        return image[:, :2] / image[:, 2:]

    @cached_property
    def _linear(self) -> Tensor:
        return torch.from_numpy(self.target.linear).permute(2, 0, 1)

    @cached_property
    def _srgb(self) -> Tensor:
        return torch.from_numpy(self.target.srgb).permute(2, 0, 1)

    @cached_property
    def _mask(self) -> Tensor:
        return torch.from_numpy(self.target.mask)

    @cached_property
    def _chin(self) -> float:
        return float(self.target.landmarks[points.JAW, 1].max() / self.target.size)

    @cached_property
    def _upper(self) -> Tensor:
        rows = torch.arange(self.target.size)[:, None] < self._chin * self.target.size
        return torch.from_numpy(self.target.inside) * rows

    @cached_property
    def _weight(self) -> Tensor:
        face = torch.from_numpy(self.target.region(self.target.landmarks[points.JAW.start : points.LEFT_BROW.stop]))
        mouth = torch.from_numpy(self.target.region(self.target.landmarks[points.INNER_LIPS]))
        return self._mask * torch.from_numpy(self.target.inside) * (0.3 + 0.7 * face) * ~mouth

    @cached_property
    def _distance(self) -> Tensor:
        outside = (self.target.mask < 0.5) & (self.target.inside > 0.5)
        return torch.from_numpy(distance_transform_edt(outside).astype(np.float32) / self.target.size)

    @cached_property
    def _rim(self) -> Tensor:
        """Points (N, 2) of the outline of skin above the chin, in picture heights."""
        size, mask = self.target.size, self.target.mask > 0.5
        edge = mask & ~binary_erosion(mask, border_value=1) & (self.target.inside > 0.5)
        edge &= (
            ~maximum_filter(self.target.hair > 0.5, 2 * round(HAIRY * size) + 1)
            & (np.arange(size) < self._chin * size)[:, None]
        )
        found = (np.argwhere(edge)[:, ::-1] + 0.5) / size
        return torch.from_numpy(found[:: len(found) // RIM + 1]).float()

    @cached_property
    def _wanted(self) -> Tensor:
        return torch.from_numpy(self.target.landmarks / self.target.size).float()

    @cached_property
    def _trust(self) -> Tensor:
        trust = self.confidence.clamp(0.05, 1).sqrt() / (EXACT * _extent(self.target.landmarks / self.target.size))
        for part, factor in LOOSENESS:
            trust[part] /= factor
        return trust.float()


def _robust(off: Tensor) -> Tensor:
    """Square near zero, straight far away (Charbonnier)."""
    return (1 + off.square()).sqrt() - 1


def _keep_still(codes: Mapping[str, Tensor]) -> None:
    """Of skin and hair only colours descend, for styles are chosen and not mixed; the gaze has been looked at
    closely.
    """
    for space, parts in {SKIN: (SKIN_TINT, BROW_COLOUR), HAIR: (HAIR_COLOUR,)}.items():
        slope = codes[space].grad
        assert slope is not None
        moving = torch.zeros_like(slope)
        for part in parts:
            moving[part] = 1
        slope.mul_(moving)
    expression = codes[EXPRESSION].grad
    assert expression is not None
    expression[UNSEEN] = 0


def _plausible(codes: Mapping[str, Tensor]) -> None:
    """Brings codes back into their bounds."""
    codes[EXPRESSION].clamp_(0, 1)
    codes[IDENTITY].clamp_(-4, 4)
    skin = codes[SKIN]
    skin[BROW_COLOUR] = skin[BROW_COLOUR].clamp(0.002, 0.5)
    codes[HAIR][HAIR_COLOUR] = codes[HAIR][HAIR_COLOUR].clamp(0.002, 0.95)


def _extent(landmarks: NDArray[np.float64]) -> float:
    """The greater of width and height of what lies between brows and lips, of ``landmarks`` (68, 2), in their units."""
    return float(np.ptp(landmarks[points.RIGHT_BROW.start : points.OUTER_LIPS.stop], axis=0).max())
