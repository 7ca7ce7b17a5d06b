"""Portrait analysis on a real photo: skimage's astronaut, whose landmarks below were read off a magnified print."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.fitting import alignment
from faceeditor.fitting.portrait import analyse
from faceeditor.models.bundle import load_model

ASTRONAUT = {
    36: (192, 101), 39: (212, 101.5), 42: (237, 104.5), 45: (259, 104), 30: (223.5, 126), 33: (225, 132),
    48: (203, 139.5), 54: (247, 139), 51: (222, 140), 57: (222, 154), 8: (222, 178),
    17: (190, 90), 21: (213, 92), 22: (239, 94), 26: (262, 96),
}  # fmt: skip
EYES = 67.0
"""Pixels between the outer eye corners."""


@pytest.fixture(scope="module")
def network():
    return load_model("portrait-studio")


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


@pytest.fixture(scope="module")
def portrait(network, astronaut):
    return analyse(astronaut, network)


def error_percent(landmarks):
    """Mean distance to the annotated points in percent of the distance between the outer eye corners."""
    away = [np.linalg.norm(landmarks[index] - place) for index, place in ASTRONAUT.items()]
    return 100 * np.mean(away) / EYES


def assert_similarity(transform):
    linear = transform[:2, :2]
    np.testing.assert_allclose(linear @ linear.T, np.linalg.det(linear) * np.eye(2), atol=1e-9)
    assert np.linalg.det(linear) > 0
    np.testing.assert_array_equal(transform[2], [0, 0, 1])


def test_landmarks_lie_on_the_face(portrait):
    assert error_percent(portrait.photo_landmarks) < 7


def test_the_crop_is_upright_square_and_never_stretched(portrait):
    assert portrait.crop_srgb.shape == (512, 512, 3)
    assert_similarity(portrait.transform)
    down = portrait.landmarks[points.CHIN] - portrait.landmarks[27]
    assert abs(np.degrees(np.arctan2(down[0], down[1]))) < 8
    assert ((portrait.landmarks > 30) & (portrait.landmarks < 482)).all()


def test_left_and_right_and_up_and_down_are_told_apart(portrait):
    found = portrait.landmarks
    nose = found[points.NOSE_TIP]
    assert found[points.RIGHT_EYE, 0].max() < nose[0] < found[points.LEFT_EYE, 0].min()
    assert found[points.RIGHT_EYE, 1].max() < nose[1] < found[points.OUTER_LIPS, 1].min()
    assert found[points.OUTER_LIPS, 1].max() < found[points.CHIN, 1]


def test_pose_is_frontal_and_confident(portrait):
    yaw, pitch, roll = portrait.pose
    assert abs(yaw) < 15
    assert abs(pitch) < 20
    assert abs(roll) < 8
    assert portrait.presence > 0.9
    assert portrait.confidence.shape == (68,)
    assert portrait.confidence.mean() > 0.5


def test_the_mask_covers_face_and_hair_but_not_the_background(portrait):
    into_crop = alignment.move(
        portrait.transform, np.array([[222.0, 120.0], [220.0, 45.0], [330.0, 40.0], [120.0, 90.0]])
    )
    face, hair, right, left = (portrait.mask[int(y), int(x)] for x, y in into_crop)
    assert face > 0.9
    assert hair > 0.8
    assert right < 0.2
    assert left < 0.2
    assert (portrait.mask[~portrait.inside] == 0).all()


def test_a_turned_photo_gives_the_same_face(network, astronaut):
    turned = np.asarray(Image.fromarray(astronaut).rotate(30, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90)))
    found = analyse(turned, network)
    assert_similarity(found.transform)
    back = alignment.compose(1.0, 30, np.array([256.0, 256.0]), np.array([256.0, 256.0]))
    assert error_percent(alignment.move(back, found.photo_landmarks)) < 8
    down = found.landmarks[points.CHIN] - found.landmarks[27]
    assert abs(np.degrees(np.arctan2(down[0], down[1]))) < 8


def test_a_mirrored_photo_gives_mirrored_landmarks(network, astronaut, portrait):
    found = analyse(np.ascontiguousarray(astronaut[:, ::-1]), network)
    back = found.photo_landmarks[points.MIRROR] * [-1, 1] + [512, 0]
    away = np.linalg.norm(back - portrait.photo_landmarks, axis=-1)
    assert 100 * away.mean() / EYES < 4
    assert found.pose[0] == pytest.approx(-portrait.pose[0], abs=4)


def test_a_large_photo_gives_the_same_landmarks(network, astronaut, portrait):
    large = np.asarray(Image.fromarray(astronaut).resize((2048, 2048), Image.Resampling.BICUBIC))
    found = analyse(large, network)
    away = np.linalg.norm(found.photo_landmarks / 4 - portrait.photo_landmarks, axis=-1)
    assert 100 * away.mean() / EYES < 4


def test_no_face_is_one_sentence_that_says_what_to_do(network):
    with pytest.raises(UserError, match="by hand"):
        analyse(data.brick()[..., None].repeat(3, -1), network)
    with pytest.raises(UserError, match="by hand"):
        analyse(np.full((40, 300, 3), 255, np.uint8), network)


def test_the_artists_box_is_where_the_head_is_looked_for(network, astronaut):
    both = np.concatenate([astronaut, astronaut], axis=1)
    for shift in (0, 512):
        found = analyse(both, network, box=(shift + 182, 78, shift + 268, 182))
        assert error_percent(found.photo_landmarks - [shift, 0]) < 8


@pytest.mark.parametrize("box", [(200, 80, 200, 180), (600, 80, 700, 180), (260, 180, 190, 80)])
def test_a_box_that_cannot_be_meant_is_refused(network, astronaut, box):
    with pytest.raises(UserError, match="draw it again"):
        analyse(astronaut, network, box=box)


def test_the_artists_landmarks_are_taken_as_they_are(network, astronaut, portrait):
    corrected = portrait.photo_landmarks.copy()
    corrected[points.CHIN] += [0, 6]
    found = analyse(astronaut, network, landmarks=corrected)
    np.testing.assert_allclose(found.photo_landmarks, corrected, atol=1e-6)
    assert (found.confidence == 1).all()
    assert_similarity(found.transform)
    assert found.pose[0] == pytest.approx(portrait.pose[0], abs=10)


def test_landmarks_that_cannot_be_meant_are_refused(network, astronaut):
    for wrong in (np.zeros((68, 2)), np.zeros((5, 2)), np.full((68, 2), np.nan)):
        with pytest.raises(UserError, match="68 points"):
            analyse(astronaut, network, landmarks=wrong)
