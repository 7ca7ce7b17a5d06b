"""How near a glance at a picture comes to the studio's truth: where, what and how it looks, head by head."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.fitting import alignment
from faceeditor.fitting.portrait import Portrait, PortraitReader, analyse
from faceeditor.models.contract import FittableModel
from training.studio.shot import Shot

SIZE: Final = 256
"""Pixels at which pictures are compared."""


@dataclass(frozen=True, eq=False)
class Sight:
    """A studio shot with a background, and what a reading of it as of any photo found there."""

    shot: Shot
    portrait: Portrait

    @property
    def scale(self) -> float:
        """How many pixels of the compared picture one of the shot's becomes."""
        return alignment.scale_of(self._transform)

    @property
    def _transform(self) -> NDArray[np.float64]:
        smaller = SIZE / self.portrait.size
        return np.diag([smaller, smaller, 1.0]) @ self.portrait.transform

    @property
    def landmarks(self) -> NDArray[np.float64]:
        """The true ones (68, 2), in pixels of the compared picture."""
        return alignment.move(self._transform, self.shot.landmarks)

    @property
    def eyes_apart(self) -> float:
        """Of the outer eye corners, as they would be seen from the front, in pixels of the compared picture."""
        corners = self.shot.landmarks_head[[points.LEFT_EYE_CORNER, points.RIGHT_EYE_CORNER]].astype(np.float64)
        camera = self.shot.factors.camera
        pixels = camera.focal * len(self.shot.picture_srgb) / camera.distance
        return float(np.linalg.norm(corners[0] - corners[1]) * pixels * self.scale)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The true world-to-camera rotation (3, 3) of the crop."""
        turn = np.eye(3)
        turn[:2, :2] = self._transform[:2, :2] / self.scale
        return np.asarray(turn @ self.shot.factors.camera.rotation())

    def picture(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The true head over white (S, S, 3), sRGB in [0, 1], and how much of it covers each pixel (S, S)."""
        share = np.repeat((self.shot.coverage[..., None] * 255).round().astype(np.uint8), 3, axis=2)
        inside = alignment.seen(self.shot.coverage.shape, self._transform, SIZE)
        cover = np.where(inside, alignment.warp(share, self._transform, SIZE)[..., 0] / 255, 0.0)
        crop = alignment.warp(self.shot.picture_srgb, self._transform, SIZE) / 255
        return np.where(cover[..., None] > 0.5, crop, 1.0), cover


def sights(shots: Iterable[Shot], reader: PortraitReader) -> list[Sight | None]:
    """What is found in every shot; ``None`` where that is no face."""
    found: list[Sight | None] = []
    for shot in shots:
        try:
            found.append(Sight(shot, analyse(shot.picture_srgb, reader)))
        except UserError:
            found.append(None)
    return found


def errors(sight: Sight, face: Face, model: FittableModel) -> dict[str, float]:
    """``l1`` and ``ssim`` inside the true head, over white; the ``landmarks`` of what is drawn in percent of
    :attr:`Sight.eyes_apart`; the ``pose``, degrees.
    """
    true, cover = sight.picture()
    head = cover > 0.5
    drawn = model.render(face.codes, face.camera, SIZE, refinement=face.refinement or None).over() / 255
    _, similar = structural_similarity(true, drawn, channel_axis=2, data_range=1.0, full=True)  # type: ignore[no-untyped-call]
    off = np.linalg.norm(landmarks_of(face, model) - sight.landmarks, axis=-1)
    return {
        "l1": float(np.abs(drawn - true)[head].mean()),
        "ssim": float(similar[head].mean()),
        "landmarks_percent": float(100 * off.mean() / sight.eyes_apart),
        "pose_degrees": angle(face.camera, sight.rotation),
    }


def landmarks_of(face: Face, model: FittableModel) -> NDArray[np.float64]:
    """The landmarks (68, 2) of what is drawn, in pixels of the compared picture."""
    with torch.no_grad():
        codes = {name: torch.tensor(np.array(code)) for name, code in face.codes.items()}
        places = model.landmarks(codes, face.camera.yaw).double().numpy()
    return face.camera.project(places, SIZE, SIZE)


def angle(camera: Camera, rotation: NDArray[np.float64]) -> float:
    """Degrees between the camera's rotation and another."""
    cosine = (np.sum(camera.rotation() * rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
