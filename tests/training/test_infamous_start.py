"""What INFAMOUS-NeRF is taught of surfaces: colours of people's own at points of the template, learned by F_A alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.faces.layout import HAIR, HAIR_COLOUR, HAIR_STYLES
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.infamous_guide import CARDS
from training import guided_spaces
from training.datasets import CapturedPictures
from training.infamous_config import InfamousTraining
from training.infamous_people import GROUPS, VIEWS, PeopleOptions
from training.infamous_start import Surfaces, SurfaceStep, Taught, batches
from training.studio.capture import StudioDataset, capture
from training.train_infamous import new_model

SMALL = {"theta": 8, "alpha": 8, "beta": 8, "colour": 24, "shape": 8, "hidden": 3}


@pytest.fixture
def folder(tmp_path, studio_home, data_folder):
    options = PeopleOptions(size=32)
    list(capture(StudioDataset(data_folder, GROUPS * VIEWS + 1, options), tmp_path / "people", workers=0))
    return tmp_path / "people"


@pytest.fixture
def surfaces(folder):
    return Surfaces(CapturedPictures.of(folder), load_model("guided-studio"), 0.25)


def config_of():
    facts = InfamousTraining.read("small")
    return replace(facts, model=SMALL, loop=replace(facts.loop, steps=4, minutes=0.0, warm_up=1, average=0.0))


def test_points_lie_on_the_template_and_cards_beside_it(surfaces):
    torch.manual_seed(0)
    assert len(surfaces) == 2
    points = surfaces.points(0, 400)
    assert points.place.shape == points.colour.shape == (400, 3)
    assert (points.colour >= 0).all()
    metres = points.place * 0.25
    template = surfaces.guided.proxy.template
    head = metres[metres[:, 2] > -0.3]
    away = torch.cdist(head, template.mean).amin(1)
    assert away.max() < 0.012
    cards = metres[metres[:, 2] <= -0.3] - torch.tensor(CARDS)
    assert 0 < len(cards) < 200
    assert torch.cdist(cards, torch.cat([template.hair_rest, template.mean])).amin(1).max() < 0.03


def test_hair_has_its_own_colour(surfaces):
    torch.manual_seed(0)
    person = next(number for number in range(2) if surfaces.codes[number][HAIR][HAIR_STYLES].sum() > 0.5)
    style = int(surfaces.codes[person][HAIR][HAIR_STYLES].argmax())
    surfaces.codes[person][HAIR][HAIR_COLOUR] = torch.tensor([0.6, 0.3, 0.0])
    red, green, blue = surfaces._on_hair(person, style, 300).colour.unbind(-1)
    assert blue.max() == 0
    assert red.mean() > 1.2 * green.mean() > 0


def test_colours_are_learned_and_density_is_left(surfaces):
    torch.manual_seed(0)
    model = new_model(config_of())
    step = SurfaceStep(model, surfaces, points=256)
    adam = torch.optim.Adam(step.parameters(), 3e-3)
    people = next(batches(2, 2, 0))
    losses = []
    for _ in range(25):
        adam.zero_grad()
        total = step(people)["total"]
        total.backward()
        adam.step()
        losses.append(total.item())
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert model.hyper["S_1"].usual.grad is None


def test_a_taught_model_begins_with_a_bundle_and_ships(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(guided_spaces, "DRAWS", 250)
    first = Taught(config_of(), tmp_path / "work")
    first.train(folder)
    assert first.steps == 4
    first.export({"data": "textures"}, tmp_path / "start")
    again = Taught(config_of(), tmp_path / "other")
    again.begin_with(read_bundle(tmp_path / "start"))
    for name, value in first.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, atol=2e-3, rtol=2e-3)
