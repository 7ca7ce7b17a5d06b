"""The per-face refinement: what a photo shows beyond the model's codes, laid into the face's own texture and hair.

Where the photo sees the surface, the ratio of photo and drawing becomes a factor on the albedo there, again and again
until the drawing meets the photo. What the photo does not see is completed by the other half of the face, then
smoothly by what is typical of this face. Hair is coloured in the same way, over the directions from the middle of the
skull instead of an atlas.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, minimum_filter

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes
from faceeditor.fitting.atlas import Atlas, filled, sampled, splatted
from faceeditor.fitting.easel import Gains, without_hair
from faceeditor.fitting.hair_look import strands_of
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.appearance import around_skull
from faceeditor.models.contract import FittableModel, Frame, Quality
from faceeditor.models.layers import tensors

ALBEDO_GAIN: Final = "albedo_gain"
HAIR_GAIN: Final = "hair_gain"

T = TypeVar("T", bound=np.floating[Any])

HAIR_TEXELS: Final = 256
"""Texels around the skull, H: about as fine as the photo's pixels, so that few texels have none."""
DARK: Final = 0.008
"""Added to linear colours before ratios are taken."""
SAME_SURFACE: Final = 0.006
"""Metres by which a point may lie behind what is drawn and still be what is seen."""
GRAZING: Final = (0.12, 0.45)
"""The cosines of the angles of sight between which a surface begins to count as seen."""
MOST: Final = {
    "skin": 2.5,
    "eyeLeft": 0.9,
    "eyeRight": 0.9,
    "mouth": 3.0,
    "teethUpper": 2.0,
    "teethLower": 2.0,
    "gums": 3.0,
    "tongue": 3.0,
}
"""The strongest logarithm of a factor by part; other parts are left as they are."""
MOST_HAIR: Final = 1.6
LARGEST_STEP: Final = 0.8
KEPT_HEAD: Final = 0.97
KEPT_HAIR: Final = 0.97
"""A round changes a factor's logarithm by no more than a step, and keeps this share of it: where a pixel shows more
than one thing, no factor can make it right, and none may run away."""
MOST_HUE: Final = 0.6
MOST_HUE_OF_HAIR: Final = 0.42
"""How far a factor's logarithm in one colour may lie from the mean of all three, beyond what is typical of the face."""
MIRRORED: Final = 0.6
"""How much the other half of the face counts where this half was not seen."""
REST: Final = 0.3
"""How soon what lies far from everything seen becomes typical."""


@dataclass(frozen=True, eq=False)
class _Texels:
    """N texels of the head: the pixels ``where`` (N, 2) that show them, how well ``seen`` (N,) they are, the strongest
    factor ``most`` (N, 1), and whether they are of the ``face`` (N,), whose colour is typical.
    """

    where: NDArray[np.float64]
    seen: Floats
    most: Floats
    face: NDArray[np.bool_]


