"""Whether two pictures of a face from near-by cameras show one and the same head.

HeadNeRF (Hong et al., CVPR 2022) claims consistent views and shows them; here they are measured: a picture is warped by
its own depth to where the head is turned by a few degrees, and compared with what the model draws there.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes
from faceeditor.models.contract import Frame, RadianceModel
from training.losses import psnr

TURN: Final = 5.0
"""Degrees that the second camera is turned by."""
HIDDEN: Final = 0.006
"""Metres by which a point may lie behind what the second camera sees and still be what it sees."""
SOLID: Final = 0.98
"""The least opacity that is compared."""


def consistency(model: RadianceModel, codes: Codes, camera: Camera, size: int) -> float:
    """PSNR in dB, in sRGB, of a face from ``camera`` against the same one turned and warped back, where both see it."""
    turned = camera.replace(yaw=camera.yaw + TURN)
    first, second = (model.render(codes, one, size) for one in (camera, turned))
    places, depth = seen_from(first, camera, turned)
    inside = ((places > 0.5) & (places < size - 0.5)).all(-1)
    alpha, found = (
        _sampled(values, places) for values in (second.alpha, np.where(second.alpha > SOLID, second.depth, np.inf))
    )
    both = inside & (first.alpha > SOLID) & (alpha > SOLID) & (depth < found + HIDDEN)
    warped = np.stack([_sampled(channel, places) for channel in np.moveaxis(second.over() / 255, -1, 0)])
    drawn = np.moveaxis(first.over() / 255, -1, 0)
    return psnr(torch.from_numpy(warped), torch.from_numpy(drawn), torch.from_numpy(both))


def seen_from(frame: Frame, camera: Camera, other: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the pixels of a frame of ``camera``, at their depths, lie in the picture of the ``other`` camera (H, W, 2),
    and how deep (H, W), metres.
    """
    height, width = frame.depth.shape
    depth = np.where(np.isfinite(frame.depth), frame.depth, camera.distance).astype(np.float64)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(camera.intrinsics(width, height)).T
    points = (rays * depth[..., None]) @ camera.rotation() + camera.position()
    extrinsics = other.extrinsics()
    return other.project(points, width, height), points @ extrinsics[2, :3] + extrinsics[2, 3]


def _sampled(values: NDArray[np.floating], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """``values`` (H, W) at ``places`` (H, W, 2) in pixels."""
    found: NDArray[np.float64] = map_coordinates(
        values.astype(np.float64), [places[..., 1] - 0.5, places[..., 0] - 0.5], order=1, mode="nearest"
    )
    return found
