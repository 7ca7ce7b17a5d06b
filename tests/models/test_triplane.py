"""The tri-plane head: the thesis' sizes, planes, gradients of gradients, a start as a sphere, rest, bundles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models import bundle as bundles
from faceeditor.models.bundle import read_bundle, write_bundle
from faceeditor.models.triplane import TriplaneConfig, TriplaneHead
from faceeditor.models.triplane_deformation import DeformationConfig
from faceeditor.models.triplane_layers import CodedMLP, PlaneGenerator, as_rows, sample_planes, softplus

TINY = TriplaneConfig(
    identity_dims=6,
    expression_dims=5,
    planes=16,
    features=4,
    channels=4,
    scale=2,
    width=24,
    norm="none",
    deformation=DeformationConfig(kind="blend", width=16, hidden=2, skip=0, octaves=2),
)
KINDS = {
    "blend": TINY,
    "deepsdf": replace(TINY, deformation=DeformationConfig(width=32, hidden=4, skip=2)),
    "npm": replace(TINY, planes=0, width=32, hidden=4, skip=2),
}


def model_of(config=TINY, seed=0):
    torch.manual_seed(seed)
    return TriplaneHead(config)


def codes_of(config=TINY, *batch, seed=1):
    generator = torch.Generator().manual_seed(seed)
    dims = {IDENTITY: config.identity_dims, EXPRESSION: config.expression_dims}
    return {name: torch.randn(*batch, size, generator=generator) for name, size in dims.items()}


def points_of(*shape, seed=2):
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_thesis_sizes_are_the_default():
    with torch.device("meta"):
        model = TriplaneHead(TriplaneConfig())
        npm = TriplaneHead(TriplaneConfig.npm())
        field = model.field({IDENTITY: torch.empty(2, 512), EXPRESSION: torch.empty(2, 200)})
        points = torch.empty(2, 7, 3)
        assert model.generator(torch.empty(2, 512)).shape == (2, 3, 32, 256, 256)
        assert field.sdf(points).shape == (2, 7)
        assert field.posed(points).shape == (2, 7, 3)
    assert [tuple(layer.weight.shape) for layer in model.decoder.layers] == [(256, 35), *[(256, 256)] * 3, (1, 256)]
    # What the released networks of NPM and of NPHM's baseline count with codes of 512 and 712.
    assert count(npm.decoder) == 7_348_734
    assert count(model.deformation) == 7_350_584


def test_small_planes_are_small():
    with torch.device("meta"):
        model = TriplaneHead(TriplaneConfig.small())
        assert model.generator(torch.empty(10)).shape == (3, 16, 128, 128)
    assert count(model) < 5e6


def test_heads_that_the_generator_hears_alike_have_the_same_planes():
    torch.manual_seed(0)
    model = TriplaneHead(replace(TINY, hears_from=4, hears=2))
    codes = torch.randn(4, 6)
    codes[2, 4:] = codes[0, 4:]
    made = []
    model.generator.register_forward_hook(lambda module, given, said: made.append(len(said)))
    rows = model.field({IDENTITY: codes}).rows
    assert made == [3]
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[1])
    for number in range(4):
        torch.testing.assert_close(model.field({IDENTITY: codes[number]}).rows, rows[number])


def test_a_first_picture_may_be_finer():
    generator = PlaneGenerator(3, 2, 16, 5, 1, "none", first=8)
    assert generator(torch.randn(2, 3)).shape == (2, 3, 2, 16, 16)
    with pytest.raises(ValueError, match="planes"):
        PlaneGenerator(3, 2, 16, 5, 1, "none", first=16)


def test_planes_are_a_power_of_two_times_the_scale():
    with pytest.raises(ValueError, match="planes"):
        PlaneGenerator(4, 4, 48, 4, 1)


def test_the_softplus_is_torchs_and_can_be_differentiated_twice():
    x = torch.linspace(-0.6, 0.6, 49, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(softplus(x), functional.softplus(x, beta=100.0), atol=1e-10, rtol=0)
    assert torch.autograd.gradgradcheck(softplus, x)


def test_planes_see_their_own_two_coordinates():
    resolution = 5
    across = torch.linspace(-1, 1, resolution)
    ramp = across.expand(resolution, resolution)
    planes = torch.stack([torch.stack([ramp, ramp.T])] * 3)  # column, then row
    at = points_of(11)
    x, y, z = at.unbind(-1)
    for asked in (sample_planes(as_rows(planes), at.requires_grad_()), sample_planes(as_rows(planes), at.detach())):
        torch.testing.assert_close(asked, torch.stack([x + y + x, y + z + z], dim=-1), atol=1e-5, rtol=1e-4)


def test_sampling_by_hand_and_by_torch_agree_also_beyond_the_border():
    rows, at = torch.randn(2, 8 * 8 * 3, 3), 2.4 * points_of(2, 50)
    by_hand = sample_planes(rows, at)
    with torch.no_grad():
        torch.testing.assert_close(sample_planes(rows, at), by_hand, atol=1e-5, rtol=1e-4)


def test_sampling_has_true_gradients_of_gradients():
    rows = torch.randn(4 * 4 * 3, 2, dtype=torch.float64, requires_grad=True)
    at = points_of(5).double().requires_grad_()
    assert torch.autograd.gradcheck(sample_planes, (rows, at))
    assert torch.autograd.gradgradcheck(sample_planes, (rows, at))


def test_a_bound_net_is_the_net_of_point_and_code():
    net = CodedMLP(3, 4, 2, 16, 3, skip=2)
    x, code = points_of(9), torch.randn(4)
    seen = torch.cat([x, code.expand(9, 4)], dim=-1)
    hidden = seen
    for number, layer in enumerate(net.layers[:-1]):
        if number == 2:
            # Point and code join again as the point alone did in ``bind``: what is bound, last.
            hidden = torch.cat([hidden, seen], dim=-1)
        hidden = softplus(layer(hidden))
    torch.testing.assert_close(net.bind(code)(x), net.layers[-1](hidden))


@pytest.mark.parametrize("width", [32, 64, 256])
def test_distances_start_as_a_spheres(width):
    torch.manual_seed(3)
    net = CodedMLP(19, 0, 1, width, 4)
    net.start_as_sphere(0.6)
    ways = functional.normalize(torch.randn(500, 3), dim=-1)
    there = [torch.cat([radius * ways, 0.05 * torch.randn(500, 16)], dim=-1) for radius in (0.2, 1.0)]
    inside, outside = (net.bind(torch.zeros(0))(seen)[:, 0] for seen in there)
    assert (inside < 0).all()
    assert (outside > 0).all()
    assert (outside - inside).mean().item() / 0.8 == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_has_gradients_of_gradients(kind):
    config = KINDS[kind]
    model, codes = model_of(config), codes_of(config, 2)
    codes = {name: code.requires_grad_() for name, code in codes.items()}
    field = model.field(codes)
    value, slope = field.sdf_and_gradient(points_of(2, 30))
    moved = field.posed(points_of(2, 30))
    (value.abs().mean() + (slope.norm(dim=-1) - 1).square().mean() + moved.square().mean()).backward()
    # The difference between an expression and rest has no last bias.
    cancels = f"deformation.net.layers.{len(model.deformation.net.layers) - 1}.bias" if kind != "blend" else ""
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name != cancels:
            assert parameter.grad.abs().sum() > 0, name
    assert all(code.grad.abs().sum() > 0 for code in codes.values())


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_those_of_the_distances(kind):
    model = model_of(KINDS[kind]).double()
    field = model.field({name: code.double() for name, code in codes_of(KINDS[kind]).items()})
    at, step = points_of(40).double(), 1e-5
    with torch.no_grad():
        _, slope = field.sdf_and_gradient(at)
        found = [
            (field.sdf(at + step * way) - field.sdf(at - step * way)) / (2 * step) for way in torch.eye(3).double()
        ]
    torch.testing.assert_close(slope, torch.stack(found, dim=-1), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_heads_by_themselves(kind):
    config = KINDS[kind]
    model, codes, at = model_of(config), codes_of(config, 3), points_of(3, 20)
    together = model.field(codes)
    for number in range(3):
        alone = model.field({name: code[number] for name, code in codes.items()})
        torch.testing.assert_close(together.sdf(at)[number], alone.sdf(at[number]), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.one(number).sdf(at[number]), alone.sdf(at[number]), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.posed(at)[number], alone.posed(at[number]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_moves_at_rest(kind):
    config = KINDS[kind]
    model, codes, at = model_of(config), codes_of(config), points_of(20)
    model.deformation.rest.copy_(torch.rand(config.expression_dims))
    assert not torch.equal(model.field(codes).posed(at), at)
    still = model.field({**codes, EXPRESSION: model.deformation.rest})
    torch.testing.assert_close(still.posed(at), at, atol=0, rtol=0)


def test_blendshapes_add_up_to_the_motion():
    model, codes, at = model_of(), codes_of(), points_of(20)
    model.deformation.rest.copy_(torch.rand(5))
    shapes = model.deformation.blendshapes(at, codes[IDENTITY])
    summed = at + torch.einsum("e,nec->nc", codes[EXPRESSION] - model.deformation.rest, shapes)
    torch.testing.assert_close(model.field(codes).posed(at), summed, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="linear"):
        model_of(KINDS["deepsdf"]).deformation.blendshapes(at, codes[IDENTITY])


def test_an_expression_is_found_at_rest_with_gradients():
    model, codes = model_of(), codes_of()
    with torch.no_grad():
        model.deformation.net.layers[-1].weight *= 30
    at, expression = points_of(200), codes[EXPRESSION].clone().requires_grad_()
    field = model.field({**codes, EXPRESSION: expression})
    roots = field.at_rest(field.posed(at).detach())
    assert roots.share == 1
    torch.testing.assert_close(roots.points, at, atol=1e-3, rtol=0)
    roots.points.square().sum().backward()
    assert expression.grad.abs().sum() > 0


def test_planes_are_made_once_for_a_person():
    model = model_of().eval().requires_grad_(False)
    codes = {name: code.numpy() for name, code in codes_of().items()}
    first = model.bound(codes)
    changed = model.bound({**codes, EXPRESSION: codes[EXPRESSION] + 1})
    other = model.bound({**codes, IDENTITY: codes[IDENTITY] + 1})
    assert changed.rows is first.rows
    assert other.rows is not first.rows
    at = points_of(20)
    assert not torch.equal(changed.posed(at), first.posed(at))


def test_head_space_is_told_in_metres():
    model = model_of().eval().requires_grad_(False)
    codes = {name: code.numpy() for name, code in codes_of().items()}
    at = points_of(20)
    head = model.head(at)
    torch.testing.assert_close(model.own(head), at, atol=1e-5, rtol=0)
    with torch.no_grad():
        own = model.bound(codes)
        np.testing.assert_allclose(model.sdf_at_rest(head, codes), own.sdf(at) * model.config.unit, atol=1e-5)
        np.testing.assert_allclose(model.posed(head, codes), model.head(own.posed(at)), atol=1e-5)


def test_bundles_keep_the_model(tmp_path, monkeypatch):
    monkeypatch.setitem(bundles.ARCHITECTURES, "triplane", "faceeditor.models.triplane:TriplaneHead")
    config = replace(TINY, norm="batch", origin=(0.0, 0.5, 0.0))
    model = model_of(config).eval()
    facts = {"architecture": "triplane", "configuration": config.to_json(), "training": {}}
    write_bundle(tmp_path / "head", **facts, tensors=dict(model.state_dict()))
    kept = TriplaneHead.from_bundle(read_bundle(tmp_path / "head"), torch.device("cpu"))
    assert kept.config == config
    codes, at = codes_of(config, 1), points_of(1, 20)
    torch.testing.assert_close(kept.field(codes).sdf(at), model.field(codes).sdf(at), atol=1e-3, rtol=1e-2)
    write_bundle(tmp_path / "wrong", **facts, tensors={"decoder.weight": torch.zeros(2)})
    with pytest.raises(UserError, match="wrong"):
        TriplaneHead.from_bundle(read_bundle(tmp_path / "wrong"), torch.device("cpu"))
