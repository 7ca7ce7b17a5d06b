"""The shipped guided head: what it draws, with what gradients, and that its mesh is the same head.

Nothing here depends on how well the bundle is trained.
"""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import (
    ARKIT,
    DIMS,
    EXPRESSION,
    EXPRESSION_COMPONENTS,
    HAIR,
    HAIR_COLOUR,
    HAIR_GLOSS,
    HAIR_STYLES,
    IDENTITY,
    LIGHT,
    LIGHT_SHAPE,
    SHEEN,
    SKIN,
)
from faceeditor.models.appearance import Appearance
from faceeditor.models.bundle import read_bundle
from faceeditor.models.contract import FittableModel, MeshModel, Quality, RadianceModel, capabilities
from faceeditor.models.guided import GuidedHead
from faceeditor.models.template import Template
from faceeditor.rendering import harmonics
from faceeditor.rendering.raster_numpy import SoftwareRasteriser
from faceeditor.resources import resource_path

SIZE = 96
STYLE = 3
ODD_IN_X = [3, 4, 7]
"""The harmonics x, xy and xz: those that change sign when left and right are exchanged."""


@pytest.fixture(scope="module")
def model():
    bundle = read_bundle(resource_path("models", "guided-studio"))
    return GuidedHead.from_bundle(bundle, torch.device("cpu"))


def person(model, seed=0, style=STYLE, **expression):
    """Codes of a random neutral person with a hair style, or bald."""
    random = np.random.default_rng(seed)
    codes = {name: np.array(space.mean) for name, space in model.spaces.items()}
    codes[IDENTITY] = 0.8 * random.standard_normal(DIMS[IDENTITY]).astype(np.float32)
    for name, weight in expression.items():
        codes[EXPRESSION][EXPRESSION_COMPONENTS.index(name)] = weight
    codes[HAIR][HAIR_STYLES] = 0
    if style is not None:
        codes[HAIR][style] = 1
    codes[HAIR][HAIR_COLOUR] = (0.25, 0.15, 0.08)
    return {name: as_code(code) for name, code in codes.items()}


def changed(codes, space, place, value):
    code = codes[space].copy()
    code[place] = value
    return {**codes, space: as_code(code)}


def difference(first, second):
    """Mean absolute difference of two frames over white, in levels of 255."""
    return np.abs(first.over().astype(float) - second.over().astype(float)).mean()


def test_it_can_draw_be_fitted_and_give_meshes(model):
    assert set(capabilities(model)) >= {"radiance", "mesh", "fitting"}
    for contract in (RadianceModel, MeshModel, FittableModel):
        assert isinstance(model, contract)
    assert {name: space.dims for name, space in model.spaces.items()} == DIMS


def test_skins_are_stored_in_eight_bits_that_are_not_seen(model):
    exact = 0.3 + 0.3 * torch.rand(model.appearance.skins.shape, generator=torch.Generator().manual_seed(0))
    drawn, codes = [], person(model, 3)
    other = GuidedHead.from_bundle(read_bundle(resource_path("models", "guided-studio")), torch.device("cpu"))
    for load in (lambda: other.appearance.skins.copy_(exact), lambda: other.load_stored(other.stored())):
        load()
        other._looks.clear()
        drawn.append(other.render(codes, Camera(yaw=15), SIZE).over().astype(float))
    assert other.stored()["appearance.skins_srgb8"].dtype == torch.uint8
    assert 0 < np.square(drawn[0] - drawn[1]).mean() < 0.65, "50 dB"
    assert np.abs(drawn[0] - drawn[1]).max() <= 2


