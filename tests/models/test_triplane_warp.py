"""The warp to the mean head: splines that keep what is affine, points that may be differentiated twice."""

import pytest
import torch

from faceeditor.models.triplane_warp import BoundWarp, Warp, spline

SIDE = 7


def points_of(*shape):
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def places():
    """Where the control points lie (S S S, 3): the outermost are beyond the box."""
    along = (torch.arange(SIDE) - 1) * 2 / (SIDE - 3) - 1
    return torch.cartesian_prod(along, along, along)


def test_what_is_affine_is_kept():
    matrix, shift = torch.tensor([[0.1, 0.2, 0.0], [0.0, -0.3, 0.1], [0.4, 0.0, 0.2]]), torch.tensor([0.1, 0.0, -0.2])
    warp = BoundWarp(places() @ matrix.T + shift)
    points = points_of(500)
    torch.testing.assert_close(warp(points), points @ matrix.T + shift, atol=1e-6, rtol=0)
    assert warp.bending() < 1e-12
    index, weights = spline(points, SIDE)
    assert weights.sum(-1) == pytest.approx(torch.ones(500), abs=1e-6)
    assert 0 <= index.min() <= index.max() < SIDE**3


def test_batches_are_many_heads():
    warp = BoundWarp(torch.randn(3, SIDE**3, 3, generator=torch.Generator().manual_seed(1)))
    points = points_of(3, 20)
    for number in range(3):
        torch.testing.assert_close(warp(points)[number], warp.one(number)(points[number]))


def test_slopes_go_on_between_control_points():
    warp = BoundWarp(torch.randn(SIDE**3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    points = points_of(30).double().requires_grad_()
    assert torch.autograd.gradcheck(warp, points)
    assert torch.autograd.gradgradcheck(warp, points)
    # Half-way between two control points the next ones take over.
    border = torch.tensor([[1 / (SIDE - 3), 0.1, 0.1]], dtype=torch.float64)
    slopes = [
        torch.autograd.functional.jacobian(warp, border + side * torch.tensor([1e-7, 0, 0], dtype=torch.float64))
        for side in (-1, 1)
    ]
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=0)


def test_offsets_are_linear_in_the_code():
    torch.manual_seed(0)
    warp = Warp(5, SIDE, 4)
    torch.nn.init.normal_(warp.mix)
    first, second = torch.randn(2, 5)
    points = points_of(10)
    both = warp.bind(first)(points) + 2 * warp.bind(second)(points)
    torch.testing.assert_close(warp.bind(first + 2 * second)(points), both)
    assert not warp.bind(torch.zeros(5))(points).any()


def test_without_gradients_the_offsets_are_the_same():
    warp, at = Warp(6, 8, 5), 2.4 * torch.rand(2, 50, 3) - 1.2
    torch.nn.init.normal_(warp.mix)
    bound = warp.bind(torch.randn(2, 6))
    with_gradients = bound(at)
    with torch.no_grad():
        torch.testing.assert_close(bound(at), with_gradients)
        torch.testing.assert_close(bound.one(1)(at[1]), with_gradients[1])
    assert with_gradients.abs().max() > 1e-3
