"""HeadNeRF: golden vectors, rays and their samples, gradients, pictures over any background, bundles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import DIMS as STUDIO
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.models import headnerf
from faceeditor.models.bundle import load_model, write_bundle
from faceeditor.models.contract import Quality, capabilities
from faceeditor.models.headnerf import HeadNerf, Picture
from faceeditor.models.headnerf_config import HeadNerfConfig
from faceeditor.models.headnerf_prior import TemplateDistance
from faceeditor.models.headnerf_rays import Rays, Region, between, on_planes
from faceeditor.models.official import from_authors
from faceeditor.rendering.colour import linear_to_srgb_torch, srgb_to_linear_torch

GOLDEN = Path(__file__).parent / "golden" / "headnerf.npz"
DIMS = {IDENTITY: 6, EXPRESSION: 5, SKIN: 4, LIGHT: 3, HAIR: 2}
TINY = HeadNerfConfig(
    dims=DIMS, octaves=3, width=16, hidden=4, skip=2, features=16, narrowest=8, samples=12, map=16, size=64
)
JAW = EXPRESSION_COMPONENTS.index("jawOpen")
CAMERA = Camera(yaw=20.0, pitch=-10.0, distance=0.9, field_of_view=26.0)


def model_of(seed=0, **changes):
    torch.manual_seed(seed)
    model = HeadNerf(replace(TINY, **changes))
    model.name = "tiny"
    return model.eval()


def codes_of(*batch, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(*batch, dims, generator=generator).to(dtype) for name, dims in DIMS.items()}


def ball(radius):
    """Signed distances to a ball around the model's origin."""
    return lambda points: points.norm(dim=-1) - radius


# The authors' network


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture(scope="module")
def authors(golden):
    model = from_authors({name.removeprefix("sd/"): value for name, value in golden.items() if name.startswith("sd/")})
    # Neither is told by a checkpoint: the released ones have 64 samples, and see no farther than their cameras.
    model.config = replace(model.config, samples=16, region=None)
    return model


@pytest.fixture(scope="module")
def given_rays(golden):
    pixels = torch.cat([golden["in/xy"], torch.ones(1, 1, 64)], dim=1)
    directions = golden["in/c2w_Rmat"] @ golden["in/inv_inmat"] @ pixels
    return Rays(golden["in/c2w_Tvec"][..., 0], directions.transpose(1, 2).reshape(1, 8, 8, 3))


@pytest.fixture(scope="module")
def given_codes(golden):
    shape, appearance = golden["in/shape_code"], golden["in/appea_code"]
    return {
        IDENTITY: shape[:, :100],
        EXPRESSION: shape[:, 100:],
        SKIN: appearance[:, :100],
        LIGHT: appearance[:, 100:],
    }


def test_the_authors_network_gives_their_picture(golden, authors, given_rays, given_codes):
    drawn = authors.opaque(authors.feature_map(given_codes, given_rays))
    torch.testing.assert_close(drawn, golden["out64/merge_img"], rtol=0, atol=2e-5, check_dtype=False)


def test_what_lies_between_is_theirs_too(golden, authors, given_rays, given_codes):
    directions = given_rays.directions.reshape(1, 64, 3)[:, golden["mid/rays"].long()]
    origins = given_rays.origins[:, None].expand_as(directions)
    places = on_planes(origins, directions, authors.config.planes, 16, jitter=False)
    points = origins[..., None, :] + places.depths[..., None] * directions[..., None, :]
    torch.testing.assert_close(points[0].permute(2, 0, 1), golden["mid/pts"][0], rtol=0, atol=1e-5)
    seen = authors.feature_map(given_codes, given_rays)
    torch.testing.assert_close(seen.features, golden["mid/featmap"], rtol=0, atol=1e-4)
    torch.testing.assert_close(1 - seen.opacity, golden["mid/bg_alpha"], rtol=0, atol=1e-4)
    # Theirs is along z, and not divided by the opacity.
    along = given_rays.directions[..., 2].abs()[:, None]
    torch.testing.assert_close(seen.depth * seen.opacity * along, golden["mid/depth"], rtol=0, atol=1e-3)
    behind = authors._alone((8, 8))
    torch.testing.assert_close(
        behind, srgb_to_linear_torch(golden["out64/bg_img"]), rtol=0, atol=2e-5, check_dtype=False
    )


