"""Normal maps of a field are those of its mesh, from all around; cameras spread evenly and look at the middle."""

from functools import cache

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from torch.nn import functional

from faceeditor.faces.camera import OPENGL, Camera
from faceeditor.models.bundle import load_model
from faceeditor.rendering.error_bound import Sampling
from faceeditor.rendering.normal_maps import Ball, NormalPainter, field_normals
from faceeditor.rendering.raster_numpy import SoftwareRasteriser
from faceeditor.rendering.volume import Sharpness

BALL = Ball((0.0, 0.015, -0.015), 0.16)
SIZE = 32
CELLS = 64


class Sphere:
    """Beside the middle, so that a wrong axis shows."""

    def __init__(self, centre=(0.2, 0.15, 0.1), radius=0.5):
        self.centre, self.radius = torch.tensor(centre, requires_grad=True), radius

    def sdf(self, points):
        return (points - self.centre).norm(dim=-1) - self.radius

    def sdf_and_gradient(self, points):
        return self.sdf(points), functional.normalize(points - self.centre, dim=-1)


class Grid:
    """Distances in a box, known at the corners of cells."""

    def __init__(self, values):
        self.values = torch.from_numpy(values).float()[None, None]

    def sdf(self, points):
        return functional.grid_sample(self.values, points.flip(-1)[None, None, None], align_corners=True).reshape(-1)

    def sdf_and_gradient(self, points):
        steps = 0.01 * torch.eye(3)
        parts = [(self.sdf(points + step) - self.sdf(points - step)) / 0.02 for step in steps]
        return self.sdf(points), torch.stack(parts, dim=-1)


def compared(field, painter, camera, size=SIZE, beta=2e-3):
    """Where both see the surface, the cosine of their normals; and how much else they differ by."""
    found = field_normals(field, BALL, camera, size, torch.tensor(beta), Sampling())
    truth = painter.draw(camera, size)
    shown = truth.norm(dim=0) > 0.5
    return functional.cosine_similarity(found, truth, dim=0)[shown], (found.norm(dim=0) - truth.norm(dim=0)).abs()


@pytest.mark.parametrize("camera", [*BALL.cameras(5), Camera(yaw=20, pitch=10, roll=30, distance=0.45)])
def test_a_sphere_is_drawn_as_its_mesh(camera):
    field = Sphere()
    mesh = trimesh.creation.icosphere(4, radius=field.radius)
    vertices = (mesh.vertices + field.centre.detach().numpy()) * BALL.radius + np.array(BALL.centre)
    painter = NormalPainter.of(vertices, mesh.vertex_normals, mesh.faces, SoftwareRasteriser())
    cosine, apart = compared(field, painter, camera)
    assert len(cosine) > 60
    assert cosine.min() > 0.99
    assert (apart > 0.1).float().mean() < 0.05


@cache
def template_head():
    """The template's head, as far as the ball reaches, as distances on a grid and as a mesh."""
    template = load_model("template-studio")
    start, end = template.parts["skin"]
    faces = template.shape_faces[start:end].numpy()
    own = (template.mean.numpy().astype(np.float64) - np.array(BALL.centre)) / BALL.radius
    mesh = trimesh.Trimesh(own, faces, process=False)
    axis = np.linspace(-1, 1, CELLS)
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    points, face = trimesh.sample.sample_surface(mesh, 40_000, seed=0)
    distance, near = cKDTree(points).query(places, 4)
    before = np.einsum("nkc,nkc->nk", places[:, None] - points[near], mesh.face_normals[face[near]]).sum(1) > 0
    values = np.where(before, 1, -1) * distance[:, 0]
    faces = faces[(np.linalg.norm(own[faces], axis=2) < 1).all(1)]
    vertices = own * BALL.radius + np.array(BALL.centre)
    return Grid(values.reshape(CELLS, CELLS, CELLS)), NormalPainter.of(
        vertices, mesh.vertex_normals, faces, SoftwareRasteriser()
    )


@pytest.mark.parametrize("yaw", [0, 50, -120])
def test_a_head_is_drawn_as_its_mesh(yaw):
    way = np.array([np.sin(np.radians(yaw)), 0.1, np.cos(np.radians(yaw))])
    cosine, apart = compared(*template_head(), BALL.camera(way), beta=5e-3)
    # Cells are 5 mm, so the grid knows little of eyes and ears.
    assert cosine.median() > 0.99
    assert cosine.mean() > 0.93
    assert (apart > 0.2).float().mean() < 0.1


def test_normals_are_in_opengls_axes():
    found = field_normals(
        Sphere((0.0, 0.0, 0.0)), BALL, BALL.camera(np.array([1.0, 0, 0])), 33, torch.tensor(1e-3), Sampling()
    )
    middle, right, top = found[:, 16, 16], found[:, 16, 21], found[:, 11, 16]
    torch.testing.assert_close(middle, torch.tensor([0.0, 0.0, 1.0]), atol=0.02, rtol=0)
    assert right[0] > 0.2
    assert top[1] > 0.2
    np.testing.assert_allclose(OPENGL @ OPENGL, np.eye(3))


def test_cameras_look_at_the_middle_from_all_sides():
    cameras = BALL.cameras(128)
    places = np.stack([camera.position() for camera in cameras]) - np.array(BALL.centre)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 2.6 * BALL.radius, rtol=1e-6)
    for camera in cameras:
        np.testing.assert_allclose(camera.project(np.array([BALL.centre]), 64, 64), [[32, 32]], atol=1e-6)
    apart = cKDTree(places).query(places, 2)[0][:, 1] / (2.6 * BALL.radius)
    # A square lattice of as many points on the sphere would be sqrt(4 pi / 128) apart.
    assert apart.min() > 0.7 * np.sqrt(4 * np.pi / 128)
    assert apart.max() < 1.2 * np.sqrt(4 * np.pi / 128)


def test_normals_have_gradients_to_the_field_and_to_beta():
    field, sharpness = Sphere(), Sharpness(2e-2)
    found = field_normals(field, BALL, BALL.cameras(3)[1], 12, sharpness(), Sampling(samples=16, evaluations=16))
    (found.square().sum() + found.sum()).backward()
    assert field.centre.grad.abs().sum() > 0
    assert sharpness.above.grad.abs() > 0


def test_a_camera_that_sees_nothing_draws_nothing():
    away = Camera(yaw=0, distance=0.5, pan=(3.0, 0.0))
    assert field_normals(Sphere(), BALL, away, 8, torch.tensor(1e-3), Sampling()).abs().sum() == 0
