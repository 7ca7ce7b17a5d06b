"""The guided head's training step, on pictures that the shipped head draws itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import HAIR, HAIR_STYLES
from faceeditor.models.bundle import read_bundle
from faceeditor.models.contract import Quality
from faceeditor.models.guided import GuidedHead
from faceeditor.resources import resource_path
from training.datasets import Pictured, PicturedBatch
from training.guided_start import bounds
from training.loop import Loop
from training.train_guided import CONFIGS, Step, draw_crop, groups

SMALL = replace(CONFIGS["small"], crop=40, size=64)


@pytest.fixture
def model():
    bundle = read_bundle(resource_path("models", "guided-studio"))
    return GuidedHead.from_bundle(bundle, torch.device("cpu")).requires_grad_(True)


def taken(model, size=64):
    """A picture of the mean head with hair, as the studio would give it."""
    codes = {name: np.array(space.mean) for name, space in model.spaces.items()}
    codes[HAIR][HAIR_STYLES] = np.eye(10)[3]
    camera = Camera(yaw=15)
    frame = model.render(codes, camera, size, Quality.FULL)
    srgb = torch.from_numpy(frame.over().copy()).permute(2, 0, 1).float() / 255
    tensors = {name: torch.tensor(code) for name, code in codes.items()}
    return Pictured(tensors, camera, srgb, torch.from_numpy(frame.alpha.copy()))


def test_a_crop_is_a_part_of_the_whole(model):
    picture = taken(model)
    with torch.no_grad():
        srgb, alpha = draw_crop(model, picture, (0, 0, 64), 2)
        part, _ = draw_crop(model, picture, (10, 16, 32), 2)
    assert float((srgb - picture.srgb).abs().max()) < 0.02
    assert float((alpha - picture.alpha).abs().max()) < 0.02
    torch.testing.assert_close(part[:, 4:-4, 4:-4], srgb[:, 14:38, 20:44], atol=1e-3, rtol=0)


def test_a_step_has_gradients_for_every_part(model):
    picture = taken(model)
    darker = replace(picture, srgb=picture.srgb * 0.8)
    losses = Step(model, SMALL)(PicturedBatch([darker, darker]), 1)
    assert losses["total"] > 0
    losses["total"].backward()
    for name in ("skins", "material", "features", "cards", "head_openness"):
        grad = getattr(model.appearance, name).grad
        assert torch.isfinite(grad).all(), name
        assert grad.abs().max() > 0, name
    assert any(parameter.grad.abs().max() > 0 for parameter in model.finish.parameters())


def test_training_brings_the_pictures_nearer(model, tmp_path):
    """A head with changed textures learns a picture back."""
    picture = taken(model)
    with torch.no_grad():
        model.appearance.skins.mul_(0.6)

    def error():
        with torch.no_grad():
            return float((draw_crop(model, picture, (0, 0, 64), 1)[0] - picture.srgb).abs().mean())

    config = replace(SMALL, loop=replace(SMALL.loop, steps=12, minutes=0.0, warm_up=1, learning_rate=0.02))
    before = error()
    training = Loop(
        config.loop,
        tmp_path,
        Step(model, config),
        lambda network, batch, number: network(batch, number),
        groups(model, config.loop.learning_rate),
    )
    training.run(PicturedBatch([picture]) for _ in range(20))
    assert training.step == 12
    assert error() < 0.85 * before


def test_every_parameter_is_in_one_group(model):
    grouped = [parameter for group in groups(model, 1e-3) for parameter in group["params"]]
    assert len(grouped) == len(list(model.parameters())) == len({id(parameter) for parameter in grouped})


def test_bounds_hold_what_is_true():
    mask = np.zeros((6, 7), bool)
    mask[2:4, 3:6] = True
    assert bounds(mask) == (2, 4, 3, 6)
