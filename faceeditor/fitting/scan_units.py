"""The unit that a scan's coordinates are probably in: faces are nearly of one size, and scanners write metric units."""

import math
from typing import Final

INCH: Final = 0.0254
LIKELY: Final = 0.12
"""By how much, as a logarithm, a face may seem larger or smaller than the mean one for a unit still to be believed."""
SPREAD: Final = 0.01
"""Standard deviation of what a believed unit is off, as a logarithm."""


def off_unit(scale: float) -> float | None:
    """The logarithm of ``scale``, in metres per unit, over that of the nearest usual unit: a power of ten metres or an
    inch. ``None`` where none is likely; the size of the face is anyone's guess then.
    """
    decades = math.log(scale) / math.log(10)
    off = min((math.log(10) * (decades - round(decades)), math.log(scale / INCH)), key=abs)
    return off if abs(off) < LIKELY else None
