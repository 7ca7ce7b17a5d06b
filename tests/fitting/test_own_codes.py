"""The latent optimisation of a face's own codes: they move to what the photo shows, and only as far as it asks."""

import numpy as np
import pytest
import torch

from faceeditor.faces.camera import Camera
from faceeditor.fitting.descent import Descent
from faceeditor.fitting.own_codes import own_codes
from faceeditor.fitting.target import Target
from faceeditor.models.contract import do_nothing
from faceeditor.models.layers import tensors
from tests.drawn_portrait import portrait_of
from tests.tiny_infamous import TINY, codes_of, model_of

SIZE = 48
CAMERA = Camera(yaw=15.0)
MOVES = {"theta": np.full(6, 0.6, np.float32), "alpha": np.linspace(-1, 1, 5).astype(np.float32)}


@pytest.fixture(scope="module")
def model():
    smooth = model_of(3)
    # Untrained, waves shorter than a pixel are noise that no code takes away.
    smooth.hyper["A_1"].silence(slice(TINY.alpha, None))
    smooth.hyper["A_3"].silence(slice(TINY.colour + TINY.alpha, None))
    with torch.no_grad():
        for name in TINY.appearance_layers():
            smooth.hyper[name].own.mul_(6)  # people that differ much
    return smooth


class Moved:
    """The model with the codes of one person's own, as a photo would show them."""

    def __init__(self, model, moves):
        self.model, self.moves = model, moves
        self.landmarks = model.landmarks

    def render(self, codes, camera, size):
        return self.model.render(codes, camera, size, refinement=self.moves)


@pytest.fixture(scope="module")
def photo(model):
    return portrait_of(Moved(model, MOVES), codes_of(1), CAMERA, size=SIZE)


def descent_of(model, portrait, tick=do_nothing):
    return Descent(model, CAMERA, Target.of(portrait, SIZE), torch.ones(68), tick)


def test_own_codes_meet_the_photo_and_all_else_is_kept(model, photo):
    descent, codes = descent_of(model, photo), codes_of(1)
    hair = {"strand_offsets": np.zeros((21360, 3), np.float16)}
    found = own_codes(descent, model, codes, hair, steps=25)
    assert found.keys() == {"theta", "alpha", "beta", "strand_offsets"}
    assert found["theta"].shape == (6,)
    with torch.no_grad():
        before, after, best = (
            float(descent.picture(tensors(codes), tensors(gains))) for gains in (hair, found, {**hair, **MOVES})
        )
    # What remains is what one ray a pixel leaves of a picture that was drawn with four.
    assert after - best < 0.5 * (before - best)


def test_a_photo_that_is_met_already_asks_for_nothing(model):
    portrait = portrait_of(model, codes_of(1), CAMERA, size=SIZE)
    found = own_codes(descent_of(model, portrait), model, codes_of(1), {}, steps=6)
    assert max(np.abs(move).max() for move in found.values()) < 0.1


def test_moves_go_on_from_where_they_are_and_can_be_stopped(model, photo):
    start = {"theta": np.full(6, 0.6, np.float16)}
    found = own_codes(descent_of(model, photo), model, codes_of(1), start, steps=1)
    assert np.abs(found["theta"] - 0.6).max() < 0.2

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_codes(descent_of(model, photo, stop), model, codes_of(1), {}, steps=3)
