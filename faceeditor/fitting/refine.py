"""The per-face refinement: what a photo shows beyond the model's codes, laid into the face's own texture and hair.

Where the photo sees the surface, the ratio of photo and drawing becomes a factor on the albedo there, again and again
until the drawing meets the photo. What the photo does not see is completed by the other half of the face, then
smoothly, then by the model alone. Hair strands get factors of their own in the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, minimum_filter
from scipy.spatial import cKDTree

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes
from faceeditor.fitting.atlas import Atlas, filled, sampled
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.contract import FittableModel, Frame, Quality, Surface

Gains = dict[str, NDArray[Any]]

ALBEDO_GAIN: Final = "albedo_gain"
STRAND_GAIN: Final = "strand_gain"

DARK: Final = 0.008
"""Added to linear colours before ratios are taken."""
SAME_SURFACE: Final = 0.006
"""Metres by which a point may lie behind what is drawn and still be what is seen."""
STRAND_DEPTH: Final = 0.012
"""The same for strands, of which several lie on one another."""
GRAZING: Final = (0.12, 0.45)
"""The cosines of the angles of sight between which a surface begins to count as seen."""
MOST: Final = {"skin": 1.5, "eyeLeft": 0.9, "eyeRight": 0.9, "teethUpper": 0.7, "teethLower": 0.7}
"""The strongest logarithm of a factor by part; other parts are left as they are."""
MOST_STRAND: Final = 1.6
MIRRORED: Final = 0.6
"""How much the other half of the face counts where this half was not seen."""


@dataclass(frozen=True, eq=False)
class _Points:
    """N points of the face: where (N, 2) the photo shows each, how well ``seen`` (N,) it is, and the limits (N, 1)."""

    where: NDArray[np.float64]
    seen: Floats
    most: Floats


class Refiner:
    """Refines one face. ``step`` is called again and again; ``gains`` is the result so far."""

    def __init__(
        self, model: FittableModel, codes: Codes, camera: Camera, target: Target, texels: int, tick: Callable[[], None]
    ) -> None:
        self.model, self.codes, self.camera, self.target, self.tick = model, codes, camera, target, tick
        self.surface = model.surface({name: torch.tensor(np.array(code)) for name, code in codes.items()})
        self.atlas = Atlas.of(self.surface, texels)
        self.head_gain = np.zeros((len(self.atlas.texel), 3), np.float32)
        self.strand_gain = np.zeros((len(self.surface.strands), 3), np.float32)
        self.frame = self._drawn({})
        self.trusted = trusted(target)
        self.on_head = self._head_points()
        self.on_strands = self._strand_points()

    def _drawn(self, gains: Mapping[str, NDArray[Any]]) -> Frame:
        self.tick()
        return self.model.render(self.codes, self.camera, self.target.size, Quality.FULL, gains or None)

    def _head_points(self) -> _Points:
        surface, atlas = self.surface, self.atlas
        head, faces = surface.head.numpy(), surface.faces.numpy()
        places = atlas.carried(head)
        normals = atlas.carried(_normals(head, faces))
        to_eye = self.camera.position() - places
        facing = (normals * to_eye).sum(-1) / np.linalg.norm(normals, axis=-1) / np.linalg.norm(to_eye, axis=-1)
        most = np.zeros(len(faces), np.float32)
        for part, limit in MOST.items():
            start, end = surface.parts[part]
            most[start:end] = limit
        where, seen = self._seen(places, SAME_SURFACE)
        return _Points(where, seen * smoothstep(facing, *GRAZING) * (most[atlas.face] > 0), most[atlas.face][:, None])

    def _strand_points(self) -> _Points:
        where, seen = self._seen(self.surface.strands.numpy(), STRAND_DEPTH)
        return _Points(where, seen, np.full((len(seen), 1), MOST_STRAND, np.float32))

    def _seen(self, places: Floats, slack: float) -> tuple[NDArray[np.float64], Floats]:
        """Pixels (N, 2) that show ``places`` (N, 3), and how much of each is seen and not hidden."""
        size = self.target.size
        where = self.camera.project(places.astype(np.float64), size, size)
        extrinsics = self.camera.extrinsics()
        depth = places @ extrinsics[2, :3] + extrinsics[2, 3]
        front = sampled(np.minimum(self.frame.depth, 100.0)[..., None], where, "nearest")[:, 0]
        trust = sampled((self.trusted * self.frame.alpha)[..., None], where)[:, 0]
        hidden = np.maximum(depth - front, 0) / slack
        return where, np.asarray(trust * (hidden < 1) * (1 - hidden.clip(0, 1) ** 4), np.float32)

    def step(self) -> float:
        """One round. Returns the mean error that was left, in sRGB levels of 0 to 1, before it."""
        drawn = self.frame.rgb_linear / np.maximum(self.frame.alpha, 0.05)[..., None]
        ratio = np.log((self.target.linear + DARK) / (drawn + DARK))
        left = float((np.abs(ratio).mean(-1) * self.trusted).sum() / max(self.trusted.sum(), 1.0))
        self.head_gain = _towards(self.head_gain, ratio, self.on_head)
        self.strand_gain = _towards(self.strand_gain, ratio, self.on_strands)
        self.frame = self._drawn(self.gains())
        return left

    def gains(self) -> Gains:
        """``albedo_gain`` (3, T, T) and, if there is hair, ``strand_gain`` (H, 3), both float16."""
        result: Gains = {ALBEDO_GAIN: self._completed_texture().astype(np.float16)}
        if len(self.strand_gain):
            table = np.zeros((self.surface.strand_count, 3), np.float16)
            table[self.surface.strand.numpy()] = self._completed_strands()
            result[STRAND_GAIN] = table
        return result

    def _completed_texture(self) -> Floats:
        seen = self.on_head.seen[:, None]
        weight = self.atlas.picture(seen)[0]
        values = self.atlas.picture(self.head_gain)
        mirrored = MIRRORED * weight[:, ::-1] * (1 - weight)
        both = (values * weight + values[..., ::-1] * mirrored) / (weight + mirrored + 1e-6)
        known = np.maximum(weight, np.minimum(2 * mirrored, 1))
        free = self.atlas.picture(self.on_head.most)[0] > 0
        return filled(both, known * free, pull=0.02) * _soft(free)

    def _completed_strands(self) -> Floats:
        places, seen = self.surface.strands.numpy(), self.on_strands.seen
        known = np.flatnonzero(seen > 0.3)
        if len(known) < 8:
            return np.zeros_like(self.strand_gain)
        sources = np.concatenate([places[known], places[known] * [-1, 1, 1] + [0.004, 0, 0]])
        gains = np.tile(self.strand_gain[known], (2, 1))
        distance, nearest = cKDTree(sources).query(places, 8)
        share = 1 / (distance[..., None] + 0.003)
        around = (gains[nearest] * share).sum(1) / share.sum(1)
        return np.asarray(seen[:, None] * self.strand_gain + (1 - seen[:, None]) * around, np.float32)


def _towards(gain: Floats, ratio: Floats, points: _Points) -> Floats:
    """``gain`` (N, 3) and the logarithms that ``ratio`` (S, S, 3) shows to be missing, within limits."""
    if not len(gain):
        return gain
    missing = sampled(ratio, points.where)
    return np.asarray(np.clip(gain + missing * (points.seen[:, None] > 0.02), -points.most, points.most), np.float32)


def trusted(target: Target) -> Floats:
    """Where (S, S) the photo surely shows the head: a little inside the mask."""
    rim = max(3, target.size // 64 * 2 + 1)
    sure = minimum_filter(target.mask * target.inside, rim)
    return np.asarray(gaussian_filter(smoothstep(sure, 0.4, 0.8), 0.7), np.float32)


def smoothstep(values: NDArray[np.floating[Any]], low: float, high: float) -> Floats:
    """Zero below ``low``, one above ``high``, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _soft(free: NDArray[np.bool_]) -> Floats:
    """One where ``free`` (T, T) and zero elsewhere."""
    return free.astype(np.float32)


def _normals(places: Floats, faces: NDArray[np.int64]) -> Floats:
    """Area-weighted normals (R, 3), not of unit length."""
    corner = places[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    summed = np.zeros_like(places)
    for index in range(3):
        np.add.at(summed, faces[:, index], across)
    return summed
