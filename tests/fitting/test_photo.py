"""Fitting: known heads drawn by the shipped model are found again, and a real photo becomes that person."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, HAIR, HAIR_STYLES, IDENTITY, LIGHT, LIGHT_SHAPE
from faceeditor.fitting import atlas, hair_volume
from faceeditor.fitting.descent import Descent
from faceeditor.fitting.easel import Easel, neutral_codes
from faceeditor.fitting.first_look import first_look
from faceeditor.fitting.measures import measure
from faceeditor.fitting.photo import fit_photo
from faceeditor.fitting.placing import CAMERA_HIGH, CAMERA_LOW, camera_of, parameters_of, place, projection_slope
from faceeditor.fitting.portrait import analyse
from faceeditor.fitting.progress import FitCancelled, FitProgress
from faceeditor.fitting.target import Target
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import do_nothing
from faceeditor.models.layers import tensors
from faceeditor.rendering import harmonics
from tests.drawn_portrait import BEHIND, head, portrait_of

SIZE = 192


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


def landmark_error(model, codes, camera, portrait):
    """Mean distance in percent of the eyes' distance."""
    found = camera.project(model.landmarks(tensors(codes), camera.yaw).double().numpy(), SIZE, SIZE)
    return 100 * np.linalg.norm(found - portrait.landmarks, axis=-1).mean() / points.eye_distance(portrait.landmarks)


# Camera and shape


@settings(max_examples=25)
@given(st.tuples(*(st.floats(float(low), float(high)) for low, high in zip(CAMERA_LOW, CAMERA_HIGH, strict=True))))
def test_a_camera_and_its_parameters_are_the_same(parameters):
    assert parameters_of(camera_of(np.array(parameters))) == pytest.approx(parameters, abs=1e-9)


def test_the_slope_of_a_projection_is_its_derivative():
    camera, spot, step = Camera(yaw=25, pitch=-8, roll=3), np.array([[0.03, -0.02, 0.08]]), 1e-6
    moved = [camera.project(spot + step * axis, 1, 1)[0] - camera.project(spot, 1, 1)[0] for axis in np.eye(3)]
    np.testing.assert_allclose(projection_slope(camera, spot)[0].T, np.array(moved) / step, atol=1e-4)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (28, 5), (-50, -8)])
def test_camera_and_shape_are_found_from_landmarks(model, yaw, pitch):
    codes = head(model, 3, jawOpen=0.6)
    camera = Camera(yaw=yaw, pitch=pitch, roll=4, distance=1.0)
    portrait = portrait_of(model, codes, camera)
    placed = place(portrait, model)
    fitted = {**codes, IDENTITY: placed.identity, EXPRESSION: placed.expression}
    assert landmark_error(model, fitted, placed.camera, portrait) < 2
    assert abs(placed.camera.yaw - yaw) < 5
    assert abs(placed.camera.roll - 4) < 3
    assert placed.expression.min() >= 0
    assert placed.expression.max() <= 1
    assert placed.expression[EXPRESSION_COMPONENTS.index("jawOpen")] > 0.25


def test_a_camera_that_is_known_stays(model):
    codes, camera = head(model, 3), Camera(yaw=28, pitch=5, distance=0.6, field_of_view=32)
    portrait = portrait_of(model, codes, camera)
    placed = place(portrait, model, camera=camera)
    assert placed.camera == camera
    fitted = {**codes, IDENTITY: placed.identity, EXPRESSION: placed.expression}
    assert landmark_error(model, fitted, camera, portrait) < 2


