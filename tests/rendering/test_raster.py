"""OpenGL and numpy find the same triangles: on the template's head with hair, and on small scenes made for one rule."""

import ctypes
import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import DIMS, IDENTITY
from faceeditor.models.bundle import load_model
from faceeditor.rendering.raster import NOTHING, Cards, Scene
from faceeditor.rendering.raster_gl import GLRasteriser
from faceeditor.rendering.raster_numpy import SoftwareRasteriser
from faceeditor.rendering.rasterisers import make_rasteriser

SIZE = 96
LAYERS = 5


@pytest.fixture(scope="module")
def opengl():
    drawer = GLRasteriser()
    yield drawer
    drawer.release()


@pytest.fixture(params=["opengl", "software"])
def rasteriser(request):
    return request.getfixturevalue("opengl") if request.param == "opengl" else SoftwareRasteriser()


@pytest.fixture(scope="module")
def head():
    """The head's triangles, its lashes and a hair style, the cards with holes in stripes."""
    template = load_model("template-studio")
    identity = 0.8 * torch.randn(1, DIMS[IDENTITY], generator=torch.Generator().manual_seed(4))
    vertices = template.vertices(identity, torch.zeros(1, 53))
    hair = template.hair_vertices(vertices, 3)[0]
    own = vertices[0, template.render_vertex][template.faces]
    triangles = torch.cat([own, hair[template.hair_style_faces(3)]]).numpy()
    limits = list(template.styles.values())[3]
    uv = torch.cat(
        [
            template.card_uv[template.faces[template.cards_from :]],
            template.hair_uv[limits.vertices][template.hair_style_faces(3)],
        ]
    )
    stripes = np.where(np.arange(64)[None] % 16 < 9, 255, 0).astype(np.uint8).repeat(64, axis=0)
    return Scene(triangles, template.cards_from, Cards(uv.numpy(), stripes))


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(yaw=55, pitch=20, roll=15, distance=0.6, field_of_view=30),
        Camera(yaw=-90, pitch=-35, pan=(0.03, -0.02), centre=(0.45, 0.6)),
        Camera(yaw=10, pitch=40, distance=2.5, field_of_view=12),
    ],
    ids=["front", "left", "right", "above"],
)
def test_opengl_and_numpy_agree(opengl, head, camera):
    drawn = opengl.visible(head, camera, SIZE, LAYERS)
    counted = SoftwareRasteriser().visible(head, camera, SIZE, LAYERS)
    assert drawn.shape == counted.shape == (LAYERS, SIZE, SIZE)
    assert drawn.dtype == counted.dtype == np.int32
    assert (drawn[1] >= 0).sum() > 300
    assert (drawn == counted).mean() > 0.998
    assert (drawn[0] == counted[0]).mean() > 0.998
    peeled = (drawn[1:] >= 0) | (counted[1:] >= 0)
    assert (drawn[1:] == counted[1:])[peeled].mean() > 0.97


def test_layers_hold_what_their_names_say(opengl, head):
    ids = opengl.visible(head, Camera(yaw=30), SIZE, LAYERS)
    assert ids[0].max() < head.cards_from
    assert ids[1:][ids[1:] >= 0].min() >= head.cards_from
    for nearer, farther in itertools.pairwise(ids[1:]):
        assert (nearer[farther >= 0] >= 0).all()
        both = farther >= 0
        assert (nearer[both] != farther[both]).all()


def test_fewer_layers_are_the_first_ones(opengl, head):
    many = opengl.visible(head, Camera(), SIZE, LAYERS)
    few = opengl.visible(head, Camera(), SIZE, 2)
    assert np.array_equal(few, many[:2])


def test_a_frame_does_not_depend_on_the_one_before(opengl, head):
    first = opengl.visible(head, Camera(), SIZE, LAYERS)
    bald = Scene(head.triangles[: head.cards_from], head.cards_from)
    opengl.visible(bald, Camera(yaw=70), 48, 3)
    holes = replace(head, cards=Cards(head.cards.corner_uv, 0 * head.cards.opacity))
    opengl.visible(holes, Camera(yaw=70), SIZE, LAYERS)
    assert np.array_equal(opengl.visible(head, Camera(), SIZE, LAYERS), first)


