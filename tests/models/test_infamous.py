"""INFAMOUS-NeRF: the tables of its layers, weights of people's own, guided against dense sampling, bundles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, LIGHT
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.contract import OwnCodesModel, Quality, capabilities
from faceeditor.models.infamous import FaceCodes, Infamous
from faceeditor.models.infamous_config import WAVES, InfamousConfig
from faceeditor.models.infamous_dense import draw_densely
from faceeditor.models.infamous_hyper import Hypernetwork
from faceeditor.models.infamous_layers import FaceColour, FaceShape, waves
from faceeditor.rendering.harmonics import ambient
from tests.tiny_infamous import TINY, codes_of, model_of

CAMERA = Camera(yaw=20.0, pitch=-10.0, distance=0.9, field_of_view=26.0)
JAW = EXPRESSION_COMPONENTS.index("jawOpen")


def tensors_of(codes):
    return {name: torch.tensor(np.array(code)) for name, code in codes.items()}


# The networks


def test_layers_have_the_sizes_of_tables_8_and_9():
    paper = InfamousConfig()
    assert (paper.theta, paper.alpha, paper.beta, paper.epsilon) == (256, 256, 128, 64)
    assert paper.appearance_layers() == {
        "A_1": (322, 128), "A_2": (128, 128), "A_3": (450, 128), "A_4": (194, 64), "A_5": (64, 3),
    }  # fmt: skip
    assert paper.shape_layers() == {
        "MB_1": (128, 128), "MB_2": (128, 128), "MB_3": (128, 64),
        "MS_1": (128, 128), "MS_2": (128, 128), "MS_3": (128, 64),
        "E_1": (130, 128), "E_2": (128, 128), "E_3": (128, 128),
        "S_1": (256, 128), "S_2": (128, 128), "S_3": (384, 128), "S_4": (128, 128), "S_5": (450, 64), "S_6": (64, 1),
    }  # fmt: skip


def test_the_hypernetwork_has_two_layers_for_every_layer():
    hyper = Hypernetwork(256, 256, {"A_4": (194, 64), "A_5": (64, 3)})
    for name, (inputs, outputs) in (("A_4", (194, 64)), ("A_5", (64, 3))):
        assert hyper[name].first.weight.shape == (256, 256)
        assert hyper[name].own.numel() == 256 * outputs * (inputs + 1)
    weights = hyper(torch.randn(2, 256))
    assert weights["A_4"].weight.shape == (2, 64, 194)
    assert weights["A_5"].bias.shape == (2, 3)


def test_points_are_encoded_as_66_numbers():
    x = torch.tensor([[0.1, -0.2, 0.3]])
    found = waves(x)
    assert found.shape == (1, WAVES)
    torch.testing.assert_close(found[0, 3 * 4 + 1], torch.sin(x[0, 1] * 16))
    torch.testing.assert_close(found[0, WAVES // 2 + 3 * 2 + 2], torch.cos(x[0, 2] * 4))


def plain(weights, name, *parts):
    """A layer of the tables over everything that the table says goes in, with its activation."""
    layer = weights[name]
    return functional.leaky_relu(functional.linear(torch.cat(parts, dim=-1), layer.weight[0], layer.bias[0]), 0.2)


def last(weights, name, x):
    return functional.linear(x, weights[name].weight[0], weights[name].bias[0])


def test_the_networks_are_those_of_the_tables():
    config = replace(TINY, known=False)
    torch.manual_seed(1)
    hyper = Hypernetwork(config.theta, config.hidden, config.appearance_layers() | config.shape_layers())
    weights = hyper(torch.randn(1, config.theta))
    alpha, beta, epsilon = (torch.randn(1, dims) for dims in (config.alpha, config.beta, config.epsilon))
    x, d = torch.randn(7, WAVES), torch.randn(7, WAVES)
    a, b = alpha.expand(7, -1), beta.expand(7, -1)

    a2 = plain(weights, "A_2", plain(weights, "A_1", a, x))
    a4 = plain(weights, "A_4", plain(weights, "A_3", a2, a, x), d)
    colour = FaceColour.of(weights, alpha)(x[None], d[None])
    torch.testing.assert_close(colour[0], last(weights, "A_5", a4).sigmoid())

    scale, bias = (last(weights, f"{m}_3", plain(weights, f"{m}_2", plain(weights, f"{m}_1", b))) for m in ("MS", "MB"))
    e3 = plain(weights, "E_3", plain(weights, "E_2", plain(weights, "E_1", scale * epsilon + bias, x)))
    s2 = plain(weights, "S_2", plain(weights, "S_1", b, e3))
    s4 = plain(weights, "S_4", plain(weights, "S_3", b, e3, s2))
    density = FaceShape.of(weights, alpha, beta, epsilon)(x[None])
    torch.testing.assert_close(density[0], last(weights, "S_6", plain(weights, "S_5", a, x, s4))[:, 0])


def test_people_in_a_batch_have_the_weights_that_they_have_alone():
    model = model_of(known=False)
    own = FaceCodes(*(torch.randn(3, dims) for dims in (6, 5, 4, 64)))
    x, d = waves(torch.randn(3, 9, 3)), waves(torch.randn(3, 9, 3))
    together = model.face(own)
    for row in range(3):
        alone = model.face(FaceCodes(*(code[row : row + 1] for code in own)))
        one = slice(row, row + 1)
        torch.testing.assert_close(together.colour(x, d)[one], alone.colour(x[one], d[one]))
        torch.testing.assert_close(together.shape(x)[one], alone.shape(x[one]))
    assert not torch.allclose(together.colour(x, d)[0], together.colour(x[:1].expand(3, -1, -1), d)[1])


def test_without_the_hypernetwork_all_people_share_one_set_of_weights():
    hyper = model_of(hyper=False).hyper
    weights = hyper(torch.randn(2, TINY.theta))
    assert all(torch.equal(layer.weight[0], layer.weight[1]) for layer in weights.values())
    assert any(
        not torch.equal(layer.weight[0], layer.weight[1])
        for layer in model_of().hyper(torch.randn(2, TINY.theta)).values()
    )


def test_an_expressions_code_is_the_same_for_everybody():
    model = model_of()
    first, second = (tensors_of(codes_of(seed)) for seed in (1, 2))
    mine, theirs = (model.own_codes(codes, {}) for codes in (first, {**second, EXPRESSION: first[EXPRESSION]}))
    assert torch.equal(mine.epsilon, theirs.epsilon)
    assert not torch.equal(mine.theta, theirs.theta)


# Drawing


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.mark.parametrize("style", [None, 6])
def test_guided_samples_see_what_dense_samples_see(style):
    smooth = model_of()
    # Waves shorter than what lies between two pixels are not the same anywhere.
    smooth.hyper["A_1"].silence(slice(TINY.alpha, None))
    smooth.hyper["A_3"].silence(slice(TINY.colour + TINY.alpha, None))
    codes = tensors_of(codes_of(3, style))
    dense = draw_densely(smooth, codes, CAMERA, 32, samples=320)
    with torch.no_grad():
        guided = smooth.draw(codes, CAMERA, 32)
    both = (dense.alpha > 0.98) & (guided.alpha > 0.98)
    assert both.sum() > 200
    assert (dense.rgb_linear - guided.rgb_linear)[:, both].abs().mean() < 0.01
    assert (dense.depth - guided.depth)[both].abs().median() < 0.002
    # At the outline, a ray may miss the template by less than half the shell.
    assert (dense.alpha - guided.alpha).abs().mean() < 0.02


def test_a_persons_weights_are_predicted_once(model, monkeypatch):
    asked = []
    forward = model.hyper.forward
    monkeypatch.setattr(model.hyper, "forward", lambda theta: asked.append(1) or forward(theta))
    codes = codes_of(11)
    model.render(codes, CAMERA, 24, Quality.MOVING)
    smile = codes[EXPRESSION].copy()
    smile[JAW] = 0.7
    model.render({**codes, EXPRESSION: as_code(smile)}, CAMERA.replace(yaw=-30.0), 24, Quality.MOVING)
    assert len(asked) == 1
    model.render(codes_of(12), CAMERA, 24, Quality.MOVING)
    assert len(asked) == 2


def test_networks_are_asked_once_for_all_lights_and_gains(model, monkeypatch):
    asked = []
    white = model.white
    monkeypatch.setattr(model, "white", lambda *words: asked.append(1) or white(*words))
    codes = codes_of(13)
    once = model.render(codes, CAMERA, 24)
    count = len(asked)
    twice = model.render({**codes, LIGHT: as_code(2 * codes[LIGHT])}, CAMERA, 24)
    own = model.render(codes, CAMERA, 24, refinement={"albedo_gain": np.full((3, 8, 8), 0.5, np.float16)})
    assert len(asked) == count
    np.testing.assert_allclose(twice.rgb_linear, 2 * once.rgb_linear, rtol=1e-5)
    assert own.rgb_linear.sum() > 1.3 * once.rgb_linear.sum()
    moved = model.render(codes, CAMERA, 24, refinement={"theta": np.ones(TINY.theta, np.float16)})
    assert len(asked) == 2 * count
    assert np.abs(moved.rgb_linear - once.rgb_linear).max() > 1e-3


def test_a_frame_shows_the_head_where_the_template_is(model):
    codes = codes_of(4)
    frame = model.render(codes, CAMERA, 64)
    points = model.landmarks(tensors_of(codes)).numpy()
    nose = CAMERA.project(points[30].astype(np.float64), 64, 64).astype(int)
    extrinsics = CAMERA.extrinsics()
    assert frame.alpha[nose[1], nose[0]] > 0.99
    assert frame.depth[nose[1], nose[0]] == pytest.approx(points[30] @ extrinsics[2, :3] + extrinsics[2, 3], abs=0.004)
    assert frame.alpha[0, 0] == 0
    assert np.isinf(frame.depth[0, 0])
    assert (frame.rgb_linear <= frame.alpha[..., None] * 3).all()


def test_pictures_are_linear_in_their_light(model):
    codes = tensors_of(codes_of(5))
    lights = [torch.tensor(ambient(np.array(colour)).reshape(-1)) for colour in ((0.4, 0.1, 0.2), (0.1, 0.5, 0.2))]
    with torch.no_grad():
        one, other, both = (
            model.draw({**codes, LIGHT: light}, CAMERA, 24).rgb_linear for light in (*lights, lights[0] + lights[1])
        )
    torch.testing.assert_close(one + other, both)
    assert one.abs().sum() > 1


def test_slopes_reach_all_codes_and_moves(model):
    codes = {name: code.requires_grad_() for name, code in tensors_of(codes_of(6, 6)).items()}
    moves = {name: torch.zeros(dims, requires_grad=True) for name, dims in model.own_dims.items()}
    drawing = model.draw(codes, CAMERA, 24, refinement=moves)
    (drawing.rgb_linear.square().sum() + drawing.depth[drawing.alpha > 0.5].sum()).backward()
    for tensor in (*codes.values(), moves["theta"], moves["alpha"]):
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().sum() > 0


def test_a_faces_own_gains_show(model):
    codes = tensors_of(codes_of(7))
    with torch.no_grad():
        plain_drawing, brighter, moved, swollen = (
            model.draw(codes, CAMERA, 32, refinement=extra)
            for extra in (
                {},
                {"albedo_gain": torch.full((3, 8, 8), 0.5)},
                {"theta": torch.ones(TINY.theta), "alpha": torch.ones(TINY.alpha)},
                {"offsets": 0.01 * functional.normalize(model.proxy.template.mean, dim=-1)},
            )
        )
    # All but lashes, which are no part of the atlas.
    as_gained = torch.isclose(brighter.rgb_linear, plain_drawing.rgb_linear * np.exp(0.5), rtol=1e-4, atol=1e-4)
    assert as_gained.float().mean() > 0.98
    assert (moved.rgb_linear - plain_drawing.rgb_linear).abs().max() > 1e-3
    torch.testing.assert_close(moved.alpha, plain_drawing.alpha)
    assert swollen.alpha.sum() > plain_drawing.alpha.sum() * 1.02


def test_an_open_mouth_opens(model):
    codes = tensors_of(codes_of(8))
    wide = codes[EXPRESSION].clone()
    wide[JAW] = 1.0
    shut, open_ = (model.landmarks({**codes, EXPRESSION: code}) for code in (codes[EXPRESSION], wide))
    assert shut[8, 1] - open_[8, 1] > 0.01


# Bundles


@pytest.fixture
def folder(tmp_path, model):
    write_bundle(
        tmp_path / "own",
        architecture="infamous",
        configuration=model.config.to_json(),
        training={},
        tensors=dict(model.state_dict()),
    )
    return tmp_path / "own"


def test_a_bundle_draws_what_was_written(folder, model):
    found = Infamous.from_bundle(read_bundle(folder), torch.device("cpu"))
    assert found.config == model.config
    assert capabilities(found) == ("radiance", "fitting")
    assert isinstance(found, OwnCodesModel)
    assert not isinstance(load_model("guided-studio"), OwnCodesModel)
    first, second = (one.render(codes_of(9, 2), CAMERA, 32) for one in (model, found))
    np.testing.assert_allclose(first.rgb_linear, second.rgb_linear, atol=5e-3)
    assert second.alpha.max() > 0.9


def test_weights_of_other_sizes_are_told(folder, model):
    bundle = read_bundle(folder)
    other = replace(bundle, configuration=replace(model.config, colour=10).to_json())
    with pytest.raises(UserError, match="does not fit"):
        Infamous.from_bundle(other, torch.device("cpu"))
