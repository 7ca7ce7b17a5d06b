from dataclasses import replace

import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import LIGHT_SHAPE
from faceeditor.rendering.colour import srgb8_to_linear
from training.studio.factors import StudioFactors, expression_code, hair_code, skin_code
from training.studio.renderer import BUST
from training.studio.sampling import sample_factors
from training.studio.shot import Label

BLACK = (0.0, 0.0, 0.0)
HAIRY = StudioFactors(hair=hair_code(6, (0.1, 0.05, 0.02)), camera=Camera(yaw=20, pitch=8, distance=0.8))


def _drawn(seed):
    return sample_factors(np.random.default_rng(seed))


def test_the_same_factors_give_the_same_picture(studio):
    first = studio.shoot(HAIRY, 96)
    studio.shoot(_drawn(3), 96)
    again = studio.shoot(HAIRY, 96)
    assert np.array_equal(first.picture_srgb, again.picture_srgb)
    assert np.array_equal(first.landmarks, again.landmarks)


def test_backgrounds_show_through_where_the_head_does_not_cover(studio):
    rng = np.random.default_rng(0)
    behind = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
    black, photo = studio.shoot(HAIRY, 96, BLACK), studio.shoot(HAIRY, 96, behind)
    share = 1 - black.coverage[..., None]
    wanted = srgb8_to_linear(black.picture_srgb) + share * srgb8_to_linear(behind)
    assert 0.1 < black.coverage.mean() < 0.7
    assert np.abs(srgb8_to_linear(photo.picture_srgb) - np.clip(wanted, 0, 1)).max() < 0.02
    assert np.array_equal(black.coverage, photo.coverage)


def test_coverage_has_soft_edges_and_agrees_with_the_truth(studio):
    shot = studio.shoot(HAIRY, 128, truth=True)
    assert ((shot.coverage > 0.1) & (shot.coverage < 0.9)).any()
    assert shot.truth is not None
    agreed = (shot.coverage > 0.5) == (shot.truth.labels > 0)
    assert agreed.mean() > 0.985


@pytest.mark.parametrize("seed", range(4))
def test_seen_landmarks_lie_on_the_head_at_their_depth(studio, seed):
    factors = replace(_drawn(seed), hair=hair_code(None))
    shot = studio.shoot(factors, 128, truth=True)
    assert shot.truth is not None
    extrinsics = factors.camera.extrinsics()
    depth = shot.landmarks_head @ extrinsics[2, :3] + extrinsics[2, 3]
    column, row = np.clip(np.floor(shot.landmarks).astype(int), 0, 127).T
    near = np.stack([np.roll(shot.coverage, move, (0, 1)) for move in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]).max(
        0
    )
    assert shot.visible.sum() > 10
    assert (near[row, column][shot.visible] > 0).all()
    inner = shot.visible & (np.abs(shot.truth.normals[row, column] @ factors.camera.rotation()[2]) > 0.5)
    assert np.median(np.abs(shot.truth.depth[row, column] - depth)[inner]) < 0.003


def test_hidden_landmarks_are_told(studio):
    side = studio.shoot(StudioFactors(camera=Camera(yaw=75, distance=0.9)), 128)
    right_brow, left_brow = slice(17, 20), slice(24, 27)
    assert side.visible[left_brow].all()
    assert not side.visible[right_brow].any()


def test_depth_and_normals_tell_of_one_surface(studio):
    factors = StudioFactors(camera=Camera(yaw=15, pitch=-5, distance=0.8))
    truth = studio.shoot(factors, 160, truth=True).truth
    assert truth is not None
    face = truth.labels == Label.FACE
    rows, columns = np.mgrid[0:160, 0:160] + 0.5
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(factors.camera.intrinsics(160, 160)).T
    points = (rays * np.where(face, truth.depth, 0)[..., None]) @ factors.camera.rotation()
    found = np.cross(points[2:, 1:-1] - points[:-2, 1:-1], points[1:-1, 2:] - points[1:-1, :-2])
    found /= np.linalg.norm(found, axis=-1, keepdims=True) + 1e-12
    whole = face[2:, 1:-1] & face[:-2, 1:-1] & face[1:-1, 2:] & face[1:-1, :-2] & face[1:-1, 1:-1]
    cosine = (found * truth.normals[1:-1, 1:-1]).sum(-1)[whole]
    assert np.median(cosine) > 0.99
    assert np.allclose(np.linalg.norm(truth.normals[face], axis=-1), 1, atol=1e-3)


def test_the_truth_knows_parts_and_tiles(studio):
    truth = studio.shoot(HAIRY, 128, truth=True).truth
    assert truth is not None
    assert {Label.FACE, Label.EYES, Label.HAIR} <= {Label(value) for value in np.unique(truth.labels)}
    assert np.floor(truth.uv[truth.labels == Label.FACE][:, 0]).max() == 0
    assert set(np.floor(truth.uv[truth.labels == Label.HEAD][:, 0])) <= {1}
    assert np.isinf(truth.depth[truth.labels == 0]).all()