def plate(z, half=0.05, centre=(0.0, 0.02), turned=False):
    """Two triangles that face the front at height ``z``; turned around they show their back."""
    x, y = centre
    a, b, c, d = ([x + i * half, y + j * half, z] for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
    quad = np.array([[a, b, c], [a, c, d]], np.float32)
    return quad[:, ::-1].copy() if turned else quad


PLATE_UV = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
SOLID = np.full((8, 8), 255, np.uint8)


def seen(rasteriser, opaque, cards, opacity=SOLID, layers=4, camera=None):
    """Plates' numbers (layers,) in the middle of the picture: triangles two by two."""
    triangles = np.concatenate([*opaque, *cards])
    uv = np.tile(PLATE_UV, (len(cards), 1, 1))
    scene = Scene(triangles, 2 * len(opaque), Cards(uv, opacity) if cards else None)
    ids = rasteriser.visible(scene, camera or Camera(), 33, layers)
    middle = ids[:, 16, 16]
    return np.where(middle == NOTHING, NOTHING, middle // 2).tolist()


def test_the_nearest_surface_wins(rasteriser):
    assert seen(rasteriser, [plate(0.0), plate(0.05), plate(-0.05)], []) == [1, NOTHING, NOTHING, NOTHING]


def test_a_surface_is_seen_from_its_inside_too(rasteriser):
    """Through the cut of the bust one looks at the inside of the neck."""
    assert seen(rasteriser, [plate(0.0), plate(0.05, turned=True)], [])[0] == 1
    assert seen(rasteriser, [plate(0.0), plate(0.05)], [], camera=Camera(yaw=180))[0] == 0


@pytest.mark.parametrize("yaw", [0, 40])
def test_rays_pass_what_lies_below_the_floor(rasteriser, yaw):
    """The plate is cut along a level line, through which what stands behind it is seen; cards are cut alike."""
    near, far = plate(0.05), plate(-0.05, half=0.2)
    camera, floor, size = Camera(yaw=yaw), 0.02, 128
    cards = Cards(np.tile(PLATE_UV, (1, 1, 1)), SOLID)
    for first, triangles in enumerate(([far, near], [far, near])):
        opaque = 2 * (2 - first)
        scene = Scene(np.concatenate(triangles), opaque, cards if first else None, floor)
        ids = rasteriser.visible(scene, camera, size, 2)
        shown = ids.max(0) >= 2
        rows, columns = np.nonzero(shown)
        x, y = camera.project(np.array([0.0, floor, 0.05]), size, size)
        assert shown.sum() > 100
        assert rows.max() < y + 1.5
        assert rows[np.abs(columns - x) < 2].max() > y - 2.5
        assert not (ids >= 0)[:, size - 10 :].any()


def test_cards_are_peeled_from_the_front_and_seen_from_both_sides(rasteriser):
    cards = [plate(0.02), plate(0.08, turned=True), plate(0.05)]
    assert seen(rasteriser, [plate(0.0)], cards) == [0, 2, 3, 1]


def test_cards_behind_the_surface_are_hidden(rasteriser):
    assert seen(rasteriser, [plate(0.03)], [plate(0.05), plate(0.01)]) == [0, 1, NOTHING, NOTHING]


def test_cards_with_nothing_behind_are_seen(rasteriser):
    assert seen(rasteriser, [plate(0.0, centre=(0.3, 0.3))], [plate(0.05)]) == [NOTHING, 1, NOTHING, NOTHING]


def test_rays_pass_the_holes_of_a_card(rasteriser):
    hole = SOLID.copy()
    hole[2:6, 2:6] = 0
    assert seen(rasteriser, [plate(0.0)], [plate(0.05)], hole) == [0, NOTHING, NOTHING, NOTHING]
    off_centre = SOLID.copy()
    off_centre[:3, :3] = 0
    assert seen(rasteriser, [plate(0.0)], [plate(0.05)], off_centre) == [0, 1, NOTHING, NOTHING]


def test_row_0_of_the_opacity_is_at_v_0(rasteriser):
    lower = SOLID.copy()
    lower[:4] = 0
    ids = rasteriser.visible(Scene(plate(0.0), 0, Cards(0.1 + 0.8 * PLATE_UV, lower)), Camera(), 64, 2)
    rows = np.flatnonzero((ids[1] >= 0).any(1))
    assert rows.min() <= 24
    assert 30 <= rows.max() <= 34


def test_nothing_before_the_camera_is_an_empty_picture(rasteriser):
    ids = rasteriser.visible(Scene(plate(3.0), 2), Camera(), 16, 2)
    assert (ids == NOTHING).all()


def test_the_program_uses_opengl_where_it_is_and_numpy_where_it_is_not(monkeypatch):
    assert isinstance(make_rasteriser(), GLRasteriser)

    def missing(*_, **__):
        raise RuntimeError("no display, no EGL")

    monkeypatch.setattr("moderngl.create_context", missing)
    assert isinstance(make_rasteriser(), SoftwareRasteriser)


@pytest.mark.skipif(sys.platform != "linux", reason="asks EGL")
def test_no_context_stays_current_for_other_parts_to_trip_over(head):
    egl = ctypes.CDLL("libEGL.so.1")
    egl.eglGetCurrentContext.restype = ctypes.c_void_p
    drawer = GLRasteriser()
    assert egl.eglGetCurrentContext() is None
    assert drawer.renderer
    drawer.visible(head, Camera(), 32, 1)
    assert egl.eglGetCurrentContext() is None
    drawer.release()
