"""Trains the portrait network on studio shots.

``python -m training.train_portrait --config small --shots FOLDER --out FOLDER`` trains, or goes on where the last
checkpoint stands, and writes the bundle. ``python -m training.portrait_shots`` takes the shots.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.models.bundle import read_bundle, write_bundle
from faceeditor.models.portrait import (
    MIRROR_ROTATION,
    PortraitConfig,
    PortraitNetwork,
    PortraitOutput,
)
from training.augment import MIRROR, Augment, AugmentConfig, Sample, points_distance
from training.backgrounds import backgrounds
from training.loop import Loop, LoopConfig
from training.portrait_shots import Shots, side_for

NAME: Final = "portrait-studio"
"""The bundle that ships."""

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class TrainConfig:
    """One training run: the network, how its pictures are made, and the loop."""

    loop: LoopConfig
    network: PortraitConfig = field(default_factory=PortraitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch: int = 24
    backgrounds: int = 1200

    @classmethod
    def read(cls, name: str, **loop: Any) -> "TrainConfig":
        """The configuration of ``training/configs/portrait_NAME.yaml``; ``loop`` changes some fields of its loop."""
        facts = yaml.safe_load((CONFIGS / f"portrait_{name}.yaml").read_text())
        parts = {key: _tuples(facts.pop(key, {})) for key in ("loop", "network", "augment")}
        changes = {key: value for key, value in loop.items() if value is not None}
        return cls(
            loop=LoopConfig(**(parts["loop"] | changes)),
            network=PortraitConfig(**parts["network"]),
            augment=AugmentConfig(**parts["augment"]),
            **facts,
        )


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}


class Truth(NamedTuple):
    """What a batch's answers are compared with: the augmented sample, its rotation (B, 3, 3) and hair style (B,)."""

    sample: Sample
    rotation: Tensor
    style: Tensor


class Batches:
    """Draws augmented batches from shots, half of them mirrored."""

    def __init__(self, shots: Shots, augment: Augment) -> None:
        self.shots, self.augment = shots, augment

    def take(self, chosen: Tensor) -> Truth:
        """The batch made of the shots with the numbers ``chosen`` (B,)."""
        shots = self.shots
        pictures = torch.from_numpy(shots.pictures[chosen.numpy()]).permute(0, 3, 1, 2)
        whole = (pictures, shots.landmarks[chosen], shots.upright[chosen], shots.rotation[chosen])
        flip = torch.rand(len(chosen)) < 0.5
        pictures, landmarks, upright, rotation = (
            torch.where(flip.reshape(-1, *[1] * (this.dim() - 1)), other, this)
            for this, other in zip(whole, _mirrored(*whole), strict=True)
        )
        sample = self.augment(pictures, landmarks, upright)
        turned = torch.eye(3).repeat(len(chosen), 1, 1)
        turned[:, :2, :2] = sample.turn
        return Truth(sample, turned @ rotation, shots.style[chosen])

    def forever(self, batch: int) -> Iterator[Truth]:
        """Batches without end; every shot once before any comes again."""
        order = torch.randperm(len(self.shots))
        while True:
            if len(order) < batch:
                order = torch.cat([order, torch.randperm(len(self.shots))])
            chosen, order = order[:batch], order[batch:]
            yield self.take(chosen)


