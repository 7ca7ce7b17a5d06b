"""Masks follow the edges of pictures and are of one piece."""

import numpy as np

from faceeditor.fitting.matting import drawn_to_edges, whole


def test_the_mask_is_drawn_to_the_pictures_edges():
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 131:] = 220
    coarse = np.clip((np.arange(64) - 29) / 6, 0, 1).astype(np.float32)[None].repeat(64, 0)
    fine = drawn_to_edges(coarse, picture)
    slope_of_the_coarse_mask = 1 / 24
    assert fine[128, 131] - fine[128, 130] > 4 * slope_of_the_coarse_mask
    assert fine.shape == (256, 256)
    assert fine.min() >= 0
    assert fine.max() <= 1


def test_a_mask_is_one_piece_without_holes():
    mask = np.zeros((64, 64), np.float32)
    mask[10:50, 10:50] = 0.9
    mask[28:32, 28:32] = 0.1
    mask[2:5, 58:61] = 0.8
    alone = whole(mask)
    assert alone[30, 30] == 1
    assert alone[3, 59] == 0
    assert alone[20, 20] == np.float32(0.9)
    np.testing.assert_array_equal(whole(np.zeros((8, 8), np.float32)), 0)


def test_what_hangs_on_a_thread_does_not_belong():
    mask = np.zeros((256, 256), np.float32)
    mask[60:200, 60:160] = 1
    mask[100:102, 160:200] = 1
    mask[80:120, 200:230] = 1
    alone = whole(mask)
    assert alone[100, 215] == 0
    assert alone[130, 110] == 1
    assert alone[60, 60] == 1
