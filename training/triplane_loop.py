"""The training loop with two more optimisers: one for codes that are learned, one for the discriminator."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from training.loop import Loop, LoopConfig, Losses, make_fabric, rate
from training.triplane_discriminator import discriminator_loss


@dataclass(frozen=True)
class OtherRates:
    """Learning rates of ``codes`` (SparseAdam) and of the ``discriminator`` (SGD); ``clip`` of the codes' gradients.

    The generator's first layer, where it holds a number for every place of a picture, learns ``start`` times as quickly
    as all others.
    """

    codes: float = 1e-3
    start: float = 1.0
    discriminator: float = 2e-4
    clip: float = 0.1


@dataclass(frozen=True, eq=False)
class Shown:
    """Normal maps (B, 3, S, S): the ``drawn`` ones of a step and ``real`` ones."""

    drawn: Tensor
    real: Tensor


class CodedLoop(Loop):
    """Trains ``network`` by AdamW and, where they are learned, ``codes`` by SparseAdam."""

    def __init__(
        self,
        config: LoopConfig,
        folder: Path,
        network: nn.Module,
        loss_of: Callable[[nn.Module, Any, int], Losses],
        codes: nn.Module,
        rates: OtherRates,
        groups: list[dict[str, Any]] | None = None,
        fabric: Fabric | None = None,
    ) -> None:
        fabric = fabric or make_fabric(config)
        self.other_rates = rates
        self.codes: nn.Module = fabric.to_device(codes)
        learned = [table for table in codes.parameters() if table.requires_grad]
        coder: Any = fabric.setup_optimizers(torch.optim.SparseAdam(learned, lr=rates.codes)) if learned else None
        self._coder: torch.optim.Optimizer | None = coder
        super().__init__(config, folder, network, loss_of, groups, fabric=fabric)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"codes": self.codes} | ({"coder": self._coder} if self._coder else {})

    def _train_on(self, batch: Any) -> Losses:
        losses = super()._train_on(batch)
        if self._coder:
            self._learn_codes(self._coder)
        return losses

    @property
    def _share(self) -> float:
        """Of the learning rates, in this step."""
        return rate(self.progress, self.step, self.config.warm_up)

    def _learn_codes(self, coder: torch.optim.Optimizer) -> None:
        for group in coder.param_groups:
            group["lr"] = self._share * self.other_rates.codes
            for table in group["params"]:
                if table.grad is not None:
                    slope = table.grad.coalesce()
                    table.grad = slope * min(1.0, self.other_rates.clip / max(float(slope.values().norm()), 1e-12))
        coder.step()
        coder.zero_grad()


class AdversarialLoop(CodedLoop):
    """The same with the ``discriminator``, trained by SGD.

    ``loss_of`` gives named losses and, where maps were drawn, puts them in :attr:`shown`; the discriminator learns from
    them with the ``weight`` of L_d.
    """

    def __init__(
        self,
        config: LoopConfig,
        folder: Path,
        network: nn.Module,
        loss_of: Callable[[nn.Module, Any, int], Losses],
        codes: nn.Module,
        discriminator: nn.Module,
        rates: OtherRates,
        weight: float,
        groups: list[dict[str, Any]] | None = None,
    ) -> None:
        fabric = make_fabric(config)
        self.weight = weight
        self.shown: Shown | None = None
        scorer = torch.optim.SGD(discriminator.parameters(), lr=rates.discriminator)
        self.discriminator, self._scorer = fabric.setup(discriminator, scorer)
        super().__init__(config, folder, network, loss_of, codes, rates, groups, fabric=fabric)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"discriminator": self.discriminator, "scorer": self._scorer}

    def _train_on(self, batch: Any) -> Losses:
        losses = super()._train_on(batch)
        self._scorer.zero_grad()
        shown, self.shown = self.shown, None
        return {**losses, **self._learn_to_tell(shown, self._share)} if shown and self.weight else losses

    def _learn_to_tell(self, shown: Shown, share: float) -> Losses:
        for group in self._scorer.param_groups:
            group["lr"] = share * self.other_rates.discriminator
        found = discriminator_loss(self.discriminator, shown.real, shown.drawn)
        self.fabric.backward(self.weight * found["total"])
        self._scorer.step()
        return {"d": found["d"], "r1": found["r1"]}
