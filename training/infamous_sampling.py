"""Which pixels INFAMOUS-NeRF is trained on: half around landmarks, half where it was wrong (sections 3.4 and 10)."""

from typing import Final

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from faceeditor.faces.landmarks import JAW
from training.infamous_config import Sampling

REACH: Final = 3
"""Standard deviations after which a Gaussian ends."""


class LossMaps:
    """P_i of Eq. 9, a map of probabilities for each of ``count`` pictures, known by cells of the picture."""

    def __init__(self, count: int, sampling: Sampling) -> None:
        self.sampling = sampling
        self.maps = torch.zeros(count, sampling.cells, sampling.cells)
        self.visits = torch.zeros(count, dtype=torch.long)

    def probabilities(self, number: int) -> Tensor:
        """P_i (cells, cells) of picture ``number``, of sum 1: even where nothing is known."""
        map = self.maps[number]
        total = map.sum()
        return map / total if total > 0 else torch.full_like(map, 1 / map.numel())

    def visit(self, number: int, pixels: Tensor, losses: Tensor, size: int) -> None:
        """Eq. 8: some of the drawn ``pixels`` (N, 2), row and column of a picture of ``size``, leave Gaussians as heavy
        as their ``losses`` (N,). Every few visits all is forgotten.
        """
        self.visits[number] += 1
        if self.visits[number] % self.sampling.reset == 0:
            self.maps[number] = 0
            return
        count = max(int(self.sampling.gaussians * len(pixels)), 1)
        chosen = torch.randperm(len(pixels))[:count]
        cells = pixels[chosen] * self.sampling.cells // size
        heavy = torch.zeros_like(self.maps[number])
        heavy.index_put_((cells[:, 0], cells[:, 1]), losses[chosen].float(), accumulate=True)
        spread = gaussian_filter(heavy.numpy(), self.sampling.sigma, mode="constant", truncate=REACH)
        self.maps[number] += torch.from_numpy(spread)


def corners(sampling: Sampling, size: int, landmarks: Tensor, maps: LossMaps, number: int) -> Tensor:
    """The top left pixels (patches, 2) of what a visit draws of picture ``number`` of ``size``; ``landmarks`` (68, 2)
    are pixels, x and y.
    """
    near = round(sampling.landmarks * sampling.patches)
    inner = landmarks[JAW.stop :]
    around = inner[torch.randint(len(inner), (near,))].flip(-1) + torch.randn(near, 2) * sampling.near * size
    rest = sampling.patches - near
    if sampling.adaptive:
        cell = torch.multinomial(maps.probabilities(number).flatten(), rest, replacement=True)
        where = torch.stack([cell // sampling.cells, cell % sampling.cells], dim=-1)
        anywhere = (where + torch.rand(rest, 2)) * (size / sampling.cells)
    else:
        anywhere = torch.rand(rest, 2) * size
    middle = torch.cat([around, anywhere])
    return (middle - sampling.side / 2).round().long().clamp(0, size - sampling.side)
