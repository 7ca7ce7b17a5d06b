"""Trains the refiner, INFAMOUS-NeRF's second stage, on coarse pictures beside true ones and writes its bundle.

``python -m training.train_refiner small --work FOLDER --pairs DRAWN`` trains to the configured end, or goes on where it
stopped. Pairs are those that ``python -m training.refiner_pairs`` has drawn; ``--pairs`` may be repeated. A refiner
serves the models that drew its pairs: give it those whose pictures ``python -m training.evaluate refiner`` then finds
better.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self

import torch
import typer
import yaml
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.catalogue import SERVES
from faceeditor.models.refiner import DiffusionRefiner, RefinerConfig
from training.loop import Loop, LoopConfig, Losses
from training.perceptual import Perceptual
from training.refiner_pairs import DrawnPairs, Pairs

CONFIGS: Final = Path(__file__).parent / "configs"
SCHEDULE: Final = "squaredcos_cap_v2"
"""Nichol and Dhariwal's noise ("Improved Denoising Diffusion Probabilistic Models", 2021)."""
SEEN_BY: Final = "attributes-studio"
PARTS: Final = 2
"""The bundle and its stages that tell how different pictures look."""
SURE: Final = 0.99
"""Coverage from which on a pixel counts: outlines are where they are, and drown everything else."""
BROAD: Final = 4.0
"""Pixels from which on differences are none of the refiner's business: a picture does not tell that its colours are
wrong."""


@dataclass(frozen=True)
class RefinerTraining:
    """One training: what ``model`` changes in :class:`RefinerConfig`, and a ``batch`` of crops of ``side`` pixels a
    step, with noise of one of so many ``timesteps``, the ``first`` of them left out where sampling never looks. ``per``
    weighs how different the expected pictures look; all in ``short`` numbers, of 16 bits, where those are quicker.
    """

    loop: LoopConfig
    batch: int
    side: int
    timesteps: int = 1000
    first: int = 0
    per: float = 0.0
    short: bool = True
    model: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/refiner_NAME.yaml``."""
        facts = yaml.safe_load((CONFIGS / f"refiner_{name}.yaml").read_text())
        return cls(**{**facts, "loop": LoopConfig(**facts["loop"])})

    @property
    def model_config(self) -> RefinerConfig:
        """The model's configuration."""
        return RefinerConfig.from_json(self.model)


class NoiseStep(nn.Module):
    """What a batch of pairs teaches the ``model``: Eq. 4, and beyond the paper that what is expected should look like
    the truth to a network that knows faces; another one than judges in ``evaluate``.
    """

    kept: Tensor

    def __init__(
        self, model: DiffusionRefiner, timesteps: int, first: int, per: float = 0.0, short: bool = False
    ) -> None:
        super().__init__()
        self.model, self.first, self.per, self.short = model, first, per, short
        self.perceptual = _seen_by(load_model(SEEN_BY)) if per else None
        self.schedule = DDPMScheduler(timesteps, beta_schedule=SCHEDULE)
        self.register_buffer("kept", self.schedule.alphas_cumprod, persistent=False)

    def forward(self, pairs: Pairs) -> Losses:
        """The mean squared error where there is a head, as a share of what nobody could tell without the picture, which
        weighs Eq. 4's by noise level, and how different it looks. ``missing`` is the error of the differences, in sRGB,
        and ``missing_before`` how large they are.
        """
        gain, head = self.model.config.gain, (pairs.alpha > SURE).float()
        clean = detail((pairs.true - pairs.coarse) * head) * head * gain
        noise = torch.randn_like(clean)
        times = torch.randint(self.first, len(self.kept), (len(clean),), device=clean.device)
        kept = self.kept[times]
        noisy = self.schedule.add_noise(clean, noise, times)
        with torch.autocast(clean.device.type, torch.bfloat16, enabled=self.short):
            found = self.model(noisy, pairs.coarse, pairs.alpha, kept)
        wrong, lacking = (_mean(values.square(), head) for values in (found - clean, clean))
        noise_loss = (wrong / self.model.doubt(kept).square()).mean()
        seen = self._seen(pairs.coarse + found * head / gain, pairs.coarse + clean / gain)
        return {
            "total": noise_loss + self.per * seen,
            "noise": noise_loss,
            "per": seen,
            "missing": wrong.mean().sqrt() / gain,
            "missing_before": lacking.mean().sqrt() / gain,
        }

    def _seen(self, expected: Tensor, true: Tensor) -> Tensor:
        if self.perceptual is None:
            return expected.new_zeros(())
        with torch.autocast(expected.device.type, torch.bfloat16, enabled=self.short):
            seen: Tensor = self.perceptual(expected, true)
        return seen


def detail(pictures: Tensor) -> Tensor:
    """What is finer than ``BROAD`` in ``pictures`` (batch, C, H, W)."""
    reach = round(3 * BROAD)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=pictures.device) / BROAD) ** 2)
    weights = weights / weights.sum()
    broad = functional.pad(pictures, (reach,) * 4, mode="replicate").flatten(0, 1)[:, None]
    broad = functional.conv2d(functional.conv2d(broad, weights[None, None, None]), weights[None, None, :, None])
    return pictures - broad.view(*pictures.shape)


def _seen_by(encoder: AttributeNetwork) -> Perceptual:
    """What the first parts of an attribute encoder see."""
    parts: list[nn.Module] = [encoder.stem, *list(encoder.stages)[:PARTS]]
    return Perceptual(parts, encoder.name, (0.5,) * 3, (0.5,) * 3)


def _mean(values: Tensor, head: Tensor) -> Tensor:
    """The means (batch,) of ``values`` (batch, 3, S, S) over ``head`` (batch, 1, S, S)."""
    return (values * head).mean(1).sum((1, 2)) / head.sum((1, 2, 3)).clamp_min(1)


def export(model: DiffusionRefiner, facts: Mapping[str, Any], out: Path) -> None:
    """Writes the bundle."""
    write_bundle(
        out,
        architecture="refiner",
        configuration=model.config.to_json(),
        training={**facts, "date": time.strftime("%Y-%m-%d")},
        tensors=dict(model.state_dict()),
    )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/refiner_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoint and the logs")],
    pairs: Annotated[list[Path], typer.Option(help="a folder of drawn pairs; may be repeated")],
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/refiner-studio"),
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle")] = None,
    minutes: Annotated[float | None, typer.Option(help="end the training after so many minutes")] = None,
) -> None:
    """Train a refiner."""
    try:
        config = RefinerTraining.read(name)
        if minutes is not None:
            config = replace(config, loop=replace(config.loop, minutes=minutes))
        drawn = DrawnPairs.of(pairs, config.loop.seed)
    except UserError as error:
        raise SystemExit(str(error)) from None
    torch.manual_seed(config.loop.seed)
    step = NoiseStep(DiffusionRefiner(config.model_config), config.timesteps, config.first, config.per, config.short)
    if start is not None:
        step.model.load_state_dict({key: value.float() for key, value in read_bundle(start).tensors.items()})
    loop = Loop(config.loop, work, step, lambda network, batch, number: network(batch))
    loop.run(drawn.batches(config.batch, config.side))
    best = loop.best
    assert isinstance(best, NoiseStep)
    facts = {"data": f"{len(drawn)} pairs", "steps": loop.step, "minutes": round(loop.seconds / 60, 1)}
    export(best.model, {**facts, SERVES: drawn.models, "configuration": name, "loop": asdict(config.loop)}, out)


if __name__ == "__main__":
    typer.run(main)
