import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.faces.camera import TARGET, Camera
from faceeditor.gui import navigation

turns = st.floats(-80, 80)
cameras = st.builds(
    Camera,
    yaw=turns,
    pitch=st.floats(-50, 50),
    distance=st.floats(0.5, 2.0),
    field_of_view=st.floats(15, 50),
    pan=st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)),
)
moves = st.floats(-0.2, 0.2)


def centre(camera, size=512):
    return camera.project(TARGET, size, size)


@given(cameras, moves, moves)
def test_the_point_under_the_mouse_stays_under_it(camera, right, down):
    moved = centre(navigation.pan(camera, right, down)) - centre(camera)
    limited = np.abs(navigation.pan(camera, right, down).pan).max() >= navigation.PAN_LIMIT
    assert limited or np.allclose(moved, [right * 512, down * 512], atol=1e-6)


@given(cameras, st.floats(0.01, 0.2))
def test_the_head_turns_after_the_mouse(camera, move):
    nose = TARGET + camera.rotation()[2] * -0.1  # the side of the head that faces the camera
    turned = navigation.orbit(camera, move, 0.0)
    assert turned.yaw == -navigation.YAW_LIMIT or turned.project(nose, 512, 512)[0] > camera.project(nose, 512, 512)[0]
    tilted = navigation.orbit(camera, 0.0, move)
    at_limit = tilted.pitch == navigation.PITCH_LIMIT
    assert at_limit or tilted.project(nose, 512, 512)[1] > camera.project(nose, 512, 512)[1]


@given(cameras, st.floats(-4, 4))
def test_another_lens_keeps_the_size_of_the_head(camera, steps):
    changed = navigation.change_lens(camera, steps)
    inside = navigation.DISTANCES[0] < changed.distance < navigation.DISTANCES[1]
    assert not inside or np.isclose(changed.focal / changed.distance, camera.focal / camera.distance)


@given(cameras, st.floats(-300, 300), moves, moves)
def test_nothing_leaves_its_limits(camera, steps, right, down):
    moved = navigation.pan(navigation.orbit(navigation.zoom(camera, steps), right * 50, down * 50), right * 50, down)
    moved = navigation.change_lens(moved, steps)
    assert navigation.DISTANCES[0] <= moved.distance <= navigation.DISTANCES[1]
    assert navigation.FIELDS_OF_VIEW[0] <= moved.field_of_view <= navigation.FIELDS_OF_VIEW[1]
    assert abs(moved.yaw) <= navigation.YAW_LIMIT
    assert abs(moved.pitch) <= navigation.PITCH_LIMIT
    assert np.abs(moved.pan).max() <= navigation.PAN_LIMIT
