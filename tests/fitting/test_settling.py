"""What least squares add to a glance: the truth is found again from codes near it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import label

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION, HAIR, HAIR_COLOUR, HAIR_STYLES, IDENTITY, LIGHT
from faceeditor.fitting.easel import with_part
from faceeditor.fitting.measures import measure
from faceeditor.fitting.placing import Placed, place
from faceeditor.fitting.settling import likely_hair, settled
from faceeditor.models.bundle import load_model
from tests.drawn_portrait import head, portrait_of

BROWN, GREY = (0.3, 0.15, 0.06), (0.1, 0.1, 0.1)


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def truth(model):
    """A brown-haired face from the side, smiling on one side."""
    codes = head(model, seed=4, style=3, mouthSmileLeft=0.6)
    codes[HAIR] = with_part(codes[HAIR], HAIR_COLOUR, BROWN)
    return Face("", model.name, codes, Camera(yaw=24, pitch=6))


@pytest.fixture(scope="module")
def portrait(truth, model):
    return portrait_of(model, truth.codes, truth.camera)


def test_a_glance_that_is_nearly_right_is_put_right(truth, portrait, model):
    random = np.random.default_rng(1)
    identity = truth.codes[IDENTITY]
    told = {
        **truth.codes,
        IDENTITY: as_code(identity + 0.3 * random.standard_normal(len(identity))),
        LIGHT: as_code(0.7 * truth.codes[LIGHT]),
        HAIR: with_part(truth.codes[HAIR], HAIR_COLOUR, GREY),
    }
    glanced = truth.replace(codes=told, camera=truth.camera.replace(yaw=29, pitch=2))
    face = settled(glanced, portrait, model)
    before, after = (measure(one, portrait, model) for one in (glanced, face))
    assert before["landmark_error_percent"] > 4
    assert after["landmark_error_percent"] < 1
    assert after["psnr"] > before["psnr"] + 4
    assert abs(face.camera.yaw - 24) < 2.5
    assert 0.8 < np.linalg.norm(face.codes[LIGHT]) / np.linalg.norm(truth.codes[LIGHT]) < 1.1
    red, _, blue = face.codes[HAIR][HAIR_COLOUR]
    assert red > 2 * blue


def test_what_codes_cannot_say_becomes_the_faces_own_texture(model):
    """A scar on the cheek that the photo shows stays there when the head turns, and little else changes."""
    bald = Face("", model.name, head(model, seed=6), Camera())
    portrait = portrait_of(model, bald.codes, bald.camera)
    column, row = portrait.landmarks[[2, 31, 48]].mean(0).round().astype(int)
    scarred = portrait.crop_srgb.copy()
    scarred[row - 5 : row + 6, column - 1 : column + 2] //= 2
    scarred = replace(portrait, crop_srgb=scarred)
    plain, own = (settled(bald, seen, model) for seen in (portrait, scarred))
    before, after = (measure(face, scarred, model) for face in (plain, own))
    assert after["ssim"] > before["ssim"]
    turned = bald.camera.replace(yaw=-20)
    drawn = [model.render(face.codes, turned, portrait.size, refinement=face.refinement) for face in (plain, own)]
    darker = drawn[1].rgb_linear.mean(-1) < 0.7 * drawn[0].rgb_linear.mean(-1)
    pieces, _ = label(darker & (drawn[0].alpha > 0.9))
    sizes = np.bincount(pieces[pieces > 0])
    assert 15 < sizes.max() < 60
    assert sizes.max() > 0.5 * sizes.sum()
    rows, columns = np.nonzero(pieces == sizes.argmax())
    assert np.ptp(rows) > 2 * np.ptp(columns)


def test_what_was_read_off_the_picture_is_not_strayed_far_from(truth, portrait, model):
    expected = Placed(truth.camera, truth.codes[IDENTITY], truth.codes[EXPRESSION])
    near, far = place(portrait, model, expected), place(portrait, model)
    off = [np.linalg.norm(one.identity - truth.codes[IDENTITY]) for one in (near, far)]
    assert off[0] < 0.2 * off[1]


def test_a_face_without_bare_skin_keeps_its_light(truth, portrait, model):
    hidden = replace(portrait, mask=portrait.mask * 0, hair=portrait.hair * 0)
    face = settled(truth, hidden, model)
    assert np.array_equal(face.codes[LIGHT], truth.codes[LIGHT])


def test_hair_of_an_unlikely_style_gets_the_likeliest(truth):
    hair, sure = truth.codes[HAIR], np.eye(11)
    bald = with_part(hair, HAIR_STYLES, 0)
    assert np.array_equal(likely_hair(bald, sure[4]), hair)
    assert np.array_equal(likely_hair(hair, sure[0]), bald)
    assert np.array_equal(likely_hair(hair, 0.2 * sure[4] + 0.8 * sure[1]), hair)
