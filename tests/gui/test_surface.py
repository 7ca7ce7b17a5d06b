import numpy as np
import pytest
import trimesh

from faceeditor.faces.camera import Camera
from faceeditor.faces.mesh import Mesh
from faceeditor.gui.bridge import to_array
from faceeditor.gui.surface import Shading, SurfacePainter, vertex_normals
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
