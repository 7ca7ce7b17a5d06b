"""The refiner: seeds, what stays as it was, tiles, bundles, and that its few steps are diffusers'."""

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import Frame, Refiner, capabilities
from faceeditor.models.refiner import DiffusionRefiner, RefinerConfig, in_tiles
from tests.tiny import TinyHead, tiny_face
from tests.tiny_refiner import NAME, install_refiner, tiny_refiner


@pytest.fixture(scope="module")
def refiner():
    return tiny_refiner()


@pytest.fixture(scope="module")
def frame():
    return TinyHead().render(tiny_face().codes, Camera(), 75)


def test_it_refines(refiner):
    assert capabilities(refiner) == ("refining",)
    assert isinstance(refiner, Refiner)


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(refiner, frame):
    first, again, other = (refiner.refine(frame, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.rgb_linear, again.rgb_linear)
    assert np.abs(first.rgb_linear - other.rgb_linear).max() > 0.01


def test_nothing_changes_outside_the_head(refiner, frame):
    finer, head = refiner.refine(frame), frame.alpha > 0
    assert 0.1 < head.mean() < 0.9
    np.testing.assert_array_equal(finer.rgb_linear[~head], frame.rgb_linear[~head])
    np.testing.assert_array_equal(finer.alpha, frame.alpha)
    np.testing.assert_array_equal(finer.depth, frame.depth)
    assert (np.abs(finer.rgb_linear - frame.rgb_linear)[head].max(-1) > 0).mean() > 0.9
    assert finer.rgb_linear.shape == frame.rgb_linear.shape
    assert finer.rgb_linear.dtype == np.float32
    assert np.isfinite(finer.rgb_linear).all()
    assert finer.rgb_linear.min() >= 0


def test_what_is_behind_the_head_does_not_matter_to_it(refiner, frame):
    """Changes fade with the coverage, so that over any background the outline stays what it was."""
    finer, edge = refiner.refine(frame), (frame.alpha > 0) & (frame.alpha < 0.05)
    assert edge.any()
    assert np.abs(finer.rgb_linear - frame.rgb_linear)[edge].max() < 0.05


def test_an_empty_picture_stays_empty(refiner):
    empty = Frame(*(np.zeros(shape, np.float32) for shape in ((20, 20, 3), (20, 20), (20, 20))))
    assert refiner.refine(empty) is empty


def test_it_may_be_stopped_between_steps(refiner, frame):
    class Enough(Exception):
        pass

    seen = []

    def breathe():
        seen.append(1)
        if len(seen) == 2:
            raise Enough

    with pytest.raises(Enough):
        refiner.refine(frame, 0, breathe)
    assert len(seen) == len(refiner.config.levels)


def test_tiles_are_the_whole():
    """As far as a pixel's surroundings reach, which is less than the overlap here."""
    layer = torch.nn.Conv2d(2, 3, 5, padding=2, padding_mode="zeros")
    picture = torch.rand(1, 2, 120, 88)
    with torch.no_grad():
        whole = layer(picture)
        tiled = in_tiles(picture, layer, 4, tile=48, overlap=16)
        inner = (..., slice(2, -2), slice(2, -2))
        assert float((tiled - whole)[inner].abs().mean()) < 0.02 * float(whole.std())
        constant = in_tiles(picture, lambda part: part, 4, tile=48, overlap=16)
    torch.testing.assert_close(constant, picture)


@pytest.mark.parametrize("size", [(40, 40), (64, 48), (65, 130), (161, 47)])
def test_tiles_cover_everything_and_are_no_larger_than_asked_for(size):
    height, width = (-(-side // 4) * 4 for side in size)
    sizes = []

    def make(part):
        sizes.append(part.shape[-2:])
        return part

    picture = torch.rand(1, 1, height, width)
    torch.testing.assert_close(in_tiles(picture, make, 4, tile=48, overlap=16), picture)
    assert all(side % 4 == 0 and side <= 48 for shape in sizes for side in shape)


def test_a_large_picture_is_refined_as_if_it_were_whole(refiner, monkeypatch):
    large = TinyHead().render(tiny_face().codes, Camera(), 200)
    whole = refiner.refine(large)
    monkeypatch.setattr("faceeditor.models.refiner.in_tiles", lambda *args: in_tiles(*args, tile=96, overlap=32))
    tiled = refiner.refine(large)
    change = np.abs(whole.rgb_linear - large.rgb_linear)
    assert np.abs(tiled.rgb_linear - whole.rgb_linear).mean() < 0.05 * change.mean()


def test_its_steps_are_those_of_diffusers(refiner):
    """DDIM without new noise, at the timesteps whose shares of signal the configuration names."""
    scheduling = pytest.importorskip("diffusers.schedulers.scheduling_ddim")
    steps = [749, 499, 249]
    schedule = scheduling.DDIMScheduler(
        1000, beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False
    )
    schedule.set_timesteps(len(steps) + 1)
    kept = schedule.alphas_cumprod
    model = DiffusionRefiner(RefinerConfig(widths=(4, 6), levels=tuple(float(kept[step]) for step in steps)))
    model.load_state_dict(refiner.state_dict())
    coarse, alpha, noise = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16), torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        found = model.sample(coarse, alpha, noise)
        x = noise
        for step in steps:
            x = schedule.step(model(x, coarse, alpha, kept[step : step + 1]), step, x).prev_sample
    torch.testing.assert_close(found, x / model.config.gain, atol=1e-4, rtol=1e-4)


def test_bundles(user_home):
    install_refiner(user_home / "data")
    stored, fresh = load_model(NAME), tiny_refiner()
    assert stored.config == fresh.config
    for name, value in fresh.state_dict().items():
        torch.testing.assert_close(stored.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_a_bundle_that_does_not_fit_is_told(user_home):
    install_refiner(user_home / "data")
    manifest = user_home / "data" / "models" / NAME / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"gain"', '"loss"'))
    with pytest.raises(UserError, match="a-refiner does not fit this version"):
        load_model(NAME)