class Refiner:
    """Refines one face, beginning with the refinement ``start`` and drawn in ``quality``. ``step`` is called again and
    again; ``gains`` is the result so far.
    """

    def __init__(
        self,
        model: FittableModel,
        codes: Codes,
        start: Gains,
        camera: Camera,
        target: Target,
        texels: int,
        tick: Callable[[], None],
        quality: Quality = Quality.FULL,
    ) -> None:
        self.model, self.codes, self.camera, self.target, self.tick = model, codes, camera, target, tick
        self.start, self.quality = start, quality
        self.atlas = Atlas.of(model.surface(tensors(codes)), texels)
        self.trusted = trusted(target)
        self.frame = self._drawn(codes, start)
        self.texels = self._seen_texels()
        self.hair = self._hair_pixels()
        self.head_gain = np.zeros((len(self.atlas.texel), 3), np.float32)
        self.hair_gain = np.zeros((3, HAIR_TEXELS // 2, HAIR_TEXELS), np.float32)
        self.hair_seen = np.zeros(self.hair_gain.shape[1:], np.float32)

    def _drawn(self, codes: Codes, gains: Gains) -> Frame:
        self.tick()
        return self.model.render(codes, self.camera, self.target.size, self.quality, gains or None)

    def _seen_texels(self) -> _Texels:
        surface, atlas, size = (
            self.model.surface(tensors(self.codes), tensors(self.start)),
            self.atlas,
            self.target.size,
        )
        head, faces = surface.head.numpy(), surface.faces.numpy()
        places, normals = atlas.carried(head), atlas.carried(area_normals(head, faces))
        to_eye = self.camera.position() - places
        facing = (normals * to_eye).sum(-1) / np.linalg.norm(normals, axis=-1) / np.linalg.norm(to_eye, axis=-1)
        most = np.zeros(len(faces), np.float32)
        for part, limit in MOST.items():
            start, end = surface.parts[part]
            most[start:end] = limit
        most = most[atlas.face]
        where = self.camera.project(places.astype(np.float64), size, size)
        seen = self._unhidden(places, where) * smoothstep(facing, *GRAZING) * (most > 0)
        face = sampled(self.target.face[..., None].astype(np.float32), where)[:, 0] > 0.5
        return _Texels(where, seen, most[:, None], face & (seen > 0.5))

    def _unhidden(self, places: Floats, where: NDArray[np.float64]) -> Floats:
        """How much (N,) of ``places`` (N, 3), at pixels ``where`` (N, 2), the photo shows, nothing lying before
        them.
        """
        extrinsics = self.camera.extrinsics()
        depth = places @ extrinsics[2, :3] + extrinsics[2, 3]
        nearest = minimum_filter(np.minimum(self.frame.depth, 100.0), 3)
        front = sampled(nearest[..., None], where, "nearest")[:, 0]
        trust = sampled((self.trusted * self.frame.alpha)[..., None], where)[:, 0]
        hidden = (np.maximum(depth - front, 0) / SAME_SURFACE).clip(0, 1)
        return np.asarray(trust * (1 - hidden**4), np.float32)

    def _hair_pixels(self) -> Floats:
        """How much (S, S) each pixel shows hair, in the photo and in the drawing."""
        bald = self._drawn(without_hair(dict(self.codes)), self.start)
        strands = strands_of(self.frame.rgb_linear, self.frame.alpha, (bald.rgb_linear, bald.alpha))
        return np.asarray(minimum_filter(strands, 3) * self.trusted * (self.frame.alpha > 0.3), np.float32)

    def step(self) -> None:
        """One round."""
        drawn = self.frame.rgb_linear / np.maximum(self.frame.alpha, 0.05)[..., None]
        ratio = np.log((self.target.linear + DARK) / (drawn + DARK)).clip(-LARGEST_STEP, LARGEST_STEP)
        ratio = np.asarray(ratio, np.float32)
        self._step_head(ratio)
        self._step_hair(ratio)
        self.frame = self._drawn(self.codes, self.gains())

    def _step_head(self, ratio: Floats) -> None:
        texels = self.texels
        wanted = KEPT_HEAD * self.head_gain + sampled(ratio, texels.where)
        typical = self._typical(wanted)
        self.head_gain = _limited(wanted, typical, texels.most, MOST_HUE) * (texels.seen[:, None] > 0.02)

    def _step_hair(self, ratio: Floats) -> None:
        rows, columns = np.nonzero((self.hair > 0.05) & np.isfinite(self.frame.depth))
        if len(rows) < 8:
            return
        uv = around_skull(torch.from_numpy(self._unprojected(rows, columns))).numpy()
        height, width = self.hair_gain.shape[1:]
        texel = np.stack([uv[:, 0] * width, (1 - uv[:, 1]) * height], axis=-1)
        wanted = KEPT_HAIR * sampled(self.hair_gain.transpose(1, 2, 0), texel) + 0.8 * ratio[rows, columns]
        wanted = _limited(wanted, np.median(wanted, axis=0), np.float32(MOST_HAIR), MOST_HUE_OF_HAIR)
        self.hair_gain, weight = splatted(wanted, self.hair[rows, columns], uv, (height, width))
        self.hair_seen = np.minimum(weight * 4, 1)

    def _unprojected(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
        """Where (N, 3) pixels see what was drawn."""
        k, extrinsics = self.camera.intrinsics(self.target.size, self.target.size), self.camera.extrinsics()
        depth = self.frame.depth[rows, columns]
        x, y = (columns + 0.5 - k[0, 2]) / k[0, 0], (rows + 0.5 - k[1, 2]) / k[1, 1]
        seen = np.stack([x, y, np.ones(len(x))], axis=-1) * depth[:, None]
        return np.asarray((seen - extrinsics[:, 3]) @ extrinsics[:, :3], np.float32)

    def _typical(self, gain: Floats) -> Floats:
        """The median (3,) over the bare face of gains (N, 3)."""
        face = self.texels.face if self.texels.face.any() else self.texels.seen > 0
        return np.asarray(np.median(gain[face], axis=0) if face.any() else np.zeros(3), np.float32)

    def gains(self) -> Gains:
        """``albedo_gain`` (3, T, T) and, if there is hair, ``hair_gain`` (3, H / 2, H), both float16."""
        texture = self.atlas.picture(self.head_gain)
        seen, free = self.atlas.picture(np.concatenate([self.texels.seen[:, None], self.texels.most], axis=1))
        result = {**self.start, ALBEDO_GAIN: completed(texture, seen, self._typical(self.head_gain)) * (free > 0)}
        if self.hair_seen.any():
            typical = np.median(self.hair_gain[:, self.hair_seen > 0.5], axis=1)
            result[HAIR_GAIN] = completed(self.hair_gain, self.hair_seen, typical)
        return {name: np.asarray(value, np.float16) for name, value in result.items()}


def completed(texture: Floats, seen: Floats, typical: Floats) -> Floats:
    """``texture`` (3, H, W) where it was ``seen`` (H, W); elsewhere its mirror image, and then ``typical`` (3,)
    values.
    """
    values = texture - typical[:, None, None]
    mirrored = MIRRORED * seen[:, ::-1] * (1 - seen)
    both = (values * seen + values[..., ::-1] * mirrored) / (seen + mirrored + 1e-6)
    known = np.maximum(seen, np.minimum(2 * mirrored, 1))
    return filled(np.asarray(both, np.float32), known, REST) + typical[:, None, None]


def _limited(gain: Floats, typical: Floats, most: Floats | np.float32, most_hue: float) -> Floats:
    """``gain`` (N, 3) within limits around what is typical: in brightness, and closer in hue."""
    grey = (gain - typical).mean(-1, keepdims=True)
    hue = gain - typical - grey
    return np.asarray(typical + grey.clip(-most, most) + hue.clip(-most_hue, most_hue), np.float32)


def trusted(target: Target) -> Floats:
    """Where (S, S) the photo surely shows the head: a little inside the mask."""
    rim = max(3, target.size // 64 * 2 + 1)
    sure = minimum_filter(target.mask * target.inside, rim)
    return np.asarray(gaussian_filter(smoothstep(sure, 0.4, 0.8), 0.7), np.float32)


def smoothstep(values: NDArray[np.floating[Any]], low: float, high: float) -> Floats:
    """Zero below ``low``, one above ``high``, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def area_normals(places: NDArray[T], faces: NDArray[np.int64]) -> NDArray[T]:
    """Area-weighted normals (R, 3) of ``places`` (R, 3) that ``faces`` (F, 3) join, not of unit length."""
    corner = places[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    summed = np.zeros_like(places)
    for index in range(3):
        np.add.at(summed, faces[:, index], across)
    return summed
