import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceeditor.faces.camera import Camera
from faceeditor.fitting import alignment

angles = st.floats(-170, 170)
scales = st.floats(0.05, 20)
shifts = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


@given(angles, scales, shifts)
def test_similarity_finds_the_transform_that_moved_the_points(degrees, scale, shift):
    source = np.random.default_rng(0).uniform(0, 100, (12, 2))
    truth = alignment.compose(scale, degrees, np.array([50.0, 50.0]), np.array(shift))
    found = alignment.similarity(source, alignment.move(truth, source))
    np.testing.assert_allclose(alignment.move(found, source), alignment.move(truth, source), atol=1e-6)
    assert alignment.scale_of(found) == pytest.approx(scale)


def test_similarity_heeds_the_weights():
    source = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    target = source + 5.0
    target[3] += 100
    found = alignment.similarity(source, target, np.array([1.0, 1, 1, 0]))
    np.testing.assert_allclose(alignment.move(found, source[:3]), target[:3], atol=1e-9)


def test_similarity_refuses_coinciding_points():
    with pytest.raises(ValueError, match="coincide"):
        alignment.similarity(np.ones((3, 2)), np.eye(3, 2))


@given(st.floats(-89, 89), st.floats(-60, 60), st.floats(-170, 170))
def test_pose_of_reads_the_cameras_angles_back(yaw, pitch, roll):
    rotation = Camera(yaw=yaw, pitch=pitch, roll=roll).rotation()
    np.testing.assert_allclose(alignment.pose_of(rotation), (yaw, pitch, roll), atol=1e-6)


def head_points():
    """A cloud of the size of a face, in head space metres; not symmetric, so that every pose looks different."""
    return np.random.default_rng(3).normal(0, 1, (68, 3)) * [0.045, 0.05, 0.025] + [0.0, 0.0, 0.07]


@settings(max_examples=25, deadline=None)
@given(st.floats(-80, 80), st.floats(-35, 35), st.floats(-60, 60))
def test_pose_from_landmarks_and_upright_undo_a_camera(yaw, pitch, roll):
    points = head_points()
    camera = Camera(yaw=yaw, pitch=pitch, roll=roll)
    seen = camera.project(points, 300, 300) * 1.7 + [40, -25]
    found = alignment.pose_from_landmarks(seen, points, (yaw + 8, pitch - 8, 0.0))
    np.testing.assert_allclose(found, (yaw, pitch, roll), atol=0.05)
    transform = alignment.upright(seen, points, found, 512)
    expected = Camera(yaw=yaw, pitch=pitch).project(points, 512, 512)
    np.testing.assert_allclose(alignment.move(transform, seen), expected, atol=0.5)


def gradient_photo(height, width):
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    return np.stack([columns, rows, 0 * rows + 128], axis=-1)


@pytest.mark.parametrize("degrees", [0, 30, -75])
def test_warp_puts_every_photo_pixel_where_the_transform_says(degrees):
    photo = gradient_photo(200, 240)
    transform = alignment.compose(0.8, degrees, np.array([120.0, 100.0]), np.array([48.0, 48.0]))
    crop = alignment.warp(np.rint(photo).astype(np.uint8), transform, 96)
    inside = alignment.seen(photo.shape, transform, 96)
    centres = np.stack(np.meshgrid(np.arange(96) + 0.5, np.arange(96) + 0.5), axis=-1)
    expected = alignment.move(alignment.inverted(transform), centres)
    assert inside.mean() > 0.9
    away = np.abs(crop[..., :2] - expected)[inside]
    assert away.max() < 2.5
    assert away.mean() < 0.6


def test_warp_of_a_large_photo_averages_instead_of_skipping():
    checks = np.indices((900, 900)).sum(0) % 2 * 255
    photo = np.repeat(checks[..., None], 3, -1).astype(np.uint8)
    crop = alignment.warp(photo, alignment.compose(0.1, 0, np.zeros(2), np.zeros(2)), 90)
    assert np.abs(crop.astype(float) - 127.5).max() < 4


def test_beyond_the_photo_its_edge_goes_on_and_is_not_called_inside():
    photo = np.full((50, 50, 3), 200, np.uint8)
    photo[:, 25:] = 40
    transform = alignment.compose(1.0, 0, np.zeros(2), np.array([10.0, 10.0]))
    crop = alignment.warp(photo, transform, 80)
    assert (crop[:, 5] == 200).all()
    assert (crop[:, 70] == 40).all()
    inside = alignment.seen(photo.shape, transform, 80)
    assert inside[10:60, 10:60].all()
    assert inside.sum() == 2500
