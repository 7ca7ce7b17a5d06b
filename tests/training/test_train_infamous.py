"""INFAMOUS-NeRF's training: people in groups, where they are drawn, what is compared, and a bundle that ships."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.layout import DIMS, EXPRESSION, EXPRESSION_COMPONENTS, LIGHT, SKIN
from faceeditor.models.bundle import read_bundle
from faceeditor.models.infamous import Infamous
from training import guided_spaces
from training.infamous_config import CONFIGS, InfamousTraining, Sampling
from training.infamous_losses import RIM, dssim, gradient, recon
from training.infamous_people import GROUPS, NAMED, VIEWS, PeopleOptions, expressions
from training.infamous_sampling import LossMaps, corners
from training.studio.capture import StudioDataset, capture
from training.train_infamous import People, PeopleStep, Trainer, new_model, surface

SMALL = {"theta": 8, "alpha": 8, "beta": 8, "colour": 12, "shape": 8, "hidden": 3}


@pytest.fixture
def captured(tmp_path, studio_home, data_folder):
    list(capture(StudioDataset(data_folder, 2 * VIEWS, PeopleOptions(size=64)), tmp_path / "people", workers=0))
    return tmp_path / "people"


def config_of(**changes):
    facts = InfamousTraining.read("small")
    loop = replace(facts.loop, steps=6, minutes=0.0, warm_up=1, average=0.0)
    sampling = replace(facts.sampling, side=8)
    return replace(facts, loop=loop, sampling=sampling, groups=2, model=SMALL, **changes)


# People


def test_a_group_shows_one_person_with_a_named_expression_in_one_light_to_several_cameras():
    options = PeopleOptions()
    first, second, next_group = (options.factors(number) for number in (0, 1, VIEWS))
    for space in DIMS:
        assert np.array_equal(first.codes[space], second.codes[space])
    assert first.camera != second.camera
    assert np.array_equal(first.skin, next_group.skin)
    assert not np.array_equal(first.codes[LIGHT], next_group.codes[LIGHT])
    assert not np.array_equal(first.skin, options.factors(GROUPS * VIEWS).codes[SKIN])
    table = expressions()
    for number in (0, VIEWS, 2 * VIEWS):
        assert np.array_equal(options.factors(number).codes[EXPRESSION], table[options.named(number)])


def test_twenty_expressions_differ_and_move_both_sides():
    table = expressions()
    assert table.shape == (20, DIMS[EXPRESSION])
    assert len(np.unique(table, axis=0)) == 20
    sides = [EXPRESSION_COMPONENTS.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    assert (table[list(NAMED).index("smile")][sides] == np.float32(0.9)).all()


# Where


def test_a_map_is_even_then_heavy_where_losses_were_and_is_forgotten():
    torch.manual_seed(0)
    maps = LossMaps(1, Sampling(cells=16, reset=4, gaussians=1.0))
    assert maps.probabilities(0).flatten().unique().numel() == 1
    pixels = torch.tensor([[40, 8], [8, 40]])
    maps.visit(0, pixels, torch.tensor([3.0, 1.0]), 64)
    found = maps.probabilities(0)
    assert found.sum() == pytest.approx(1)
    assert found[10, 2] == found.max()
    # Eq. 8: three times the loss, three times the weight.
    assert found[10, 2] / found[2, 10] == pytest.approx(3, rel=1e-4)
    assert found[10, 3] / found[10, 2] == pytest.approx(np.exp(-0.5 / 1.5**2), rel=1e-3)
    for _ in range(3):
        maps.visit(0, pixels, torch.tensor([3.0, 1.0]), 64)
    assert maps.probabilities(0).flatten().unique().numel() == 1


def test_only_some_of_the_drawn_pixels_leave_gaussians():
    torch.manual_seed(0)
    maps = LossMaps(1, Sampling(cells=32, sigma=0.01))
    pixels = torch.cartesian_prod(torch.arange(0, 64, 8), torch.arange(0, 64, 8))
    maps.visit(0, pixels, torch.ones(64), 64)
    assert (maps.probabilities(0) > 0).sum() == int(0.3 * 64)


def test_half_the_patches_lie_at_landmarks_and_half_where_the_map_says():
    torch.manual_seed(0)
    sampling = Sampling(patches=400, side=4, near=0.0)
    maps = LossMaps(1, sampling)
    landmarks = torch.full((68, 2), 40.0) + torch.tensor([10.0, 0.0])
    landmarks[:17] = 5.0  # the jaw does not count
    maps.visit(0, torch.tensor([[100, 20]]), torch.ones(1), 128)
    found = corners(sampling, 128, landmarks, maps, 0)
    assert (found[:200] == torch.tensor([38, 48])).all()
    away = (found[200:] + 2 - torch.tensor([100, 20])).abs().amax(-1)
    assert away.float().median() < 8
    even = corners(replace(sampling, adaptive=False), 128, landmarks, maps, 0)[200:]
    assert even.float().std(0).min() > 25
    assert found.min() >= 0
    assert found.max() <= 124


# What


def test_losses_of_a_known_difference():
    true = torch.zeros(1, 3, 4 + 2 * RIM, 4 + 2 * RIM)
    assert float(dssim(true + 0.5, true + 0.5)) == pytest.approx(0, abs=1e-6)
    off = true.clone()
    off[..., RIM:-RIM, RIM:-RIM] = 0.25
    # A square of 4 x 4 that differs by 0.25: an edge of 16 pixels, 16 pixels drawn.
    assert float(gradient(off, true)) == pytest.approx(0.25)
    assert float(recon(torch.full((5, 3), 0.25), torch.zeros(5, 3))) == 0.25
    assert float(dssim(off, true)) > 0.05


def test_the_surface_is_seen_by_both_cameras(captured):
    torch.manual_seed(0)
    model = new_model(config_of())
    step = PeopleStep(model, config_of(), People(captured, model))
    views = [[step._view(number) for number in range(VIEWS)]]
    with torch.no_grad():
        first, second = step._drawn(views)[0]
        own, other = first.surface(second.view)
        assert len(own) == len(first.ray)
        assert 0 < len(other) <= len(own)
        # The same picture from the same place: each point is seen where it was, but for what a pixel's middle leaves.
        same, again = first.surface(first.view)
        assert len(again) > 0.95 * len(same)
        assert (again.mean() - same.mean()).abs() < 0.05
        assert float(surface([[first, second]])) > 0


def test_drawn_pixels_replace_true_ones_in_their_patches(captured):
    model = new_model(config_of())
    view = PeopleStep(model, config_of(), People(captured, model))._view(0)
    drawn = torch.full((len(view.pixels), 3), 2.0)
    replaced, true = view.replaced(drawn)
    side = view.side
    assert replaced.shape == true.shape == (4, 3, side + 2 * RIM, side + 2 * RIM)
    assert (replaced == 2).sum() == drawn.numel()
    assert (replaced[..., RIM:-RIM, RIM:-RIM] == 2).all()
    assert torch.equal(true[..., RIM:-RIM, RIM:-RIM].permute(0, 2, 3, 1).reshape(-1, 3), view.true(view.pictured.srgb))


def test_people_are_learned_and_a_stopped_training_goes_on(captured, tmp_path, monkeypatch):
    monkeypatch.setattr(guided_spaces, "DRAWS", 250)
    trainer = Trainer(config_of(), tmp_path / "work")
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train(captured)
    assert trainer.steps == 6
    after = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert not torch.equal(start["hyper.layers.A_1.own"], after["hyper.layers.A_1.own"])
    assert torch.equal(start["opacity"], after["opacity"])
    again = Trainer(config_of(), tmp_path / "work")
    again.train(captured)
    assert all(torch.equal(value, after[name]) for name, value in again.model.state_dict().items())

    trainer.export({"data": "4 studio pictures"}, tmp_path / "head")
    model = Infamous.from_bundle(read_bundle(tmp_path / "head"), torch.device("cpu"))
    assert {name: space.dims for name, space in model.spaces.items()} == DIMS
    person = PeopleOptions().factors(0)
    assert model.render(person.codes, person.camera, 32).alpha.max() > 0.9


def test_every_line_of_table_4_is_a_configuration(captured):
    names = [path.stem.removeprefix("infamous_") for path in Path(CONFIGS).glob("infamous_*.yaml")]
    assert {"small", "paper", "expressions"} <= set(names)
    paper = InfamousTraining.read("paper")
    assert paper.model_config.hidden == 256
    assert paper.weights.sur == paper.weights.dssim == paper.weights.gradient == 1
    assert not InfamousTraining.read("without_hypernetwork").model_config.hyper
    assert InfamousTraining.read("without_sur").weights.sur == 0
    assert not InfamousTraining.read("without_adaptive").sampling.adaptive
    small = config_of()
    for change in (
        {"model": {**SMALL, "hyper": False}},
        {"weights": replace(small.weights, sur=0.0)},
        {"sampling": replace(small.sampling, adaptive=False)},
    ):
        config = replace(small, **change)
        model = new_model(config)
        losses = PeopleStep(model, config, People(captured, model))(torch.tensor([0, 1]))
        assert torch.isfinite(losses["total"])
        assert ("sur" in losses) == (config.weights.sur > 0)


def test_a_training_ends_after_steps_or_minutes_or_where_it_says():
    config = config_of()
    assert (config.ending(9, 2.0).loop.steps, config.ending(9, 2.0).loop.minutes) == (9, 0.0)
    assert config.ending(None, 2.0).loop == replace(config.loop, minutes=2.0)
    assert config.ending(None, None) == config


def test_rays_met_of_other_pictures_are_told(captured):
    model = new_model(config_of())
    People(captured, model)
    model.config = replace(model.config, shell_layers=5)
    with pytest.raises(UserError, match="belongs to other pictures"):
        People(captured, model)


def test_a_folder_without_people_is_told(tmp_path):
    with pytest.raises(UserError, match="There are no pictures in"):
        People(tmp_path, new_model(config_of()))
