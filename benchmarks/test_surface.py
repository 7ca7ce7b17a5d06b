"""Times of the shipped surface model: a dragged slider, and a face extracted beside the dense grid in the same run."""

import itertools

import numpy as np
import pytest
import torch

from faceeditor.engine.runtime import configure
from faceeditor.engine.surface_bench import surfaces
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.models.bundle import load_model
from faceeditor.models.extraction import face_extraction

MODEL = "imface-studio"


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


def test_extraction_beside_the_dense_grid(model):
    figures = surfaces(model, lambda *told: None)
    print(figures)
    assert figures["extraction.imface_vs_dense"] >= 15
    assert figures["surface.drag_fps"] >= 10
