"""Rays run through the pixels that the camera projects to, and meet triangles with true gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.faces.camera import Camera
from faceeditor.rendering.rays import meet, pixel_rays

SIZE = 64
CAMERAS = st.builds(
    Camera,
    yaw=st.floats(-90, 90),
    pitch=st.floats(-60, 60),
    roll=st.floats(-30, 30),
    distance=st.floats(0.4, 2),
    field_of_view=st.floats(10, 60),
    pan=st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    centre=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
)
PIXELS = st.lists(st.integers(0, SIZE * SIZE - 1), min_size=1, max_size=8).map(torch.tensor)


@given(CAMERAS, PIXELS, st.floats(0.1, 3))
def test_a_ray_is_seen_as_its_pixels_centre_and_runs_in_depth(camera, pixels, depth):
    origin, directions = pixel_rays(camera, SIZE, pixels)
    points = (origin + depth * directions).double().numpy()
    centres = torch.stack([pixels % SIZE, pixels // SIZE], dim=1).numpy() + 0.5
    assert camera.project(points, SIZE, SIZE) == pytest.approx(centres, abs=2e-3)
    along = points @ camera.rotation()[2] + camera.extrinsics()[2, 3]
    assert along == pytest.approx(np.full(len(points), depth), abs=1e-5)


@given(CAMERAS, st.integers(0, SIZE * SIZE - 1), st.integers(0, 2**31), st.floats(0.3, 2))
def test_barycentrics_and_depth_give_the_point_back(camera, pixel, seed, depth):
    """A triangle is laid around a known point of the ray; the weights found must lead back to it."""
    random = torch.Generator().manual_seed(seed)
    weights = 0.05 + 0.85 * torch.rand(3, generator=random)
    weights = weights / weights.sum()
    origin, directions = pixel_rays(camera, SIZE, torch.tensor([pixel]))
    point = origin + depth * directions[0]
    across = torch.linalg.qr(torch.stack([directions[0], *torch.randn(2, 3, generator=random)]).T)[0][:, 1:]
    first, second = across.T * 0.02
    tilt = 0.01 * directions[0]
    corners = torch.stack([first + tilt, second - tilt, -first - second])
    corners = corners + point - weights @ corners
    found, met = meet(origin, directions, corners[None])
    torch.testing.assert_close(found[0], weights, atol=2e-3, rtol=0)
    assert float(met) == pytest.approx(depth, abs=1e-4)
    torch.testing.assert_close(found[0] @ corners, point, atol=1e-4, rtol=0)


def test_gradients_are_true():
    random = torch.Generator().manual_seed(3)
    origin = torch.tensor([0.1, -0.05, 0.9], dtype=torch.float64, requires_grad=True)
    corners = torch.randn(4, 3, 3, generator=random, dtype=torch.float64) * 0.1
    middle = (corners * torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)[:, None]).sum(1)
    directions = (middle - origin.detach()).requires_grad_()
    corners.requires_grad_()
    assert torch.autograd.gradcheck(meet, (origin, directions, corners))


def test_beside_the_triangle_the_weights_stay_within_it():
    corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    weights, depth = meet(torch.tensor([0.0, 0, 1]), torch.tensor([[2.0, -0.5, -1]]), corners)
    assert float(depth) == pytest.approx(1)
    assert (weights >= 0).all()
    assert float(weights.sum()) == pytest.approx(1)


def test_an_edge_on_triangle_gives_numbers():
    corners = torch.tensor([[[0.0, 0, 0], [0, 0, 1], [0, 0, 2.0]]], requires_grad=True)
    weights, depth = meet(torch.tensor([0.0, 0, 3]), torch.tensor([[0.0, 0, -1]]), corners)
    (weights.sum() + depth.sum()).backward()
    assert torch.isfinite(weights).all()
    assert torch.isfinite(depth).all()
    assert torch.isfinite(corners.grad).all()
