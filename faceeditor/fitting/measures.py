"""How closely a fitted face meets its photo."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from skimage.metrics import structural_similarity

from faceeditor.faces import landmarks as points
from faceeditor.faces.face import Face
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.target import Target
from faceeditor.models.contract import FittableModel

SIZE: Final = 256
"""Pixels at which pictures are compared."""
RIM: Final = 3
"""Pixels of the head's outline that are left out, at that size."""


def head_region(target: Target) -> NDArray[np.bool_]:
    """The pixels (S, S) "inside the head": the photo's head mask above the chin, less a rim of three pixels.

    It is told by the photo alone, so that head or hair that the model fails to cover counts as an error.
    """
    rows = np.arange(target.size) + 0.5
    head = (target.mask * target.inside > 0.5) & (rows < target.landmarks[points.JAW, 1].max())[:, None]
    return np.asarray(minimum_filter(head, 2 * RIM + 1), np.bool_)


def measure(face: Face, portrait: Portrait, model: FittableModel) -> dict[str, float]:
    """``psnr`` (dB) and ``ssim`` of the face over white against the photo inside the head (:func:`head_region`), in
    sRGB at 256 pixels; ``psnr_covered``, the same where the face is drawn as well, and ``covered_percent``, how much
    of the photo's head that is; ``landmark_error_percent``, the landmarks' mean distance in percent of that of the
    outer eye corners.
    """
    target = Target.of(portrait, SIZE)
    frame = model.render(face.codes, face.camera, SIZE, refinement=face.refinement or None)
    drawn = frame.over() / 255
    region = head_region(target)
    covered = region & (frame.alpha > 0.5)
    _, similar = structural_similarity(  # type: ignore[no-untyped-call]
        target.srgb, drawn.astype(np.float32), channel_axis=2, data_range=1.0, full=True
    )
    with torch.no_grad():
        codes = {name: torch.tensor(np.array(code)) for name, code in face.codes.items()}
        places = model.landmarks(codes, face.camera.yaw).double().numpy()
    off = np.linalg.norm(face.camera.project(places, SIZE, SIZE) - target.landmarks, axis=-1)
    return {
        "psnr": _psnr(drawn, target.srgb, region),
        "psnr_covered": _psnr(drawn, target.srgb, covered),
        "covered_percent": float(100 * covered.sum() / max(region.sum(), 1)),
        "ssim": float(similar[region].mean()) if region.any() else 0.0,
        "landmark_error_percent": float(100 * off.mean() / points.eye_distance(target.landmarks)),
    }


def _psnr(drawn: NDArray[np.floating], seen: NDArray[np.floating], region: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio in dB of pictures (S, S, 3) in [0, 1] over ``region``; 0 for an empty one."""
    squared = float(((drawn - seen)[region] ** 2).mean()) if region.any() else 1.0
    return float(-10 * np.log10(max(squared, 1e-10)))
