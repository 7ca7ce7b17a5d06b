"""Captured pictures as the attribute encoder's training needs them: heads cut out, with all that is known of each."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.camera import TARGET
from faceeditor.faces.layout import DIMS
from faceeditor.fitting.alignment import upright
from faceeditor.rendering.colour import linear_to_srgb, srgb8_to_linear
from training.portrait_shots import reduced
from training.studio.capture import Arrays, camera_of, read_options, read_shard, shard_paths


@dataclass(frozen=True, eq=False)
class AttributeShots:
    """N shots. ``pictures`` (N, 5, H, H) uint8 as :class:`~training.augment.Augment` takes them: sRGB premultiplied by
    coverage, coverage, and none of hair. All positions are fractions of the picture.

    ``landmarks`` (N, 68, 2); ``upright`` (N, 3, 3) the similarity to the default placement; ``rotation`` (N, 3) yaw,
    pitch and roll in degrees; ``middle`` (N, 2) where the point is seen that cameras turn around; ``focal`` (N,) the
    focal length and ``distance`` (N,) metres; ``codes`` (N, dims) by space. Of every ``shots_per_identity`` that follow
    each other all show the same person.
    """

    pictures: Tensor
    landmarks: Tensor
    upright: Tensor
    rotation: Tensor
    middle: Tensor
    focal: Tensor
    distance: Tensor
    codes: Mapping[str, Tensor]
    shots_per_identity: int

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def load(cls, folder: Path, side: int, mean_landmarks: NDArray[np.float64], count: int | None = None) -> Self:
        """The shards that ``training.studio.capture`` has written to ``folder``, or their first ``count`` pictures, at
        ``side`` pixels. ``mean_landmarks`` (68, 3) are those that the portrait network places crops by. Raises
        ``UserError`` when there are none.
        """
        paths = shard_paths(folder)
        if not paths:
            raise UserError(f"There are no pictures in {folder}; take some with python -m training.studio.capture.")
        parts: list[dict[str, Any]] = []
        for path in paths:
            if count is None or sum(len(part["focal"]) for part in parts) < count:
                parts.append(_facts(read_shard(path), side, mean_landmarks))
        joined = {name: torch.cat([part[name] for part in parts])[:count] for name in parts[0]}
        codes = {name: joined.pop(name) for name in DIMS}
        return cls(**joined, codes=codes, shots_per_identity=read_options(folder).shots_per_identity)

    def take(self, chosen: Tensor) -> Self:
        """The shots with the numbers ``chosen`` (B,), each by itself."""
        rows = {name: getattr(self, name)[chosen] for name in ROWS}
        return type(self)(**rows, codes={name: code[chosen] for name, code in self.codes.items()}, shots_per_identity=1)


ROWS: Final = tuple(field.name for field in fields(AttributeShots) if field.type is Tensor)
"""The fields that have one row for each shot, beside the codes."""


def _facts(shard: Arrays, side: int, mean_landmarks: NDArray[np.float64]) -> dict[str, Tensor]:
    cameras = [camera_of(row) for row in shard["camera"]]
    found = shard["landmarks"].astype(np.float64) / shard["picture_srgb"].shape[1]
    poses = [(camera.yaw, camera.pitch, 0.0) for camera in cameras]
    placed = [upright(one, mean_landmarks, pose, 1) for one, pose in zip(found, poses, strict=True)]
    facts = {
        "landmarks": found,
        "upright": np.stack(placed),
        "rotation": np.array([(camera.yaw, camera.pitch, camera.roll) for camera in cameras]),
        "middle": np.stack([camera.project(TARGET[None], 1, 1)[0] for camera in cameras]),
        "focal": np.array([camera.focal for camera in cameras]),
        "distance": np.array([camera.distance for camera in cameras]),
        **{name: shard[name] for name in DIMS},
    }
    pictures = cut_out(shard["picture_srgb"], shard["coverage"], side)
    return {"pictures": pictures, **{name: torch.from_numpy(np.asarray(v, np.float32)) for name, v in facts.items()}}


def cut_out(over_white_srgb: NDArray[np.uint8], coverage: NDArray[np.uint8], side: int) -> Tensor:
    """Pictures (N, 5, side, side) uint8 of pictures (N, H, H, 3) blended over white in linear light, with their
    coverage (N, H, H).
    """
    cut = np.concatenate([over_white_srgb, coverage[..., None], np.zeros_like(coverage[..., None])], axis=-1)
    cut[coverage == 0, :3] = 0
    edge = (coverage > 0) & (coverage < 255)
    share = coverage[edge, None].astype(np.float32) / 255
    straight = linear_to_srgb((srgb8_to_linear(over_white_srgb[edge]) - (1 - share)).clip(0) / share)
    cut[edge, :3] = np.rint(straight.clip(0, 1) * share * 255)
    small = cut if side == cut.shape[1] else np.stack([reduced(picture, side) for picture in cut])
    return torch.from_numpy(small).permute(0, 3, 1, 2)
