"""Pictures of meshes: where a ball lies, how far, how lit, and what its texture says."""

import numpy as np
import pytest
import trimesh

from faceeditor.faces.camera import Camera
from faceeditor.faces.mesh import Mesh
from faceeditor.rendering.mesh_picture import MeshPainter

SIZE = 96
RADIUS = 0.05


@pytest.fixture(scope="module")
def painter():
    return MeshPainter()


def ball(**facts):
    mesh = trimesh.creation.icosphere(4, RADIUS)
    normals = np.asarray(mesh.vertices / RADIUS, np.float32)
    return Mesh(np.asarray(mesh.vertices, np.float32), mesh.faces.astype(np.int32), normals=normals, **facts)


def test_a_ball_is_a_disc_at_its_distance(painter):
    camera = Camera()
    rgb, alpha, depth = painter.draw(ball(), camera, SIZE, 2)
    edge = camera.project(np.array([[RADIUS, 0.0, 0.0], [0.0, 0.0, 0.0]]), SIZE, SIZE)
    radius = abs(edge[0, 0] - edge[1, 0])
    assert alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    assert depth[np.isfinite(depth)].min() == pytest.approx(camera.distance - RADIUS, abs=5e-4)
    assert np.isinf(depth[0, 0])
    assert (rgb[alpha == 0] == 0).all()
    column, row = edge[1].astype(int)
    assert rgb[row - 8, column].sum() > rgb[row + 8, column].sum() > 0


def test_a_texture_is_seen_where_it_belongs(painter):
    plain = ball()
    left = plain.vertices[:, :1] > 0
    uv = np.concatenate([np.where(left, 0.75, 0.25), np.full_like(left, 0.5, float)], axis=1).astype(np.float32)
    texture = np.zeros((4, 4, 3), np.uint8)
    texture[:, :2], texture[:, 2:] = (255, 0, 0), (0, 0, 255)
    rgb, _, _ = painter.draw(ball(uv=uv, texture_srgb=texture), Camera(), SIZE)
    column, row = Camera().project(np.zeros((1, 3)), SIZE, SIZE)[0].astype(int)
    # The subject's left (+X) is the picture's right.
    assert rgb[row, column + 8, 2] > 0.1 > rgb[row, column + 8, 0]
    assert rgb[row, column - 8, 0] > 0.1 > rgb[row, column - 8, 2]


def test_nothing_in_sight_is_an_empty_picture(painter):
    _, alpha, depth = painter.draw(ball(), Camera(pan=(5.0, 0.0)), SIZE)
    assert alpha.max() == 0
    assert np.isinf(depth).all()
