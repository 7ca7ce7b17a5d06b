"""The configurations of the alternation of zero-shot attribute separation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import yaml

from faceeditor.faces.layout import HAIR
from faceeditor.models.headnerf_config import HeadNerfConfig
from training.alternation_losses import CodeWeights, DecoderWeights, EncoderWeights
from training.loop import LoopConfig
from training.train_headnerf import SIZES

CONFIGS: Final = Path(__file__).parent / "configs"
PARTS: Final[dict[str, type]] = {
    "codes": CodeWeights,
    "decoder": LoopConfig,
    "encoder": LoopConfig,
    "decoder_weights": DecoderWeights,
    "encoder_weights": EncoderWeights,
}


@dataclass(frozen=True)
class Alternation:
    """One training: ``rounds`` of ``epochs`` for the ``decoder`` and as many for the ``encoder``, after ``start``
    epochs for the decoder and for the encoder with L_cod alone (section 3.3). The steps of the two loops are counted
    from these.

    ``batch`` photos a step are drawn by way of maps with ``cells`` a side, in ``short`` numbers, of 16 bits, where
    those are quicker. Codes of photos, counted in their spread, learn at ``codes_rate`` instead of the decoder's rate.
    If there are ``backgrounds``, so many of them are put behind the photos that the encoder sees, which stand before
    white else, as the paper's. Decoders that no bundle gives have ``sizes`` with the changes ``model``; ``hair`` says
    whether a decoder has a code of hair. ``scale`` is what a component of codes that the first training never used may
    move by.
    """

    decoder: LoopConfig
    encoder: LoopConfig
    rounds: int
    epochs: float
    batch: int
    cells: int
    codes_rate: float
    start: tuple[float, float] = (0.0, 0.0)
    backgrounds: int = 0
    hair: bool = True
    scale: float = 0.0
    short: bool = True
    sizes: str = "small"
    model: Mapping[str, Any] = field(default_factory=dict)
    codes: CodeWeights = field(default_factory=CodeWeights)
    decoder_weights: DecoderWeights = field(default_factory=DecoderWeights)
    encoder_weights: EncoderWeights = field(default_factory=EncoderWeights)

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/alternation_NAME.yaml``."""
        facts = _facts(name)
        start = tuple(facts.pop("start", (0.0, 0.0)))
        parts = {key: PARTS[key](**value) if key in PARTS else value for key, value in facts.items()}
        return cls(**parts, start=start)

    @property
    def decoder_config(self) -> HeadNerfConfig:
        """A new decoder's configuration."""
        return self.heard(replace(SIZES[self.sizes](), **self.model))

    def heard(self, decoder: HeadNerfConfig) -> HeadNerfConfig:
        """The configuration of a ``decoder`` without a code of hair, where there is to be none."""
        return replace(decoder, dims={name: dims for name, dims in decoder.dims.items() if self.hair or name != HAIR})


def _facts(name: str) -> dict[str, Any]:
    """What a file says, after what the file says that it names as its ``base``."""
    facts: dict[str, Any] = yaml.safe_load((CONFIGS / f"alternation_{name}.yaml").read_text())
    if "base" not in facts:
        return facts
    base = _facts(facts.pop("base"))
    return {**base, **{key: {**base.get(key, {}), **v} if isinstance(v, dict) else v for key, v in facts.items()}}


def limited(config: Alternation, minutes: float | None) -> Alternation:
    """``config`` with every step of a round ended after so many ``minutes``."""
    if minutes is None:
        return config
    decoder, encoder = (replace(loop, minutes=minutes) for loop in (config.decoder, config.encoder))
    return replace(config, decoder=decoder, encoder=encoder)
