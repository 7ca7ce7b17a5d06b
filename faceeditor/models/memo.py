"""A small memory of what was made last, so that only what changed is made anew."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Memo(Generic[T]):
    """The last ``size`` things made, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._made: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for ``key``, or ``make()``."""
        if key not in self._made:
            self._made[key] = make()
        self._made.move_to_end(key)
        while len(self._made) > self._size:
            self._made.popitem(last=False)
        return self._made[key]

    def known(self, key: Hashable) -> T | None:
        """What was made for ``key`` and is not forgotten yet."""
        return self._made.get(key)

    def clear(self) -> None:
        """Forgets everything."""
        self._made.clear()


def fingerprint(arrays: Iterable[NDArray[Any] | None]) -> tuple[bytes, ...]:
    """A key that differs whenever the contents of small ``arrays`` differ."""
    return tuple(b"" if array is None else np.ascontiguousarray(array).tobytes() for array in arrays)
