"""ImFace++ and the authors' ImFace: golden vectors, rigid motions, gradients, cached weights, detail, bundles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models import bundle as bundles
from faceeditor.models import se3
from faceeditor.models.blend_field import BlendConfig, BlendField, encode
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.contract import capabilities
from faceeditor.models.imface import DETAIL, EAR_TO_EAR, FACE, ImFace, ImFaceConfig, in_chunks
from faceeditor.models.imface_authors import from_authors, load_authors

GOLDEN = Path(__file__).parent / "golden"
PLACES = {36: (-0.45, 0.35, 0.1), 45: (0.45, 0.35, 0.1), 30: (0, 0, 0.4), 48: (-0.25, -0.4, 0.2), 54: (0.25, -0.4, 0.2)}
PLACES |= {0: (-0.75, 0.1, -0.6), 16: (0.75, 0.1, -0.6)}

SLOW = BlendConfig(width=12, hidden=1, frequency=6.0, octaves=2, separate=True, fusion=8, hyper=(6,))
JOINED = replace(SLOW, separate=False)
FILM = replace(JOINED, film=True)
KINDS = {"separate": SLOW, "joined": JOINED, "film": FILM, "separate film": replace(SLOW, film=True)}


def config_of(sizes, landmarks=FACE, **changes):
    facts = {"identity_dims": 7, "expression_dims": 6, "detail_dims": 5, "landmark_width": 16, "reach": 0.1}
    four = dict.fromkeys(("expression", "identity", "template", "detail"), sizes)
    return ImFaceConfig(landmarks=landmarks, **facts, **{"attenuation": 0.1, **four, **changes})


def model_of(sizes=SLOW, landmarks=FACE, seed=0, **changes):
    """A face that is no more than the start of a training, whose codes all matter."""
    torch.manual_seed(seed)
    model = ImFace(config_of(sizes, landmarks, **changes))
    model.start_at(torch.tensor([PLACES[number] for number in landmarks]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "hyper" in name or "heads" in name:
                weight.mul_(1 + 0.2 * torch.rand_like(weight)).add_(0.02 * torch.randn_like(weight))
    model.name, model.spaces = "tiny", {}
    return model.eval().requires_grad_(False)


def codes_of(model, seed=0, *batch, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    dims = {name: getattr(model.config, f"{name}_dims") for name in (IDENTITY, EXPRESSION, DETAIL)}
    return {name: torch.randn(*batch, size, generator=generator).to(dtype) for name, size in dims.items()}


def points_of(*shape, seed=1, dtype=torch.float32):
    return (torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8).to(dtype)


# The authors' ImFace


def golden(warp):
    with np.load(GOLDEN / f"imface_{warp}.npz") as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    state = {name.removeprefix("sd/"): value for name, value in arrays.items() if name.startswith("sd/")}
    return state, {name: value for name, value in arrays.items() if not name.startswith("sd/")}


@pytest.fixture(scope="module", params=["translation", "se3"])
def authors(request):
    state, arrays = golden(request.param)
    return from_authors(state), state, arrays


def test_the_authors_networks_give_their_numbers(authors):
    model, _, arrays = authors
    field = model.field({IDENTITY: arrays["in/id_code"], EXPRESSION: arrays["in/exp_code"]})
    points = arrays["in/points"]
    stages = field.stages(points)
    distance, gradient = field.sdf_and_gradient(points)
    found = {
        "mid/landmarks": field.landmarks,
        "mid/id_landmarks": field.neutral_landmarks,
        "mid/deformed_coords": stages.neutral,
        "mid/refered_coords": stages.template,
        "mid/sdf_template": stages.template_sdf,
        "mid/correction": stages.correction,
        "mid/fusion_weights_deform": field.expression.weights(points),
        "mid/fusion_weights_reference": field.identity.weights(points),
        "mid/fusion_weights_template": field.template.weights(points),
        "out/sdf": distance,
        "out/sdf_identity_only": model.field({IDENTITY: arrays["in/id_code"]}).sdf(points),
    }
    for name, value in found.items():
        torch.testing.assert_close(
            value, arrays[name], rtol=0, atol=5e-6, msg=lambda said, name=name: f"{name}: {said}"
        )
    torch.testing.assert_close(gradient, arrays["out/grad"], rtol=0, atol=1e-4)


def test_the_authors_codes_become_spaces(authors):
    model, state, _ = authors
    assert {name: space.dims for name, space in model.spaces.items()} == {IDENTITY: 16, EXPRESSION: 16}
    np.testing.assert_array_equal(model.spaces[IDENTITY].examples, state["id_embedding.weight"])
    covariance = np.cov(state["exp_embedding.weight"].numpy().T)
    factor = model.spaces[EXPRESSION].factor
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-6)


def test_a_released_checkpoint_is_read_and_anything_else_is_one_sentence(tmp_path):
    state, arrays = golden("se3")
    torch.save({"decoder": state, "epoch": 3}, tmp_path / "envs_last.pth")
    model = load_authors(tmp_path / "envs_last.pth")
    codes = {IDENTITY: arrays["in/id_code"], EXPRESSION: arrays["in/exp_code"]}
    torch.testing.assert_close(model.field(codes).sdf(arrays["in/points"]), arrays["out/sdf"], rtol=0, atol=5e-6)
    torch.save({"decoder": {**state, "landmarks.2.bias": torch.zeros(3)}}, tmp_path / "odd.pth")
    torch.save({"decoder": {k: v for k, v in state.items() if "fusion" not in k}}, tmp_path / "less.pth")
    torch.save({"encoder": state}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    for name in ("odd", "less", "other", "text", "missing"):
        with pytest.raises(UserError, match=f"{name}.pth is not a checkpoint of ImFace"):
            load_authors(tmp_path / f"{name}.pth")


# Rigid motions

coordinate = st.floats(-1, 1, width=32)
vector = st.tuples(coordinate, coordinate, coordinate).map(lambda v: np.array(v, np.float64))
angle = st.one_of(st.floats(0, 7), st.sampled_from([0.0, 1e-12, 1e-6, 1e-3, 0.999999, 1.0, 1.000001, np.pi, 2 * np.pi]))


@settings(max_examples=80)
@given(axis=vector, turn=angle, v=vector, point=vector)
def test_motions_are_the_exponential_map(axis, turn, v, point):
    """Against SciPy: the rotation by its vector, and the whole motion by the matrix exponential of its twist."""
    length = np.linalg.norm(axis)
    omega = axis / length * turn if length > 1e-3 else np.array([turn, 0.0, 0.0])
    points = torch.from_numpy(point)
    turned = se3.move(points, torch.from_numpy(np.concatenate([omega, np.zeros(3)])))
    np.testing.assert_allclose(turned, Rotation.from_rotvec(omega).apply(point), atol=1e-11)
    twist = np.zeros((4, 4))
    twist[:3, :3] = [[0, -omega[2], omega[1]], [omega[2], 0, -omega[0]], [-omega[1], omega[0], 0]]
    twist[:3, 3] = v
    moved = se3.move(points, torch.from_numpy(np.concatenate([omega, v])))
    np.testing.assert_allclose(moved, (expm(twist) @ [*point, 1])[:3], atol=1e-11)


@pytest.mark.parametrize("turn", [0.0, 1e-20, 1e-8, 1e-4, 0.9, 0.9999, 1.0001, 3.0])
def test_motions_have_finite_and_right_derivatives_to_the_second(turn):
    twist = torch.tensor([0.6 * turn, -0.8 * turn, 0.0, 0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    points = torch.tensor([[0.2, -0.7, 0.4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(se3.move, (points, twist), atol=1e-6)
    assert torch.autograd.gradgradcheck(se3.move, (points, twist), atol=1e-5)
    single = twist.detach().float().requires_grad_()
    (slope,) = torch.autograd.grad(se3.move(points.detach().float(), single).sum(), single, create_graph=True)
    (curve,) = torch.autograd.grad(slope.square().sum(), single)
    assert slope.isfinite().all()
    assert curve.isfinite().all()


# Blend fields


@pytest.mark.parametrize("sizes", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("landmarks", [FACE, EAR_TO_EAR], ids=["five", "seven"])
def test_a_blend_is_the_weighted_sum_of_what_each_landmark_says(sizes, landmarks):
    torch.manual_seed(0)
    field = BlendField(len(landmarks), 4, sizes, dims=3)
    blend = field.bind(torch.randn(3), torch.randn(len(landmarks), 3))
    points = points_of(50)
    weights, local = blend.weights(points), blend.local(points)
    assert weights.shape == (50, len(landmarks))
    assert local.shape == (50, len(landmarks), 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(50))
    assert (weights > 0).all()
    torch.testing.assert_close(blend(points), torch.einsum("nk,nkv->nv", weights, local))


def test_separate_nets_see_their_own_landmark_alone_and_are_sine_mlps():
    """Written out by hand for one landmark and one point."""
    torch.manual_seed(0)
    field = BlendField(5, 2, SLOW, dims=3)
    code, landmarks, point = torch.randn(3), torch.randn(5, 3), torch.randn(3)
    said = field.bind(code, landmarks).local(point[None])[0, 2]
    x = encode(point - landmarks[2], SLOW.octaves)
    layers = field.nets(code)
    for layer in layers[:-1]:
        x = torch.sin(SLOW.frequency * (layer.weight[2] @ x + layer.bias[2]))
    torch.testing.assert_close(said, layers[-1].weight[2] @ x + layers[-1].bias[2], rtol=1e-4, atol=1e-5)
    moved = landmarks.clone()
    moved[2] += 1
    local = field.bind(code, moved).local(point[None])[0]
    changed = (local - field.bind(code, landmarks).local(point[None])[0]).abs().amax(-1) > 1e-6
    assert changed.tolist() == [False, False, True, False, False]


def test_film_scales_and_shifts_what_each_unit_gives():
    torch.manual_seed(0)
    nets = BlendField(5, 2, FILM, dims=3).nets
    code, x = torch.randn(4, 3), torch.randn(4, 1, 9, FILM.width)
    gain, shift = nets.hyper(code[:, None]).split(nets.sizes, dim=-1)[2:4]
    plain = nets.shared()[1](x)
    torch.testing.assert_close(nets(code)[1](x), plain * (1 + gain[:, :, None]) + shift[:, :, None])
    assert shift.abs().max() > 1e-4
    assert gain.abs().max() > 1e-4


def test_film_mixes_the_code_into_the_last_weights():
    torch.manual_seed(0)
    nets = BlendField(5, 2, FILM, dims=3).nets
    code = torch.randn(3)
    before = nets(code)[-1]
    nets.mix.data.normal_()
    after = nets(code)[-1]
    torch.testing.assert_close(after.weight, before.weight + nets.mix @ code)
    torch.testing.assert_close(after.bias, before.bias)


def test_encoding_holds_the_position_and_its_waves():
    positions = points_of(4, 3)
    said = encode(positions, 3)
    assert said.shape == (4, 3, 21)
    torch.testing.assert_close(said[..., :3], positions)
    torch.testing.assert_close(said[..., 6:9], (2 * positions).sin())
    torch.testing.assert_close(said[..., 18:], (4 * positions).cos())
    assert encode(positions, 0) is positions


@pytest.mark.parametrize("sizes", [SLOW, FILM], ids=["hyper", "film"])
def test_sine_layers_start_with_even_activations(sizes):
    """Their start keeps the spread of activations from layer to layer (Sitzmann et al., theorem 1.8)."""
    torch.manual_seed(0)
    wide = replace(sizes, width=256, hidden=3, frequency=30.0)
    layers = BlendField(5, 1, wide, dims=4).bind(torch.zeros(4), torch.zeros(5, 3)).layers
    x = torch.rand(len(layers[0].weight), 400, layers[0].weight.shape[-1]) * 2 - 1
    for layer in layers[:-1]:
        x = layer(x).sin()
        assert 0.6 < x.std() < 0.8


# The face


@pytest.mark.parametrize("sizes", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("landmarks", [FACE, EAR_TO_EAR], ids=["five", "seven"])
def test_weights_made_once_give_the_same_as_weights_made_for_every_point(sizes, landmarks, monkeypatch):
    model = model_of(sizes, landmarks)
    codes, points = codes_of(model), points_of(6)
    made = []
    for part in (model.expression, model.identity, model.detail):
        monkeypatch.setattr(part, "bind", lambda *given, bind=part.bind: made.append(1) or bind(*given))
    field = model.field(codes)
    cached = field.sdf(points)
    field.to_template(points)
    assert len(made) == 3
    one_by_one = torch.cat([model.field(codes).sdf(point) for point in points.split(1)])
    torch.testing.assert_close(cached, one_by_one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sizes", KINDS.values(), ids=KINDS)
def test_a_batch_of_faces_is_those_faces(sizes):
    model = model_of(sizes)
    codes, points = codes_of(model, 0, 3), points_of(3, 11)
    together = model.field(codes)
    assert together.landmarks.shape == (3, 5, 3)
    for number in range(3):
        alone = model.field({name: code[number] for name, code in codes.items()})
        torch.testing.assert_close(together.sdf(points)[number], alone.sdf(points[number]), rtol=0, atol=1e-5)
        torch.testing.assert_close(together.landmarks[number], alone.landmarks)
        for mine, its in zip(together.stages(points), alone.stages(points[number]), strict=True):
            torch.testing.assert_close(mine[number], its, rtol=0, atol=1e-5)


@pytest.mark.parametrize("warp", ["se3", "translation"])
@pytest.mark.parametrize("amount", [0.0, 0.7])
def test_gradients_are_those_of_finite_differences(warp, amount):
    model = model_of(SLOW, warp=warp).double()
    field = model.field(codes_of(model, dtype=torch.float64), amount)
    points = points_of(40, dtype=torch.float64)
    _, gradient = field.sdf_and_gradient(points)
    step = 1e-6
    for axis in range(3):
        aside = torch.zeros(3, dtype=torch.float64)
        aside[axis] = step
        slope = (field.sdf(points + aside) - field.sdf(points - aside)) / (2 * step)
        torch.testing.assert_close(gradient[:, axis], slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [IDENTITY, EXPRESSION, DETAIL])
def test_gradients_to_codes_are_those_of_finite_differences(name):
    model = model_of(FILM).double()
    codes, points = codes_of(model, dtype=torch.float64), points_of(30, dtype=torch.float64)

    def total(code):
        return model.field({**codes, name: code}).sdf(points).square().sum()

    assert torch.autograd.gradcheck(total, codes[name].clone().requires_grad_(), atol=1e-6)


def test_a_loss_on_normals_reaches_every_weight_and_code():
    """What training differentiates: distance, gradient (Eq. 13, 14) and warps, with detail."""
    model = model_of(SLOW).requires_grad_(True).train()
    codes = {name: code.requires_grad_() for name, code in codes_of(model, 0, 2).items()}
    field = model.field(codes)
    points = points_of(2, 30).requires_grad_()
    distance, gradient = field.sdf_and_gradient(points)
    stages = field.stages(points)
    (inner,) = torch.autograd.grad(stages.template_sdf.sum(), stages.neutral, create_graph=True)
    loss = distance.abs().mean() + (gradient.norm(dim=-1) - 1).abs().mean() + (inner.norm(dim=-1) - 1).abs().mean()
    (loss + field.landmarks.abs().mean()).backward()
    for name, weight in [*model.named_parameters(), *codes.items()]:
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


def test_without_an_expression_the_face_is_neutral():
    model = model_of()
    codes, points = codes_of(model), points_of(20)
    field = model.field({IDENTITY: codes[IDENTITY]})
    assert torch.equal(field.to_neutral(points), points)
    assert torch.equal(field.landmarks, field.neutral_landmarks)
    moved = model.field(codes)
    assert (moved.to_neutral(points) - points).abs().max() > 1e-3
    torch.testing.assert_close(moved.neutral_landmarks, field.neutral_landmarks)
    torch.testing.assert_close(field.sdf(moved.to_neutral(points)), moved.stages(points).sdf)
    with pytest.raises(ValueError, match="identity"):
        model.field({EXPRESSION: codes[EXPRESSION]})


# Detail


def test_no_detail_is_the_first_stage():
    model = model_of()
    codes, points = codes_of(model), points_of(200)
    field = model.field(codes)
    smooth = field.stages(points)
    assert torch.equal(field.with_detail(0).sdf(points), smooth.sdf)
    assert torch.equal(field.with_detail(0).to_template(points), smooth.template)
    without = model.field({name: code for name, code in codes.items() if name != DETAIL})
    assert torch.equal(without.sdf(points), smooth.sdf)
    plain = model_of(detail=None)
    assert plain.detail is None
    assert torch.equal(plain.field(codes).sdf(points), plain.field(codes).stages(points).sdf)


def test_detail_moves_points_along_the_normal_by_its_amount():
    """Eq. 7: p_b - p is parallel to the smooth field's gradient, as long as the attenuated displacement."""
    model = model_of()
    field, points = model.field(codes_of(model)), points_of(300)
    moved = field.on_base(points) - points
    stages = field.stages(points)
    reach = model.config.reach
    wanted = reach * torch.tanh(field.detail(stages.template)[:, 0] / reach) * field.attenuation(stages.sdf)
    gradient = replace(field, detail=None).sdf_and_gradient(points)[1]
    normal = gradient / gradient.norm(dim=-1, keepdim=True)
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(moved, wanted[:, None] * normal, rtol=0, atol=1e-6)
    torch.testing.assert_close(field.with_detail(0.25).on_base(points) - points, 0.25 * moved, rtol=0, atol=1e-6)
    torch.testing.assert_close(field.sdf(points), field.stages(points + moved).sdf, rtol=0, atol=1e-6)


