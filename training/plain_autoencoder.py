"""A plain auto-encoder of the attribute encoder's size, whose codes mean nothing: what disentanglement is compared to.

``python -m training.plain_autoencoder --work FOLDER --pictures CAPTURED`` trains it; its last checkpoint's weights are
written to ``FOLDER/autoencoder.safetensors``.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Final

import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.layout import EXPRESSION, IDENTITY, LIGHT, SKIN
from faceeditor.models.attributes import AttributeConfig
from faceeditor.models.attributes_codes import HEADS, ROT, SPACES, TRAN
from faceeditor.models.bundle import load_model
from faceeditor.models.pyramid import convolution, stages
from training.attribute_scores import POSE
from training.attributes_shots import AttributeShots
from training.augment import Augment, AugmentConfig
from training.backgrounds import backgrounds
from training.loop import Loop, LoopConfig, Losses
from training.portrait_shots import side_for

FILE: Final = "autoencoder.safetensors"
ENDS: Final = (0, *accumulate(HEADS.values()))
PARTS: Final = {name: slice(*ends) for name, ends in zip(HEADS, pairwise(ENDS), strict=True)}
"""Where the codes of the encoder's heads would lie in one row of as many numbers."""
BY_ATTRIBUTE: Final = {
    **{space: (PARTS[SPACES[space]],) for space in (IDENTITY, EXPRESSION, SKIN, LIGHT)},
    POSE: (PARTS[ROT], PARTS[TRAN]),
}


class PlainAutoencoder(nn.Module):
    """Pictures (B, 3, S, S) to as many numbers as the encoder's heads give, and back."""

    def __init__(self, config: AttributeConfig) -> None:
        super().__init__()
        widths, last = config.widths, config.size // 32
        self.stem = convolution(3, widths[0], 2)
        self.stages = stages(widths, config.blocks, config.squeeze)
        self.code = nn.Linear(widths[-1] * last**2, ENDS[-1])
        self.spread = nn.Linear(ENDS[-1], widths[-1] * last**2)
        self.shape = (widths[-1], last, last)
        channels = [*reversed(widths), widths[0]]
        self.enlarging = nn.ModuleList(convolution(*ends) for ends in pairwise(channels))
        self.picture = nn.Conv2d(channels[-1], 3, 1)

    def encode(self, pictures: Tensor) -> Tensor:
        """The numbers (B, N)."""
        x = self.stem(pictures * 2 - 1)
        for stage in self.stages:
            x = stage(x)
        code: Tensor = self.code(x.flatten(1))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """The pictures, sRGB in [0, 1]."""
        x = self.spread(code).unflatten(1, self.shape)
        for layer in self.enlarging:
            x = layer(functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        picture: Tensor = self.picture(x).sigmoid()
        return picture

    def forward(self, pictures: Tensor) -> Tensor:
        """What is left of ``pictures``."""
        return self.decode(self.encode(pictures))


def load(folder: Path, config: AttributeConfig) -> PlainAutoencoder:
    """The one that was trained in ``folder``."""
    network = PlainAutoencoder(config)
    network.load_state_dict({name: value.float() for name, value in load_file(folder / FILE).items()})
    return network.eval().requires_grad_(False)


def _pictures(shots: AttributeShots, augment: Augment, batch: int) -> Iterator[Tensor]:
    while True:
        for chosen in torch.split(torch.randperm(len(shots)), batch):
            some = shots.take(chosen)
            yield augment(some.pictures, some.landmarks, some.upright).pictures


def main(
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and of the weights")],
    pictures: Annotated[Path, typer.Option(help="folder of captured pictures")],
    minutes: Annotated[float, typer.Option(help="end the training after so many minutes")] = 20,
) -> None:
    """Train it."""
    config = AttributeConfig()
    shots = AttributeShots.load(pictures, side_for(config.size), load_model("portrait-studio").landmarks_3d)
    loop_config = LoopConfig(20000, 1e-3, weight_decay=0.01, average=0.99, minutes=minutes, precision="bf16-mixed")

    def loss_of(network: nn.Module, seen: Tensor, step: int) -> Losses:
        return {"total": (network(seen).float() - seen).abs().mean()}

    loop = Loop(loop_config, work, PlainAutoencoder(config), loss_of)
    loop.run(_pictures(shots, Augment(config.size, backgrounds(400, 0), AugmentConfig()), 32))
    save_file({name: value.detach().contiguous() for name, value in loop.best.state_dict().items()}, work / FILE)


if __name__ == "__main__":
    typer.run(main)
