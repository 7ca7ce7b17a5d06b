"""Expressions of one person from landmarks, frame after frame: what the person looks like is learnt on the way.

Landmarks of the template are linear in identity and expression, as those of Thies et al., "Face2Face", 2016, are, so
that every frame is a small least-squares problem: the most likely expression and pose, given where landmarks were
read, which expressions are common, and what the encoder said of the picture.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from faceeditor.faces.camera import TARGET, Camera
from faceeditor.faces.landmarks import COUNT
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import DIMS, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.fitting.alignment import Array, pose_of
from faceeditor.fitting.linear_landmarks import LinearLandmarks
from faceeditor.models.contract import FittableModel

USED: Final = len(EXPRESSION_COMPONENTS)
TRUST: Final = 0.5
"""How far read landmarks are off from frame to frame, in units of how far they are off at all: most of it stays."""
LEAST: Final = 0.002
"""Fraction of the picture that every landmark may be off."""
ALIKE: Final = 9.0
"""Frames that count as one for what is the same in all of them, as their errors are."""
PEOPLE: Final = 0.8
"""Standard deviation of the identity code's components."""
DOUBT: Final = 2.0
"""Error of the encoder's weights, in units of how much weights differ."""
FREE: Final = np.array([*[np.radians(2)] * 3, 0.1, 0.1, 0.1])
"""How far the pose may be off: rotation, logarithm of the size, shift in fractions of the picture."""
STEPS: Final = 2
"""Gauss-Newton steps a frame."""
ROUNDS: Final = 12
CLOSE: Final = 1e-5
"""Most rounds in which it is found out which weights stay at their ends, and the change that ends them."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What was read in an upright picture of a head: ``places`` (68, 2) and their ``spread`` (68,), the expected error,
    in fractions of the picture; ``rotation`` (3, 3) from head space to the camera; and the ``expression`` (64,) that
    the encoder told.
    """

    places: Array
    spread: Array
    rotation: Array
    expression: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Guess:
    """The unknowns of a frame: ``expression`` (53,), ``rotation`` (3, 3) from head space to the camera, ``size`` beside
    the usual one, and ``shift`` (2,) in fractions of the picture.
    """

    expression: Array
    rotation: Array
    size: float
    shift: Array

    def moved(self, step: Array) -> "Guess":
        """After a step (59,), whose first part is the expression itself."""
        turn = Rotation.from_rotvec(step[USED : USED + 3]).as_matrix()
        return Guess(
            step[:USED], turn @ self.rotation, self.size * float(np.exp(step[USED + 3])), self.shift + step[USED + 4 :]
        )

    def code(self) -> Code:
        """The expression code (64,), weights in [0, 1]."""
        code = np.zeros(DIMS[EXPRESSION], np.float32)
        code[:USED] = self.expression.clip(0, 1)
        return as_code(code)

    def seen(self, points: Array, modes: Array) -> tuple[Array, Array]:
        """Where ``points`` (N, 3) of head space, metres, are seen, (N, 2) fractions of the picture, and how that
        changes, (N, 2, M + 6), with codes that move them by ``modes`` (N, 3, M), with small rotations, with the
        logarithm of the size and with the shift.
        """
        camera = Camera()
        around = (points - TARGET) @ self.rotation.T
        depth = around[:, 2] + camera.distance
        middle = camera.focal * self.size * around[:, :2] / depth[:, None]
        by_camera = np.zeros((len(points), 2, 3))
        by_camera[:, 0, 0] = by_camera[:, 1, 1] = camera.focal * self.size / depth
        by_camera[:, :, 2] = -middle / depth[:, None]
        change = np.zeros((len(points), 2, modes.shape[-1] + 6))
        change[..., :-6] = (by_camera @ self.rotation) @ modes
        for axis, number in zip(np.eye(3), (-6, -5, -4), strict=True):
            change[..., number] = (by_camera @ np.cross(axis, around)[..., None])[..., 0]
        change[..., -3] = middle
        change[:, 0, -2] = change[:, 1, -1] = 1.0
        return middle + 0.5 + self.shift, change


