"""The colours of heat maps: blue behind the scan, red in front of it, white on it, grey where it has nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QLinearGradient, QPainter

from faceeditor.gui import theme

Floats = NDArray[np.float32]

NOWHERE: Final = (0.34, 0.34, 0.35)
_STOPS: Final = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
_COLOURS: Final = np.array(
    [[0.09, 0.22, 0.62], [0.33, 0.62, 0.90], [0.96, 0.96, 0.94], [0.95, 0.60, 0.33], [0.70, 0.08, 0.10]]
)
RANGES_MM: Final = {"± 0.5 mm": 0.5, "± 1 mm": 1.0, "± 2 mm": 2.0, "± 5 mm": 5.0}
"""What the ends of the colours may mean."""


@dataclass(frozen=True)
class Legend:
    """What a heat map's colours mean: ``range_mm`` at their ends; ``mean_mm`` is the mean distance without its sign."""

    range_mm: float
    mean_mm: float | None = None


def colours(distances_mm: Floats, range_mm: float) -> Floats:
    """Colours (V, 3) of signed distances (V,), NaN where there is none."""
    share = np.nan_to_num(distances_mm / range_mm)
    mixed = np.stack([np.interp(share, _STOPS, column) for column in _COLOURS.T], axis=1)
    mixed[np.isnan(distances_mm)] = NOWHERE
    return mixed.astype(np.float32)


def legend_of(distances_mm: Floats, range_mm: float) -> Legend:
    """The legend to a map."""
    told = np.abs(distances_mm[np.isfinite(distances_mm)])
    return Legend(range_mm, float(told.mean()) if len(told) else None)


def paint_legend(painter: QPainter, stage: QRectF, legend: Legend) -> None:
    """A bar of colours with its numbers in the lower right corner of ``stage``."""
    box = QRectF(stage.right() - 264, stage.bottom() - 62, 252, 50)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 22, 190))
    painter.drawRoundedRect(box, 4, 4)
    bar = QRectF(box.left() + 12, box.top() + 22, box.width() - 24, 8)
    gradient = QLinearGradient(bar.topLeft(), bar.topRight())
    for stop, colour in zip(_STOPS, _COLOURS, strict=True):
        gradient.setColorAt((stop + 1) / 2, QColor.fromRgbF(*colour))
    painter.fillRect(bar, gradient)
    painter.setPen(QColor(theme.TEXT))
    mean = "" if legend.mean_mm is None else f", mean {legend.mean_mm:.2f} mm"
    painter.drawText(
        QRectF(box.left(), box.top() + 2, box.width(), 18), Qt.AlignmentFlag.AlignCenter, f"Behind – in front{mean}"
    )
    for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
        x = bar.left() + (share + 1) / 2 * bar.width()
        words = f"{share * legend.range_mm:+g}" if share else "0 mm"
        around = QRectF(QPointF(x - 30, bar.bottom() + 1), QPointF(x + 30, box.bottom() - 1))
        side = Qt.AlignmentFlag.AlignHCenter
        if abs(share) == 1:
            around.moveLeft(bar.left() if share < 0 else bar.right() - around.width())
            side = Qt.AlignmentFlag.AlignLeft if share < 0 else Qt.AlignmentFlag.AlignRight
        painter.drawText(around, side | Qt.AlignmentFlag.AlignVCenter, words)