@pytest.mark.parametrize("quality", list(Quality))
@pytest.mark.parametrize("size", [33, 96])
@pytest.mark.parametrize("style", [None, STYLE])
def test_frames_are_pictures(model, quality, size, style):
    frame = model.render(person(model, 1, style), Camera(yaw=25), size, quality)
    assert frame.rgb_linear.shape == (size, size, 3)
    assert frame.alpha.shape == frame.depth.shape == (size, size)
    assert {frame.rgb_linear.dtype, frame.alpha.dtype, frame.depth.dtype} == {np.dtype(np.float32)}
    assert np.isfinite(frame.rgb_linear).all()
    assert frame.rgb_linear.min() >= 0
    assert frame.alpha.min() >= 0
    assert frame.alpha.max() <= 1 + 1e-6
    assert 0.15 < (frame.alpha > 0.5).mean() < 0.7
    assert frame.alpha[size // 2, size // 2] > 0.99
    assert frame.alpha[0].max() == frame.alpha[:, 0].max() == frame.alpha[:, -1].max() == 0
    assert frame.rgb_linear[frame.alpha == 0].max() == 0
    assert frame.rgb_linear[frame.alpha > 0.99].std() > 0.01
    near, far = frame.depth[frame.alpha > 0.5].min(), frame.depth[frame.alpha > 0.5].max()
    assert 0.5 < near < far < 1.1


def test_moving_and_full_pictures_are_of_the_same_face(model):
    codes, camera = person(model, 2), Camera(yaw=-20)
    moving, full = (model.render(codes, camera, SIZE, quality) for quality in Quality)
    assert difference(moving, full) < 5
    assert np.abs(moving.alpha - full.alpha).mean() < 0.03
    assert difference(model.render(person(model, 3), camera, SIZE), full) > 2 * difference(moving, full)


def test_depth_is_where_the_head_is(model):
    codes, camera = person(model, 4, None), Camera(yaw=10)
    frame = model.render(codes, camera, 256, Quality.MOVING)
    landmarks = model.landmarks({name: torch.tensor(code) for name, code in codes.items()}, camera.yaw).numpy()
    extrinsics = camera.extrinsics()
    nose, mouth_corner, ear = 30, 54, 15
    found = []
    for number in (nose, mouth_corner, ear):
        x, y = camera.project(landmarks[number], 256, 256).astype(int)
        found.append(frame.depth[y, x])
        true = extrinsics[2, :3] @ landmarks[number] + extrinsics[2, 3]
        assert found[-1] == pytest.approx(true, abs=0.004 if number != ear else 0.015)
    assert found[0] + 0.01 < found[1] < found[2] - 0.02


def test_where_nothing_is_the_depth_is_infinite_even_where_the_bust_has_faded(model):
    frame = model.render(person(model, 0), Camera(pitch=-20, distance=1.2), SIZE)
    assert np.isinf(frame.depth[frame.alpha == 0]).all()
    assert frame.depth.min() > 0.9
    assert np.isfinite(frame.depth[frame.alpha > 0.1]).all()


@pytest.mark.parametrize("camera", [Camera(pan=(2.0, 0.0)), Camera(distance=9.0, pan=(0, 5.0))], ids=["beside", "far"])
def test_a_head_out_of_sight_is_an_empty_picture(model, camera):
    frame = model.render(person(model), camera, 32)
    assert frame.alpha.max() == 0
    assert np.isinf(frame.depth).all()
    assert (frame.over() == 255).all()


def test_a_head_that_fills_the_picture_is_drawn_to_the_rim(model):
    frame = model.render(person(model, 0, None), Camera(field_of_view=6), 33)
    assert frame.alpha.min() > 0.95


@pytest.fixture
def counted(monkeypatch):
    """How often shapes and textures are made from codes."""
    counts = {"vertices": 0, "look": 0}

    def counting(owner, name):
        original = getattr(owner, name)

        def call(*args, **kwargs):
            counts[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counting(Template, "vertices")
    counting(Appearance, "look")
    return counts


def test_what_only_depends_on_codes_is_not_made_again(model, counted):
    codes = changed(person(model, 77), SKIN, 20, 0.123)
    model.render(codes, Camera(), 32, Quality.MOVING)
    assert counted == {"vertices": 1, "look": 1}
    for yaw in (5, 10):
        model.render({name: code.copy() for name, code in codes.items()}, Camera(yaw=yaw), 32, Quality.MOVING)
    model.render(codes, Camera(), 48, Quality.FULL)
    model.render(changed(codes, LIGHT, 0, 1.0), Camera(), 32)
    assert counted == {"vertices": 1, "look": 1}
    model.render(changed(codes, EXPRESSION, 0, 0.5), Camera(), 32)
    assert counted == {"vertices": 2, "look": 1}
    model.render(changed(codes, SKIN, SHEEN, 0.9), Camera(), 32)
    assert counted == {"vertices": 2, "look": 2}
    model.render(codes, Camera(), 32)
    assert counted == {"vertices": 2, "look": 2}


def test_the_memory_never_shows_another_face(model):
    codes = person(model, 5)
    before = model.render(codes, Camera(), 48)
    for space, place, value in ((IDENTITY, 0, 3), (EXPRESSION, 26, 1), (SKIN, 20, 0.5), (LIGHT, 0, 0.5), (HAIR, 10, 1)):
        assert difference(before, model.render(changed(codes, space, place, value), Camera(), 48)) > 0.05, space
    again = model.render(codes, Camera(), 48)
    assert np.array_equal(before.rgb_linear, again.rgb_linear)


def test_unused_components_change_nothing(model):
    codes = person(model, 6)
    before = model.render(codes, Camera(yaw=15), 48)
    for space, first in ((EXPRESSION, len(EXPRESSION_COMPONENTS)), (SKIN, SHEEN + 1), (HAIR, HAIR_GLOSS + 1)):
        after = model.render(changed(codes, space, slice(first, None), 3.0), Camera(yaw=15), 48)
        assert np.array_equal(before.rgb_linear, after.rgb_linear), space
        assert np.array_equal(before.alpha, after.alpha), space


def tensors(codes):
    return {name: torch.tensor(np.array(code), requires_grad=True) for name, code in codes.items()}


@pytest.mark.parametrize("rays_a_side", [1, 2])
def test_gradients_reach_every_code(model, rays_a_side):
    codes = tensors(person(model, 7, jawOpen=0.3))
    drawing = model.draw(codes, Camera(yaw=12), 64, rays_a_side=rays_a_side)
    weights = torch.linspace(-1, 1, 64)
    ((drawing.rgb_linear * weights).sum() + (drawing.alpha * weights[:, None]).sum()).backward()
    for name, code in codes.items():
        assert torch.isfinite(code.grad).all(), name
    assert codes[IDENTITY].grad.abs().min() > 0
    assert codes[EXPRESSION].grad[: len(EXPRESSION_COMPONENTS)].abs().min() > 0
    assert codes[SKIN].grad[:23].abs().min() > 0
    assert codes[LIGHT].grad.abs().min() > 0
    assert codes[HAIR].grad[HAIR_COLOUR].abs().min() > 0
    assert codes[HAIR].grad[STYLE].abs() > 0


def test_drawing_with_gradients_is_the_rendered_picture(model):
    codes, camera = person(model, 8), Camera(yaw=-30, pitch=10)
    for quality, rays_a_side in ((Quality.MOVING, 1), (Quality.FULL, 2)):
        frame = model.render(codes, camera, 48, quality)
        drawing = model.draw({k: torch.tensor(v) for k, v in codes.items()}, camera, 48, rays_a_side=rays_a_side)
        np.testing.assert_allclose(drawing.rgb_linear.permute(1, 2, 0).numpy(), frame.rgb_linear, atol=1e-5)
        np.testing.assert_allclose(drawing.alpha.numpy(), frame.alpha, atol=1e-5)


@pytest.mark.parametrize(("space", "place"), [(SKIN, 20), (SKIN, 21), (LIGHT, 0), (LIGHT, 9), (HAIR, 10)])
def test_gradients_are_those_of_the_picture(model, space, place):
    """Against differences; for codes that do not move outlines, which a rasteriser cannot differentiate."""
    codes, camera = person(model, 9), Camera(yaw=20)
    weights = torch.linspace(0.2, 1, 48)

    def loss(given):
        return (model.draw(given, camera, 48).rgb_linear * weights).sum()

    given = tensors(codes)
    loss(given).backward()
    step = 2e-2
    ends = [loss(tensors(changed(codes, space, place, codes[space][place] + s))).item() for s in (step, -step)]
    assert given[space].grad[place].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.05, abs=0.05)


def test_refinements_change_the_picture_and_have_gradients(model):
    codes, camera = person(model, 10), Camera()
    plain = model.render(codes, camera, 48)
    template = model.proxy.template
    refinement = {
        "albedo_gain": np.full((3, 16, 16), 0.5, np.float32),
        "hair_gain": np.full((3, 8, 16), 0.5, np.float32),
        "strand_offsets": np.full((len(template.hair_rest), 3), [0.01, 0, 0], np.float32),
        "offsets": np.full((len(template.mean), 3), [0.01, 0, 0], np.float32),
    }
    for name, value in refinement.items():
        assert difference(plain, model.render(codes, camera, 48, refinement={name: value})) > 0.1, name
    given = {name: torch.tensor(value, requires_grad=True) for name, value in refinement.items()}
    drawing = model.draw({k: torch.tensor(v) for k, v in codes.items()}, camera, 48, refinement=given)
    (drawing.rgb_linear * torch.linspace(0, 1, 48)).sum().backward()
    for name, value in given.items():
        assert torch.isfinite(value.grad).all(), name
        assert value.grad.abs().max() > 0, name
    np.testing.assert_array_equal(
        model.render(codes, camera, 48, refinement={"unknown": np.zeros(3)}).rgb_linear, plain.rgb_linear
    )


def test_without_opengl_the_picture_is_nearly_the_same(model, monkeypatch):
    codes, camera = person(model, 11), Camera(yaw=35)
    drawn = model.render(codes, camera, 64)
    monkeypatch.setattr(model.proxy, "_rasteriser", SoftwareRasteriser())
    counted = model.render(codes, camera, 64)
    assert difference(drawn, counted) < 0.5
    assert (np.abs(drawn.alpha - counted.alpha) < 0.1).mean() > 0.99


def mirrored(model, codes):
    template = model.proxy.template
    expression = codes[EXPRESSION].copy()
    expression[: len(EXPRESSION_COMPONENTS)] = expression[: len(EXPRESSION_COMPONENTS)][template.expression_mirror]
    light = codes[LIGHT].reshape(LIGHT_SHAPE).copy()
    light[ODD_IN_X] *= -1
    identity = codes[IDENTITY] * template.identity_signs.numpy()
    return {**codes, IDENTITY: as_code(identity), EXPRESSION: as_code(expression), LIGHT: as_code(light)}


def test_mirrored_codes_seen_by_a_mirrored_camera_give_the_mirrored_picture(model):
    """Up to what differs between the two halves of a skin's texture; hair styles have no mirror image."""
    lamp = harmonics.directional(np.array([0.8, 0, 0.6]), np.array([1.0, 0.9, 0.8])) + harmonics.ambient(np.ones(3) / 5)
    codes = person(model, 12, None, mouthSmileLeft=1.0, eyeBlinkRight=1.0, jawLeft=0.6)
    codes = {**codes, LIGHT: as_code(lamp)}
    camera = Camera(yaw=25, pitch=8, roll=6, pan=(0.01, 0.01), centre=(0.47, 0.5))
    other = Camera(yaw=-25, pitch=8, roll=-6, pan=(-0.01, 0.01), centre=(0.53, 0.5))
    here = model.render(codes, camera, 128)
    there = model.render(mirrored(model, codes), other, 128)
    flipped = dataclasses.replace(
        there, rgb_linear=there.rgb_linear[:, ::-1], alpha=there.alpha[:, ::-1], depth=there.depth[:, ::-1]
    )
    assert (np.abs(here.alpha - flipped.alpha) < 0.25).mean() > 0.99
    inside = (here.alpha > 0.99) & (flipped.alpha > 0.99)
    assert np.abs(here.depth[inside] - flipped.depth[inside]).mean() < 1e-3
    assert difference(here, flipped) < 0.3 * difference(here, model.render(codes, other, 128))


def test_the_mesh_has_everything(model):
    codes = person(model, 13, mouthSmileLeft=0.7)
    mesh = model.mesh(codes, morphs=True, textured=True)
    assert list(mesh.morphs) == list(ARKIT)
    assert all(offsets.shape == mesh.vertices.shape for offsets in mesh.morphs.values())
    assert mesh.uv.shape == (len(mesh.vertices), 2)
    assert 0 <= mesh.uv.min() < mesh.uv.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
    assert mesh.texture_srgb.dtype == np.uint8
    assert mesh.texture_srgb.std() > 5
    starts, ends = zip(*mesh.parts.values(), strict=True)
    assert (0, *ends) == (*starts, len(mesh.faces))
    assert not {name for name in mesh.parts if "lash" in name}
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    bare = model.mesh(codes)
    assert bare.morphs == {}
    assert bare.texture_srgb is None


def test_a_morph_is_the_expression(model):
    weights = {"browInnerUpLeft": 1.0, "browInnerUpRight": 1.0}
    rest, moved = (model.mesh(person(model, 14, **given)).vertices for given in ({}, weights))
    morph = model.mesh(person(model, 14), morphs=True).morphs["browInnerUp"]
    np.testing.assert_allclose(rest + morph, moved, atol=1e-6)
    assert np.abs(morph).max() > 0.004


def test_the_texture_is_the_skin_and_no_expression_touches_it(model):
    texture = model.mesh(person(model, 15), textured=True).texture_srgb
    moved = model.mesh(person(model, 15, jawOpen=1.0, eyeBlinkLeft=1.0), textured=True).texture_srgb
    assert np.array_equal(texture, moved)
    darker = model.mesh(changed(person(model, 15), SKIN, 20, -0.5), textured=True).texture_srgb
    assert darker.mean() < texture.mean() - 5


def filled(polygons, size):
    """Coverage (size, size) of polygons (F, 3, 2) in pixels, drawn four times finer by Pillow."""
    picture = Image.new("L", (4 * size, 4 * size))
    draw = ImageDraw.Draw(picture)
    for polygon in polygons:
        draw.polygon([(4 * x - 0.5, 4 * y - 0.5) for x, y in polygon], fill=255)
    return np.asarray(picture, np.float32).reshape(size, 4, size, 4).mean((1, 3)) / 255


@pytest.mark.parametrize("yaw", [0, 40])
def test_mesh_and_picture_overlay_within_one_pixel_at_512(model, yaw):
    """The mesh's vertices, projected and filled by another program, against the radiance frame of a bald head.

    Lashes are not in the mesh, so views where they stand over the outline are not compared; nor is the fading bust.
    """
    codes, camera, size = person(model, 16, None), Camera(yaw=yaw), 512
    frame = model.render(codes, camera, size)
    mesh = model.mesh(codes)
    solid = filled(camera.project(mesh.vertices.astype(float), size, size)[mesh.faces], size) > 0.5
    drawn = frame.alpha > 0.5
    bust = int(camera.project(np.array([0, -0.1, 0]), size, size)[1])
    solid, drawn = solid[:bust], drawn[:bust]
    assert drawn.sum() > 30_000
    assert not (drawn & ~binary_dilation(solid, np.ones((3, 3)))).any()
    assert not (solid & ~binary_dilation(drawn, np.ones((3, 3)))).any()


def test_landmarks_lie_on_the_mesh(model):
    codes = person(model, 17, jawOpen=0.5)
    marks = model.landmarks({name: torch.tensor(code) for name, code in codes.items()}).numpy()
    vertices = model.mesh(codes).vertices
    assert marks.shape == (68, 3)
    nearest = np.linalg.norm(vertices[None] - marks[:, None], axis=-1).min(1)
    assert nearest.max() < 1e-6
