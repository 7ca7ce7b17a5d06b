"""Perceptual losses (Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016).

HeadNeRF's Eq. 6 and the zero-shot attributes' Eq. 5 compare activations of VGG. Where torchvision and its weights are
there already, these are VGG16's; nothing is fetched. Else they are those of our own portrait network, which has learned
what faces are made of. :attr:`Perceptual.source` says which.
"""

import importlib.util
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.models.bundle import load_model
from faceeditor.models.portrait import PortraitNetwork

VGG_FILE: Final = "vgg16-397923af.pth"
"""The file that torchvision keeps VGG16's weights in."""
VGG_ENDS: Final = (4, 9, 16, 23)
"""Behind which layers VGG16's activations are compared: relu1_2, relu2_2, relu3_3, relu4_3."""
VGG_MEAN, VGG_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Perceptual(nn.Module):
    """Differences of pictures as ``parts``, each reading what the one before gives, see them. ``mean`` and ``spread``
    are those that the first part's input has taken off.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, parts: list[nn.Module], source: str, mean: tuple[float, ...], spread: tuple[float, ...]) -> None:
        super().__init__()
        self.parts, self.source = nn.ModuleList(parts).eval().requires_grad_(False), source
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("spread", torch.tensor(spread)[:, None, None])

    @classmethod
    def best(cls, vgg_folder: Path | None = None) -> Self:
        """VGG16's activations if they can be had, the portrait network's else."""
        found = cls.of_vgg(vgg_folder or Path(torch.hub.get_dir()) / "checkpoints")
        return found or cls.of_portrait(load_model("portrait-studio"))

    @classmethod
    def of_vgg(cls, folder: Path) -> Self | None:
        """VGG16's activations, with the weights in ``folder``; none where torchvision or they are missing."""
        file = folder / VGG_FILE
        if importlib.util.find_spec("torchvision") is None or not file.is_file():
            return None
        models: Any = importlib.import_module("torchvision.models")
        network = models.vgg16()
        network.load_state_dict(torch.load(file, weights_only=True))
        layers = list(network.features)
        parts: list[nn.Module] = [nn.Sequential(*layers[first:last]) for first, last in pairwise((0, *VGG_ENDS))]
        return cls(parts, "VGG16", VGG_MEAN, VGG_SPREAD)

    @classmethod
    def of_portrait(cls, network: PortraitNetwork) -> Self:
        """The activations of a portrait network's stages."""
        parts = list(chain([network.stem], network.stages))
        return cls(parts, network.name, (0.5,) * 3, (0.5,) * 3)

    def seen(self, pictures: Tensor) -> list[Tensor]:
        """The activations (batch, C, h, w) of ``pictures`` (batch, 3, S, S), sRGB in [0, 1], S a multiple of 32."""
        x, found = (pictures - self.mean) / self.spread, []
        for part in self.parts:
            x = part(x)
            found.append(x)
        return found

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The mean squared difference of activations, each as a share of the mean square of ``second``'s, (). Pictures
        are (batch, 3, S, S), sRGB in [0, 1]; ``second`` has no gradients.
        """
        with torch.no_grad():
            wanted = self.seen(second)
        terms = [
            functional.mse_loss(one, other) / other.square().mean().clamp_min(1e-6)
            for one, other in zip(self.seen(first), wanted, strict=True)
        ]
        return torch.stack(terms).mean()
