"""Similarity transforms of space: how a scan's own unit and axes become head space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """``head = scale * rotation @ point + translation``: ``rotation`` (3, 3) without reflection, ``translation`` (3,)
    in metres, ``scale`` in metres per unit of the points.
    """

    scale: float
    rotation: Array
    translation: Array

    @classmethod
    def identity(cls) -> Self:
        """What leaves every point where it is."""
        return cls(1.0, np.eye(3), np.zeros(3))

    @classmethod
    def fit(cls, source: NDArray[np.floating], target: NDArray[np.floating], weights: Array | None = None) -> Self:
        """The similarity that brings ``source`` (N, 3) nearest to ``target`` (N, 3) in ``weights`` (N,)-ed least
        squares.

        Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991. Raises
        ``ValueError`` when the source points lie on one line, so that a turn about it is left open.
        """
        share = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
        share = share / share.sum()
        from_mean, to_mean = share @ source, share @ target
        centred, wanted = source - from_mean, target - to_mean
        spread = np.linalg.svd(centred * np.sqrt(share)[:, None], compute_uv=False)
        if spread[1] <= 1e-9 * max(spread[0], 1e-300):
            raise ValueError("the points lie on one line")
        left, values, right = np.linalg.svd((wanted * share[:, None]).T @ centred)
        signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
        rotation = (left * signs) @ right
        scale = float(values @ signs / (share @ (centred**2).sum(1)))
        return cls(scale, rotation, to_mean - scale * rotation @ from_mean)

    def to_head(self, points: NDArray[np.floating]) -> Array:
        """``points`` (..., 3) in head space."""
        return np.asarray(self.scale * (points @ self.rotation.T) + self.translation, np.float64)

    def inverse(self) -> Self:
        """The way back from head space."""
        rotation = self.rotation.T
        return type(self)(1 / self.scale, rotation, -rotation @ self.translation / self.scale)

    def then(self, after: "Similarity") -> Self:
        """This one first, ``after`` second."""
        translation = after.to_head(self.translation)
        return type(self)(self.scale * after.scale, after.rotation @ self.rotation, translation)

    def document(self) -> dict[str, Any]:
        """As plain numbers for JSON: ``scale``, ``rotation`` (9 numbers, row-major), ``translation``."""
        return {
            "scale": self.scale,
            "rotation": self.rotation.ravel().tolist(),
            "translation": self.translation.tolist(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What :meth:`document` told. Raises ``ValueError`` for numbers that are no similarity."""
        try:
            scale = float(document["scale"])
            rotation = np.array(document["rotation"], np.float64).reshape(3, 3)
            translation = np.array(document["translation"], np.float64).reshape(3)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("a similarity has a scale, nine numbers of rotation and three of translation") from error
        proper = np.abs(rotation @ rotation.T - np.eye(3)).max(initial=0.0) < 1e-6 and np.linalg.det(rotation) > 0
        if not (np.isfinite(translation).all() and 0 < scale < np.inf and proper):
            raise ValueError("a similarity has a positive scale, a rotation and a finite translation")
        return cls(scale, rotation, translation)
