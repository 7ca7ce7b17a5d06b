"""A head whose landmarks were read a little off is laid onto its photo by its skin."""

from dataclasses import replace

import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.fitting.placing import Placed, Placing, Told
from faceeditor.fitting.registration import register
from faceeditor.models.bundle import load_model
from faceeditor.models.layers import tensors
from tests.drawn_portrait import head, portrait_of


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def truth(model):
    codes = head(model, seed=9, browInnerUpLeft=0.5, browInnerUpRight=0.5, mouthSmileLeft=0.4)
    return Face("", model.name, codes, Camera(yaw=-15, pitch=4))


@pytest.fixture(scope="module")
def portrait(truth, model):
    """Its portrait, with landmarks read some pixels of 192 off."""
    read = portrait_of(model, truth.codes, truth.camera)
    off = np.random.default_rng(3).normal(0, 2.5, read.landmarks.shape)
    return replace(read, landmarks=read.landmarks + off, confidence=np.full(len(off), 0.9))


def placing(truth, portrait, model):
    """On its way from what a glance may say."""
    random = np.random.default_rng(4)
    identity = as_code(truth.codes[IDENTITY] + 0.4 * random.standard_normal(len(truth.codes[IDENTITY])))
    expected = Placed(truth.camera.replace(yaw=-12), identity, as_code(np.zeros(len(truth.codes[EXPRESSION]))))
    found = Placing(portrait, model, expected)
    found.meet_landmarks()
    return found


def error(found, truth, model):
    """Of the landmarks of what was found, in pixels of a picture of 192."""

    def seen(camera, codes):
        return camera.project(model.landmarks(tensors(codes), truth.camera.yaw).double().numpy(), 192, 192)

    codes = {**truth.codes, IDENTITY: found.identity, EXPRESSION: found.expression}
    return np.linalg.norm(seen(found.camera, codes) - seen(truth.camera, truth.codes), axis=-1).mean()


def test_the_skin_mends_what_landmarks_say(truth, portrait, model):
    found = placing(truth, portrait, model)
    before = error(found.placed, truth, model)
    register(found, portrait, model, truth.codes)
    assert error(found.placed, truth, model) < 0.7 * before


def test_hair_and_what_is_behind_tell_nothing(truth, portrait, model):
    hidden = replace(portrait, hair=np.ones_like(portrait.hair))
    found, same = (placing(truth, hidden, model) for _ in range(2))
    register(found, hidden, model, truth.codes)
    for _ in range(3):
        same.solve()
    np.testing.assert_allclose(found.unknown, same.unknown, atol=1e-6)


def test_what_is_told_is_weighed_against_landmarks(truth, portrait, model):
    """Something that is sure that the head is turned farther turns it, as far as landmarks let it."""
    found = placing(truth, portrait, model)
    slope = np.zeros((1, len(found.unknown)))
    slope[0, 0] = 1.0
    yaw = found.placed.camera.yaw
    found.solve(Told(found.unknown, np.array([-3.0]), 10 * slope))
    assert 0.05 < found.placed.camera.yaw - yaw < 0.35
    found.solve()
    assert found.placed.camera.yaw == pytest.approx(yaw, abs=0.05)
