"""Augmentation keeps picture and truth together: dots drawn at the landmarks are found at the landmarks it reports."""

import numpy as np
import pytest
import torch

from faceeditor.faces.camera import Camera
from training.augment import Augment, AugmentConfig
from training.backgrounds import SIDE as POOL_SIDE
from training.backgrounds import backgrounds
from training.portrait_shots import CHANNELS, Shots, premultiplied
from training.train_portrait import Batches, PortraitConfig, losses, new_network

QUIET = AugmentConfig(
    lost=0, empty=0, volume=0, torso=0, beard=0, glasses=0, make_up=0, cover=0, light=0, plain=1, coarse_pixels=0,
    shake=0, noise=0, jpeg=0, border=0,
)  # fmt: skip
SIDE = 256


def shots_with_dots(count=6):
    """A red disc at landmark 8, a green one at 36 and a blue one at 45; the other landmarks lie in the middle."""
    random = np.random.default_rng(0)
    landmarks = np.zeros((count, 68, 2), np.float32)
    landmarks[:] = [0.5, 0.5]
    for index, place in ((8, [0.5, 0.68]), (36, [0.4, 0.42]), (45, [0.6, 0.42])):
        landmarks[:, index] = np.array(place) + random.uniform(-0.03, 0.03, (count, 2))
    rows, columns = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    pictures = np.zeros((count, SIDE, SIDE, CHANNELS), np.uint8)
    pictures[..., 3] = 255
    for i in range(count):
        for channel, j in enumerate((8, 36, 45)):
            near = np.hypot(columns - landmarks[i, j, 0], rows - landmarks[i, j, 1]) < 0.02
            pictures[i, near, channel] = 255
    return Shots(
        pictures=pictures,
        landmarks=torch.from_numpy(landmarks),
        upright=torch.eye(3).repeat(count, 1, 1),
        rotation=torch.from_numpy(Camera(yaw=20).rotation()).float().repeat(count, 1, 1),
        eyes=torch.full((count,), 0.2),
        style=torch.arange(count) % 11,
        mean_landmarks=torch.randn(68, 3),
    )


@pytest.fixture(scope="module")
def pool():
    return backgrounds(8, 0)


def dot(picture, channel):
    """Centre of what one colour channel shows, as a fraction."""
    bright = (picture[channel] - 0.5).clamp_min(0)
    shares = bright / bright.sum()
    along = (torch.arange(picture.shape[-1]) + 0.5) / picture.shape[-1]
    return torch.stack([(shares.sum(0) * along).sum(), (shares.sum(1) * along).sum()])


def test_dots_stay_on_their_landmarks_also_mirrored():
    torch.manual_seed(0)
    shots = shots_with_dots()
    batches = Batches(shots, Augment(128, torch.zeros(1, 3, 8, 8), QUIET))
    seen = set()
    for _ in range(4):
        sample, rotation, _ = batches.take(torch.arange(6))
        for i in range(6):
            right, left = sample.landmarks[i, 36], sample.landmarks[i, 45]
            inside = bool(((sample.landmarks[i] > 0.1) & (sample.landmarks[i] < 0.9)).all())
            if not inside:
                continue
            mirrored = bool(rotation[i, 2, 0] > 0)
            seen.add(mirrored)
            green, blue = (left, right) if mirrored else (right, left)
            assert (dot(sample.pictures[i], 0) - sample.landmarks[i, 8]).norm() < 0.005
            assert (dot(sample.pictures[i], 1) - green).norm() < 0.005
            assert (dot(sample.pictures[i], 2) - blue).norm() < 0.005
            assert sample.turn[i].det() == pytest.approx(1, abs=1e-4)
    assert seen == {True, False}


def test_empty_pictures_have_no_head_and_no_mask(pool):
    torch.manual_seed(0)
    shots = shots_with_dots()
    augment = Augment(64, pool, AugmentConfig(empty=1.0))
    sample = augment(torch.from_numpy(shots.pictures).permute(0, 3, 1, 2), shots.landmarks, shots.upright)
    assert not sample.present.any()
    assert sample.mask.max() == 0
    assert sample.pictures.std() > 0.02


def test_heads_that_are_placed_far_off_do_not_count(pool):
    torch.manual_seed(0)
    shots = shots_with_dots(40)
    augment = Augment(32, pool, AugmentConfig(lost=1.0, empty=0))
    sample = augment(torch.from_numpy(shots.pictures).permute(0, 3, 1, 2), shots.landmarks, shots.upright)
    middle = (sample.landmarks[:, 0] - 0.5).abs().amax(1)
    assert 0 < sample.present.sum() < 40
    assert middle[sample.present].max() < 0.32
    assert not sample.present[middle > 0.4].any()


def test_everything_at_once_stays_a_picture_and_gives_finite_losses(pool):
    torch.manual_seed(1)
    shots = shots_with_dots(12)
    network = new_network(PortraitConfig(size=64, widths=(8, 8, 8, 8, 8), pyramid=8, blocks=1, summary=16), shots)
    truth = Batches(shots, Augment(64, pool)).take(torch.arange(12))
    assert truth.sample.pictures.shape == (12, 3, 64, 64)
    assert truth.sample.mask.shape == (12, 2, 32, 32)
    assert truth.sample.pictures.min() >= 0
    assert truth.sample.pictures.max() <= 1
    terms = losses(network(truth.sample.pictures), truth)
    assert all(torch.isfinite(term) for term in terms.values())
    perfect = network(truth.sample.pictures)._replace(landmarks=truth.sample.landmarks, rotation=truth.rotation)
    better = losses(perfect, truth)
    assert better["landmarks"] == 0
    assert better["rotation"] < 0.01 < terms["rotation"]


def test_premultiplied_undoes_blending_in_linear_light():
    half = np.full((2, 2), 0.5, np.float32)
    over_black = np.full((2, 2, 3), 188, np.uint8)  # white at half coverage over black, blended in linear light
    picture = premultiplied(over_black, half)
    np.testing.assert_allclose(picture[..., :3], 128, atol=2)
    np.testing.assert_array_equal(picture[..., 3], 128)


def test_backgrounds_are_the_same_for_a_seed(pool):
    assert torch.equal(pool, backgrounds(8, 0))
    assert not torch.equal(pool, backgrounds(8, 1))
    assert pool.shape == (8, 3, POOL_SIDE, POOL_SIDE)
