"""Studio heads for the tri-plane head: carving knows inside from outside, hair is a solid, pairs correspond."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.models.triplane import TriplaneConfig
from faceeditor.rendering.normal_maps import Ball
from faceeditor.rendering.raster_numpy import SoftwareRasteriser
from training import triplane_blendshapes, triplane_hair, triplane_sampling
from training.imface_scans import HELD_OUT_SEED, read_parts
from training.studio.assets import HAIR_STYLES, Assets
from training.triplane_blendshapes import read_blendshapes, write_blendshapes
from training.triplane_carving import Carving
from training.triplane_hair import Skin
from training.triplane_sampling import Counts, Distances, Samples, store
from training.triplane_scans import HeadMaker

BALL = Ball((0.0, 0.02, -0.03), 0.17)
FEW = Counts(surface=600, ball=200, views=24, size=16, expressions=3, pairs=200)


@pytest.fixture(scope="module")
def bowl():
    """A thick hollow sphere with a hole, inside it a ball that nobody sees through the shell: in head space."""
    outer = trimesh.creation.icosphere(4, radius=0.08)
    inner = trimesh.creation.icosphere(3, radius=0.03)
    mesh = trimesh.util.concatenate([outer, inner])
    mesh.apply_translation(BALL.centre)
    carving = Carving.of(mesh.vertices, mesh.faces, BALL, SoftwareRasteriser(), views=40, size=96)
    return mesh, carving, len(outer.faces)


def test_what_no_camera_sees_is_inside(bowl):
    _, carving, _ = bowl
    random = np.random.default_rng(0)
    ways = random.normal(size=(400, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    for radius, outside in ((0.02, False), (0.05, False), (0.075, False), (0.085, True), (0.15, True)):
        assert (carving.outside(ways * radius + BALL.centre) == outside).mean() > 0.99, radius


def test_only_the_outer_surface_is_seen(bowl):
    mesh, carving, outer = bowl
    centres, normals = mesh.triangles_center, mesh.face_normals
    seen = carving.visible(centres, normals)
    assert seen[:outer].mean() > 0.97
    assert not seen[outer:].any()
    assert not carving.visible(centres, -normals)[:outer].any()


def test_distances_are_a_spheres(bowl):
    mesh, carving, outer = bowl
    face = np.arange(outer).repeat(4)
    points = np.einsum("nk,nkc->nc", np.random.default_rng(0).dirichlet(np.ones(3), len(face)), mesh.triangles[face])
    seen = Samples(points, mesh.face_normals[face], face, np.zeros_like(points))
    asked = np.random.default_rng(1).normal(size=(500, 3)) * 0.06 + BALL.centre
    found = Distances(seen, mesh.triangles, carving, 0.0025).of(asked)
    np.testing.assert_allclose(found, np.linalg.norm(asked - BALL.centre, axis=1) - 0.08, atol=6e-4)


@pytest.fixture(scope="module")
def maker(head, data_folder, tmp_path_factory):
    """Coarse hair, for the exact size of voxels is no test's business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triplane_hair, "VOXEL", 0.008)
        patch.setattr(triplane_hair, "GAP", 0.02)
        patch.setattr(triplane_hair, "THICK", 0.008)
        patch.setattr(triplane_hair, "UNDER", 0.012)
        patch.setattr(triplane_hair, "CARD_SAMPLES", 20_000)
        patch.setattr(triplane_sampling, "POOL", 10)
        hair = tmp_path_factory.mktemp("hair") / "hair.npz"
        maker = HeadMaker(head, Assets(data_folder), TriplaneConfig.small(), FEW, hair)
        assert set(maker.shells) == set(HAIR_STYLES)
        yield maker


def test_shells_are_kept_and_follow_the_head(maker):
    again = replace(maker)
    for name, shell in again.shells.items():
        np.testing.assert_array_equal(shell.vertices, maker.shells[name].vertices)
    offset = np.broadcast_to(np.float32([0.01, 0.02, 0.03]), maker.head.neutral.shape)
    still = np.zeros_like(offset)
    for shell in again.shells.values():
        for offsets in ((offset, still), (still, offset)):
            moved = shell.follow(*offsets) - shell.vertices
            np.testing.assert_allclose(moved, np.broadcast_to([0.01, 0.02, 0.03], moved.shape), atol=1e-6)


