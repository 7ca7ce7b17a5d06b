"""The camera: its pinhole and its OpenGL matrix say the same, and its angles turn the way their names say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.faces.camera import FAR, NEAR, TARGET, Camera

CAMERAS = st.builds(
    Camera,
    yaw=st.floats(-180, 180),
    pitch=st.floats(-89, 89),
    roll=st.floats(-180, 180),
    distance=st.floats(0.3, 3),
    field_of_view=st.floats(5, 90),
    pan=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    centre=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
)
POINTS = st.tuples(*[st.floats(-0.12, 0.12)] * 3).map(np.array)
SIZES = st.tuples(st.integers(16, 2048), st.integers(16, 2048))
LEFT_EAR, RIGHT_EAR = np.array([0.08, 0.02, 0.0]), np.array([-0.08, 0.02, 0.0])
CROWN, CHIN, NOSE = np.array([0, 0.15, 0.0]), np.array([0, -0.08, 0.08]), np.array([0, 0.0, 0.09])


def depth(camera, point):
    extrinsics = camera.extrinsics()
    return float(extrinsics[2, :3] @ point + extrinsics[2, 3])


@given(CAMERAS, POINTS, SIZES)
def test_the_clip_matrix_lands_on_the_same_pixel(camera, point, size):
    width, height = size
    clip = camera.projection(width, height) @ [*point, 1.0]
    x, y = (clip[:2] / clip[3] + 1) / 2 * (width, height)
    assert [x, height - y] == pytest.approx(camera.project(point, width, height), abs=1e-6, rel=1e-9)
    assert clip[3] == pytest.approx(depth(camera, point))


@given(CAMERAS)
def test_the_clipping_planes_are_where_they_are_said_to_be(camera):
    forward = camera.rotation()[2]
    for along, wanted in ((NEAR, -1.0), (FAR, 1.0)):
        clip = camera.projection(64, 64) @ [*(camera.position() + along * forward), 1.0]
        assert clip[2] / clip[3] == pytest.approx(wanted, abs=1e-6)


@given(CAMERAS)
def test_the_rotation_is_one(camera):
    rotation = camera.rotation()
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


@given(CAMERAS)
def test_it_stands_at_its_distance_and_looks_at_the_panned_point(camera):
    right, down, forward = camera.rotation()
    orbited = TARGET + camera.pan[0] * right - camera.pan[1] * down
    assert camera.position() == pytest.approx(orbited - camera.distance * forward, abs=1e-9)
    x, y = camera.centre
    assert camera.project(orbited, 200, 100) == pytest.approx([100 + (x - 0.5) * 100, y * 100], abs=1e-9)


def test_from_the_front_the_subjects_left_is_on_the_right_and_up_is_up():
    camera = Camera()
    assert camera.project(LEFT_EAR, 256, 256)[0] > 128 > camera.project(RIGHT_EAR, 256, 256)[0]
    assert camera.project(CROWN, 256, 256)[1] < camera.project(CHIN, 256, 256)[1]
    assert depth(camera, NOSE) < depth(camera, LEFT_EAR)


@given(st.floats(1, 90))
def test_positive_yaw_shows_the_subjects_left_side(yaw):
    camera = Camera(yaw=yaw)
    assert camera.position()[0] > 0
    assert depth(camera, LEFT_EAR) < depth(camera, RIGHT_EAR)
    assert camera.project(NOSE, 256, 256)[0] < 128


@given(st.floats(1, 80))
def test_positive_pitch_looks_down_from_above(pitch):
    camera = Camera(pitch=pitch)
    assert camera.position()[1] > TARGET[1]
    assert camera.rotation()[2, 1] < 0
    assert camera.project(NOSE, 256, 256)[1] > Camera().project(NOSE, 256, 256)[1]


@given(st.floats(1, 90))
def test_positive_roll_turns_the_head_counter_clockwise(roll):
    x, y = Camera(roll=roll).project(CROWN, 256, 256) - 128
    assert x < 0
    straight = Camera().project(CROWN, 256, 256) - 128
    cos, sin = np.cos(np.radians(-roll)), np.sin(np.radians(-roll))
    turned = np.array([[cos, -sin], [sin, cos]]) @ straight
    assert [x, y] == pytest.approx(turned, abs=1e-6)


def test_panning_moves_the_view_so_the_head_goes_the_other_way():
    still = Camera().project(NOSE, 256, 256)
    assert Camera(pan=(0.02, 0.0)).project(NOSE, 256, 256)[0] < still[0]
    assert Camera(pan=(0.0, 0.02)).project(NOSE, 256, 256)[1] > still[1]


@given(CAMERAS, POINTS, st.integers(16, 512))
def test_one_camera_serves_every_resolution(camera, point, size):
    assert 4 * camera.project(point, size, size) == pytest.approx(camera.project(point, 4 * size, 4 * size))


@given(st.floats(5, 90), st.floats(0.3, 3))
def test_the_field_of_view_is_the_pictures_height(angle, distance):
    half = distance * np.tan(np.radians(angle) / 2)
    top = Camera(field_of_view=angle, distance=distance).project(TARGET + np.array([0, half, 0]), 300, 100)
    assert top == pytest.approx([150, 0], abs=1e-6)


def test_replace_keeps_the_rest():
    camera = Camera(yaw=3, pitch=4)
    assert camera.replace(yaw=5.0) == Camera(yaw=5, pitch=4)
    assert camera == Camera(yaw=3, pitch=4)
