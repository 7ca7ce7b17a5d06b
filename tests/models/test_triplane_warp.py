"""The warp to the mean head: splines keep what is affine, the way back, points that may be differentiated twice."""

import pytest
import torch

from faceeditor.models.triplane_warp import BoundWarp, Warp, control_points, looked_up, spline

SIDE = 7


def points_of(*shape):
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_what_is_affine_is_kept():
    matrix, shift = torch.tensor([[0.1, 0.2, 0.0], [0.0, -0.3, 0.1], [0.4, 0.0, 0.2]]), torch.tensor([0.1, 0.0, -0.2])
    table, points = control_points(SIDE) @ matrix.T + shift, points_of(500)
    torch.testing.assert_close(looked_up(table, points), points @ matrix.T + shift, atol=1e-6, rtol=0)
    index, weights = spline(points, SIDE)
    assert weights.sum(-1) == pytest.approx(torch.ones(500), abs=1e-6)
    assert 0 <= index.min() <= index.max() < SIDE**3


def smooth(*batch, size=0.03, kind=torch.float32):
    """Offsets of control points that bend slowly, ``size`` on average."""
    rough = torch.randn(*batch, 3, 3, 3, 3, generator=torch.Generator().manual_seed(1), dtype=kind)
    fine = torch.nn.functional.interpolate(rough.flatten(0, -5), size=SIDE, mode="trilinear", align_corners=True)
    return size * fine.flatten(2).mT.reshape(*batch, SIDE**3, 3)


def test_the_way_back_undoes_the_way_there():
    forward = smooth(1)[0]
    mean = 0.7 * points_of(400)
    person = mean + looked_up(forward, mean)
    left = person + BoundWarp(forward)(person) - mean
    moved = (person - mean).norm(dim=-1).mean()
    assert left.norm(dim=-1).mean() < 0.02 * moved
    assert left.norm(dim=-1).max() < 0.15 * moved


def test_batches_are_many_heads():
    warp = BoundWarp(smooth(3))
    points = points_of(3, 20)
    for number in range(3):
        torch.testing.assert_close(warp(points)[number], warp.one(number)(points[number]))
        torch.testing.assert_close(warp.one(number).back, BoundWarp(warp.forward[number]).back)


def test_slopes_go_on_between_control_points():
    warp = BoundWarp(smooth(1, kind=torch.float64)[0])
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


def some_warp(dims=5):
    torch.manual_seed(0)
    return Warp.of(0.005 * torch.randn(30, 3, dims), torch.arange(SIDE**3) % 30)


def test_offsets_are_kept_to_within_half_a_step():
    offsets = torch.randn(30, 3, 5, generator=torch.Generator().manual_seed(2)) * torch.tensor([1e-5, 1e-3, 1, 0, 2])
    warp = Warp.of(offsets, torch.arange(SIDE**3) % 30)
    assert ((warp.offsets - offsets).abs() <= offsets.abs().amax(0) / 253).all()
    assert torch.equal(warp.double().offsets, warp.offsets.double())


def test_offsets_are_linear_in_the_code():
    warp = some_warp()
    first, second = torch.randn(2, 5)
    both = warp.bind(first).forward + 2 * warp.bind(second).forward
    torch.testing.assert_close(warp.bind(first + 2 * second).forward, both)
    assert not warp.bind(torch.zeros(5))(points_of(10)).any()
    ways = points_of(10)
    moved = (looked_up(both, ways) * ways).sum(-1)
    torch.testing.assert_close(warp.along(ways, ways) @ (first + 2 * second), moved, atol=1e-6, rtol=1e-4)


def test_control_points_far_from_a_head_move_as_their_owners():
    warp = some_warp()
    offsets = warp.bind(torch.randn(5)).forward
    for owner in (0, 7):
        assert (offsets[warp.owner == owner] == offsets[warp.owner == owner][0]).all()


def test_without_gradients_the_offsets_are_the_same():
    bound, at = some_warp(6).bind(torch.randn(2, 6)), 2.4 * torch.rand(2, 50, 3) - 1.2
    with_gradients = bound(at)
    with torch.no_grad():
        torch.testing.assert_close(bound(at), with_gradients)
        torch.testing.assert_close(bound.one(1)(at[1]), with_gradients[1])
    assert with_gradients.abs().max() > 1e-3
