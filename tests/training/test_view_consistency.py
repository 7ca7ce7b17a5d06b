"""Views of one head agree as far as the model's pictures are of one head."""

import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes
from faceeditor.models.contract import Frame
from training.view_consistency import consistency, seen_from

CAMERA = Camera(yaw=15.0, pitch=5.0, distance=0.8)


class Ball:
    """A ball of 10 cm with stripes that stand in head space, or, if ``painted``, in the picture."""

    name, spaces = "ball", {}

    def __init__(self, painted: bool = False) -> None:
        self.painted = painted

    def render(self, codes: Codes, camera: Camera, size: int, *_) -> Frame:
        y, x = np.mgrid[0:size, 0:size] + 0.5
        rays = (
            np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.intrinsics(size, size)).T @ camera.rotation()
        )
        start = camera.position()
        a, b, c = (rays**2).sum(-1), rays @ start, start @ start - 0.01
        root = b**2 - a * c
        hit = root > 0
        depth = np.where(hit, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        points = start + np.where(hit, depth, 0)[..., None] * rays
        grey = 0.5 + 0.4 * np.sin(60 * (x / 400 if self.painted else points[..., 0]))
        rgb = np.repeat((grey * hit)[..., None], 3, -1).astype(np.float32)
        return Frame(rgb, hit.astype(np.float32), depth.astype(np.float32))


def test_a_ball_is_consistent_and_one_painted_on_the_picture_is_not():
    right, wrong = (consistency(Ball(painted), {}, CAMERA, 128) for painted in (False, True))
    assert right > 38
    assert wrong < 25


def test_pixels_are_found_where_another_camera_sees_them():
    frame = Ball().render({}, CAMERA, 64)
    places, depth = seen_from(frame, CAMERA, CAMERA)
    y, x = np.mgrid[0:64, 0:64] + 0.5
    assert places == pytest.approx(np.stack([x, y], -1), abs=1e-6)
    hit = np.isfinite(frame.depth)
    assert depth[hit] == pytest.approx(frame.depth[hit], abs=1e-6)