def _mirrored(
    pictures: Tensor, landmarks: Tensor, upright: Tensor, rotation: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The mirror image of shots and of what is known about them."""
    across = torch.tensor([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    other = landmarks[:, MIRROR] * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0])
    return pictures.flip(-1), other, across @ upright @ across, rotation * MIRROR_ROTATION


# Losses ---------------------------------------------------------------------------------------------------------------


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen pictures (B,) of ``values`` (B, ...)."""
    weight = chosen.float().reshape(-1, *[1] * (values.dim() - 1))
    return (values * weight).sum() / (weight.expand_as(values).sum() + 1e-6)


def heat_loss(heat: Tensor, landmarks: Tensor) -> Tensor:
    """Cross entropy (B, 68) of the maps to a Gaussian of 1.2 cells around each landmark; 0 for points outside."""
    rows, columns = heat.shape[-2:]
    logs = heat.flatten(2).log_softmax(-1).view_as(heat)
    bells = []
    for axis, count in ((0, columns), (1, rows)):
        away = torch.arange(count, device=heat.device) + 0.5 - landmarks[..., axis, None] * count
        bells.append(torch.exp(-0.5 * (away / 1.2).square()))
    across, down = (bell / bell.sum(-1, keepdim=True).clamp_min(1e-4) for bell in bells)
    inside = ((landmarks > 0) & (landmarks < 1)).all(-1)
    return -torch.einsum("bnyx,bny,bnx->bn", logs, down, across) * inside


OPENINGS: Final = (
    (37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65), (50, 61), (51, 62), (52, 63), (58, 67),
    (57, 66), (56, 65), (48, 54),
)  # fmt: skip
"""Pairs of landmarks whose distance says how far lids and lips are open, how thick the lips and how wide the mouth."""


def _openings(landmarks: Tensor) -> Tensor:
    """(B, N, 2) from one to the other of each of ``OPENINGS``."""
    first, second = zip(*OPENINGS, strict=True)
    return landmarks[:, second] - landmarks[:, first]


def losses(output: PortraitOutput, truth: Truth) -> dict[str, Tensor]:
    """Every term, weighted; their sum is minimised."""
    sample = truth.sample
    present = sample.present
    away = (output.landmarks - sample.landmarks).norm(dim=-1)
    spread = output.spread
    extent = points_distance(sample.landmarks)[:, None]
    open_by = _openings(output.landmarks) - _openings(sample.landmarks)
    return {
        "landmarks": 20 * _mean_of(away / extent, present),
        "openings": 12 * _mean_of(open_by.norm(dim=-1) / extent, present),
        "heat": 0.3 * _mean_of(heat_loss(output.heat, sample.landmarks), present),
        "spread": 0.1 * _mean_of(away.detach() / spread + spread.log(), present),
        "mask": 4 * functional.binary_cross_entropy_with_logits(output.mask, sample.mask),
        "style": 0.2 * _mean_of(functional.cross_entropy(output.style, truth.style, reduction="none"), present),
        "rotation": 1.5 * _mean_of((output.rotation - truth.rotation).square().sum((1, 2)).add(1e-5).sqrt(), present),
        "presence": 0.5 * functional.binary_cross_entropy_with_logits(output.presence, present.float()),
    }


# The run --------------------------------------------------------------------------------------------------------------


def new_network(config: PortraitConfig, shots: Shots) -> PortraitNetwork:
    """An untrained network that knows the mean head."""
    network = PortraitNetwork(config)
    network.mean_landmarks.copy_(shots.mean_landmarks)
    return network


def train(config: TrainConfig, shots_folder: Path, out: Path, start: Path | None = None) -> None:
    """Trains from the last checkpoint in ``out``, else from the bundle ``start``, else anew; writes the bundle
    ``out/portrait-studio``. A bundle trained on smaller pictures is a good start.
    """
    shots = Shots.load(shots_folder, side_for(config.network.size))
    network = new_network(config.network, shots)
    if start:
        take_over(network, read_bundle(start).tensors)
    loop = make_loop(config, network, out)
    torch.manual_seed(config.loop.seed + 1000 * loop.fabric.global_rank + loop.step)
    augment = Augment(config.network.size, backgrounds(config.backgrounds, config.loop.seed), config.augment)
    loop.run(Batches(shots, augment).forever(config.batch))
    if loop.fabric.is_global_zero:
        export(loop, config, len(shots), out / NAME)


def take_over(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copies what has the same name and shape."""
    own = network.state_dict()
    network.load_state_dict(
        {key: tensors[key] if key in tensors and tensors[key].shape == own[key].shape else own[key] for key in own}
    )


def make_loop(config: TrainConfig, network: PortraitNetwork, out: Path) -> Loop:
    """The loop over ``network``, resumed from ``out`` if something is there."""

    def loss_of(model: nn.Module, truth: Truth, step: int) -> dict[str, Tensor]:
        pictures = truth.sample.pictures.contiguous(memory_format=torch.channels_last)
        terms = losses(model(pictures), truth)
        total = torch.stack(list(terms.values())).sum()
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}

    return Loop(config.loop, out, network.channels_last(), loss_of, groups(network, config.loop))


def groups(network: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Matrices decay, biases and normalisation do not."""
    matrices = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    rate = config.learning_rate
    return [
        {"params": matrices, "lr": rate, "weight_decay": config.weight_decay},
        {"params": others, "lr": rate, "weight_decay": 0.0},
    ]


def export(loop: Loop, config: TrainConfig, count: int, folder: Path) -> None:
    """Writes the loop's best network as a bundle."""
    network = loop.best
    assert isinstance(network, PortraitNetwork)
    write_bundle(
        folder,
        architecture="portrait",
        configuration=network.configuration(),
        training={
            "data": f"{count} studio shots over random backgrounds",
            "steps": loop.step,
            "batch": config.batch,
            "minutes": round(loop.seconds / 60, 1),
            "precision": config.loop.precision,
            "date": time.strftime("%Y-%m-%d"),
        },
        tensors=network.state_dict(),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="small", help="a file training/configs/portrait_NAME.yaml")
    parser.add_argument("--shots", type=Path, required=True, help="folder of the captured shots")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, logs and the bundle")
    parser.add_argument("--steps", type=int, help="other than the configuration's")
    parser.add_argument("--minutes", type=float, help="other than the configuration's")
    parser.add_argument("--learning-rate", type=float, help="other than the configuration's")
    parser.add_argument("--start", type=Path, help="a bundle to start from")
    parser.add_argument("--export", action="store_true", help="only write the bundle of the last checkpoint")
    given = parser.parse_args()
    config = TrainConfig.read(given.config, steps=given.steps, minutes=given.minutes, learning_rate=given.learning_rate)
    if given.export:
        shots = Shots.load(given.shots)
        export(make_loop(config, new_network(config.network, shots), given.out), config, len(shots), given.out / NAME)
    else:
        train(config, given.shots, given.out, given.start)


if __name__ == "__main__":
    main()
