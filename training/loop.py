"""The one training loop: Lightning Fabric, resumable, with TensorBoard, on one or several CPUs or GPUs."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

Losses = Mapping[str, torch.Tensor]
"""Named terms of a loss; the one called ``total`` is minimised."""


@dataclass(frozen=True)
class LoopConfig:
    """``steps`` of AdamW from ``learning_rate``, warmed up for ``warm_up`` steps and then lowered along a cosine.

    ``precision`` and ``devices`` are Fabric's; ``average`` is the decay of the running average of the weights, 0 for
    none. ``minutes`` ends the run early, with the schedule following the time; 0 for no limit.
    """

    steps: int
    learning_rate: float
    warm_up: int = 50
    weight_decay: float = 0.0
    clip: float = 1.0
    average: float = 0.0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    seed: int = 0
    minutes: float = 0.0
    checkpoint_seconds: float = 90.0
    log_every: int = 20
    picture_every: int = 250


def make_fabric(config: LoopConfig) -> Fabric:
    """A launched Fabric with its seed set."""
    fabric = Fabric(accelerator=config.accelerator, devices=config.devices, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    fabric.seed_everything(config.seed + fabric.global_rank)
    return fabric


def rate(progress: float, step: int, warm_up: int) -> float:
    """Share of the learning rate at ``progress`` 0..1 of the run."""
    return min(1.0, (step + 1) / max(warm_up, 1)) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


class Loop:
    """Trains ``network`` on batches until the configured end; ``folder`` holds checkpoint and TensorBoard logs.

    ``loss_of(network, batch, step)`` gives named losses. ``groups`` gives parameter groups (each may scale the rate
    by its own ``lr``); default: all parameters. ``pictures(network)`` gives a grid (3, H, W) for TensorBoard.
    """

    def __init__(
        self,
        config: LoopConfig,
        folder: Path,
        network: nn.Module,
        loss_of: Callable[[nn.Module, Any, int], Losses],
        groups: list[dict[str, Any]] | None = None,
        pictures: Callable[[nn.Module], torch.Tensor] | None = None,
        fabric: Fabric | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self.fabric = fabric or make_fabric(config)
        chosen = groups or [{"params": list(network.parameters()), "lr": config.learning_rate}]
        optimiser = torch.optim.AdamW(chosen, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self.rates = [group["lr"] for group in optimiser.param_groups]
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.averaged = self._averaging(network) if config.average else None
        self.loss_of, self.pictures = loss_of, pictures
        self.step, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def _averaging(self, network: nn.Module) -> torch.optim.swa_utils.AveragedModel:
        """A running average of the weights."""
        average: Callable[..., Any] = torch.optim.swa_utils.get_ema_multi_avg_fn  # it has no annotations
        return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=average(self.config.average))

    @property
    def checkpoint(self) -> Path:
        """The file a stopped run is resumed from."""
        return self.folder / "last.ckpt"

    @property
    def best(self) -> nn.Module:
        """The network to ship: the running average where there is one."""
        return self.averaged.module if self.averaged else self.network.module

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "network": self.network,
            "optimiser": self.optimiser,
            "step": self.step,
            "seconds": self.seconds,
        }
        return state | ({"averaged": self.averaged} if self.averaged else {})

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = self._state()
        self.fabric.load(self.checkpoint, state, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.fabric.print(f"resumed at step {self.step}")

    def save(self) -> None:
        """Writes the checkpoint beside the old one and swaps them."""
        beside = self.checkpoint.with_suffix(".new")
        self.fabric.save(beside, self._state())
        if self.fabric.is_global_zero:
            beside.replace(self.checkpoint)

    @property
    def progress(self) -> float:
        """How much of the training is done, 0 to 1 and beyond."""
        share = self.step / self.config.steps
        return max(share, self.seconds / (60 * self.config.minutes)) if self.config.minutes else share

    def run(self, batches: Iterable[Any]) -> None:
        """Trains on ``batches`` (an endless iterable) until the steps or the minutes are used up."""
        writer = SummaryWriter(self.folder) if self.fabric.is_global_zero else None
        bar = tqdm(total=self.config.steps, initial=self.step, disable=not self.fabric.is_global_zero, mininterval=5)
        before = saved = time.monotonic()
        for batch in batches:
            if self.progress >= 1:
                break
            losses = self._train_on(self.fabric.to_device(batch))
            now = time.monotonic()
            self.seconds, before = self.seconds + now - before, now
            self.step += 1
            bar.update()
            if writer and self.step % self.config.log_every == 0:
                for name, value in losses.items():
                    writer.add_scalar(name, value.item(), self.step)
                bar.set_postfix(total=f"{losses['total'].item():.4f}")
            if writer and self.pictures and self.step % self.config.picture_every == 0:
                writer.add_image("samples", self.pictures(self.best).clamp(0, 1), self.step)
            if now - saved > self.config.checkpoint_seconds:
                self.save()
                saved = now
        self.save()
        bar.close()
        if writer:
            writer.close()

    def _train_on(self, batch: Any) -> Losses:
        for group, base in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = base * rate(self.progress, self.step, self.config.warm_up)
        losses = self.loss_of(self.network, batch, self.step)
        self.fabric.backward(losses["total"])
        self.fabric.clip_gradients(self.network, self.optimiser, max_norm=self.config.clip, error_if_nonfinite=False)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.averaged:
            self.averaged.update_parameters(self.network.module)
        return losses