def test_their_head_over_their_background_is_their_picture(authors, given_rays, given_codes):
    seen = authors.feature_map(given_codes, given_rays)
    picture = authors.picture(seen)
    whole = picture.rgb_linear + (1 - picture.alpha) * authors._alone((8, 8))
    torch.testing.assert_close(linear_to_srgb_torch(whole), authors.opaque(seen), rtol=0, atol=1e-5)
    assert (picture.rgb_linear >= 0).all()
    assert ((picture.alpha >= 0) & (picture.alpha <= 1)).all()


# Rays

angle = st.floats(-180, 180)
place = st.tuples(*[st.floats(-3, 3)] * 3)


@given(yaw=angle, pitch=st.floats(-89, 89), aim=place, floor=st.none() | st.floats(-1.9, 1.9))
def test_samples_lie_inside_the_region_wherever_a_ray_comes_from(yaw, pitch, aim, floor):
    region = Region((0.1, 0.2, -0.3), (1.5, 2.0, 1.7), floor)
    eye = torch.tensor(Camera(yaw=yaw, pitch=pitch, distance=8.0).position(), dtype=torch.float64)
    direction = torch.tensor(aim, dtype=torch.float64) - eye
    near, far = region.span(eye, direction)
    line = eye + torch.linspace(0, 4, 8001, dtype=torch.float64)[:, None] * direction
    inside = region.holds(line)
    # What the line says of the length inside, to the fineness of its points.
    assert abs(inside.sum() * 2 / 4000 - (far - near)) < 1.5 * 2 / 4000
    for jitter in (False, True):
        depths, step = between(near, far, 9, jitter)
        torch.testing.assert_close(step[0] * 9, far - near)
        points = eye + depths[:, None] * direction
        assert far - near < 1e-6 or region.holds(points).all()
        assert (depths.diff() >= 0).all()


