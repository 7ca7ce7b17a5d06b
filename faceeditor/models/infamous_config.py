"""The sizes of an INFAMOUS-NeRF."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from faceeditor.models.proxy import Sheet

WAVES: Final = 66
"""Numbers that the positional encoding makes of three (Tables 8 and 9): sines and cosines of 11 octaves."""

Sizes = dict[str, tuple[int, int]]
"""Layer -> numbers that go in and come out."""


@dataclass(frozen=True)
class InfamousConfig:
    """Sizes of the model; the paper's are the defaults.

    ``theta``, ``alpha``, ``beta`` and ``epsilon`` are the components of the codes θ, α, β and ε (section 12).
    ``colour`` and ``shape`` are the widths of F_A and F_S, whose last hidden layers are half as wide; ``hidden`` is the
    width of the hypernetwork's first layers. Without ``hyper`` all people share one set of weights, as in Table 4.

    ``sheet`` says where the pictures lie that tell how opaque the template's cards of hair are. With ``known`` the
    density starts at what the template says, else at what the network does. Lengths are encoded in units of ``unit``
    metres; the field fills a shell of ``shell`` metres around the template, of which a ray may meet
    ``shell_layers`` cards; below the height ``bust``, metres, there is nothing.
    """

    theta: int = 256
    alpha: int = 256
    beta: int = 128
    epsilon: int = 64
    colour: int = 128
    shape: int = 128
    hidden: int = 256
    hyper: bool = True
    known: bool = True
    sheet: Sheet = field(default_factory=lambda: Sheet(rows=3, columns=4, tile=192))
    unit: float = 0.25
    shell: float = 0.003
    shell_layers: int = 3
    bust: float = -0.15
    template: str = "template-studio"

    @classmethod
    def small(cls) -> Self:
        """Sizes that train and draw on two cores. Density is all but known, so that F_S may be narrow."""
        return cls(colour=96, shape=32, hidden=12)

    def appearance_layers(self) -> Sizes:
        """The layers of F_A (Table 8)."""
        width, half = self.colour, self.colour // 2
        return {
            "A_1": (self.alpha + WAVES, width),
            "A_2": (width, width),
            "A_3": (width + self.alpha + WAVES, width),
            "A_4": (width + WAVES, half),
            "A_5": (half, 3),
        }

    def shape_layers(self) -> Sizes:
        """The layers of F_S (Table 9)."""
        width, half = self.shape, self.shape // 2
        scale_and_bias: Sizes = {
            f"{net}_{number}": (into, out)
            for net in ("MB", "MS")
            for number, into, out in ((1, self.beta, width), (2, width, width), (3, width, self.epsilon))
        }
        return scale_and_bias | {
            "E_1": (self.epsilon + WAVES, width),
            "E_2": (width, width),
            "E_3": (width, width),
            "S_1": (self.beta + width, width),
            "S_2": (width, width),
            "S_3": (self.beta + 2 * width, width),
            "S_4": (width, width),
            "S_5": (self.alpha + WAVES + width, half),
            "S_6": (half, 1),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that a bundle holds."""
        return cls(**{**stored, "sheet": Sheet(**stored["sheet"])})

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)
