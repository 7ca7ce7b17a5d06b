"""How near the template's surface comes to the studio's."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.template.locate import locate

Floats: TypeAlias = NDArray[np.floating]
Ints: TypeAlias = NDArray[np.int64]

SAMPLES: Final = 20000


@dataclass(frozen=True)
class Gap:
    """Distances in millimetres between two surfaces, sampled evenly by area: mean and 95th percentile, both ways."""

    to_studio: float
    to_studio_p95: float
    from_studio: float
    from_studio_p95: float


def gap(template: Floats, studio: Floats, seed: int = 0) -> Gap:
    """The gap between two surfaces given as triangles (triangles, 3, 3) in metres."""
    rng = np.random.default_rng(seed)
    there = 1000 * locate(sample(template, SAMPLES, rng), studio)[2]
    back = 1000 * locate(sample(studio, SAMPLES, rng), template)[2]
    return Gap(*(float(f) for d in (there, back) for f in (d.mean(), np.percentile(d, 95))))


def sample(triangles: Floats, count: int, rng: np.random.Generator) -> Floats:
    """``count`` points (count, 3), even by area, on triangles (triangles, 3, 3)."""
    across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = np.linalg.norm(across, axis=1)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = rng.random((2, count, 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = (triangles[chosen, k] for k in range(3))
    return np.asarray(a + u * (b - a) + v * (c - a))
