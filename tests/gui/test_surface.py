import numpy as np
import pytest
import trimesh

from faceeditor.faces.camera import Camera
from faceeditor.faces.mesh import Mesh
from faceeditor.gui.bridge import to_array
from faceeditor.gui.surface import Beside, Finish, Light, Shading, SurfacePainter, edges_of, vertex_normals
from tests.gui.conftest import SCREEN

pytestmark = pytest.mark.skipif(not SCREEN, reason="OpenGL needs a screen")
SIZE = 512


@pytest.fixture
def painter(qapp):
    return SurfacePainter()


def egg(**changes):
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=1.0)
    vertices = (sphere.vertices * [0.075, 0.11, 0.09]).astype(np.float32)
    return Mesh(vertices, sphere.faces.astype(np.int32), **changes)


CAMERAS = (
    Camera(),
    Camera(yaw=35, pitch=-20, roll=8),
    Camera(yaw=-60, distance=0.6, pan=(0.03, -0.02), centre=(0.55, 0.45)),
)


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_mesh_lies_where_the_camera_says_within_a_pixel(painter, camera):
    mesh = egg()
    painter.set_mesh(mesh)
    covered = to_array(painter.draw(camera, SIZE))[..., 3] > 127
    rows, columns = np.nonzero(covered)
    drawn = np.array([columns.min(), columns.max() + 1, rows.min(), rows.max() + 1])
    seen = camera.project(mesh.vertices, SIZE, SIZE)
    expected = np.array([seen[:, 0].min(), seen[:, 0].max(), seen[:, 1].min(), seen[:, 1].max()])
    assert np.abs(drawn - expected).max() <= 1.0


def test_normals_show_the_camera_axes(painter):
    painter.set_mesh(egg())
    picture = to_array(painter.draw(Camera(), SIZE, Shading.NORMALS)).astype(int)
    rows, columns = np.nonzero(picture[..., 3] > 200)
    left, right = picture[rows[columns.argmin()], columns.min() + 2], picture[rows[columns.argmax()], columns.max() - 2]
    assert left[0] < 60
    assert right[0] > 195
    top = picture[rows.min() + 2, columns[rows.argmin()]]
    assert top[1] > 195


def test_moved_vertices_move_the_picture(painter):
    mesh = egg()
    painter.set_mesh(mesh)
    before = to_array(painter.draw(Camera(), 128))[..., 3] > 127
    painter.set_mesh(Mesh(mesh.vertices * np.float32(1.3), mesh.faces))
    after = to_array(painter.draw(Camera(), 128))[..., 3] > 127
    assert after.sum() > 1.5 * before.sum()


def test_another_topology_takes_its_place(painter):
    painter.set_mesh(egg())
    corners = np.array([[-0.05, -0.05, 0], [0.05, -0.05, 0], [0.05, 0.05, 0]], np.float32)
    painter.set_mesh(Mesh(corners, np.array([[0, 1, 2]], np.int32)))
    covered = to_array(painter.draw(Camera(), 128))[..., 3] > 127
    seen = Camera().project(corners, 128, 128)
    area = 0.5 * np.ptp(seen[:, 0]) * np.ptp(seen[:, 1])
    assert covered.sum() == pytest.approx(area, rel=0.05)


def test_vertex_normals_of_a_sphere_point_outwards():
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    mesh = Mesh(sphere.vertices.astype(np.float32), sphere.faces.astype(np.int32))
    assert np.allclose(vertex_normals(mesh), sphere.vertices / 0.1, atol=0.02)


def shown(painter, **finish):
    return to_array(painter.draw(Camera(), 256, Finish(**finish))).astype(int)


def covered(picture):
    return picture[..., 3] > 127


@pytest.mark.parametrize("light", [light for light in Light if light is not Light.STUDIO])
def test_lights_are_the_same_on_both_sides(painter, light):
    painter.set_mesh(egg())
    picture = shown(painter, light=light)
    inside = covered(picture) & covered(picture)[:, ::-1]
    assert np.abs(picture - picture[:, ::-1])[inside].mean() < 2
    assert picture[inside].max() > 120


def test_every_shading_and_light_is_a_picture_of_its_own(painter):
    mesh = egg()
    texture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    uv = (mesh.vertices[:, :2] * 4 + 0.5).astype(np.float32)
    tint = np.broadcast_to(np.float32([1, 0, 0]), mesh.vertices.shape)
    painter.set_mesh(Mesh(mesh.vertices, mesh.faces, uv, texture_srgb=texture), tint)
    pictures = [shown(painter, shading=shading) for shading in Shading]
    pictures += [shown(painter, light=light) for light in Light if light is not Light.STUDIO]
    for i, first in enumerate(pictures):
        for second in pictures[i + 1 :]:
            assert np.abs(first - second).mean() > 2


def test_albedo_is_the_texture_the_right_way_up(painter):
    mesh = egg()
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, :, 0], texture[4:, :, 2] = 200, 100
    uv = (mesh.vertices[:, :2] * 4 + 0.5).astype(np.float32)
    painter.set_mesh(Mesh(mesh.vertices, mesh.faces, uv, texture_srgb=texture))
    picture = shown(painter, shading=Shading.ALBEDO)
    rows = np.flatnonzero(covered(picture).any(1))
    assert np.abs(picture[rows[0] + 20, 128, :3] - [200, 0, 0]).max() <= 2
    assert np.abs(picture[rows[-1] - 20, 128, :3] - [0, 0, 100]).max() <= 2


def test_the_heat_maps_colours_are_those_of_the_vertices(painter):
    mesh = egg()
    right = mesh.vertices[:, 0] > 0
    painter.set_mesh(mesh, np.where(right[:, None], np.float32([1, 0, 0]), np.float32([0, 0, 1])))
    picture = shown(painter, shading=Shading.HEAT)
    assert picture[128, 150, 0] > 2 * picture[128, 150, 2]
    assert picture[128, 106, 2] > 2 * picture[128, 106, 0]


def test_a_scan_is_shown_beside_behind_and_through(painter):
    mesh = egg()
    painter.set_mesh(mesh)
    alone = shown(painter)
    fine = trimesh.creation.icosphere(subdivisions=6).vertices
    painter.set_scan((fine * [0.067, 0.1, 0.08]).astype(np.float32), fine.astype(np.float32))
    assert np.array_equal(shown(painter), alone)
    assert np.abs(shown(painter, scan=Beside.BEHIND) - alone).max() <= 2
    through = shown(painter, scan=Beside.THROUGH)
    assert (np.abs(through - alone).sum(-1) > 20).sum() > 0.3 * covered(alone).sum()
    beside = covered(shown(painter, scan=Beside.BESIDE))
    assert not beside[:, 126:130].any()
    assert beside[:, :128].sum() > 0.4 * covered(alone).sum()
    assert beside[:, 128:].sum() > 0.3 * covered(alone).sum()
    painter.set_scan(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert np.array_equal(shown(painter, scan=Beside.THROUGH), alone)


def test_edges_are_drawn_once():
    square = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    assert {tuple(edge) for edge in edges_of(square).tolist()} == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)}
    assert len(edges_of(square)) == 5
