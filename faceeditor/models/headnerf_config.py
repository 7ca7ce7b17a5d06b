"""The sizes of a HeadNeRF."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY, LIGHT, SKIN
from faceeditor.models.headnerf_rays import Region

PAPER_DIMS: Final = {IDENTITY: 100, EXPRESSION: 79, SKIN: 100, LIGHT: 27}
"""Components of z_id, z_exp, z_alb and z_ill (section 4.1)."""


@dataclass(frozen=True)
class HeadNerfConfig:
    """Sizes of the model; the paper's are the defaults.

    ``dims`` are the components of every space's codes. The field has ``hidden`` layers of ``width`` that see points in
    ``octaves`` of waves at the first and at layer ``skip``, and gives ``features``; codes of appearance may pass a net
    of width ``mapped`` first. A map of ``map`` pixels a side, with ``samples`` on each ray, becomes a picture of
    ``size``; the 2D network has ``narrowest`` channels at least. Samples lie inside the ``region``, or, as the authors'
    ``placement``, on ``planes`` of z from the first to the last.

    ``density`` is what the field's number is: a density after a ``relu``, the authors' way, or a ``softplus``, or the
    correction of a ``distance`` that is known beforehand: to the ``template`` of that name, if there is one. Then
    points may be looked up ``on_mean``, where they lie on the template's mean head, so that the field need not learn
    how heads differ and move. With ``background`` a map of features behind the head is learned, as the authors do, and
    pictures are opaque; else they have an outline of their own.

    ``unit`` metres and ``origin``, metres in head space, are the similarity from the model's space to head space.
    """

    dims: Mapping[str, int] = field(default_factory=lambda: dict(PAPER_DIMS))
    octaves: int = 10
    width: int = 384
    hidden: int = 8
    skip: int = 5
    features: int = 256
    mapped: int = 0
    narrowest: int = 32
    samples: int = 64
    map: int = 32
    size: int = 256
    placement: Literal["region", "planes"] = "region"
    region: Region | None = field(default_factory=lambda: Region((0.0, 0.0, 0.0), (1.7, 2.1, 2.0), floor=-1.5))
    planes: tuple[float, float] = (2.5, -3.5)
    density: Literal["relu", "softplus", "distance"] = "softplus"
    template: str = ""
    on_mean: bool = False
    background: bool = False
    unit: float = 0.1
    origin: tuple[float, float, float] = (0.0, 0.0, -0.05)

    @classmethod
    def small(cls) -> Self:
        """Sizes that train and draw on two cores, for codes in studio coordinates."""
        return cls(
            dims=dict(DIMS),
            octaves=7,
            width=128,
            hidden=5,
            skip=3,
            features=64,
            mapped=128,
            narrowest=16,
            samples=24,
            region=Region((0.0, -0.1, 0.0), (1.9, 2.2, 2.0), floor=-1.5),
            density="distance",
            template="template-studio",
            on_mean=True,
        )

    @property
    def doublings(self) -> int:
        """How often the 2D network doubles a map's size. Raises ``ValueError`` when that does not give ``size``."""
        times = max(self.size // self.map, 1).bit_length() - 1
        if self.map << times != self.size:
            raise ValueError(f"a map of {self.map} pixels cannot be doubled to {self.size}")
        return times

    def components(self, spaces: Iterable[str]) -> int:
        """Components of the codes of these spaces together; a space that the model has not counts none."""
        return sum(self.dims.get(space, 0) for space in spaces)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that a bundle holds."""
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        if (region := stored["region"]) is not None:
            facts["region"] = Region(tuple(region["centre"]), tuple(region["radii"]), region["floor"])
        return cls(**facts)

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)
