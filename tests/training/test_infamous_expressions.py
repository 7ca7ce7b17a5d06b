"""What expression codes say: shared ones mean the same to everybody, people's own do not; and what is read of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION
from faceeditor.models.bundle import load_model
from tests.drawn_portrait import head
from tests.tiny_infamous import model_of
from training.infamous_config import InfamousTraining
from training.infamous_expressions import Heard, Movements, Shown, learn
from training.infamous_people import NAMED, PeopleOptions, expressions
from training.infamous_transfer import SLIDERS, Held, Reading, as_learned, by_model, found_code, slider, transfers
from training.studio.capture import StudioDataset, capture
from training.studio.factors import StudioFactors

PEOPLE, EACH = 20, 3


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def moved(model):
    return Movements.of(model.proxy.template)


@pytest.fixture(scope="module")
def shown(model):
    """Some people with some of the named expressions each, of codes drawn at random."""
    torch.manual_seed(3)
    person = torch.arange(PEOPLE).repeat_interleave(EACH)
    named = torch.arange(PEOPLE * EACH) % 5
    theta, beta = (torch.randn(PEOPLE, dims)[person] for dims in (model.config.theta, model.config.beta))
    return Shown(person, named, theta, beta, torch.from_numpy(expressions())[named])


def learned(model, shown, moved, folder, tables):
    torch.manual_seed(0)
    config = InfamousTraining.read("expressions")
    config = replace(config, groups=30, loop=replace(config.loop, steps=250, learning_rate=5e-3, average=0.0))
    sizes = replace(model.config, shape=16)
    return learn(Heard(sizes, tables), shown, moved, config, folder)


def test_codes_are_everybodys_or_ones_own(model):
    everybodys, own = (Heard(model.config, tables) for tables in (1, PEOPLE))
    persons, named = torch.tensor([0, 4]), torch.tensor([2, 2])
    assert torch.equal(*everybodys.codes(persons, named))
    assert not torch.equal(*own.codes(persons, named))
    assert everybodys.table.shape[1] == len(NAMED)


def test_distances_are_millimetres_of_the_templates_landmarks(model, moved):
    opened = torch.from_numpy(slider("jawOpen"))[None]
    template = model.proxy.template
    at_rest, there = (template.vertices(torch.zeros(1, 100), one) for one in (torch.zeros_like(opened), opened))
    off = (template.landmarks(there) - template.landmarks(at_rest)).norm(dim=-1).mean() * 1000
    assert float(moved.distance(opened, torch.zeros_like(opened))) == pytest.approx(float(off), abs=2e-3)
    assert float(moved.loss(opened, opened)) == pytest.approx(0, abs=3e-3)


@pytest.fixture(scope="module")
def everybodys(model, shown, moved, tmp_path_factory):
    return learned(model, shown, moved, tmp_path_factory.mktemp("everybodys"), 1).requires_grad_(False)


def test_shared_codes_can_be_given_and_peoples_own_mean_something_else_to_others(
    model, shown, moved, everybodys, tmp_path
):
    errors = {}
    for heard in (everybodys, learned(model, shown, moved, tmp_path, PEOPLE)):
        with torch.no_grad():
            every = torch.arange(PEOPLE * EACH)
            assert moved.distance(shown.said(heard, every), shown.expression).mean() < 1.5
        givers, takers = torch.arange(EACH), torch.arange(EACH) + EACH
        codes = heard.codes(shown.person[givers], shown.named[givers])
        with torch.no_grad():
            said = heard(shown.theta[takers], shown.beta[takers], codes)
        errors[len(heard.table)] = float(moved.distance(said, shown.expression[givers]).mean())
    assert errors[1] < 0.5 * errors[PEOPLE]


def test_a_code_is_found_by_what_it_says(shown, moved, everybodys):
    theta, beta, wanted = shown.theta[1:2], shown.beta[1:2], shown.expression[1:2]
    said = everybodys(theta, beta, found_code(everybodys, theta, beta, wanted, moved))
    assert float(moved.distance(said, wanted)) < 0.3 * float(moved.distance(torch.zeros_like(wanted), wanted))


def test_what_was_learned_is_read_again_and_missing_files_are_told(model, tmp_path):
    heard = Heard(model.config, PEOPLE)
    path = tmp_path / "naive.safetensors"
    with pytest.raises(UserError, match="infamous_expressions writes it"):
        Heard.read(path, model.config)
    save_file(heard.state_dict(), path)
    again = Heard.read(path, model.config)
    assert torch.equal(again.table, heard.table)


def test_photographed_people_are_shown(model, tmp_path, studio_home, data_folder):
    options = PeopleOptions(size=32)
    list(capture(StudioDataset(data_folder, 8, options), tmp_path, workers=0))
    found = Shown.of(tmp_path, model)
    assert found.person.tolist() == [0, 0, 0, 1]
    assert found.named.tolist() == [options.named(number) for number in (0, 2, 4, 6)]
    assert torch.equal(found.theta[0], found.theta[2])
    assert np.array_equal(found.expression[1].numpy(), options.factors(2).codes[EXPRESSION])


# What is read off pictures


class TruePerson(Held):
    """One whose truth is drawn from the codes of the fit."""

    def truth(self, expression):
        return self.fit(expression)


@pytest.fixture(scope="module")
def reading():
    guided = load_model("guided-studio")
    return guided, Reading(by_model(guided), by_model(guided), load_model("portrait-studio"))


def test_sliders_and_given_expressions_are_read_off_pictures(reading):
    guided, reads = reading
    person = TruePerson(head(guided, seed=2), {}, None)
    assert reads.slider(person, "jawOpen") == pytest.approx({"cosine": 1.0, "way": 1.0})
    opened, smile = slider("jawOpen"), slider("mouthSmileLeft")
    truth = reads.truth(person, opened)
    assert reads.transfer(person, opened, truth) == pytest.approx({"landmarks": 0, "moved": 0})
    wrong = reads.transfer(person, smile, truth)
    assert wrong["moved"] > 3
    assert wrong["landmarks"] == pytest.approx(wrong["moved"])


def test_all_sliders_that_are_moved_have_names(reading):
    guided, _ = reading
    names = {direction.name for direction in guided.spaces[EXPRESSION].directions}
    assert set(SLIDERS) <= names


class Listing(Reading):
    """Reads no pictures: tells who wears what."""

    def truth(self, person, expression):
        return person, expression

    def transfer(self, taker, expression, true):
        assert true[0] is taker
        return {"right": float(np.array_equal(expression, true[1]))}


def test_everybodys_expression_is_given_to_the_next_and_every_way_of_giving_is_told(model, moved):
    people = [
        Held({}, {}, replace(StudioFactors(), expression=slider(name)))
        for name in ("jawOpen", "mouthLeft", "cheekPuff")
    ]
    ways = {
        "true": lambda giver, taker: giver.factors.expression,
        "nothing": lambda giver, taker: 0 * slider("jawOpen"),
    }
    found = dict(transfers(people, ways, moved, Listing(None, None, None)))
    assert found["true"] == pytest.approx({"right": 1.0, "template_mm": 0.0}, abs=2e-3)
    assert found["nothing"]["right"] == 0
    assert found["nothing"]["template_mm"] > 1


def test_what_a_training_learned_is_given_from_fit_to_fit(reading, model, moved):
    guided, _ = reading
    torch.manual_seed(1)
    heard = Heard(model.config, 1).requires_grad_(False)
    giver, taker = (Held(head(guided, seed=seed, jawOpen=0.5), {}, None) for seed in (1, 2))
    give = as_learned(heard, model, moved)
    found = give(giver, taker)
    assert found.shape == (64,)
    assert not np.array_equal(found, give(giver, giver))