def test_detail_vanishes_away_from_the_surface():
    model = model_of()
    field = model.field(codes_of(model))
    nu = model.config.attenuation
    strength = field.attenuation(torch.tensor([0.0, nu, -nu, 10 * nu]))
    torch.testing.assert_close(strength, torch.tensor([1.0, 0.5, 0.5, 1 / 10001]))
    points = points_of(4000)
    steep = replace(field, template=steeper(field.template, 15.0, field.stages(points).template_sdf.median()))
    with torch.no_grad():
        distance = steep.stages(points).sdf.abs()
        moved = (steep.on_base(points) - points).norm(dim=-1)
    far, near = distance > 5 * nu, distance < 0.3 * nu
    assert min(far.sum(), near.sum()) > 50
    assert moved[far].max() <= model.config.reach / (1 + 5**4) + 1e-6
    assert moved[near].median() > 20 * moved[far].max()


def steeper(blend, times, level):
    """The field whose values are ``times`` as far from ``level``, and zero there."""
    *waves, last = blend.layers
    last = last._replace(weight=last.weight * times, bias=(last.bias - level) * times)
    return replace(blend, layers=(*waves, last))


def test_detail_without_recording_is_the_same_and_keeps_no_graph():
    model = model_of()
    codes, points = codes_of(model), points_of(100)
    recorded = model.field(codes).sdf_and_gradient(points.clone().requires_grad_())
    with torch.no_grad():
        quiet = model.field(codes).sdf_and_gradient(points)
    for one, other in zip(recorded, quiet, strict=True):
        assert one.requires_grad
        assert not other.requires_grad
        torch.testing.assert_close(one.detach(), other, rtol=0, atol=1e-6)


