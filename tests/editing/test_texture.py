"""A scan's colours in the template's atlas: where it shows them exactly, elsewhere from the mirrored side or around."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from faceeditor.editing.texture import bake_texture
from faceeditor.errors import UserError
from faceeditor.faces.mesh import Mesh
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.models.bundle import load_model

SIZE = 128


@pytest.fixture(scope="module")
def mesh():
    template = load_model("template-studio")
    vertices, normals = (
        table[0, template.render_vertex].numpy()
        for table in (template.mean[None], template.normals(template.mean[None]))
    )
    faces = template.faces[: template.cards_from].numpy().astype(np.int32)
    parts = {name: ends for name, ends in template.parts.items() if ends[1] <= template.cards_from}
    return Mesh(vertices, faces, template.uv.numpy(), normals, parts=parts)


def colours(points):
    """A smooth colour of every point of space, different on both sides of the face."""
    x, y, z = points.T
    return np.stack([128 + 700 * x, 128 + 600 * y, 128 + 500 * z], axis=1).clip(0, 255).astype(np.uint8)


def scan_of(mesh, keep=lambda points: np.ones(len(points), bool), **facts):
    """The mesh's skin as a scan, in millimetres and lying on its side; its placement in head space."""
    turn = Rotation.from_euler("xyz", [90, 20, -30], degrees=True).as_matrix()
    placement = Similarity(0.001, turn, np.array([0.01, -0.02, 0.03]))
    start, end = mesh.parts["skin"]
    faces = mesh.faces[start:end]
    faces = faces[keep(mesh.vertices[faces].mean(axis=1))]
    vertices = placement.inverse().to_head(mesh.vertices)
    return Scan(vertices, faces, **{"colours_srgb": colours(mesh.vertices), **facts}), placement


def at_front_vertices(mesh, texture, side=0):
    """Texture values and what they should be, at skin vertices of the face's front."""
    start, end = mesh.parts["skin"]
    chosen = np.unique(mesh.faces[start:end])
    chosen = chosen[(mesh.normals[chosen, 2] > 0.6) & (mesh.vertices[chosen, 2] > 0.03)]
    chosen = chosen[mesh.vertices[chosen, 0] * side >= 0]
    u, v = mesh.uv[chosen].T
    size = len(texture)
    found = texture[((1 - v) * size).astype(int).clip(0, size - 1), (u * size).astype(int).clip(0, size - 1)]
    return found.astype(float), colours(mesh.vertices[chosen]).astype(float)


def test_colours_of_points_arrive_where_they_belong(mesh):
    scan, placement = scan_of(mesh)
    found, wanted = at_front_vertices(mesh, bake_texture(scan, placement, mesh, SIZE))
    assert np.abs(found - wanted).mean() < 2
    assert np.percentile(np.abs(found - wanted), 99) < 12


def test_a_scan_inside_out_and_one_of_points_give_the_same(mesh):
    scan, placement = scan_of(mesh)
    whole = bake_texture(scan, placement, mesh, SIZE)
    turned = Scan(scan.vertices, scan.faces[:, ::-1], colours_srgb=scan.colours_srgb)
    assert np.abs(bake_texture(turned, placement, mesh, SIZE).astype(int) - whole).mean() < 1
    cloud = Scan(scan.vertices, colours_srgb=scan.colours_srgb)
    found, wanted = at_front_vertices(mesh, bake_texture(cloud, placement, mesh, SIZE))
    assert np.abs(found - wanted).mean() < 4


def test_a_texture_is_looked_up_by_the_scans_own_places(mesh):
    picture = np.random.default_rng(0).integers(60, 200, (4, 4, 3), np.uint8).repeat(64, 0).repeat(64, 1)
    scan, placement = scan_of(mesh, colours_srgb=None, uv=mesh.uv.astype(np.float64), texture_srgb=picture)
    texture = bake_texture(scan, placement, mesh, 256)
    middle = (slice(90, 250, 7), slice(60, 196, 7))
    assert np.median(np.abs(texture[middle].astype(int) - picture[middle])) <= 2


def test_what_one_side_lacks_the_other_lends_and_nothing_is_left_blank(mesh):
    grey = np.full((len(mesh.vertices), 3), 150, np.uint8)
    grey[:, 0] = 150 + (400 * np.abs(mesh.vertices[:, 0])).astype(np.uint8)
    scan, placement = scan_of(mesh, keep=lambda points: points[:, 0] > -0.005, colours_srgb=grey)
    texture = bake_texture(scan, placement, mesh, SIZE)
    left, right = texture[40:, : SIZE // 2].astype(int), texture[40:, ::-1][:, : SIZE // 2].astype(int)
    assert np.median(np.abs(left - right)) <= 3
    found, _ = at_front_vertices(mesh, texture, side=-1)
    assert found.min() > 100


def test_a_scan_without_colours_or_elsewhere_is_one_sentence(mesh):
    scan, placement = scan_of(mesh, colours_srgb=None)
    with pytest.raises(UserError, match="no colours"):
        bake_texture(scan, placement, mesh, SIZE)
    far = Similarity(placement.scale, placement.rotation, placement.translation + 1.0)
    with pytest.raises(UserError, match="no colours near"):
        bake_texture(scan_of(mesh)[0], far, mesh, SIZE)
