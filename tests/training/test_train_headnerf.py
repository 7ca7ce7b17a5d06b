"""HeadNeRF's training: how heads look (Eq. 8), codes that move if they may, and a bundle that ships."""

from dataclasses import replace

import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY
from faceeditor.models.bundle import read_bundle
from faceeditor.models.headnerf import HeadNerf
from training import guided_spaces
from training.datasets import CapturedPictures
from training.headnerf_codes import HeadCodes
from training.perceptual import Perceptual
from training.studio.capture import CaptureOptions, StudioDataset, capture
from training.train_headnerf import HeadNerfTraining, Trainer

SMALL = {"width": 24, "hidden": 3, "skip": 1, "features": 16, "narrowest": 8, "samples": 8, "map": 16, "size": 64}


@pytest.fixture
def captured(tmp_path, studio_home, data_folder):
    options = CaptureOptions(size=64, shots_per_identity=2)
    list(capture(StudioDataset(data_folder, 4, options), tmp_path / "pictures", workers=0))
    return CapturedPictures.of(tmp_path / "pictures")


def config_of(**changes):
    facts = HeadNerfTraining.read("small")
    loop = replace(facts.loop, steps=12, minutes=0.0, warm_up=1, average=0.0)
    return replace(facts, loop=loop, model={**facts.model, **SMALL}, **changes)


def test_captured_pictures_come_once_each_before_any_again(captured):
    batches = captured.batches(2)
    assert sorted(one.number for _ in range(2) for one in next(batches).pictures) == [0, 1, 2, 3]
    batch = next(batches)
    assert {name: tuple(code.shape) for name, code in batch.codes.items()} == {n: (2, dims) for n, dims in DIMS.items()}
    first, second = captured.picture(0), captured.picture(1)
    assert torch.equal(first.codes[IDENTITY], second.codes[IDENTITY])
    assert not torch.equal(first.srgb, second.srgb)
    assert first.srgb.amax() <= 1
    assert 0.05 < first.alpha.mean() < 0.95


def test_a_folder_without_pictures_is_told(tmp_path):
    with pytest.raises(UserError, match="There are no pictures in"):
        CapturedPictures.of(tmp_path)


def test_pictures_are_learned_and_a_stopped_training_goes_on(captured, tmp_path):
    trainer = Trainer(config_of(), tmp_path / "work")
    codes = HeadCodes(captured, learned=False)
    trainer.train(captured.batches(2), codes)
    assert trainer.steps == 12
    assert trainer.seen_by == "portrait-studio"
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    again = Trainer(config_of(), tmp_path / "work")
    again.train(captured.batches(2), codes)
    assert all(torch.equal(value, before[name]) for name, value in again.model.state_dict().items())


def test_learned_codes_start_at_the_known_ones_and_are_held(captured, tmp_path):
    codes = HeadCodes(captured, learned=True)
    batch = next(captured.batches(2))
    assert all(torch.equal(code, batch.codes[name]) for name, code in codes(batch).items())
    assert float(codes.strayed(batch).detach()) == 0
    with torch.no_grad():
        codes.moves[EXPRESSION].fill_(1.0)
    assert float(codes.strayed(batch).detach()) == pytest.approx(0.1 * DIMS[EXPRESSION])
    Trainer(config_of(codes="learned"), tmp_path / "work").train(captured.batches(2), codes)
    assert all(table.detach().std() > 0 for table in codes.moves.values())
    assert len(codes.moves[IDENTITY]) == 2
    assert len(codes.moves[EXPRESSION]) == 4


def test_a_bundle_ships(captured, tmp_path, monkeypatch):
    monkeypatch.setattr(guided_spaces, "DRAWS", 250)
    trainer = Trainer(config_of(), tmp_path / "work")
    trainer.train(captured.batches(2), HeadCodes(captured, learned=False))
    trainer.export({"data": "4 studio pictures"}, tmp_path / "head")
    bundle = read_bundle(tmp_path / "head")
    model = HeadNerf.from_bundle(bundle, torch.device("cpu"))
    assert bundle.training["perceptual"] == "portrait-studio"
    assert {name: space.dims for name, space in model.spaces.items()} == DIMS
    picture = captured.picture(0)
    frame = model.render({name: code.numpy() for name, code in picture.codes.items()}, picture.camera, 32)
    assert frame.rgb_linear.shape == (32, 32, 3)


def test_perceptual_differences_grow_and_vanish(tmp_path):
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 64, 64, generator=generator)
    noise = torch.randn(1, 3, 64, 64, generator=generator)
    seen = Perceptual.best(tmp_path)
    assert seen.source == "portrait-studio"
    assert float(seen(picture, picture)) == 0
    little, much = (float(seen((picture + size * noise).clamp(0, 1), picture)) for size in (0.05, 0.3))
    assert 0 < little < much
