"""Training the refiner: pairs where the truth has no head ask for nothing, crops fit together, and it learns."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.models.bundle import read_bundle
from faceeditor.models.refiner import DiffusionRefiner, RefinerConfig
from tests.tiny import TinyHead, tiny_face
from training.evaluate_refiner import load_refiner
from training.loop import Loop, LoopConfig
from training.refiner_pairs import DrawnPairs, truth_over
from training.train_refiner import NoiseStep, RefinerTraining, detail, export

SIZE = 48


def mouths(count=3, size=SIZE):
    """Pairs whose truth has a brighter mouth than what is coarse."""
    frames = [TinyHead().render(tiny_face(seed=seed).codes, Camera(), size) for seed in range(count)]
    coarse = np.stack([frame.over() for frame in frames])
    alpha = np.stack([frame.alpha for frame in frames])
    true = np.where(coarse < 90, coarse + 60, coarse).astype(np.uint8)
    return {"coarse_srgb": coarse, "true_srgb": true, "alpha": np.rint(alpha * 255).astype(np.uint8)}


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "tiny-00000.npz", **mouths())
    return tmp_path


def test_where_the_truth_has_no_head_it_asks_for_no_change():
    frame = TinyHead().render(tiny_face().codes, Camera(), SIZE)
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    nothing = truth_over(frame, white, np.zeros((SIZE, SIZE), np.float32))
    assert np.abs(nothing.astype(int) - frame.over()).max() <= 1
    thinner = truth_over(frame, frame.over(), frame.alpha)
    assert np.abs(thinner.astype(int) - frame.over()).max() <= 1, "an outline that is right is no difference"
    grey = np.full((SIZE, SIZE, 3), 100, np.uint8)
    np.testing.assert_array_equal(truth_over(frame, grey, np.ones((SIZE, SIZE), np.float32)), grey)


def test_crops_are_parts_of_the_same_place_and_show_heads(folder):
    pairs = next(DrawnPairs.of([folder], seed=1).batches(8, 24))
    assert pairs.coarse.shape == pairs.true.shape == (8, 3, 24, 24)
    assert pairs.alpha.shape == (8, 1, 24, 24)
    brighter = (pairs.true - pairs.coarse).amax(1, keepdim=True)
    assert float(brighter[pairs.alpha == 0].abs().max()) == 0
    assert float(brighter.amax()) == pytest.approx(60 / 255, abs=1e-4)
    assert float((pairs.alpha > 0).float().mean((1, 2, 3)).min()) > 0.1


def test_pairs_tell_which_models_drew_them(folder):
    np.savez(folder / "big-head-00032.npz", **mouths())
    assert DrawnPairs.of([folder]).models == ("big-head", "tiny")


def test_without_pairs_one_sentence_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"python -m training\.refiner_pairs"):
        DrawnPairs.of([tmp_path])


def test_it_learns_what_all_pictures_lack_and_its_bundle_does_too(folder, tmp_path):
    config = RefinerTraining.read("small")
    loop_config = replace(LoopConfig(120, 4e-3, accelerator="cpu"), warm_up=5)
    model = DiffusionRefiner(RefinerConfig(widths=(8, 8), levels=(0.001, 0.2)))
    loop = Loop(loop_config, tmp_path / "work", NoiseStep(model, config.timesteps, config.first), _loss)
    loop.run(DrawnPairs.of([folder]).batches(4, 32))
    export(model, {"steps": 60}, tmp_path / "made")
    refiner = load_refiner(str(tmp_path / "made"))
    frame = TinyHead().render(tiny_face(seed=9).codes, Camera(), SIZE)
    mouth = (frame.over() < 90).all(-1)
    change = refiner.refine(frame).over().astype(int) - frame.over()
    assert change[mouth].mean() > 15
    assert np.abs(change[~mouth & (frame.alpha > 0.99)]).mean() < 0.3 * change[mouth].mean()
    told = json.loads((tmp_path / "made" / "bundle.json").read_text())
    assert told["architecture"] == "refiner"
    assert read_bundle(tmp_path / "made").training["steps"] == 60


def _loss(network, batch, number):
    return network(batch)


def test_the_error_is_a_share_of_what_the_picture_could_tell(folder):
    """A model that says nothing beyond the noise is wrong by about as much as the crops lack."""
    step = NoiseStep(DiffusionRefiner(RefinerConfig(widths=(4, 4))), 1000, 900)
    torch.manual_seed(0)
    with torch.no_grad():
        losses = step(next(DrawnPairs.of([folder]).batches(8, 24)))
    assert float(losses["missing_before"]) > 0
    assert float(losses["missing"]) == pytest.approx(float(losses["missing_before"]), rel=0.2)


def test_detail_is_what_is_finer_than_broad_differences():
    """Flat colours and slopes are none; lines of one pixel are all detail, less their own share of the mean."""
    across = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    inner = (..., slice(16, -16), slice(16, -16))
    assert float(detail(torch.ones(1, 3, 64, 64)).abs().max()) < 1e-5
    assert float(detail(across)[inner].abs().max()) < 1e-5
    lines = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    torch.testing.assert_close(detail(lines)[inner], (lines - 0.5)[inner], atol=1e-3, rtol=0)
