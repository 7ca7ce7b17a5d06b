"""Performances as tables, for other programs: one row a frame, a column for every ARKit blendshape and every angle."""

import csv
import io
from pathlib import Path
from typing import Final

import numpy as np

from faceeditor.errors import UserError
from faceeditor.faces.performance import Performance
from faceeditor.files.atomic import write_bytes

SUFFIX: Final = ".csv"
POSE: Final = ("headYaw", "headPitch", "headRoll")
"""Degrees, as :class:`~faceeditor.faces.camera.Camera` means them."""


def require_curves(path: Path) -> None:
    """Raises ``UserError`` unless curves can be written to a file with such a name."""
    if path.suffix.lower() != SUFFIX:
        raise UserError(f"{path.name} does not end in {SUFFIX}; give the curves such a name.")


def write_curves(path: Path, performance: Performance) -> None:
    """Writes the seconds, the weights of the ARKit blendshapes and the head's angles of every frame to a .csv file.
    Raises ``UserError`` for another suffix or where it cannot be written.
    """
    require_curves(path)
    named = performance.named()
    seconds = np.arange(len(performance)) / performance.fps
    table = np.column_stack([seconds, *named.values(), performance.poses])
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["seconds", *named, *POSE])
    rows.writerows([f"{value:.4f}" for value in row] for row in table)
    write_bytes(path, text.getvalue().encode())
