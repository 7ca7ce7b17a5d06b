"""The mesh of a tri-plane head: the surface at rest, moved; one topology for a person; texture places with one seam."""

import numpy as np
import pytest
import torch
import trimesh

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import ARKIT, EXPRESSION, IDENTITY
from faceeditor.models.contract import Quality, capabilities
from faceeditor.models.triplane_mesh import RESOLUTION
from tests.plain_head import DIMS, KINDS, codes_of, plain_head

STILL = codes_of()


@pytest.fixture(autouse=True, scope="module")
def coarse():
    """Meshes of a few thousand vertices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RESOLUTION, Quality.FULL, 64)
        patch.setitem(RESOLUTION, Quality.MOVING, 28)
        yield


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return plain_head(request.param)


def whole(mesh):
    """The mesh with the vertices of its seam put together again."""
    _, first, number = np.unique(mesh.vertices.round(7), axis=0, return_index=True, return_inverse=True)
    return trimesh.Trimesh(mesh.vertices[first], number.reshape(-1)[mesh.faces], process=False)


def test_it_can_do_what_windows_and_commands_ask_for(model):
    assert set(capabilities(model)) == {"radiance", "mesh", "surface"}


def test_the_mesh_lies_on_the_field_and_is_closed(model):
    rest = {**STILL, EXPRESSION: model.deformation.rest.numpy()}
    mesh = model.mesh(rest)
    assert np.abs(model.sdf_at_rest(mesh.vertices, STILL)).max() < 0.0005
    surface = whole(mesh)
    assert surface.is_watertight
    assert surface.volume > 0
    assert (np.einsum("vc,vc->v", mesh.normals, mesh.vertices - model.config.origin) > 0).mean() > 0.99


def test_a_person_keeps_the_topology_and_moves_by_the_deformation(model):
    rest, moved = model.mesh({**STILL, EXPRESSION: model.deformation.rest.numpy()}), codes_of(mouthFunnel=1.0)
    mesh = model.mesh(moved)
    assert np.array_equal(mesh.faces, rest.faces)
    assert np.array_equal(mesh.uv, rest.uv)
    assert np.abs(mesh.vertices - rest.vertices).max() > 0.002
    np.testing.assert_allclose(mesh.vertices, model.posed(rest.vertices, moved), atol=1e-5)


def test_morphs_are_the_way_from_the_neutral_face_to_each_name(model):
    mesh = model.mesh(STILL, morphs=True)
    assert list(mesh.morphs) == list(ARKIT)
    for name, parts in (("jawOpen", ("jawOpen",)), ("browInnerUp", ARKIT["browInnerUp"])):
        there = model.mesh(codes_of(**dict.fromkeys(parts, 1.0)))
        np.testing.assert_allclose(mesh.vertices + mesh.morphs[name], there.vertices, atol=1e-6)


def test_a_moving_person_is_coarse_until_seen_in_full():
    model = plain_head()
    coarse = model.mesh(STILL, quality=Quality.MOVING)
    full = model.mesh(STILL)
    again = model.mesh(codes_of(jawOpen=1.0), quality=Quality.MOVING)
    assert 3 * len(coarse.faces) < len(full.faces) == len(again.faces)
    other = {**STILL, IDENTITY: np.ones(DIMS[IDENTITY], np.float32)}
    assert len(model.mesh(other, quality=Quality.MOVING).faces) < len(full.faces) / 3


def test_extracted_at_the_resolution_of_the_mesh_it_is_the_mesh():
    model, codes = plain_head(), codes_of(jawOpen=0.7)
    mesh, found = model.mesh(codes), model.extract(codes, RESOLUTION[Quality.FULL])
    assert np.array_equal(mesh.faces, found.faces)
    np.testing.assert_allclose(found.vertices, mesh.vertices, atol=1e-6)
    finer = model.extract(codes, 2 * RESOLUTION[Quality.FULL])
    assert len(finer.faces) > 3.5 * len(found.faces)
    with pytest.raises(UserError, match="between 16 and 512"):
        model.extract(codes, 8)


def test_extraction_can_be_stopped():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plain_head().extract(STILL, 32, breathe=stop)


def test_texture_places_have_one_seam_behind():
    mesh = plain_head().mesh(STILL, textured=True)
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1
    wide = np.ptp(mesh.uv[mesh.faces, 0], axis=1)
    assert (wide > 0.5).sum() <= 4, "only triangles around a pole may be torn"
    middle = mesh.vertices[mesh.faces].mean(1) - plain_head().config.origin
    front = (middle[:, 2] > 0.05) & (np.abs(middle[:, 0]) < 0.002)
    assert np.abs(mesh.uv[mesh.faces][front, :, 0].mean() - 0.5) < 0.05
    assert mesh.texture_srgb.shape[2] == 3


def test_what_moved_is_traced_back_and_says_how_well():
    model, codes = plain_head(), codes_of(mouthFunnel=0.8, jawOpen=0.5)
    rest = model.mesh({**STILL, EXPRESSION: model.deformation.rest.numpy()}).vertices[::20]
    there = model.posed(rest, codes)
    roots = model.traced(there, codes)
    assert roots.share > 0.99
    assert "traced back" in roots.report()
    np.testing.assert_allclose(model.head(roots.points)[roots.arrived], rest[roots.arrived], atol=2e-4)
    assert np.abs(model.sdf(there, codes)).max() < 0.0005
    head_at_rest = model.bound(STILL)
    np.testing.assert_allclose(
        model.to_template(there, codes), model.head(head_at_rest.on_mean(roots.points)), atol=1e-6
    )


def test_what_no_point_is_moved_to_is_said_to_be_lost():
    model = plain_head()
    folded = model.traced(np.array([[3.0, 0.0, 0.0]]), codes_of(jawOpen=1.0))
    assert folded.residual.shape == (1,)
    assert folded.report().startswith("100.00%" if folded.arrived.all() else "0.00%")


def test_landmarks_are_the_mean_heads_on_this_person():
    model = plain_head()
    codes = {**STILL, EXPRESSION: model.deformation.rest.numpy()}
    found = model.landmarks(codes)
    assert found.shape == (68, 3)
    own = model.own(found)
    np.testing.assert_allclose(model.bound(codes).on_mean(own), model.mesher.mean_landmarks, atol=1e-3)


def test_pictures_show_the_mesh():
    frame = plain_head().render(STILL, Camera(), 64)
    assert frame.rgb_linear.shape == (64, 64, 3)
    assert 0.1 < frame.alpha.mean() < 0.9


def test_between_two_styles_planes_are_mixed():
    model = plain_head()
    model.generator.start.weight *= 3
    style = model.spaces[IDENTITY].choices[0]
    afro, bald = (style.write(STILL[IDENTITY], option) for option in (style.options[0], style.none))
    ends = [model.bound({IDENTITY: code}).rows for code in (afro, bald)]
    between = model.bound({IDENTITY: (0.25 * afro + 0.75 * bald).astype(np.float32)}).rows
    torch.testing.assert_close(between, 0.25 * ends[0] + 0.75 * ends[1])
    assert not torch.equal(*ends)


def test_a_field_without_a_surface_is_one_sentence():
    model = plain_head()
    model.decoder.layers[-1].bias += 10
    with pytest.raises(UserError, match="no surface"):
        model.mesh(STILL)