# Sizes


def test_the_papers_sizes():
    """Section 4.2, without building 54 million weights."""
    config = ImFaceConfig()
    assert {config.identity_dims, config.expression_dims, config.detail_dims} == {160}
    assert (config.expression.width, config.identity.width, config.template.width, config.detail.width) == (
        *[128] * 3,
        256,
    )
    assert (config.expression.frequency, config.detail.frequency) == (30, 60)
    assert (config.expression.hidden, config.expression.hyper, config.expression.fusion) == (3, (32,), 128)
    assert (config.warp, config.landmark_width, len(config.landmarks)) == ("se3", 256, 5)


@pytest.mark.parametrize(("landmarks", "count"), [(FACE, 1_628_049), (EAR_TO_EAR, 2_096_203)], ids=["five", "seven"])
def test_the_small_one_is_small_and_is_evaluated_in_chunks(landmarks, count):
    torch.manual_seed(0)
    model = ImFace(ImFaceConfig.small(landmarks)).eval()
    model.start_at(torch.tensor([PLACES[number] for number in landmarks]))
    assert sum(weight.numel() for weight in model.parameters()) == count
    field, points = model.field(codes_of(model)), points_of(1001)
    whole, cut = field.sdf(points), in_chunks(field.sdf, points, chunk=128)
    assert cut.shape == (1001,)
    assert not cut.requires_grad
    torch.testing.assert_close(cut, whole.detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(in_chunks(field.to_template, points, 300), field.to_template(points), atol=1e-5, rtol=0)


# Bundles, and head space


def arrays(codes):
    return {name: code.numpy() for name, code in codes.items()}


def bundle_of(model, folder, **changes):
    write_bundle(
        folder,
        architecture="imface",
        configuration=model.config.to_json() | changes,
        training={},
        tensors=model.state_dict(),
    )
    return read_bundle(folder)


@pytest.mark.parametrize("sizes", KINDS.values(), ids=KINDS)
def test_a_bundle_brings_the_model_back(sizes, user_home):
    model = model_of(sizes, EAR_TO_EAR, unit=0.2, origin=(0.0, 0.01, 0.02), warp="translation")
    model.half().float()
    bundle_of(model, user_home / "data" / "models" / "tiny")
    again = load_model("tiny")
    assert again.config == model.config
    assert again.name == "tiny"
    assert capabilities(again) == ("radiance", "mesh", "surface")
    codes, points = arrays(codes_of(model)), points_of(30).numpy() * 0.1
    np.testing.assert_array_equal(again.sdf(points, codes), model.sdf(points, codes))
    assert not any(weight.requires_grad for weight in again.parameters())


def test_a_bundle_that_does_not_fit_is_one_sentence(tmp_path):
    model = model_of()
    for changes in ({"landmarks": list(EAR_TO_EAR)}, {"surprise": 1}, {"template": None}, {"identity": 3}, {"warp": 3}):
        with pytest.raises(UserError, match="bad does not fit"):
            ImFace.from_bundle(bundle_of(model, tmp_path / "bad", **changes), torch.device("cpu"))
    assert bundles.ARCHITECTURES["imface"].endswith(":ImFace")


@torch.no_grad()
def test_head_space_is_the_models_own_in_metres():
    model = model_of(unit=0.2, origin=(0.01, -0.02, 0.05))
    codes, own = codes_of(model), points_of(25)
    field = model.field(codes)
    origin = np.array(model.config.origin)
    head = own.numpy() * 0.2 + origin
    np.testing.assert_allclose(model.sdf(head, arrays(codes)), field.sdf(own).numpy() * 0.2, atol=1e-6)
    np.testing.assert_allclose(
        model.sdf(head, arrays(codes), detail=0.5), field.with_detail(0.5).sdf(own).numpy() * 0.2, atol=1e-6
    )
    np.testing.assert_allclose(
        model.to_template(head, arrays(codes)), field.to_template(own).numpy() * 0.2 + origin, atol=1e-6
    )
    np.testing.assert_allclose(model.landmarks(arrays(codes)), field.landmarks.numpy() * 0.2 + origin, atol=1e-6)
    other = {**arrays(codes), EXPRESSION: codes[EXPRESSION].numpy() + 1}
    assert np.abs(model.landmarks(other) - model.landmarks(arrays(codes))).max() > 1e-5
    neutral = {IDENTITY: codes[IDENTITY].numpy()}
    np.testing.assert_allclose(model.landmarks(neutral), field.neutral_landmarks.numpy() * 0.2 + origin, atol=1e-6)
