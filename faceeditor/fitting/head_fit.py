"""A whole head from a depth frame or a partial scan: codes of a tri-plane head (thesis, section 4.4).

Eq. 4.22 takes the scan's points to rest by iterative root finding, Eq. 4.23 asks the head at rest to pass through them.
The thesis descends along gradients; here every step is one bounded linear least squares, reweighted against what is no
head, for identity, expression and pose together. Hair styles are exclusive: all are tried, and the best is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.latents import Code, Codes, Space, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.head_points import HeadPoints
from faceeditor.fitting.head_rows import RowMaker, Rows
from faceeditor.fitting.head_standing import stood
from faceeditor.fitting.progress import FitProgress, Watch
from faceeditor.fitting.scan_placing import Placement
from faceeditor.fitting.scan_registration import EXPRESSION_COST, EXPRESSION_SPREAD, bounded
from faceeditor.fitting.scan_search import quarter_turns
from faceeditor.fitting.scan_units import LIKELY, SPREAD, off_unit
from faceeditor.models.root_finding import Roots
from faceeditor.models.triplane import TriplaneHead

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What a quality means: the ``cell`` in which points are averaged, metres; how many hair styles, of all that were
    laid onto the scan, are ``tried`` for ``tries`` steps, and how many are ``kept`` for ``steps`` more; how often
    (``planes``) it is measured what identity does to the planes.
    """

    cell: float
    tried: int
    tries: int
    kept: int
    steps: int
    planes: int


PLANS: Final[Mapping[str, Plan]] = {
    "draft": Plan(cell=0.007, tried=2, tries=4, kept=1, steps=9, planes=1),
    "standard": Plan(cell=0.005, tried=3, tries=5, kept=1, steps=12, planes=1),
    "best": Plan(cell=0.004, tried=5, tries=6, kept=2, steps=16, planes=3),
}
COARSE: Final = 0.009
"""Metres of a cell while hair styles are tried."""
FLOOR: Final = -0.105
"""Metres of head space below which there are shoulders."""
TRIMS: Final = (0.02, 0.012, 0.008, 0.005, 0.004, 0.003, 0.002, 0.001, 0.0005, 0.0002)
"""Metres at which a point counts a quarter, step by step; the last one to the end."""
ODD: Final = 2.0
"""The least of these, as a share of the standard deviation of all points: what is farther off is no noise."""
MODEL_ERROR, PATCH = 0.0001, 0.014
"""Metres by which the model misses heads at least, alike within a patch of so many metres."""
NORMAL: Final = 1.4826
"""Standard deviation over median of absolute values, where these are normally distributed."""
FREE_WEIGHT: Final = 0.5
"""How much what must be free counts beside a point."""
SHORTEST: Final = 1e-9


@dataclass(frozen=True, eq=False)
class HeadFit:
    """What a fit found: the ``codes``, the ``similarity`` from the scan to head space, and how well points were traced
    back to rest.
    """

    codes: Codes
    similarity: Similarity
    roots: Roots


