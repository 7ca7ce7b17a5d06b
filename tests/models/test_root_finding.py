"""Roots: a jaw that opens, from good guesses and from none; what has none; gradients of what was found."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceeditor.models.root_finding import TOLERANCE, Guesser, find_roots, jacobian, with_gradient


def jaw(points, degrees):
    """A jaw that turns about the ears' axis: points below and ahead of it, the skin between stretched."""
    down, ahead = torch.sigmoid(-25 * (points[:, 1] + 0.25)), torch.sigmoid(12 * points[:, 2])
    turn = torch.as_tensor(np.radians(degrees)) * down * ahead
    x, y, z = points[:, 0], points[:, 1] + 0.1, points[:, 2] + 0.1
    return torch.stack([x, turn.cos() * y - turn.sin() * z - 0.1, turn.sin() * y + turn.cos() * z - 0.1], dim=-1)


def shell(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ways = torch.randn(count, 3, generator=generator)
    return ways / ways.norm(dim=-1, keepdim=True) * (0.5 + 0.3 * torch.rand(count, 1, generator=generator))


def guesser(degrees):
    mesh = shell(4000, seed=9)
    return Guesser(mesh.numpy(), jaw(mesh, degrees).numpy())


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 25), st.integers(0, 99))
def test_nearly_all_points_of_an_open_jaw_are_traced_back(degrees, seed):
    rest = shell(1000, seed)
    posed = jaw(rest, degrees)
    roots = find_roots(lambda at: jaw(at, degrees), posed, guesser(degrees).guesses(posed))
    assert roots.share >= 0.99
    back = jaw(roots.points, degrees) - posed
    torch.testing.assert_close(back.norm(dim=-1), roots.residual, atol=1e-6, rtol=1e-3)
    assert bool((roots.arrived == (roots.residual <= TOLERANCE)).all())


def test_a_guess_from_a_mesh_saves_work():
    posed = jaw(shell(2000), 20)
    warm = find_roots(lambda at: jaw(at, 20), posed, guesser(20).guesses(posed))
    cold = find_roots(lambda at: jaw(at, 20), posed, posed[None])
    assert warm.evaluations < cold.evaluations
    assert warm.share >= cold.share


def test_the_right_root_among_several():
    # A fold: two points of rest land on the same place, the mesh tells which one is meant.
    def fold(at):
        return torch.stack([at[:, 0] + 0.4 * torch.sin(6 * at[:, 0]), at[:, 1], at[:, 2]], dim=-1)

    rest = torch.zeros(3, 3)
    rest[:, 0] = torch.tensor([-0.5, 0.0, 0.5])
    near = Guesser(rest.numpy(), fold(rest).numpy())
    found = find_roots(fold, fold(rest), near.guesses(fold(rest)))
    torch.testing.assert_close(found.points, rest, atol=1e-3, rtol=0)


def test_what_has_no_root_is_told():
    def flat(at):
        return at * torch.tensor([1.0, 1.0, 0.0])

    targets = torch.tensor([[0.1, 0.2, 0.0], [0.1, 0.2, 0.3]])
    roots = find_roots(flat, targets, torch.zeros(1, 2, 3))
    assert roots.arrived.tolist() == [True, False]
    assert float(roots.residual[1]) == pytest.approx(0.3, abs=1e-5)
    assert "50.00% of 2 points" in roots.report()
    assert roots.points.isfinite().all()


def test_no_points_are_no_trouble():
    roots = find_roots(lambda at: at, torch.zeros(0, 3), torch.zeros(1, 0, 3))
    assert roots.share == 1
    assert "no points" in roots.report()


def test_jacobians_are_those_of_the_move():
    turn = torch.tensor([[0.0, -1.0, 0.0], [2.0, 0.0, 0.5], [0.0, 0.0, 1.0]])
    moved, found = jacobian(lambda at: at @ turn.T + 1, torch.randn(4, 3))
    torch.testing.assert_close(found, turn.expand(4, 3, 3))
    assert moved.shape == (4, 3)


def test_roots_have_the_gradients_of_the_inverse():
    size = torch.tensor(2.0, requires_grad=True)
    targets = torch.randn(5, 3).requires_grad_()
    roots = with_gradient(lambda at: size * at, (targets / size).detach(), targets)
    torch.testing.assert_close(roots, targets / size)
    asked = torch.autograd.grad(roots.square().sum(), [size, targets])
    truth = torch.autograd.grad((targets / size).square().sum(), [size, targets])
    for found, wanted in zip(asked, truth, strict=True):
        torch.testing.assert_close(found, wanted)
