"""Frame times of the shipped models, as the window asks for them."""

import itertools

import numpy as np
import pytest
import torch

from faceeditor.editing.controls import neutral, set_slider
from faceeditor.engine.dense_reference import DenseReference
from faceeditor.engine.runtime import configure
from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import MeshModel, Quality
from faceeditor.settings import Settings


@pytest.fixture(scope="module", params=[Settings().model, "headnerf-studio", "infamous-studio"])
def model(request):
    configure()
    return load_model(request.param)


@pytest.fixture(scope="module")
def faces(model):
    """A face of somebody with hair, with the mouth at many openings; what it is made of is known after one frame."""
    generator = np.random.default_rng(1)
    codes = {space.name: space.random(generator) for space in model.spaces.values()}
    face = Face("bench", model.name, {**codes, EXPRESSION: neutral(model.spaces[EXPRESSION])})
    return [set_slider(face, model.spaces, "expression.jawOpen", value) for value in np.linspace(0, 1, 16)]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize(("size", "quality"), [(256, Quality.MOVING), (512, Quality.FULL)])
def test_codes_changed(benchmark, model, faces, size, quality):
    turn = itertools.cycle(faces)

    def draw():
        face = next(turn)
        return model.render(face.codes, face.camera, size, quality)

    benchmark.pedantic(draw, rounds=16, warmup_rounds=3)


def test_camera_moved(benchmark, model, faces):
    turn = itertools.count()
    face = faces[0]

    def draw():
        return model.render(face.codes, face.camera.replace(yaw=float(next(turn) % 40 - 20)), 256, Quality.MOVING)

    benchmark.pedantic(draw, rounds=24, warmup_rounds=3)


def test_mesh(benchmark, model, faces):
    if not isinstance(model, MeshModel):
        pytest.skip(f"{model.name} has no mesh of its own")
    turn = itertools.cycle(faces)
    benchmark.pedantic(lambda: model.mesh(next(turn).codes), rounds=16, warmup_rounds=3)


def test_dense_reference(benchmark):
    network = DenseReference().eval()
    benchmark.pedantic(network, rounds=3, warmup_rounds=1)
