import numpy as np
import pytest

from faceeditor.engine.exports import QUALITIES
from faceeditor.engine.requests import Pace, background_of, compose
from faceeditor.errors import UserError
from faceeditor.fitting.photo import PLANS
from faceeditor.models.contract import Frame


def test_backgrounds_are_names_or_colours():
    assert background_of("white") == (1.0, 1.0, 1.0)
    assert background_of("transparent") is None
    assert background_of("#ff8000") == pytest.approx((1.0, 0.2159, 0.0), abs=1e-3)
    photo = np.zeros((4, 4, 3), np.uint8)
    assert background_of("photo", photo) is photo
    for wrong in ("blue", "#12", "#gggggg", "#1234567", "", "# 12345"):
        with pytest.raises(UserError, match="not a background"):
            background_of(wrong)
    with pytest.raises(UserError, match="not made from a photo"):
        background_of("photo")


def test_composing_lets_the_background_through_where_nothing_is():
    alpha = np.array([[0.0, 1.0], [0.5, 0.0]], np.float32)
    frame = Frame(np.zeros((2, 2, 3), np.float32), alpha, alpha)
    assert compose(frame, (1.0, 1.0, 1.0))[..., 0].tolist() == [[255, 0], [188, 255]]
    assert compose(frame, None)[..., 3].tolist() == [[0, 255], [128, 0]]
    photo = np.full((8, 8, 3), 100, np.uint8)
    assert compose(frame, photo)[0].tolist() == [[100] * 3, [0] * 3]


def test_coarse_frames_shrink_on_a_slow_machine_and_grow_again():
    pace = Pace()
    assert pace.size(512) == 256
    assert pace.size(128) == 128
    for moment in range(20):
        pace.note(256, 0.5, moment)
    assert pace.size(512) == 96
    for moment in range(20, 40):
        pace.note(96, 0.001, moment)
        pace.note(256, 0.01, moment)
    assert pace.size(512) == 384
    assert pace.fps(now=39.5) == 2


def test_the_qualities_offered_are_those_a_fit_knows():
    assert tuple(PLANS) == QUALITIES
