import numpy as np
import pytest

from faceeditor.errors import UserError
from faceeditor.rendering.colour import srgb8_to_linear
from training.studio.assets import HAIR_STYLES, Assets, plausible_gain
from training.studio.lids import lid_share, mended_lids, paint_face


def test_hair_follows_a_head_that_moves_as_one(data_folder, head):
    hair = Assets(data_folder).hair(HAIR_STYLES[0])
    moved = hair.follow(np.tile(np.float32([0.01, -0.02, 0.03]), (len(head.neutral), 1)))
    assert moved == pytest.approx(hair.vertices + np.array([0.01, -0.02, 0.03]), abs=1e-5)


def test_transparent_hair_borrows_the_brightness_around_it(data_folder):
    texture = Assets(data_folder).hair(HAIR_STYLES[0]).texture
    assert (texture[..., 1] == 0).any()
    assert np.ptp(texture[..., 0]) <= 1


@pytest.mark.parametrize("linear", [(0.12, 0.02, 0.007), (0.66, 0.36, 0.24)])
def test_red_skin_is_calmed_and_plain_skin_left_alone(linear):
    srgb = np.rint(255 * np.array(linear) ** (1 / 2.2)).astype(np.uint8)
    skin = np.tile(srgb, (30, 30, 1))
    gain = plausible_gain(skin)
    before = srgb8_to_linear(srgb)
    after = before * gain
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert weights @ after == pytest.approx(weights @ before, rel=1e-3)
    assert after[0] / after[1] <= before[0] / before[1] * 1.001
    if linear[0] / linear[1] < 2:
        assert gain == pytest.approx(1, abs=0.01)
    else:
        assert after[0] / after[1] < 0.6 * before[0] / before[1]


def test_dark_lids_take_the_colour_of_the_skin_around(head):
    share = lid_share(head)
    assert 0 < (share > 0.5).sum() < 0.2 * head.region("face").stop
    assert not share[head.region("face").stop :].any()
    lids, covered = paint_face(head, share, 128)
    skins = np.full((2, 128, 128, 3), 180, np.uint8)
    skins[:, lids > 0.5] = 20
    mended = mended_lids(head, skins)
    assert covered[lids > 0.5].all()
    assert np.abs(mended[:, lids > 0.99].astype(int) - 180).max() < 12
    assert np.array_equal(mended[:, gaussian_far(lids)], skins[:, gaussian_far(lids)])


def gaussian_far(lids):
    """Texels a good way from any lid."""
    rows, columns = np.nonzero(lids)
    far = np.ones(lids.shape, bool)
    far[max(rows.min() - 4, 0) : rows.max() + 5, max(columns.min() - 4, 0) : columns.max() + 5] = False
    return far


def test_a_missing_picture_is_told_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="lack"):
        _ = Assets(tmp_path).brows