def test_a_camera_inside_the_region_looks_forward_only():
    near, far = Region((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).span(torch.zeros(3), torch.tensor([0.0, 0.0, -1.0]))
    assert (near, far) == (0, 1)


def test_jitter_moves_samples_within_their_part():
    torch.manual_seed(0)
    near, far = torch.zeros(500), torch.ones(500)
    depths = between(near, far, 4, jitter=True).depths
    parts = depths * 4 - torch.arange(4)
    assert ((parts >= 0) & (parts <= 1)).all()
    assert parts.std() > 0.25


@pytest.mark.parametrize("yaw", [0.0, 90.0, -120.0, 180.0])
def test_a_ball_is_seen_from_all_sides_where_it_is(yaw):
    """A density that starts at a ball's distance draws the ball: its disc, and the depth of its front."""
    model = model_of(density="distance", samples=64, region=Region((0.0, 0.0, 0.0), (1.7, 1.7, 1.7)))
    camera = Camera(yaw=yaw, pitch=15.0, distance=0.9, field_of_view=26.0)
    side = 64
    with torch.no_grad():
        seen = model.feature_map(codes_of(1), model.rays(camera, side), prior=ball(1.0))
    centre, eye = np.array(model.config.origin), camera.position()
    rows, columns = np.mgrid[:side, :side] + 0.5
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    directions = pixels @ np.linalg.inv(camera.intrinsics(side, side)).T @ camera.rotation()
    away = np.linalg.norm(np.cross(directions, centre - eye), axis=-1) / np.linalg.norm(directions, axis=-1)
    opacity, depth = seen.opacity[0, 0].numpy(), seen.depth[0, 0].numpy()
    # The density is soft by 5 mm.
    assert (opacity[away < 0.09] > 0.95).all()
    assert (opacity[away > 0.125] < 0.1).all()
    middle = away < 0.02
    square = (directions**2).sum(-1)
    front = ((directions @ (centre - eye)) - np.sqrt(square * (0.1**2 - away**2 + 0j)).real) / square
    assert middle.sum() > 20
    assert abs(depth - front)[middle].max() < 0.008


def test_a_window_sees_what_the_whole_map_sees():
    model = model_of()
    codes, window = codes_of(1), (slice(3, 9), slice(5, 15))
    with torch.no_grad():
        whole = model.feature_map(codes, model.rays(CAMERA, 16))
        part = model.feature_map(codes, model.rays(CAMERA, 16, window))
        assert model(codes, model.rays(CAMERA, 16, window)).rgb_linear.shape == (1, 3, 24, 40)
    for mine, its in zip(part, whole, strict=True):
        torch.testing.assert_close(mine, its[:, :, 3:9, 5:15])


def test_heads_in_a_batch_and_rays_in_chunks_are_those_alone(monkeypatch):
    model = model_of()
    codes = codes_of(3)
    cameras = [CAMERA, CAMERA.replace(yaw=80.0, distance=1.4), CAMERA.replace(pan=(0.3, 0.0))]
    rays = [model.rays(camera, 16) for camera in cameras]
    with torch.no_grad():
        together = model(codes, Rays.stacked(rays))
        monkeypatch.setattr(headnerf, "CHUNK", 40)
        for number in range(3):
            alone = model({name: code[number : number + 1] for name, code in codes.items()}, rays[number])
            for part in ("rgb_linear", "alpha"):
                mine = getattr(together, part)[number]
                torch.testing.assert_close(mine, getattr(alone, part)[0], rtol=0, atol=1e-5)


def test_rays_that_all_pass_by_give_an_empty_picture():
    model = model_of()
    with torch.no_grad():
        picture = model(codes_of(1), model.rays(CAMERA.replace(pan=(5.0, 0.0)), 16))
    assert picture.alpha.max() < 0.01
    assert picture.map.opacity.max() == 0


# What is known beforehand


@pytest.fixture(scope="module")
def known():
    config = replace(TINY, dims=dict(STUDIO), density="distance", template="template-studio", samples=24)
    torch.manual_seed(0)
    model = HeadNerf(config)
    model.template.measure()
    model.name = "tiny"
    return model.eval().requires_grad_(False)


def studio_codes(seed, bald=True):
    generator = torch.Generator().manual_seed(seed)
    codes = {name: torch.zeros(1, dims) for name, dims in STUDIO.items()}
    codes[IDENTITY] = 0.8 * torch.randn(1, 100, generator=generator)
    codes[EXPRESSION][0, JAW] = 0.7
    codes[HAIR][0, 1] = 0.0 if bald else 1.0
    return codes


def own(model, points):
    return (points - torch.tensor(model.config.origin)) / model.config.unit


def test_the_templates_distances_are_those_of_the_head(known):
    template, codes = load_model("template-studio"), studio_codes(1)
    head = template.vertices(codes[IDENTITY], codes[EXPRESSION])
    skin = template.render_vertex[template.faces[slice(*template.parts["skin"])]].unique()
    skin = skin[head[0, skin, 1] > -0.14]
    millimetres = 1000 * known.config.unit * known.template.bind(codes)(own(known, head[:, skin]))
    assert millimetres.abs().median() < 1.5
    assert millimetres.abs().quantile(0.9) < 6
    nose = head[0, template.landmark_vertices[30]]
    line = nose + torch.tensor([[0, 0, 0.02], [0, 0, -0.02], [0, 0, -0.1]])
    before, inside, deep = known.config.unit * known.template.bind(codes)(own(known, line[None]))[0]
    assert 0.012 < before < 0.028
    assert -0.028 < inside < 0
    assert deep < -0.04


def test_hair_is_known_too(known):
    template, bald, long = load_model("template-studio"), studio_codes(1), studio_codes(1, bald=False)
    style = list(template.styles.values())[1]
    places = own(known, template.hair_rest[style.vertices])[None]
    places = places[:, known.config.region.holds(places)[0]]
    mean = {**long, IDENTITY: torch.zeros(1, 100), EXPRESSION: torch.zeros(1, 64)}
    assert (known.template.bind(mean)(places) < 0.03).float().mean() > 0.9
    assert (known.template.bind(bald)(places) > 0.05).float().mean() > 0.5


@pytest.mark.parametrize(("name", "component"), [(IDENTITY, 0), (IDENTITY, 3), (EXPRESSION, JAW), (HAIR, 1)])
def test_the_templates_distances_have_gradients_to_codes(known, name, component):
    codes = studio_codes(3, bald=False)
    codes[HAIR][0, 1] = 0.7
    places = 3 * torch.rand(1, 2000, 3, generator=torch.Generator().manual_seed(0)) - 1.5

    def total(change):
        moved = codes[name] + change * torch.eye(codes[name].shape[1])[component]
        return known.template.bind({**codes, name: moved})(places).sum()

    here = torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(total(here), here)
    measured = (total(0.05) - total(-0.05)) / 0.1
    assert abs(float(slope)) > 0.1
    assert float(slope) == pytest.approx(float(measured), rel=0.05)


@pytest.mark.parametrize("yaw", [0.0, 90.0])
def test_a_model_that_has_learned_nothing_shows_a_head(known, yaw):
    guided = load_model("guided-studio")
    codes = {name: code[0].numpy() for name, code in studio_codes(2).items()}
    camera = Camera(yaw=yaw, distance=0.9, field_of_view=26.0)
    mine, its = (model.render(codes, camera, 64).alpha > 0.5 for model in (known, guided))
    assert (mine & its).sum() / (mine | its).sum() > 0.75


def test_a_bundle_keeps_what_was_measured(known, user_home, monkeypatch):
    monkeypatch.setattr(TemplateDistance, "measure", None)
    read = installed(user_home, known)
    codes = {name: code[0].numpy() for name, code in studio_codes(2).items()}
    mine, its = (model.render(codes, CAMERA, 64) for model in (known, read))
    np.testing.assert_allclose(mine.alpha, its.alpha, atol=0.02)


def test_rays_are_exact_where_networks_are_not():
    model = model_of()
    with torch.autocast("cpu", torch.bfloat16):
        rays = model.rays(CAMERA, 16)
    assert torch.equal(rays.directions, model.rays(CAMERA, 16).directions)


# Gradients


def loss_of(picture: Picture):
    return picture.rgb_linear.square().mean() + picture.alpha.mean() + picture.map.depth.mean()


@pytest.mark.parametrize("density", ["softplus", "distance"])
def test_every_weight_and_code_has_a_gradient(density):
    model = model_of(density=density).train()
    if density == "distance":
        torch.nn.init.normal_(model.field.density.weight, std=0.1)
    codes = {name: code.requires_grad_() for name, code in codes_of(2).items()}
    rays = Rays.stacked([model.rays(CAMERA, 16), model.rays(CAMERA.replace(yaw=-30.0), 16)])
    loss_of(model(codes, rays, jitter=True, prior=ball(1.0) if density == "distance" else None)).backward()
    for name, weight in [*model.named_parameters(), *codes.items()]:
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("name", DIMS)
def test_gradients_to_codes_are_those_of_finite_differences(name):
    model = model_of().double()
    codes = codes_of(1, dtype=torch.float64)
    rays = model.rays(CAMERA, 4)
    rays = Rays(rays.origins.double(), rays.directions.double())

    def total(code):
        return loss_of(model({**codes, name: code}, rays))

    assert torch.autograd.gradcheck(total, codes[name].clone().requires_grad_(), atol=1e-6)


def test_an_empty_place_can_still_be_filled():
    """Where the map says that nothing is, the picture's opacity keeps a slope."""
    model = model_of()
    opacity = torch.zeros(1, 1, 4, 4, requires_grad=True)
    drawn = model.renderer(torch.zeros(1, TINY.features, 4, 4), opacity)
    assert drawn[:, 3].max() < 0.002
    drawn[:, 3].sum().backward()
    assert opacity.grad.abs().min() > 0.1


def test_appearance_cannot_change_the_shape():
    model = model_of()
    codes, rays = codes_of(1), model.rays(CAMERA, 8)
    with torch.no_grad():
        before = model.feature_map(codes, rays)
        for name in DIMS:
            after = model.feature_map({**codes, name: codes[name] + 1}, rays)
            assert torch.equal(after.opacity, before.opacity) == (name in (SKIN, LIGHT)), name
            assert not torch.allclose(after.features, before.features), name


def test_a_disc_is_learned_in_a_moment():
    """The loss that training has, on one picture: what is learned is the picture, not its background."""
    model = model_of(width=32, features=32).train()
    rays, codes = model.rays(CAMERA, 8), codes_of(1)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    mask = (x.hypot(y) < 0.5).float()[None, None]
    wanted = mask * torch.tensor([0.6, 0.3, 0.1])[None, :, None, None]
    for _ in range(120):
        picture = model(codes, rays, jitter=True)
        background = torch.rand(1, 3, 1, 1)
        loss = (picture.rgb_linear + (1 - picture.alpha) * background - wanted - (1 - mask) * background).abs().mean()
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight.sub_(2e-3 * weight.grad.sign())
    with torch.no_grad():
        picture = model.eval()(codes, rays)
    error = (picture.rgb_linear - wanted).square().mean() + (picture.alpha - mask).square().mean()
    assert error < 0.2 * (wanted.square().mean() + mask.mean())


# Frames and bundles


def installed(home, model):
    write_bundle(
        home / "data" / "models" / "tiny",
        architecture="headnerf",
        configuration=model.config.to_json(),
        training={},
        tensors=model.state_dict(),
    )
    return load_model("tiny")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("size", [16, 64, 100])
@pytest.mark.parametrize("quality", Quality)
def test_a_frame_is_premultiplied_linear_light_of_any_size(background, size, quality):
    model = model_of(background=background).requires_grad_(False)
    codes = {name: code.numpy() for name, code in codes_of().items()}
    frame = model.render(codes, CAMERA, size, quality)
    assert frame.rgb_linear.shape == (size, size, 3)
    assert frame.alpha.shape == frame.depth.shape == (size, size)
    assert {array.dtype for array in (frame.rgb_linear, frame.alpha, frame.depth)} == {np.dtype(np.float32)}
    assert frame.rgb_linear.min() >= 0
    assert 0 <= frame.alpha.min() < frame.alpha.max() <= 1
    assert (frame.rgb_linear <= frame.alpha[..., None] + 1e-3).all()
    near = np.isfinite(frame.depth)
    assert near.any()
    assert ((frame.depth[near] > 0.6) & (frame.depth[near] < 1.2)).all()
    assert not near.all()
    assert frame.over().shape == (size, size, 3)


def test_a_frame_is_the_picture_of_the_same_rays():
    model = model_of().requires_grad_(False)
    codes = codes_of(1)
    frame = model.render({name: code[0].numpy() for name, code in codes.items()}, CAMERA, TINY.size)
    picture = model(codes, model.rays(CAMERA, TINY.map))
    # Frames may be made in bfloat16.
    np.testing.assert_allclose(frame.rgb_linear, picture.rgb_linear[0].permute(1, 2, 0), atol=2e-3)
    np.testing.assert_allclose(frame.alpha, picture.alpha[0, 0], atol=2e-3)


@pytest.mark.parametrize(
    "changes",
    [{}, {"background": True, "density": "relu", "placement": "planes"}, {"density": "distance"}, {"region": None}],
)
def test_a_bundle_gives_the_same_model_back(user_home, changes):
    if changes == {"region": None}:
        with pytest.raises(ValueError, match="region"):
            model_of(**changes)
        return
    model = model_of(**changes)
    read = installed(user_home, model)
    assert read.config == model.config
    assert capabilities(read) == ("radiance",)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], weight, rtol=1e-3, atol=1e-4)


def test_the_sizes_are_the_papers():
    config = HeadNerfConfig()
    assert (config.width, config.hidden, config.features, config.samples) == (384, 8, 256, 64)
    assert (config.map, config.size, config.doublings) == (32, 256, 3)
    field = HeadNerf(config).field
    assert sum(weight.numel() for weight in field.parameters()) == 1_517_057
    assert sum(weight.numel() for weight in HeadNerf(HeadNerfConfig.small()).parameters()) < 300_000
    with pytest.raises(ValueError, match="doubled"):
        _ = replace(config, size=200).doublings
