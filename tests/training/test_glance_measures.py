"""What a glance is measured by: the truth itself has no errors, and changes move what they name."""

from dataclasses import replace

import numpy as np
import pytest

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.fitting import alignment
from faceeditor.models.bundle import load_model
from faceeditor.models.layers import tensors
from tests.drawn_portrait import head, portrait_of
from training.attribute_scores import POSE, SCORED, disentanglement, with_attribute
from training.glance_measures import SIZE, Sight, angle, errors
from training.studio.factors import StudioFactors
from training.studio.shot import Shot


@pytest.fixture(scope="module")
def model():
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def truth(model):
    return Face("", model.name, head(model, seed=2, style=4, jawOpen=0.4), Camera(yaw=20, pitch=-4))


def sight_of(model, face, turned=0.0):
    """A shot of a drawing, and a reading that crops it as it is, or turned clockwise."""
    frame = model.render(face.codes, face.camera, SIZE)
    places = model.landmarks(tensors(face.codes), face.camera.yaw).double().numpy()
    seen = face.camera.project(places, SIZE, SIZE)
    factors = StudioFactors.from_codes(face.codes, face.camera)
    shot = Shot(frame.over(), frame.alpha, seen, places, np.ones(len(places), bool), factors)
    middle = np.array([SIZE / 2, SIZE / 2])
    transform = alignment.compose(1.0, turned, middle, middle)
    portrait = portrait_of(model, face.codes, face.camera, size=SIZE)
    return Sight(shot, replace(portrait, transform=transform, crop_srgb=alignment.warp(frame.over(), transform, SIZE)))


def test_the_truth_has_no_errors(model, truth):
    found = errors(sight_of(model, truth), truth, model)
    assert found["landmarks_percent"] == pytest.approx(0, abs=1e-6)
    assert found["pose_degrees"] == pytest.approx(0, abs=1e-4)
    assert found["l1"] < 0.005
    assert found["ssim"] > 0.99


def test_a_turned_crop_wants_a_turned_camera(model, truth):
    sight = sight_of(model, truth, turned=10.0)
    assert angle(truth.camera, sight.rotation) == pytest.approx(10, abs=1e-6)
    assert angle(truth.camera.replace(roll=-10.0), sight.rotation) == pytest.approx(0, abs=1e-4)
    found = errors(sight, truth.replace(camera=truth.camera.replace(roll=-10.0)), model)
    assert found["ssim"] > 0.9


def test_errors_grow_with_what_is_wrong(model, truth):
    sight = sight_of(model, truth)
    other = head(model, seed=9, style=1)
    assert errors(sight, truth.with_code(IDENTITY, other[IDENTITY]), model)["landmarks_percent"] > 2
    assert errors(sight, truth.replace(camera=truth.camera.replace(yaw=30)), model)["pose_degrees"] == pytest.approx(10)
    assert errors(sight, truth.with_code(LIGHT, 0.5 * truth.codes[LIGHT]), model)["l1"] > 0.05


def test_one_attribute_is_taken_and_all_else_kept(model, truth):
    other = Face("", model.name, head(model, seed=9, style=1), Camera(yaw=-30, pitch=10, distance=2))
    for name in (IDENTITY, EXPRESSION, SKIN, LIGHT, HAIR):
        taken = with_attribute(truth, name, other)
        assert all(np.array_equal(code, truth.codes[space]) for space, code in taken.codes.items() if space != name)
        assert np.array_equal(taken.codes[name], other.codes[name])
    turned = with_attribute(truth, POSE, other)
    assert turned.camera == truth.camera.replace(yaw=-30, pitch=10)


def scores_of(leak):
    """DS where every attribute leaks a share into every other."""
    codes = np.random.default_rng(0).standard_normal((12, len(SCORED)))

    def drawings(number, name, draw):
        code = codes[number].copy()
        code[SCORED.index(name)] = codes[(number + draw) % len(codes), SCORED.index(name)]
        return code

    def features(pictures):
        seen = np.stack(pictures)
        mixed = (1 - leak) * seen + leak * seen.mean(1, keepdims=True)
        return {name: mixed[:, [index]] for index, name in enumerate(SCORED)}

    return disentanglement(drawings, features, len(codes), 6)


def test_disentanglement_is_one_of_a_whole_mixture_and_grows_with_separation():
    assert scores_of(1.0) == pytest.approx(dict.fromkeys(SCORED, 1.0), rel=0.5)
    little, much = scores_of(0.2), scores_of(0.6)
    for name in SCORED:
        assert little[name] > 3 * much[name] > 3
