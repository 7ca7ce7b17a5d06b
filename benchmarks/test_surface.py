"""Times of the shipped surface models: a dragged slider, faces and whole heads extracted beside the dense grid."""

import itertools

import numpy as np
import pytest
import torch

from faceeditor.engine.runtime import configure
from faceeditor.engine.surface_bench import heads, surfaces
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import Quality
from faceeditor.models.extraction import face_extraction

MODEL = "imface-studio"
HEADS = "triplane-studio"


@pytest.fixture(scope="module")
def model():
    configure()
    return load_model(MODEL)


@pytest.fixture(scope="module")
def faces(model):
    """The mean face with its mouth at many openings, there and back."""
    codes = {name: space.mean for name, space in model.spaces.items()}
    openings = 0.5 - 0.5 * np.cos(np.linspace(0, 2 * np.pi, 50, endpoint=False))
    jaw = EXPRESSION_COMPONENTS.index("jawOpen")
    return [{**codes, EXPRESSION: np.float32(value) * np.eye(160, dtype=np.float32)[jaw]} for value in openings]


@pytest.fixture(scope="module")
def whole():
    configure()
    return load_model(HEADS)


@pytest.fixture(scope="module")
def people(whole):
    """Random people, each seen for the first time."""
    random = np.random.default_rng(0)
    still = np.zeros_like(whole.spaces[EXPRESSION].mean)
    return ({IDENTITY: whole.spaces[IDENTITY].random(random), EXPRESSION: still} for _ in itertools.count())


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def test_slider_dragged(benchmark, model, faces):
    turn = itertools.cycle(faces)
    benchmark.pedantic(lambda: model.mesh(next(turn)), rounds=40, warmup_rounds=4)


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_extraction(benchmark, model, faces, resolution):
    benchmark.pedantic(lambda: face_extraction(model, faces[0]).sparse(resolution), rounds=2, warmup_rounds=1)


def test_head_dragged(benchmark, whole, people):
    person, jaw = next(people), EXPRESSION_COMPONENTS.index("jawOpen")
    openings = itertools.cycle(np.linspace(0, 1, 20, dtype=np.float32))

    def moved():
        code = person[EXPRESSION].copy()
        code[jaw] = next(openings)
        return whole.mesh({**person, EXPRESSION: code})

    benchmark.pedantic(moved, rounds=40, warmup_rounds=4)


def test_another_person_while_dragging(benchmark, whole, people):
    someone, along = next(people), itertools.count(1)

    def another():
        face = someone[IDENTITY].copy()
        face[0] += 0.04 * next(along)
        return whole.mesh({**someone, IDENTITY: face}, quality=Quality.MOVING)

    benchmark.pedantic(another, rounds=8, warmup_rounds=1)


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_head_meshed(benchmark, whole, people, resolution):
    benchmark.pedantic(lambda: whole.extract(next(people), resolution), rounds=3, warmup_rounds=1)


def test_extraction_beside_the_dense_grid(model, whole):
    figures = surfaces(model, lambda *told: None)
    of_heads = heads(whole, lambda *told: None)
    print(figures, of_heads)
    assert figures["extraction.seconds_256"] / of_heads["extraction.triplane_seconds_256"] >= 5
    assert of_heads["extraction.triplane_vs_dense"] >= 8
    assert of_heads["extraction.triplane_128_s"] <= 1.5
    assert figures["extraction.imface_vs_dense"] >= 15
    assert figures["surface.drag_fps"] >= 10