def fit_head(
    scan: Scan,
    placement: Placement,
    model: TriplaneHead,
    *,
    quality: str = "standard",
    on_step: Callable[[FitProgress, Codes | None], None] = lambda progress, codes: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> HeadFit:
    """Fits ``model`` to a ``scan`` that lies as ``placement`` says.

    ``on_step`` is told every step, now and then with codes; what it raises ends the fit. Raises ``UserError`` for a
    quality that there is not, and for a scan that shows no head of a size that heads have.
    """
    if quality not in PLANS:
        raise UserError(f"{quality} is not a quality; choose {', '.join(PLANS)}.")
    plan = PLANS[quality]
    watch = Watch(lambda progress: on_step(progress, None), cancelled)
    with torch.no_grad():
        problem = Problem(scan, placement, model)
        tried = problem.tried(plan, watch)
        found = min((problem.refined(one, plan, watch) for one in tried[: plan.kept]), key=lambda one: one.misfit)
    assert found.roots is not None
    return HeadFit(found.codes(), found.similarity, found.roots)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit under way: ``identity`` and ``expression`` (dims,), the ``similarity`` to head space, the points at rest
    with what became of them, and the ``misfit``, the robust mean of the distances in metres.
    """

    identity: Floats
    expression: Floats
    similarity: Similarity
    misfit: float = np.inf
    roots: Roots | None = None

    def codes(self) -> Codes:
        """The codes."""
        return {IDENTITY: as_code(self.identity), EXPRESSION: as_code(self.expression)}


class Problem:
    """A scan, the model, and what is known before."""

    def __init__(self, scan: Scan, placement: Placement, model: TriplaneHead) -> None:
        self.scan, self.model, self.start = scan, model, placement.similarity
        self.metric = scan.viewpoint is not None
        if self.metric:
            require_size(placement.similarity.scale)
            self.start = _unscaled(placement.similarity, placement.landmarks.mean(0))
        self.centre, self.unit = np.array(model.config.origin), model.config.unit
        self.people, self.faces = model.spaces[IDENTITY], model.spaces[EXPRESSION]
        self.moving = _continuous(self.people)
        self.bending = np.flatnonzero(self.faces.scale > 1e-6)
        self.maker = RowMaker(model, self.moving)
        self.known = bool(self.people.directions)
        self.placement = placement

    def starts(self, watch: Watch) -> list[Fitted]:
        """The mean person with every hair style there is, laid onto the scan, the best first."""
        expression = self.model.deformation.rest.double().numpy().copy()
        if self.known:
            expression[: len(self.placement.expression)] = self.placement.expression
        places, codes = self._places(), _styled(self.people, self.people.mean)
        points = self.points(self.start, COARSE)
        watch.stage("Trying hair styles", 0.15, len(places) * len(codes))
        found = []
        for code in codes:
            head = self.model.field({IDENTITY: torch.from_numpy(code.copy())})
            standing = []
            for place in places:
                watch.tick()
                standing.append(stood(self.model, head, points, place))
            best = min(standing, key=lambda one: one.misfit)
            found.append(Fitted(code.astype(np.float64), expression, best.similarity, best.misfit))
        return sorted(found, key=lambda one: one.misfit)

    def _places(self) -> list[Similarity]:
        """Where the head may stand: as it was placed, or, where a camera saw it, looking along the line of sight."""
        if not self.metric:
            return [self.start]
        turn = max(quarter_turns(), key=lambda turn: float((turn * self.start.rotation).sum()))
        middle = self.start.inverse().to_head(self.centre)
        return [self.start, Similarity(1.0, turn, self.centre - turn @ middle)]

    def points(self, placed: Similarity, cell: float) -> HeadPoints:
        """The scan's points. Raises ``UserError`` where there are too few."""
        found = HeadPoints.of(self.scan, placed, self.centre, self.unit, FLOOR, cell)
        if len(found.points) < 30:
            raise UserError("Too little of a head is in this scan; use one that shows it from ahead.")
        return found

    def tried(self, plan: Plan, watch: Watch) -> list[Fitted]:
        """The likeliest hair styles after a few steps, the best first."""
        starts = self.starts(watch)[: plan.tried]
        watch.stage("Trying hair styles", 0.3, len(starts) * plan.tries)
        found = []
        for now in starts:
            step = Descent(self, self.points(now.similarity, COARSE), COARSE)
            for trim in TRIMS[: plan.tries]:
                watch.tick()
                now = step.step(now, trim)
            found.append(step.judged(now, TRIMS[2]))
        return sorted(found, key=lambda one: one.misfit)

    def refined(self, now: Fitted, plan: Plan, watch: Watch) -> Fitted:
        """The fit to all points."""
        descent = Descent(self, self.points(now.similarity, plan.cell), plan.cell)
        watch.stage("Fitting the head", min(0.99, watch.fraction + 0.7 / plan.kept), plan.steps)
        every = max(1, plan.steps // max(plan.planes, 1))
        for number in range(plan.steps):
            watch.tick()
            if plan.planes and number % every == every // 2:
                descent.measure_planes(now)
            now = descent.step(now, TRIMS[min(number + 1, len(TRIMS) - 1)])
        return descent.judged(now, TRIMS[2])


class Descent:
    """Steps of Gauss and Newton with one set of points."""

    def __init__(self, problem: Problem, points: HeadPoints, cell: float) -> None:
        self.problem, self.points = problem, points
        self.alike = max(1.0, PATCH / cell)
        self.planes: Tensor | None = None
        self.rest: Tensor | None = None

    def rows(self, now: Fitted) -> Rows:
        """The rows of all points, those that are free last."""
        every = np.concatenate([self.points.points, self.points.free])
        posed = self.problem.model.own(now.similarity.to_head(every))
        guesses = posed[None] if self.rest is None else torch.stack([self.rest, posed])
        codes = {name: torch.from_numpy(code.copy()) for name, code in now.codes().items()}
        found = self.problem.maker.rows(codes, posed, guesses, self.planes)
        self.rest = found.roots.points
        return found

    def measure_planes(self, now: Fitted) -> None:
        """Measures what identity does to the planes, for the steps that follow."""
        at_rest = self.rows(now).roots.points[: len(self.points.points)]
        codes = {name: torch.from_numpy(code.copy()) for name, code in now.codes().items()}
        self.planes = self.problem.maker.planes(codes, at_rest)

    def weighted(self, rows: Rows, trim: float) -> tuple[Floats, Floats]:
        """The distances (N,) that shall become 0, metres, and their weights."""
        told = rows.distance.double().numpy() * self.problem.unit
        seen = len(self.points.points)
        spread = NORMAL * float(np.median(np.abs(told[:seen])))
        sure = self._sure(spread)
        weights = np.concatenate([sure, np.full(len(told) - seen, FREE_WEIGHT * np.median(sure))])
        weights[seen:] *= told[seen:] < 0
        weights *= rows.roots.arrived.numpy()
        return told, weights / (1 + (told / max(trim, ODD * spread)) ** 2) ** 2

    def _sure(self, spread: float) -> Floats:
        """The weights (N,) of points whose distances have this standard deviation, metres: what it is beyond the scan's
        noise is the model's, and alike for neighbours.
        """
        noise = self.points.noise**2 / self.points.counts
        beyond = max(MODEL_ERROR**2, spread**2 - np.median(noise))
        return np.asarray(1 / (beyond * self.alike**2 + noise))

    def step(self, now: Fitted, trim: float) -> Fitted:
        """One step."""
        problem = self.problem
        rows = self.rows(now)
        told, weights = self.weighted(rows, trim)
        parts = [rows.identity, rows.expression[:, problem.bending], rows.pose]
        table = np.concatenate([part.double().numpy() for part in parts], axis=1)
        table *= problem.unit
        table[:, -4:-1] /= problem.unit  # shifts in metres
        codes = np.concatenate([now.identity[problem.moving], now.expression[problem.bending], np.zeros(7)])
        weighted = table * weights[:, None]
        normal, right = weighted.T @ table, weighted.T @ (table @ codes - told)
        return self._moved(now, _solved(problem, normal, right, now.similarity.scale))

    def _moved(self, now: Fitted, codes: Floats) -> Fitted:
        problem = self.problem
        identity, expression = now.identity.copy(), now.expression.copy()
        people, bending = len(problem.moving), len(problem.bending)
        identity[problem.moving] = codes[:people]
        expression[problem.bending] = codes[people : people + bending]
        turn, shift, growth = codes[-7:-4], codes[-4:-1], float(np.exp(codes[-1]))
        rotation = Rotation.from_rotvec(turn).as_matrix()
        small = Similarity(growth, rotation, problem.centre + shift - growth * rotation @ problem.centre)
        return Fitted(identity, expression, now.similarity.then(small))

    def judged(self, now: Fitted, trim: float) -> Fitted:
        """The same with its misfit."""
        rows = self.rows(now)
        told, _ = self.weighted(rows, trim)
        seen = len(self.points.points)
        off = np.concatenate([np.abs(told[:seen]), np.maximum(-told[seen:], 0)])
        counted = np.concatenate([np.full(seen, 1.0), np.full(len(off) - seen, FREE_WEIGHT)])
        misfit = float(counted @ np.minimum(off, trim) / counted.sum())
        return Fitted(now.identity, now.expression, now.similarity, misfit, rows.roots)


def require_size(scale: float) -> None:
    """Raises ``UserError`` where a face seems ``scale`` times as small as faces are, in a frame that is in metres."""
    if abs(np.log(scale)) > LIKELY:
        raise UserError(
            f"The face in this frame comes out {1 / scale:.2g} times as large as faces are; its intrinsics or its unit "
            "are wrong, so correct fx, fy and unit."
        )


def _solved(problem: Problem, normal: Floats, right: Floats, scale: float) -> Floats:
    """The minimum with the priors."""
    people, bending = len(problem.moving), len(problem.bending)
    limited = slice(people, people + bending)
    diagonal, right = np.zeros(len(right)), right.copy()
    spread = problem.people.scale[problem.moving].astype(np.float64)
    diagonal[:people] = 1 / spread**2
    right[:people] += problem.people.mean[problem.moving] / spread**2
    diagonal[limited] = 1 / EXPRESSION_SPREAD**2
    right[limited] -= EXPRESSION_COST
    diagonal[-7:] = 1e-3
    if problem.metric:
        diagonal[-1] = 1e12
    elif (off := off_unit(scale)) is not None:
        diagonal[-1] += 1 / SPREAD**2
        right[-1] -= off / SPREAD**2
    return bounded(normal + np.diag(diagonal), right, limited)


def _unscaled(placed: Similarity, around: Floats) -> Similarity:
    """``placed`` in true size; the point ``around`` (3,) of head space stays."""
    translation = around - (around - placed.translation) / placed.scale
    return Similarity(1.0, placed.rotation, translation)


def _continuous(space: Space) -> NDArray[np.int64]:
    """The components of a space that people differ in, but for choices."""
    used = np.asarray(space.scale > 1e-6)
    for choice in space.choices:
        used[choice.start : choice.start + len(choice.options)] = False
    return np.flatnonzero(used)


def _styled(space: Space, code: Code) -> list[Code]:
    """``code`` with every option of the space's choices."""
    found = [code]
    for choice in space.choices:
        options = (*choice.options, *([choice.none] if choice.none else []))
        found = [choice.write(one, option) for one in found for option in options]
    return found
