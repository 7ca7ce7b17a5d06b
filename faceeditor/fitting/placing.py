"""Where the camera stands and what shape the head has, from 68 landmarks alone.

Camera, identity and expression are solved for together by bounded non-linear least squares: landmarks are a linear
function of the codes, so that only the projection is not linear.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.fitting.linear_landmarks import LinearLandmarks
from faceeditor.fitting.portrait import Portrait, expected_error
from faceeditor.models.contract import FittableModel

Array = NDArray[np.float64]

TRUST: Final = 0.5
"""How far landmarks are off that shapes cannot explain, in units of how far they are expected to be off at all."""
LEAST: Final = 0.002
"""Fraction of the picture that every landmark may be off."""
LIVELINESS: Final = 0.3
"""The usual size of an expression's component."""
DOUBT: Final = {IDENTITY: 0.5, EXPRESSION: 0.25}
"""How far a component of the codes that were read off a picture is expected to lie from the truth."""
UNSEEN: Final = [index for index, name in enumerate(EXPRESSION_COMPONENTS) if name.startswith("eyeLook")]
"""Components that landmarks hardly tell: the gaze."""
UNTOLD: Final = 0.02
"""How far these may be moved by landmarks."""
USUAL_DISTANCE: Final = 1.2
DISTANCE_SPREAD: Final = 0.25
"""Metres from which portraits are taken, and the spread of the logarithm."""
WIDEST_TURN: Final = 95.0
MOST_UNUSUAL: Final = 4.0
"""The largest identity component, in standard deviations."""
ROUNDS: Final = 3
"""How often the jaw line and the trust in landmarks are looked at again."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A head brought to its landmarks."""

    camera: Camera
    identity: Code
    expression: Code


def camera_of(parameters: Array) -> Camera:
    """The camera of yaw, pitch, roll, log distance, log size (focal length over distance), and pan right and up."""
    yaw, pitch, roll, log_distance, log_size, right, up = (float(value) for value in parameters)
    focal = np.exp(log_size + log_distance)
    view = float(np.degrees(2 * np.arctan(0.5 / focal)))
    return Camera(yaw, pitch, roll, float(np.exp(log_distance)), view, (right, up))


def parameters_of(camera: Camera) -> Array:
    """The other way round."""
    size = np.log(camera.focal / camera.distance)
    return np.array([camera.yaw, camera.pitch, camera.roll, np.log(camera.distance), size, *camera.pan])


TYPICAL: Final = np.array([10.0, 10.0, 10.0, 0.2, 0.1, 0.02, 0.02])
"""Sizes of steps in the camera's parameters."""
CAMERA_LOW: Final = np.array([-WIDEST_TURN, -60.0, -60.0, np.log(0.35), np.log(0.3), -0.5, -0.5])
CAMERA_HIGH: Final = np.array([WIDEST_TURN, 60.0, 60.0, np.log(4.0), np.log(20.0), 0.5, 0.5])


@dataclass(frozen=True, eq=False)
class Told:
    """What something beside landmarks tells near the unknowns ``at`` (7 + codes,), :func:`parameters_of` the camera
    first: ``off`` (M,), in standard deviations, and how that changes with the unknowns, ``slope`` (M, 7 + codes).
    """

    at: Array
    off: Array
    slope: Array

    def residual(self, unknown: Array) -> Array:
        """The same (M,) of other unknowns nearby."""
        return np.asarray(self.off + self.slope @ (unknown - self.at))


class _Problem:
    """Residuals of landmarks, of priors and of what is ``told`` beside them, in standard deviations, and their
    derivatives.
    """

    told: Told | None = None

    def __init__(self, portrait: Portrait, model: FittableModel, expected: Placed | None) -> None:
        self.model = model
        self.wanted = portrait.landmarks / portrait.size
        off = TRUST * np.maximum(expected_error(portrait.confidence), LEAST)
        self.trust = self.believed = 1 / off[:, None]
        self.mean, self.prior = _prior(model) if expected is None else _around(expected)
        self.line = LinearLandmarks.of(model, portrait.pose[0])

    def review(self, unknown: Array) -> None:
        """Sees the jaw line from the yaw in ``unknown``, and trusts landmarks less that are far off (Cauchy's
        weights).
        """
        self.line = LinearLandmarks.of(self.model, float(unknown[0]))
        off = np.linalg.norm(camera_of(unknown[:7]).project(self.line.at(unknown[7:]), 1, 1) - self.wanted, axis=-1)
        self.believed = self.trust / np.sqrt(1 + (off[:, None] * self.trust / 2) ** 2)

    def residual(self, unknown: Array) -> Array:
        camera, codes = unknown[:7], unknown[7:]
        off = (camera_of(camera).project(self.line.at(codes), 1, 1) - self.wanted) * self.believed
        far = (camera[3] - np.log(USUAL_DISTANCE)) / DISTANCE_SPREAD
        told = () if self.told is None else self.told.residual(unknown)
        return np.concatenate([off.ravel(), (codes - self.mean) / self.prior, [far], told])

    def jacobian(self, unknown: Array) -> Array:
        places = self.line.at(unknown[7:])
        count = places.size // 3 * 2
        table = np.zeros((count + len(self.prior) + 1, len(unknown)))
        table[:count, :7] = (camera_slope(unknown[:7], places) * self.believed[..., None]).reshape(count, -1)
        slope = projection_slope(camera_of(unknown[:7]), places) * self.believed[..., None]
        table[:count, 7:] = (slope @ self.line.modes).reshape(count, -1)
        table[count:-1, 7:] = np.diag(1 / self.prior)
        table[-1, 3] = 1 / DISTANCE_SPREAD
        return table if self.told is None else np.concatenate([table, self.told.slope])