def test_hair_moves_from_person_to_person_as_the_skin_under_it(maker):
    head = maker.head
    skin = Skin.of(head.neutral, np.arange(len(head.neutral))[head.region("head_and_neck")])
    scalp = head.neutral[skin.places]
    scalp = scalp[scalp[:, 1] > 0.05]
    around, pull = skin.around(np.concatenate([scalp, scalp * 1.1]))
    wider = np.einsum("npc,np->nc", 0.1 * head.neutral[around], pull).reshape(2, -1, 3)
    np.testing.assert_allclose(wider[0], 0.1 * scalp, atol=0.001)
    # What lies over it moves alike, wherever it hangs.
    np.testing.assert_allclose(wider[1], 0.1 * scalp, atol=0.003)


def test_a_shell_is_outside_the_head_where_it_shows(maker):
    shell = maker.shells[HAIR_STYLES[0]]
    assert len(shell.faces) > 100
    own = np.linalg.norm(shell.vertices - np.array(maker.ball.centre), axis=1)
    assert own.max() < maker.ball.radius


def test_a_head_knows_its_points(maker):
    made = maker.make(3)
    assert {name: array.shape for name, array in made.items()} == {
        "identity": (128,),
        "surface": (600, 3),
        "normals": (600, 3),
        "near": (2, 600, 3),
        "near_sdf": (2, 600),
        "ball": (200, 3),
        "ball_sdf": (200,),
        "space": (200, 3),
        "space_sdf": (200,),
        "maps": (24, 3, 16, 16),
        "expression": (3, 64),
        "at_rest": (3, 200, 3),
        "posed": (3, 200, 3),
    }
    np.testing.assert_allclose(np.linalg.norm(made["normals"], axis=1), 1, atol=1e-6)
    assert np.abs(made["near_sdf"]).mean(1) == pytest.approx([0.0025 * 0.8, 0.00025 * 0.8], rel=0.35)
    along = ((made["near"] - made["surface"]) * made["normals"]).sum(2)
    assert np.corrcoef(along.ravel(), made["near_sdf"].ravel())[0, 1] > 0.8
    # The middle of the head is inside, its surroundings are not.
    away = np.linalg.norm(made["ball"], axis=1)
    assert (made["ball_sdf"][away < 0.25] < 0).all()
    assert (made["ball_sdf"][away > 0.93] > 0).mean() > 0.9
    assert 0.2 < (np.abs(made["maps"].astype(int)).max(1) > 0).mean() < 0.8


def test_mean_heads_are_what_planes_hold(maker):
    bald, styled = (maker.mean(style) for style in (None, HAIR_STYLES[1]))
    assert not bald["identity"].any()
    assert styled["identity"].sum() == styled["identity"][len(maker.head.identity_modes) + 1] == 1
    # One face under any hair.
    half = FEW.surface // 2
    apart = np.linalg.norm(bald["surface"][:half, None] - styled["surface"][:half], axis=2).min(0)
    assert np.median(apart) < 0.05


def test_pairs_correspond(maker):
    made = maker.make(4)
    assert not made["expression"][0].any()
    apart = np.linalg.norm(made["posed"] - made["at_rest"], axis=2)
    # The mouth at rest is open, so that no expression is a motion too; most of the head stays.
    assert apart[0].max() > 0.01
    assert np.median(apart) < 0.01


def test_blendshapes_are_what_expressions_do(maker, tmp_path, monkeypatch):
    monkeypatch.setattr(triplane_blendshapes, "POINTS", 400)
    monkeypatch.setattr(triplane_blendshapes, "HAIR_POINTS", 20)
    assert read_blendshapes(tmp_path) is None
    write_blendshapes(maker, tmp_path)
    known = read_blendshapes(tmp_path)
    assert known["points"].shape == (400 + 20 * len(HAIR_STYLES), 3)
    assert known["offsets"].shape == (len(known["points"]), len(EXPRESSION_COMPONENTS), 3)
    moved = known["offsets"].norm(dim=-1) * maker.config.unit
    # A jaw opens by centimetres; nothing moves all of a head.
    jaw = EXPRESSION_COMPONENTS.index("jawOpen")
    assert 0.01 < moved[:, jaw].max() < 0.05
    assert moved[:, jaw].median() < 0.002


def test_people_differ_and_numbers_do_not(maker):
    first, again, held = maker.make(5), maker.make(5), maker.make(HELD_OUT_SEED)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["identity"], held["identity"])


def test_parts_keep_maps_small(maker, tmp_path):
    made = maker.make(6)
    store([made, made], tmp_path / "scans-000.npz")
    read = read_parts(tmp_path)
    assert str(read["maps"].dtype) == "torch.int8"
    assert read["surface"].shape == (2, 600, 3)
    assert read["surface"].dtype.is_floating_point