def test_a_mirrored_head_gives_the_mirrored_picture(studio, head):
    rng = np.random.default_rng(5)
    light = StudioFactors().light.reshape(LIGHT_SHAPE) + rng.normal(0, 0.02, LIGHT_SHAPE)
    across = np.array([1, 1, 1, -1, -1, 1, 1, -1, 1])[:, None]  # the harmonics that are odd in x
    factors = StudioFactors(
        identity=rng.normal(0, 0.8, 100).astype(np.float32),
        expression=expression_code(mouthSmileLeft=0.8, jawLeft=0.5, eyeBlinkRight=0.7),
        light=light.ravel().astype(np.float32),
        camera=Camera(yaw=25, roll=6, distance=0.8, pan=(0.01, 0)),
    )
    expression = np.zeros(64, np.float32)
    expression[:53] = factors.expression[:53][head.mirror_expression]
    twin = StudioFactors(
        identity=factors.identity * head.mirror_identity,
        expression=expression,
        light=(light * across).ravel().astype(np.float32),
        camera=Camera(yaw=-25, roll=-6, distance=0.8, pan=(-0.01, 0)),
    )
    here, there = studio.shoot(factors, 128), studio.shoot(twin, 128)
    differences = np.abs(here.coverage - there.coverage[:, ::-1])
    assert differences.mean() < 0.003
    colours = np.abs(srgb8_to_linear(here.picture_srgb) - srgb8_to_linear(there.picture_srgb[:, ::-1]))
    assert colours.mean() < 0.004


def test_codes_change_what_they_name(studio):
    camera = Camera(distance=0.6)
    plain = studio.shoot(StudioFactors(camera=camera), 96, truth=True)
    assert plain.truth is not None
    skin = plain.truth.labels == Label.FACE
    dark, light = (studio.shoot(StudioFactors(skin=skin_code({k: 1.0}), camera=camera), 96) for k in (0, 19))
    assert dark.picture_srgb[skin].mean() < light.picture_srgb[skin].mean() - 20
    bright = studio.shoot(StudioFactors(light=StudioFactors().light * 1.3, camera=camera), 96)
    assert bright.picture_srgb[skin].mean() > plain.picture_srgb[skin].mean() + 5
    shiny = studio.shoot(StudioFactors(skin=skin_code({4: 1.0}, sheen=1.0), camera=camera), 96)
    matt = studio.shoot(StudioFactors(skin=skin_code({4: 1.0}, sheen=0.0), camera=camera), 96)
    assert shiny.picture_srgb[skin].mean() > matt.picture_srgb[skin].mean() + 1
    assert np.array_equal(shiny.coverage, matt.coverage)


def test_a_blink_hides_the_eye(studio):
    camera = Camera(distance=0.5)
    seen = []
    for lids in (0.0, 1.0):
        expression = expression_code(eyeBlinkLeft=lids, eyeBlinkRight=lids)
        truth = studio.shoot(StudioFactors(expression=expression, camera=camera), 128, truth=True).truth
        assert truth is not None
        seen.append(int((truth.labels == Label.EYES).sum()))
    assert seen[0] > 40
    assert seen[1] < 0.2 * seen[0]


def test_hair_follows_the_head(studio):
    rng = np.random.default_rng(2)
    identity = rng.normal(0, 2.5, 100).astype(np.float32)
    for code in (identity, -identity):
        bald = studio.shoot(StudioFactors(identity=code, camera=HAIRY.camera), 128)
        shot = studio.shoot(replace(HAIRY, identity=code), 128, truth=True)
        assert shot.truth is not None
        crown = np.flatnonzero((bald.coverage > 0.5).any(axis=1))[0]
        scalp = (bald.coverage > 0.5) & (np.arange(128)[:, None] < crown + 8)
        assert (shot.truth.labels[scalp] == Label.HAIR).mean() > 0.9


def test_the_bust_ends_at_its_height(studio):
    camera = Camera(distance=1.2)
    shot = studio.shoot(StudioFactors(camera=camera), 128, truth=True)
    lowest = camera.project(np.array([[0, BUST, 0.0]]), 128, 128)[0, 1]
    assert shot.coverage[int(lowest) - 6].max() == 1
    assert shot.coverage[int(lowest) + 6 :].max() == 0


def test_a_bust_seen_from_below_is_solid(studio):
    camera = Camera(pitch=-40, distance=0.9)
    truth = studio.shoot(StudioFactors(camera=camera), 128, truth=True).truth
    assert truth is not None
    inside = camera.project(np.array([[0.0, BUST + 0.02, -0.03]]), 128, 128)[0]
    assert truth.labels[int(inside[1]), int(inside[0])] > 0
    towards = truth.normals @ -camera.rotation()[2]
    assert (towards[truth.labels > 0] > -0.3).mean() > 0.98