def camera_slope(parameters: Array, places: Array) -> Array:
    """Derivative (N, 2, 7) of projected ``places`` (N, 3), in picture heights, by a camera's ``parameters`` (7,)."""
    here = camera_of(parameters).project(places, 1, 1)
    steps = np.diag(TYPICAL * 1e-4)
    moved = [(camera_of(parameters + step).project(places, 1, 1) - here) / step.sum() for step in steps]
    return np.stack(moved, axis=-1)


def projection_slope(camera: Camera, places: Array) -> Array:
    """Derivative (N, 2, 3) of projected positions, in picture heights, by head-space ``places`` (N, 3)."""
    extrinsics, k = camera.extrinsics(), camera.intrinsics(1, 1)
    matrix = k @ extrinsics[:, :3]
    image = places @ matrix.T + k @ extrinsics[:, 3]
    depth = image[:, 2, None, None]
    screen = (image[:, :2] / image[:, 2:])[..., None]
    return np.asarray((matrix[None, :2] - screen * matrix[None, 2:]) / depth)


def _prior(model: FittableModel) -> tuple[Array, Array]:
    """Mean and spread (codes,) of people's identities and expressions."""
    identity, expression = model.spaces[IDENTITY], model.spaces[EXPRESSION]
    liveliness = np.full(expression.dims, LIVELINESS)
    liveliness[UNSEEN] = UNTOLD
    spread = np.r_[np.maximum(identity.scale, 0.5), liveliness].astype(np.float64)
    return np.zeros_like(spread), spread


def _around(expected: Placed) -> tuple[Array, Array]:
    """Mean and spread (codes,) of what a reading of the picture leaves possible."""
    doubt = np.full(len(expected.expression), DOUBT[EXPRESSION])
    doubt[UNSEEN] = UNTOLD
    mean = np.concatenate([expected.identity, expected.expression]).astype(np.float64)
    return mean, np.concatenate([np.full(len(expected.identity), DOUBT[IDENTITY]), doubt])


class Placing:
    """A head on its way to the landmarks of ``portrait``: camera, identity and expression of ``model``.

    ``expected`` is what something else has read off the picture, to start from and not to stray far from; a ``camera``
    that is known stays where it is.
    """

    def __init__(
        self, portrait: Portrait, model: FittableModel, expected: Placed | None = None, camera: Camera | None = None
    ) -> None:
        guess = portrait.camera().replace(distance=0.95) if expected is None else expected.camera
        start = parameters_of(camera or guess)
        self._people, expressions = (model.spaces[name].dims for name in (IDENTITY, EXPRESSION))
        self._problem = _Problem(portrait, model, expected)
        self._camera, self._unknown = camera, np.concatenate([start, self._problem.mean])
        limit = np.full(self._people, MOST_UNUSUAL)
        self._low = np.r_[CAMERA_LOW, -limit, np.zeros(expressions)]
        self._high = np.r_[CAMERA_HIGH, limit, np.ones(expressions)]
        if camera is not None:
            self._low[:7] = self._high[:7] = start

    def meet_landmarks(self) -> None:
        """Rounds by landmarks alone."""
        for _ in range(ROUNDS):
            self.solve()

    def solve(self, told: Told | None = None) -> None:
        """A round, with what is ``told`` beside landmarks. After it the jaw line is taken as seen from the yaw that was
        found, and landmarks that stay far from where they should be are trusted less.
        """
        self._problem.told = told
        start = np.clip(self._unknown, self._low, self._high)
        self._unknown = _solve(self._problem, start, self._low, self._high)
        self._problem.review(self._unknown)

    @property
    def unknown(self) -> Array:
        """What was found (7 + codes,): :func:`parameters_of` the camera, identity and expression."""
        return self._unknown

    @property
    def placed(self) -> Placed:
        """The same by name."""
        identity, expression = np.split(self._unknown[7:], [self._people])
        return Placed(self._camera or camera_of(self._unknown[:7]), as_code(identity), as_code(_quiet(expression)))


def place(
    portrait: Portrait, model: FittableModel, expected: Placed | None = None, *, camera: Camera | None = None
) -> Placed:
    """Camera, identity and expression that bring the model's landmarks to those of ``portrait``; see
    :class:`Placing`.
    """
    placing = Placing(portrait, model, expected, camera)
    placing.meet_landmarks()
    return placing.placed


def _solve(problem: _Problem, unknown: Array, low: Array, high: Array, steps: int = 8) -> Array:
    """Bounded least squares: damped Gauss-Newton steps in the unknowns that their bounds leave free."""
    damping, residual = 1e-3, problem.residual(unknown)
    for _ in range(steps):
        table = problem.jacobian(unknown)
        slope, curve = table.T @ residual, table.T @ table
        stuck = ((unknown <= low) & (slope > 0)) | ((unknown >= high) & (slope < 0))
        free = np.flatnonzero(~stuck)
        inner = curve[np.ix_(free, free)]
        step = np.zeros_like(unknown)
        step[free] = -np.linalg.solve(inner + damping * np.diag(np.diag(inner)), slope[free])
        moved = np.clip(unknown + step, low, high)
        then = problem.residual(moved)
        if then @ then < residual @ residual:
            unknown, residual, damping = moved, then, damping / 5
        else:
            damping *= 20
    return unknown


def _quiet(expression: Array) -> Array:
    """``expression`` without traces of what is not there."""
    return np.where(expression > 0.01, expression, 0.0)