def test_a_head_grows_to_the_rim_of_bare_skin(model):
    """Landmarks say nothing of the back of a bald head."""
    codes, camera = head(model, 14), Camera(yaw=70, distance=1.0)
    portrait = portrait_of(model, codes, camera)
    target = Target.of(portrait, 64)
    placed = place(replace(portrait, confidence=np.full(len(portrait.landmarks), 0.9)), model, camera=camera)
    start = {**codes, IDENTITY: placed.identity, EXPRESSION: placed.expression}
    descent = Descent(model, camera, target, torch.from_numpy(portrait.confidence), do_nothing)
    rows = np.arange(128)[:, None] < descent._chin * 128
    true = model.render(codes, camera, 128).alpha

    def off(found):
        return (np.abs(model.render(found, camera, 128).alpha - true) * rows).sum()

    assert off(descent.run(start, {}, 25)) < 0.75 * off(start)


def test_a_few_wrong_landmarks_do_not_spoil_the_shape(model):
    codes, camera = head(model, 4), Camera(yaw=10)
    portrait = portrait_of(model, codes, camera)
    right = portrait.landmarks.copy()
    portrait.landmarks[[3, 20, 50]] += 25
    placed = place(portrait, model)
    fitted = {**codes, IDENTITY: placed.identity, EXPRESSION: placed.expression}
    found = placed.camera.project(model.landmarks(tensors(fitted), 10).double().numpy(), SIZE, SIZE)
    others = np.delete(np.linalg.norm(found - right, axis=-1), [3, 20, 50])
    assert 100 * others.mean() / points.eye_distance(right) < 3


# First look


def test_the_lamp_is_found_on_the_side_where_it_stands(model):
    for side in (-1, 1):
        lamp = harmonics.directional(np.array([side, 0.2, 1.0]) / np.sqrt(2.04), np.full(3, 0.8))
        light = harmonics.ambient(np.full(3, 0.35)) + lamp
        codes, camera = head(model, 5, light=light.ravel()), Camera()
        easel = Easel(model, camera, Target.of(portrait_of(model, codes, camera), 64), lambda: None)
        found, _ = first_look(easel, codes[IDENTITY], codes[EXPRESSION])
        table = found[LIGHT].reshape(LIGHT_SHAPE)
        assert side * table[3].mean() > 0.2
        drawn = model.render(found, camera, 64).over(BEHIND) / 255
        face = easel.target.face
        assert np.abs(drawn - easel.target.srgb)[face].mean() < 0.05


@pytest.mark.parametrize("style", [None, 0, 4, 7])
def test_hair_is_recognised(model, style):
    codes, camera = head(model, 6, style=style), Camera(yaw=12)
    easel = Easel(model, camera, Target.of(portrait_of(model, codes, camera), 64), lambda: None)
    found, gains = first_look(easel, codes[IDENTITY], codes[EXPRESSION])
    weights = found[HAIR][HAIR_STYLES]
    assert (weights.sum() == 0) if style is None else (weights.argmax() == style)
    moved = [np.linalg.norm(np.asarray(offsets, float), axis=-1).max() for offsets in gains.values()]
    assert max(moved, default=0) < 0.03


def test_fuller_hair_than_the_style_is_met_by_moving_it(model):
    codes, camera = head(model, 7, style=7), Camera()
    frame = model.render(codes, camera, SIZE)
    bald = model.render({**codes, HAIR: head(model)[HAIR]}, camera, SIZE)
    portrait = portrait_of(model, codes, camera)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    centre = camera.project(hair_volume.CENTRE[None], SIZE, SIZE)[0]
    reach = np.hypot(columns - centre[0], rows - centre[1]) / SIZE
    full = (reach < 0.29) & (rows < centre[1])
    target = Target.of(portrait, SIZE)
    target = replace(target, mask=np.maximum(target.mask, full).astype(np.float32))
    hair = np.abs(frame.rgb_linear - bald.rgb_linear).max(-1) > 0.02
    volume = hair_volume.Volume.between(frame.alpha, hair, target, camera)
    surface = model.surface(tensors(codes))
    offsets = np.zeros((surface.strand_count, 3), np.float32)
    offsets[surface.strand.numpy()] = volume.offsets(surface.strands.numpy())
    fuller = model.render(codes, camera, SIZE, refinement={"strand_offsets": offsets}).alpha
    missing = [(full & (alpha < 0.5)).sum() for alpha in (frame.alpha, fuller)]
    assert missing[1] < 0.4 * missing[0]


