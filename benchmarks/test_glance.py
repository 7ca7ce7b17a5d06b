"""A photo's head found and told at one look, beside the encoder's one forward pass."""

import numpy as np
import pytest
import skimage.data

from faceeditor.engine.runtime import configure
from faceeditor.fitting.glance import at_first_sight
from faceeditor.fitting.portrait import cropped
from faceeditor.models.bundle import load_model
from faceeditor.settings import Settings

PHOTO = np.array(skimage.data.astronaut())


@pytest.fixture(scope="module")
def models():
    configure()
    return [load_model(name) for name in (Settings().model, "portrait-studio", "attributes-studio")]


def test_encoder(benchmark, models):
    benchmark.pedantic(lambda: models[2].encode(PHOTO[None]), rounds=16, warmup_rounds=3)


def test_photo_to_face(benchmark, models):
    model, reader, encoder = models
    look = lambda: at_first_sight(cropped(PHOTO, reader), encoder, model)  # noqa: E731
    benchmark.pedantic(look, rounds=6, warmup_rounds=1)
