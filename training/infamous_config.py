"""The configurations of INFAMOUS-NeRF's training: the whole of it, and one for every line of Table 4."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import yaml

from faceeditor.models.infamous_config import InfamousConfig
from training.loop import LoopConfig

CONFIGS: Final = Path(__file__).parent / "configs"
SIZES: Final = {"small": InfamousConfig.small, "paper": InfamousConfig}


@dataclass(frozen=True)
class Weights:
    """Of the losses of Eq. 15: ``recon`` (Eq. 10), ``dssim`` (Eq. 11), ``gradient`` (Eq. 12) and ``sur`` (Eq. 13); and
    of what the paper has not: ``outline``, the difference of opacities, which studio pictures know.
    """

    recon: float = 1.0
    dssim: float = 1.0
    gradient: float = 1.0
    sur: float = 1.0
    outline: float = 0.0


@dataclass(frozen=True)
class Sampling:
    """Which pixels a step draws of a picture: ``patches`` squares of ``side`` pixels, because structure and gradients
    are of neighbours. The share ``landmarks`` of them lies around the inner face's landmarks (section 3.4), ``near``
    shares of the picture away; the others where ``adaptive`` sampling says (section 10), or else anywhere.

    For that, ``gaussians`` of the drawn pixels leave a Gaussian of ``sigma`` cells on a map of ``cells`` a side, which
    is forgotten every ``reset`` visits of the picture.
    """

    patches: int = 4
    side: int = 8
    landmarks: float = 0.5
    near: float = 0.03
    adaptive: bool = True
    gaussians: float = 0.3
    cells: int = 64
    sigma: float = 1.5
    reset: int = 10


@dataclass(frozen=True)
class InfamousTraining:
    """One training: ``sizes`` of the model, one of :data:`SIZES`, and what ``model`` changes in them; ``groups`` of
    pictures a step. A density that is known at first learns at the share ``density_rate`` of the rate.
    """

    loop: LoopConfig
    sizes: str = "small"
    groups: int = 8
    density_rate: float = 0.05
    sampling: Sampling = field(default_factory=Sampling)
    weights: Weights = field(default_factory=Weights)
    model: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/infamous_NAME.yaml``."""
        parts: dict[str, type] = {"loop": LoopConfig, "weights": Weights, "sampling": Sampling}
        return cls(**{key: parts[key](**value) if key in parts else value for key, value in _facts(name).items()})

    def ending(self, steps: int | None, minutes: float | None) -> Self:
        """The same training, which ends after so many ``steps``, however long they take; or else after ``minutes``; or
        where it says itself. Its learning rate comes down until then.
        """
        if steps is not None:
            return replace(self, loop=replace(self.loop, steps=steps, minutes=0.0))
        return self if minutes is None else replace(self, loop=replace(self.loop, minutes=minutes))

    @property
    def model_config(self) -> InfamousConfig:
        """The model's configuration."""
        return replace(SIZES[self.sizes](), **self.model)


def _facts(name: str) -> dict[str, Any]:
    """What a file says, after what the file says that it names as its ``base``."""
    facts: dict[str, Any] = yaml.safe_load((CONFIGS / f"infamous_{name}.yaml").read_text())
    if "base" not in facts:
        return facts
    base = _facts(facts.pop("base"))
    return {**base, **{key: {**base.get(key, {}), **v} if isinstance(v, dict) else v for key, v in facts.items()}}
