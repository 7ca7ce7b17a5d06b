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
class _Guess:
    """The unknowns of a frame."""

    expression: Array
    rotation: Array
    size: float
    shift: Array

    def moved(self, step: Array) -> "_Guess":
        """After a step (59,), whose first part is the expression itself."""
        turn = Rotation.from_rotvec(step[USED : USED + 3]).as_matrix()
        return _Guess(
            step[:USED], turn @ self.rotation, self.size * float(np.exp(step[USED + 3])), self.shift + step[USED + 4 :]
        )


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

    def solve(self, seen: Landmarks, *, learn: bool = True) -> Code:
        """The expression code (64,) of a frame, weights in [0, 1]; ``learn`` also who it shows."""
        guess = _Guess(self._usual, seen.rotation, 1.0, np.zeros(2))
        lines = self._lines(seen)
        for _ in range(STEPS):
            guess = self._better(seen, guess, lines)
        if learn:
            self._learn(seen, guess, lines)
        code = np.zeros(DIMS[EXPRESSION], np.float32)
        code[:USED] = guess.expression.clip(0, 1)
        return as_code(code)

    def _lines(self, seen: Landmarks) -> LinearLandmarks:
        yaw, _, _ = pose_of(seen.rotation)
        return LinearLandmarks.of(self._model, yaw)

    def _better(self, seen: Landmarks, guess: _Guess, lines: LinearLandmarks) -> _Guess:
        off, to_places, turned = self._project(seen, guess, lines)
        weights = _weights(seen)
        expression = _rows(to_places, lines.expression[..., :USED])
        pose = np.concatenate([turned, np.zeros((2 * COUNT, 3))], axis=1)
        pose[:, 3] = (seen.places + off - 0.5 - guess.shift).ravel()
        pose[0::2, 4] = pose[1::2, 5] = 1.0
        rows = np.concatenate([expression, pose], axis=1) * weights[:, None]
        aim = rows[:, :USED] @ guess.expression - off.ravel() * weights
        information, evidence = rows.T @ rows, rows.T @ aim
        information[:USED, :USED] += self._precision + np.diag(self._doubt)
        evidence[:USED] += self._precision @ self._usual + self._doubt * seen.expression[:USED]
        information[USED:, USED:] += np.diag(1 / FREE**2)
        return guess.moved(np.asarray(np.linalg.solve(information, evidence), np.float64))

    def _learn(self, seen: Landmarks, guess: _Guess, lines: LinearLandmarks) -> None:
        off, to_places, _ = self._project(seen, guess, lines)
        weights = _weights(seen) / np.sqrt(ALIKE)
        rows = _rows(to_places, lines.identity) * weights[:, None]
        self._information += rows.T @ rows
        self._evidence += rows.T @ (rows @ self._identity - off.ravel() * weights)
        self._identity = np.asarray(np.linalg.solve(self._information, self._evidence), np.float64)

    def _project(self, seen: Landmarks, guess: _Guess, lines: LinearLandmarks) -> tuple[Array, Array, Array]:
        """How far (68, 2) landmarks of a guess lie from those seen, how places change with points of the head (68, 2,
        3), and with small rotations (136, 3).
        """
        camera = Camera()
        head = lines.mean + lines.identity @ self._identity + lines.expression[..., :USED] @ guess.expression - TARGET
        around = head @ guess.rotation.T
        depth = around[:, 2] + camera.distance
        middle = camera.focal * guess.size * around[:, :2] / depth[:, None]
        by_camera = np.zeros((COUNT, 2, 3))
        by_camera[:, 0, 0] = by_camera[:, 1, 1] = camera.focal * guess.size / depth
        by_camera[:, :, 2] = -middle / depth[:, None]
        turned = np.stack([(by_camera @ np.cross(axis, around)[..., None])[..., 0] for axis in np.eye(3)], axis=-1)
        return middle + 0.5 + guess.shift - seen.places, by_camera @ guess.rotation, turned.reshape(-1, 3)


def _rows(to_places: Array, modes: Array) -> Array:
    """How places (136, M) change with ``modes`` (68, 3, M)."""
    return np.asarray((to_places @ modes).reshape(2 * COUNT, -1))


def _weights(seen: Landmarks) -> Array:
    """One over the error (136,) of every coordinate."""
    return np.repeat(1 / (TRUST * np.maximum(seen.spread, LEAST)), 2)
