"""Numbers out of text, and columns of numbers that may be colours."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray


def numbers(text: str) -> NDArray[np.float64]:
    """All numbers of a text of numbers with blanks between. Raises ``ValueError`` where anything else stands."""
    if not text or text.isspace():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, np.float64, sep=" ")
        except DeprecationWarning as error:  # what older numpy says instead
            raise ValueError("not only numbers") from error


def colours8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """8-bit colours of numbers that run to 255, or to 65535, or to 1."""
    whole = np.nan_to_num(np.asarray(values, np.float64))
    most = whole.max(initial=0.0)
    scale = 255.0 if most <= 1 and np.asarray(values).dtype.kind == "f" else 1.0 if most <= 255 else 255 / 65535
    return np.rint(np.clip(whole * scale, 0, 255)).astype(np.uint8)