# The atlas


def test_texels_lie_where_their_triangles_say(model):
    surface = model.surface(tensors(head(model)))
    table = atlas.Atlas.of(surface, 64)
    assert len(table.texel) > 0.5 * 64 * 64
    there = table.carried(surface.uv.numpy())
    centre = np.stack([(table.texel % 64 + 0.5) / 64, 1 - (table.texel // 64 + 0.5) / 64], axis=-1)
    assert np.abs(there - centre).max() < 1e-3


def test_what_is_unknown_is_filled_smoothly_and_what_is_known_stays():
    values = np.zeros((1, 32, 64), np.float32)
    weight = np.zeros((32, 64), np.float32)
    values[:, :, :8], weight[:, :8] = 2.0, 1.0
    full = atlas.filled(values, weight)
    np.testing.assert_allclose(full[:, :, :8], 2.0)
    np.testing.assert_allclose(full, 2.0, atol=0.05)
    resting = atlas.filled(values, weight, 0.5)[0, 16]
    assert resting[4] == 2.0
    assert resting[-1] < 0.5
    assert (np.diff(resting) < 0.05).all()


def test_splatting_keeps_the_mean():
    random = np.random.default_rng(1)
    uv = random.uniform(0.2, 0.8, (500, 2)).astype(np.float32)
    picture, weight = atlas.splatted(np.full((500, 2), 3.0, np.float32), np.ones(500, np.float32), uv, (16, 32))
    assert weight.sum() == pytest.approx(500, rel=1e-5)
    np.testing.assert_allclose(picture[:, weight > 0.01], 3.0, rtol=1e-4)


# The whole


@pytest.fixture(scope="module")
def known(model):
    """A known head, its portrait, a draft fit to it and what was told on the way."""
    codes, camera = head(model, 8, style=7, mouthSmileLeft=0.6, mouthSmileRight=0.6), Camera(yaw=18, distance=1.0)
    portrait = portrait_of(model, codes, camera)
    told: list[FitProgress] = []
    face = fit_photo(portrait, model, quality="draft", on_step=told.append)
    return portrait, face, told


def test_a_known_head_is_met(model, known):
    portrait, face, _ = known
    figures = measure(face, portrait, model)
    plain = face.replace(codes={**neutral_codes(model)}, refinement={})
    assert figures["psnr"] > 26
    assert figures["psnr"] > measure(plain, portrait, model)["psnr"] + 8
    assert figures["ssim"] > 0.85
    assert figures["landmark_error_percent"] < 3
    for name, value in figures.items():
        assert face.origin.figures[name] == pytest.approx(value)
    assert face.origin.figures["seconds"] > 0
    assert face.origin.kind == "photo"
    np.testing.assert_array_equal(face.origin.photo_srgb, portrait.crop_srgb)


def test_the_refinement_belongs_to_the_face_and_not_to_the_view(model, known):
    """Turned by 30 degrees, the cheeks keep the colour that they have from the front."""
    _, face, _ = known
    turned = face.camera.replace(yaw=face.camera.yaw - 30)
    with_it = model.render(face.codes, turned, SIZE, refinement=face.refinement)
    without = model.render(face.codes, turned, SIZE)
    both = (with_it.alpha > 0.9) & (without.alpha > 0.9)
    assert np.abs(with_it.rgb_linear - without.rgb_linear)[both].mean() < 0.05


def test_progress_goes_on_and_shows_pictures(known):
    _, _, told = known
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= 0.05
    assert 0.9 < fractions[-1] <= 1
    assert len({progress.message for progress in told}) >= 4
    pictures = [progress.picture_srgb for progress in told if progress.picture_srgb is not None]
    assert len(pictures) >= 3
    assert all(picture.dtype == np.uint8 and picture.shape == (256, 256, 3) for picture in pictures)
    assert told[-1].seconds_left is not None


def test_a_mark_on_one_cheek_stays_there(model):
    codes, camera = head(model, 9), Camera()
    portrait = portrait_of(model, codes, camera)
    eye, mouth = portrait.landmarks[points.LEFT_EYE].mean(0), portrait.landmarks[54]
    x, y = ((eye + mouth) / 2 + [6, 0]).astype(int)
    portrait.crop_srgb[y - 4 : y + 4, x - 4 : x + 4] = (60, 10, 10)
    face = fit_photo(portrait, model, quality="draft")
    drawn = model.render(face.codes, face.camera, SIZE, refinement=face.refinement).over(BEHIND).astype(int)
    other = round(2 * portrait.landmarks[points.NOSE_TIP, 0]) - x
    assert drawn[y, x].sum() < 0.6 * drawn[y, other].sum()
    turned = model.render(face.codes, face.camera.replace(yaw=25), SIZE, refinement=face.refinement)
    assert turned.over(BEHIND)[y - 6 : y + 6].sum(-1).min() < 0.6 * drawn[y, other].sum()


def test_what_lies_behind_the_head_does_not_matter(model):
    codes, camera = head(model, 10), Camera()
    gains = [
        fit_photo(portrait_of(model, codes, camera, behind), model, quality="draft").refinement["albedo_gain"]
        for behind in ((0.9, 0.0, 0.0), (0.0, 0.0, 0.9))
    ]
    assert np.abs(gains[0].astype(float) - gains[1]).mean() < 0.05


def test_hair_that_is_not_covered_counts_as_an_error(model):
    codes, camera = head(model, 11, style=4), Camera()
    portrait = portrait_of(model, codes, camera)
    right = Face("", model.name, codes, camera)
    bald = right.with_code(HAIR, head(model)[HAIR])
    assert measure(right, portrait, model)["psnr"] > 30
    assert measure(bald, portrait, model)["psnr"] < 15


def test_cancel_stops_within_a_step(model):
    portrait, calls = portrait_of(model, head(model), Camera()), []
    with pytest.raises(FitCancelled):
        fit_photo(portrait, model, quality="draft", on_step=calls.append, cancelled=lambda: len(calls) >= 5)
    assert len(calls) == 5


def test_what_a_listener_raises_ends_the_fit(model):
    def interrupt(progress):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fit_photo(portrait_of(model, head(model), Camera()), model, on_step=interrupt)


def test_an_unknown_quality_is_refused(model):
    with pytest.raises(UserError, match="quality"):
        fit_photo(portrait_of(model, head(model), Camera()), model, quality="perfect")


def test_the_astronaut_becomes_a_face(model):
    portrait = analyse(data.astronaut(), load_model("portrait-studio"))
    face = fit_photo(portrait, model, quality="draft")
    figures = face.origin.figures
    assert figures["psnr"] > 18
    assert figures["landmark_error_percent"] < 6
    jaw = EXPRESSION_COMPONENTS.index("jawOpen")
    opened = face.codes[EXPRESSION].copy()
    opened[jaw] = 1
    still = model.render(face.codes, face.camera, SIZE, refinement=face.refinement)
    moved = model.render({**face.codes, EXPRESSION: opened}, face.camera, SIZE, refinement=face.refinement)
    change = np.abs(still.rgb_linear - moved.rgb_linear).max(-1)
    target = Target.of(portrait, SIZE)
    brows = int(target.landmarks[points.RIGHT_BROW.start : points.LEFT_BROW.stop, 1].min())
    mouth = slice(int(target.landmarks[points.OUTER_LIPS, 1].min()), int(target.landmarks[points.CHIN, 1]))
    assert change[mouth].max() > 0.1
    assert change[:brows].mean() < 0.01
    assert torch.is_inference_mode_enabled() is False
