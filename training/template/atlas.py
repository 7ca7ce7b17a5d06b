"""The template's own texture atlas: the studio's charts, laid out anew.

The atlas is its own mirror image: what lies at (u, v) on the subject's right lies at (1 - u, v) on the left, so a
texture is mirrored by flipping its columns. Only the right half, u <= 0.5, is laid out here. Charts that touch the
middle of face and skull lie flush with u = 0.5 and have no seam there; all others are packed beside them. v points up.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceeditor.models.template import UV_STEPS
from training.template.half import PARTS, Half

Floats: TypeAlias = NDArray[np.float64]

FACE: Final = 0.74
"""Size of the face tile in the atlas."""
SKULL: Final = 0.355
"""Scale of the skull's chart."""
GUTTER: Final = 0.0085
"""Space between charts and around the atlas; more than four texels of a 512 px texture."""
SCALES: Final = {
    "skin": 0.18,
    "mouth": 0.3,
    "eyesocket": 0.3,
    "eye": 0.2,
    "teethUpper": 0.16,
    "teethLower": 0.16,
    "gums": 0.18,
    "tongue": 0.2,
    "lashes": 0.15,
}
"""Scale of the remaining charts, by part."""
BOXES: Final = ((0.0, FACE + GUTTER, 0.5 - 0.5 * 0.35, 1.0), (0.0, 0.0, 0.5 - 0.5 * FACE, FACE + GUTTER))
"""Free rectangles (left, bottom, right, top) of the half atlas."""


def lay_out(half: Half) -> Floats:
    """Atlas position of every wedge of the right half, (wedges, 2), u <= 0.5, in steps that bundles can hold."""
    out = np.zeros((len(half.wedge_uv), 2))
    part_of = np.zeros(half.wedge_chart.max() + 1, np.int64)
    part_of[half.chart] = half.part
    loose: list[tuple[int, Floats]] = []
    for chart, part in enumerate(part_of.tolist()):
        mask = half.wedge_chart == chart
        uv = half.wedge_uv[mask]
        if uv[:, 0].max() <= 0.5 + 1e-6 and PARTS[part] == "skin":
            out[mask] = (0.5 - (0.5 - uv[:, 0:1]) * FACE) * [1, 0] + (uv[:, 1:] * FACE + 0.0) * [0, 1]
        elif PARTS[part] == "skin" and uv[:, 1].max() > 0.9:
            out[mask] = np.stack([0.5 - (uv[:, 0] - 1.5) * SKULL, 1 - GUTTER - (uv[:, 1].max() - uv[:, 1]) * SKULL], 1)
        else:
            loose.append((chart, (uv - uv.min(axis=0)) * SCALES[PARTS[part]]))
    for chart, corner in _shelves([(chart, box.max(axis=0)) for chart, box in loose]).items():
        out[half.wedge_chart == chart] = dict(loose)[chart] + corner
    return np.asarray(np.round(out * UV_STEPS) / UV_STEPS)


def _shelves(sizes: list[tuple[int, Floats]]) -> dict[int, Floats]:
    """Lower left corners of rectangles packed in rows, tallest first, into the boxes. Raises ValueError when full."""
    places: dict[int, Floats] = {}
    waiting = sorted(sizes, key=lambda item: (-item[1][1], item[0]))
    for left, bottom, right, top in BOXES:
        y = bottom + GUTTER / 2
        while waiting:
            x, height, row = left + GUTTER / 2, waiting[0][1][1] + GUTTER, list(waiting)
            if y + height > top:
                break
            placed = False
            for chart, (width, _) in row:
                if x + width + GUTTER <= right:
                    places[chart] = np.array([x + GUTTER / 2, y + GUTTER / 2])
                    x += width + GUTTER
                    waiting = [item for item in waiting if item[0] != chart]
                    placed = True
            if not placed:
                break
            y += height
    if waiting:
        raise ValueError(f"{len(waiting)} charts do not fit into the atlas")
    return places