class ExpressionSolver:
    """Solves frames of one person; the more it has seen, the better it knows who that is."""

    def __init__(self, model: FittableModel) -> None:
        """``model`` in studio coordinates says where landmarks are, and which expressions are common."""
        self._model, space = model, model.spaces[EXPRESSION]
        self._usual = space.examples[:, :USED].astype(np.float64).mean(0)
        factor = space.factor[:USED].astype(np.float64)
        covariance = factor @ factor.T + 1e-4 * np.eye(USED)
        self._precision = np.linalg.inv(covariance)
        self._doubt = 1 / (DOUBT**2 * np.diag(covariance))
        self._identity: Array = np.zeros(DIMS[IDENTITY])
        self.forget()

    def forget(self) -> None:
        """Begins to learn anew from what comes; the identity stays until then."""
        self._information = np.eye(len(self._identity)) / PEOPLE**2
        self._evidence = np.zeros(len(self._identity))

    @property
    def identity(self) -> Array:
        """The identity code (100,) of who was seen, as far as is known."""
        return self._identity

    def solve(self, seen: Landmarks, *, learn: bool = True) -> Guess:
        """What a frame shows; ``learn`` also who that is."""
        guess = Guess(self._usual, seen.rotation, 1.0, np.zeros(2))
        lines = self._lines(seen)
        for _ in range(STEPS):
            guess = guess.moved(within(*self._equations(seen, guess, lines)))
        if learn:
            self._learn(seen, guess, lines)
        return guess

    def equations(self, seen: Landmarks, guess: Guess) -> tuple[Array, Array]:
        """The normal equations, (59, 59) and (59,), of the next step from a ``guess``."""
        return self._equations(seen, guess, self._lines(seen))

    def _lines(self, seen: Landmarks) -> LinearLandmarks:
        yaw, _, _ = pose_of(seen.rotation)
        return LinearLandmarks.of(self._model, yaw)

    def _equations(self, seen: Landmarks, guess: Guess, lines: LinearLandmarks) -> tuple[Array, Array]:
        rows, off = self._rows(seen, guess, lines, lines.expression[..., :USED])
        aim = rows[:, :USED] @ guess.expression - off
        information, evidence = rows.T @ rows, rows.T @ aim
        information[:USED, :USED] += self._precision + np.diag(self._doubt)
        evidence[:USED] += self._precision @ self._usual + self._doubt * seen.expression[:USED]
        information[USED:, USED:] += np.diag(1 / FREE**2)
        return information, evidence

    def _learn(self, seen: Landmarks, guess: Guess, lines: LinearLandmarks) -> None:
        rows, off = self._rows(seen, guess, lines, lines.identity)
        rows, off = rows[:, :-6] / np.sqrt(ALIKE), off / np.sqrt(ALIKE)
        self._information += rows.T @ rows
        self._evidence += rows.T @ (rows @ self._identity - off)
        self._identity = np.asarray(np.linalg.solve(self._information, self._evidence), np.float64)

    def _rows(self, seen: Landmarks, guess: Guess, lines: LinearLandmarks, modes: Array) -> tuple[Array, Array]:
        """How landmarks (136, M + 6) change with ``modes`` (68, 3, M) and pose, and how far (136,) they lie from those
        seen, both in units of what these are expected to be off.
        """
        head = lines.mean + lines.identity @ self._identity + lines.expression[..., :USED] @ guess.expression
        places, change = guess.seen(head, modes)
        weights = np.repeat(1 / (TRUST * np.maximum(seen.spread, LEAST)), 2)
        return change.reshape(2 * COUNT, -1) * weights[:, None], (places - seen.places).ravel() * weights


def within(information: Array, evidence: Array) -> Array:
    """The step (59,) that solves normal equations with all weights in [0, 1]: those that would leave it stay at its
    ends, those that would come back from there are free again.
    """
    low, high = np.full(len(evidence), -np.inf), np.full(len(evidence), np.inf)
    low[:USED], high[:USED] = 0.0, 1.0
    step = np.linalg.solve(information, evidence).clip(low, high)
    for _ in range(ROUNDS):
        slope = information @ step - evidence
        stuck = ((step <= low) & (slope > 0)) | ((step >= high) & (slope < 0))
        free, before = ~stuck, step.copy()
        wanted = evidence[free] - information[np.ix_(free, stuck)] @ step[stuck]
        step[free] = np.linalg.solve(information[np.ix_(free, free)], wanted)
        step = step.clip(low, high)
        if np.abs(step - before).max() < CLOSE:
            break
    return np.asarray(step, np.float64)
