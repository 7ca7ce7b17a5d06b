"""What a head does over time: the expression and the pose of every frame of a video. Plain immutable data."""

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.layout import ARKIT, EXPRESSION_COMPONENTS

SMOOTHING: Final = 0.28
"""Seconds that curves are smoothed over unless told otherwise: blinks, which take as long, stay."""
LONGEST: Final = 2.0
_ORDER: Final = 2
"""Degree of the polynomials."""


@dataclass(frozen=True, eq=False)
class Performance:
    """N frames, ``fps`` a second: ``expressions`` (N, 64) in the studio's coordinates, ``poses`` (N, 3) yaw, pitch and
    roll in degrees as :class:`~faceeditor.faces.camera.Camera` means them, and whether a face was ``seen`` (N,); where
    none was, the frame has what the last one had that showed one.
    """

    fps: float
    expressions: NDArray[np.float32]
    poses: NDArray[np.float64]
    seen: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return len(self) / self.fps

    @property
    def gaps(self) -> str:
        """A sentence about frames without a face; empty when there is none."""
        missing = int((~self.seen).sum())
        return f"No face was seen in {missing} of {len(self)} frames; they hold what was seen last." if missing else ""

    def frame_at(self, seconds: float) -> int:
        """The number of the frame that is shown after so many ``seconds``."""
        return int(np.clip(seconds * self.fps, 0, len(self) - 1))

    def smoothed(self, seconds: float = SMOOTHING) -> Self:
        """The same without what jumps from frame to frame: each moment is what a parabola through its surroundings of
        so many ``seconds`` says (Savitzky and Golay, "Smoothing and differentiation of data by simplified least squares
        procedures", 1964), which delays nothing and keeps peaks. Weights stay in [0, 1]. Raises ``UserError`` for a
        time that is none.
        """
        require_smoothing(seconds)
        expressions = _parabolic(self.expressions, self.fps, seconds).clip(0, 1)
        return replace(
            self, expressions=expressions.astype(np.float32), poses=_parabolic(self.poses, self.fps, seconds)
        )

    def named(self) -> dict[str, NDArray[np.float32]]:
        """The weights (N,) of the ARKit blendshapes by name; those of two components have their mean."""
        column = {name: number for number, name in enumerate(EXPRESSION_COMPONENTS)}
        return {name: self.expressions[:, [column[part] for part in parts]].mean(1) for name, parts in ARKIT.items()}


def require_smoothing(seconds: float) -> None:
    """Raises ``UserError`` unless curves can be smoothed over so many ``seconds``."""
    if not 0 <= seconds <= LONGEST:
        raise UserError(f"Smoothing takes between 0 and {LONGEST:g} seconds.")


def _parabolic(curves: NDArray[Any], fps: float, seconds: float) -> NDArray[np.float64]:
    """``curves`` (N, C) smoothed over an odd number of frames; as they are when those are too few for a parabola."""
    window = min(2 * round(seconds * fps / 2) + 1, len(curves) - (len(curves) + 1) % 2)
    if window <= _ORDER + 1:
        return np.asarray(curves, np.float64)
    from scipy.signal import savgol_filter  # slow to import, and only needed here

    return np.asarray(savgol_filter(np.asarray(curves, np.float64), window, _ORDER, axis=0, mode="interp"))
