"""A real, tiny refiner that nobody has trained: what it adds is noise of a seed."""

import torch

from faceeditor.models.bundle import write_bundle
from faceeditor.models.catalogue import SERVES
from faceeditor.models.refiner import DiffusionRefiner, RefinerConfig

NAME = "a-refiner"
"""Before the shipped one by name, so that it is the one that is found."""


def tiny_refiner(*, gain: float = 4.0) -> DiffusionRefiner:
    """A network with random weights."""
    torch.manual_seed(0)
    model = DiffusionRefiner(RefinerConfig(widths=(4, 6), gain=gain, levels=(0.01, 0.4)))
    torch.nn.init.normal_(model.network.leave.weight, std=0.1)
    model.name = NAME
    return model.eval().requires_grad_(False)


def install_refiner(folder, serves=()) -> None:
    """Writes it as a bundle under ``folder``/models that serves some models, or any."""
    model = tiny_refiner()
    write_bundle(
        folder / "models" / NAME,
        architecture="refiner",
        configuration=model.config.to_json(),
        training={SERVES: list(serves)},
        tensors=model.state_dict(),
    )
