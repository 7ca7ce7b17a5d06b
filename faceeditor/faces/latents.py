"""Latent spaces, named directions and choices: what a slider means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.layout import DIMS

Code = NDArray[np.float32]
"""One code: a flat vector (dims,) in the units of its space."""

Codes = Mapping[str, Code]
"""Space name -> code."""


LEAST_SHARE: Final = 1e-3
"""Smaller shares of an option in a mixture do not count."""


def as_code(values: object) -> Code:
    """A read-only float32 copy (dims,) of ``values``."""
    code = np.array(values, dtype=np.float32).reshape(-1)
    code.setflags(write=False)
    return code


@dataclass(frozen=True, eq=False)
class Direction:
    """A slider: ``vector`` (dims,) is what one unit adds to a code, ``reader`` (dims,) reads the value back.

    ``reader @ vector == 1``. ``low`` and ``high`` bound the slider softly: the training range; a number box may go
    beyond. ``group`` is the heading under which the slider is shown; ``label`` is what the artist reads.
    """

    name: str
    space: str
    vector: Code
    reader: Code
    low: float
    high: float
    group: str
    label: str

    @property
    def key(self) -> str:
        """How commands and projects call the slider: ``expression.jawOpen``."""
        return f"{self.space}.{self.name}"


@dataclass(frozen=True)
class Choice:
    """Components ``start``.. that are the weights of exclusive ``options``, such as hair styles.

    ``none`` names the option that all weights zero mean (bald), if the model knows such a thing.
    """

    name: str
    space: str
    start: int
    options: tuple[str, ...]
    none: str | None
    group: str
    label: str

    @property
    def key(self) -> str:
        """How commands and projects call the choice: ``hair.style``."""
        return f"{self.space}.{self.name}"

    def read(self, code: Code) -> str:
        """The option with the greatest weight in ``code``."""
        weights = code[self.start : self.start + len(self.options)]
        if self.none is not None and weights.sum() < 0.5:
            return self.none
        return self.options[int(weights.argmax())]

    def write(self, code: Code, option: str) -> Code:
        """``code`` with ``option`` chosen alone. Raises ``ValueError`` for an option that is not offered."""
        weights = np.zeros(len(self.options), np.float32)
        if option != self.none:
            weights[self.options.index(option)] = 1.0
        changed = code.copy()
        changed[self.start : self.start + len(self.options)] = weights
        return as_code(changed)

    def pure(self, code: Code) -> list[tuple[float, Code]]:
        """The codes with one option alone that ``code`` is a mixture of, as half-way between two faces, with their
        shares, which sum to 1.
        """
        weights = code[self.start : self.start + len(self.options)].astype(np.float64).clip(0)
        weights /= max(weights.sum(), 1 if self.none is not None else 1e-9)
        shares = dict(zip(self.options, weights, strict=True))
        if self.none is not None:
            shares[self.none] = 1 - weights.sum()
        kept = {option: share for option, share in shares.items() if share > LEAST_SHARE}
        return [(share / sum(kept.values()), self.write(code, option)) for option, share in kept.items()]

    def drawn(self, mean: Code, generator: np.random.Generator) -> str:
        """An option as often as among the codes with this ``mean``: a share is the mean of a weight that is 0 or 1."""
        shares = mean[self.start : self.start + len(self.options)].astype(np.float64).clip(0, 1)
        rest = [] if self.none is None else [max(1 - shares.sum(), 0)]
        every = np.append(shares, rest)
        names = [*self.options, *([] if self.none is None else [self.none])]
        return names[generator.choice(len(every), p=every / every.sum())]


@dataclass(frozen=True, eq=False)
class Space:
    """One latent space of a model.

    ``mean`` (dims,) is the neutral code; ``scale`` (dims,) the training codes' standard deviation; ``low``/``high``
    (dims,) their range; ``factor`` (dims, rank) a factor of their covariance, ``cov = factor factor^T``; ``examples``
    (count, dims) some of the training codes themselves. ``norm_limit`` bounds the length of ``(code - mean) / scale``
    so that a face stays plausible (one limit for the whole vector, not one for each slider); ``None`` for no bound.
    ``gaussian`` says that random codes are drawn from mean and covariance; else they are drawn among the examples.
    """

    name: str
    label: str
    mean: Code
    scale: Code
    low: Code
    high: Code
    factor: NDArray[np.float32]
    examples: NDArray[np.float32]
    gaussian: bool
    norm_limit: float | None = None
    directions: tuple[Direction, ...] = ()
    choices: tuple[Choice, ...] = ()
    components: tuple[str, ...] = field(default=())
    """Names of the raw components, shown under "Advanced"; empty when they have none."""

    @property
    def dims(self) -> int:
        """Components of a code."""
        return len(self.mean)

    def value(self, code: Code, direction: Direction) -> float:
        """Where ``direction``'s slider stands for ``code``."""
        return float(direction.reader @ (code - self.mean))

    def moved(self, code: Code, direction: Direction, value: float) -> Code:
        """``code`` with ``direction``'s slider put at ``value``, the norm clamped."""
        return self.clamp(code + np.float32(value - self.value(code, direction)) * direction.vector)

    def clamp(self, code: Code) -> Code:
        """``code`` shortened towards the mean until its norm is within ``norm_limit``."""
        if self.norm_limit is None:
            return as_code(code)
        offset = code - self.mean
        length = float(np.linalg.norm(offset / np.maximum(self.scale, 1e-6)))
        return as_code(self.mean + offset * min(1.0, self.norm_limit / max(length, 1e-12)))

    def random(self, generator: np.random.Generator) -> Code:
        """A plausible code: from the training distribution, or one of the training codes.

        Weights of exclusive options are not drawn from the normal distribution, whose draws are mixtures of all, but
        are those of one option, with the same mean and covariance.
        """
        if self.gaussian:
            code = self.clamp(self.mean + self.factor @ generator.standard_normal(self.factor.shape[1], np.float32))
            for choice in self.choices:
                code = choice.write(code, choice.drawn(self.mean, generator))
            return code
        return as_code(self.examples[generator.integers(len(self.examples))])


def interpolate(first: Codes, second: Codes, amount: float) -> dict[str, Code]:
    """Codes ``amount`` of the way from ``first`` to ``second``, space by space; both must have the same spaces."""
    return {name: as_code(code + np.float32(amount) * (second[name] - code)) for name, code in first.items()}


def in_studio_coordinates(spaces: Mapping[str, Space]) -> bool:
    """Whether a model of these spaces draws from the studio's coordinates, which is what encoders tell."""
    return {name: space.dims for name, space in spaces.items()} == DIMS
