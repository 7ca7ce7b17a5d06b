"""Where points of a moved space come from: roots of ``move(x) = target``, many at once (Eq. 4.22).

Broyden's method from good guesses, as in SNARF (Chen et al., "SNARF: Differentiable Forward Skinning for Animating
Non-Rigid Neural Implicit Shapes", 2021): each point carries its own estimate of the inverse Jacobian, starting at the
true one. What has not arrived by then is tried again from other guesses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

Move = Callable[[Tensor], Tensor]
"""Where points (N, 3) are taken to (N, 3)."""

TOLERANCE: Final = 1e-4
"""How far from its target a point may end and count as there, in the unit of the points."""
STEPS: Final = 12
"""Steps from one guess, at most."""
LONGEST: Final = 0.1
"""No step is longer."""
TRIES: Final = 4
"""Guesses that are tried for a point."""


@dataclass(frozen=True, eq=False)
class Roots:
    """The ``points`` (N, 3) found, how far from their targets they end (``residual``, (N,)), which of them ``arrived``
    (N,), and how many ``evaluations`` of single points that took.
    """

    points: Tensor
    residual: Tensor
    arrived: Tensor
    evaluations: int

    @property
    def share(self) -> float:
        """The share of the points that arrived, 1 where there are none."""
        return float(self.arrived.float().mean()) if len(self.arrived) else 1.0

    def report(self) -> str:
        """One sentence on how well it went; lengths are in the unit of the points."""
        if not len(self.residual):
            return "There were no points to trace back."
        worst = float(self.residual.max())
        return f"{self.share:.2%} of {len(self.residual)} points were traced back; the worst misses by {worst:.1e}."


@torch.no_grad()
def find_roots(move: Move, targets: Tensor, guesses: Tensor, tolerance: float = TOLERANCE, steps: int = STEPS) -> Roots:
    """Solves ``move(x) = target`` for each of ``targets`` (N, 3), from ``guesses`` (G, N, 3), the best first.

    A point counts as found once it ends within ``tolerance`` of its target; for the others the nearest that was reached
    is given. Gradients: see :func:`with_gradient`.
    """
    best = guesses[0].clone()
    residual = torch.full_like(best[:, 0], torch.inf)
    evaluations = 0
    for guess in guesses:
        left = torch.nonzero(residual > tolerance)[:, 0]
        if not len(left):
            break
        points, missed, asked = _broyden(move, targets[left], guess[left], tolerance, steps)
        better = missed < residual[left]
        best[left[better]], residual[left[better]] = points[better], missed[better]
        evaluations += asked
    return Roots(best, residual, residual <= tolerance, evaluations)


def _broyden(move: Move, targets: Tensor, start: Tensor, tolerance: float, steps: int) -> tuple[Tensor, Tensor, int]:
    """The nearest that each point came (N, 3), by how much it missed (N,), and the evaluations that took."""
    moved, jacobians = jacobian(move, start)
    inverse = torch.linalg.pinv(jacobians)
    points, error = start, moved - targets
    best, missed = start.clone(), error.norm(dim=-1)
    active, asked = torch.arange(len(start), device=start.device), 4 * len(start)
    for _ in range(steps):
        going = missed[active] > tolerance
        active, points, error, inverse = (values[going] for values in (active, points, error, inverse))
        if not len(active):
            break
        step = _shortened(-(inverse @ error[..., None])[..., 0])
        points = points + step
        now = move(points) - targets[active]
        inverse = _updated(inverse, step, now - error)
        error, asked = now, asked + len(active)
        length = error.norm(dim=-1)
        nearer = length < missed[active]
        best[active[nearer]], missed[active[nearer]] = points[nearer], length[nearer]
    return best, missed, asked


def _shortened(step: Tensor) -> Tensor:
    share: Tensor = LONGEST / step.norm(dim=-1, keepdim=True).clamp_min(LONGEST)
    return step * share


def _updated(inverse: Tensor, step: Tensor, change: Tensor) -> Tensor:
    """Broyden's inverse Jacobians (N, 3, 3) after a ``step`` (N, 3) that changed the error by ``change`` (N, 3)."""
    seen = inverse @ change[..., None]
    along = step[:, None] @ inverse
    scale = (along @ change[..., None]).squeeze(-1)
    scale = torch.where(scale.abs() < 1e-12, torch.full_like(scale, torch.inf), scale)
    return inverse + (step[..., None] - seen) @ along / scale[..., None]


def jacobian(move: Move, points: Tensor) -> tuple[Tensor, Tensor]:
    """Where ``points`` (N, 3) are moved to (N, 3), and the Jacobians (N, 3, 3): row i is the gradient of coordinate i.

    Without gradients to anything.
    """
    with torch.enable_grad():
        at = points.detach().requires_grad_()
        moved = move(at)
        rows = [torch.autograd.grad(moved[:, axis].sum(), at, retain_graph=axis < 2)[0] for axis in range(3)]
    return moved.detach(), torch.stack(rows, dim=1)


def with_gradient(move: Move, roots: Tensor, targets: Tensor) -> Tensor:
    """The same ``roots`` (N, 3) with gradients to ``targets`` and to what ``move`` depends on: the implicit function
    theorem, as one step of Newton's method whose Jacobian is held.
    """
    _, jacobians = jacobian(move, roots)
    held = roots.detach()
    missed = move(held) - targets
    step: Tensor = (torch.linalg.pinv(jacobians) @ missed[..., None])[..., 0]
    return held + (step.detach() - step)


class Guesser:
    """First guesses from what is known already: points before and after the move, such as a posed mesh's vertices."""

    def __init__(self, before: NDArray[np.floating], after: NDArray[np.floating]) -> None:
        """``before`` and ``after`` (V, 3) are the same points."""
        self._offsets = np.asarray(before - after, np.float32)
        self._tree = cKDTree(after)

    def guesses(self, targets: Tensor, tries: int = TRIES) -> Tensor:
        """Where (G, N, 3) ``targets`` (N, 3) may come from: moved like the nearest vertex, the second, ..., and not at
        all.
        """
        where = targets.detach().cpu().numpy()
        count = min(tries - 1, len(self._offsets))
        near = self._tree.query(where, list(range(1, count + 1)))[1]
        offsets = torch.from_numpy(self._offsets[near]).to(targets).movedim(1, 0)
        return torch.cat([targets.detach() + offsets, targets.detach()[None]])
