"""The codes of a HeadNeRF's training pictures (section 3.3): known beforehand, and learned from there if asked for."""

from typing import Final

import torch
from torch import Tensor, nn

from faceeditor.faces.layout import EXPRESSION, IDENTITY
from training.datasets import CapturedPictures, PicturedBatch

HELD: Final = {EXPRESSION: 0.1}
"""w_exp of Eq. 7 (section 4.1)."""
HELD_LOOSELY: Final = 0.001
"""All the other weights."""


class HeadCodes(nn.Module):
    """What pictures are drawn with: the codes they came with and, if ``learned``, how far those have moved since.

    All pictures of a person share an identity; everything else is a picture's own.
    """

    def __init__(self, pictures: CapturedPictures, learned: bool) -> None:
        super().__init__()
        self.shots = pictures.shots_per_identity
        counts = {name: self._rows(name, len(pictures)) for name in pictures.dims} if learned else {}
        tables = {name: nn.Parameter(torch.zeros(count, pictures.dims[name])) for name, count in counts.items()}
        self.moves = nn.ParameterDict(tables)

    def _rows(self, name: str, pictures: int) -> int:
        return -(-pictures // self.shots) if name == IDENTITY else pictures

    def _moved(self, name: str, batch: PicturedBatch) -> Tensor:
        numbers = torch.tensor([picture.number for picture in batch.pictures])
        rows: Tensor = self.moves[name][numbers // self.shots if name == IDENTITY else numbers]
        return rows

    def forward(self, batch: PicturedBatch) -> dict[str, Tensor]:
        """The codes (batch, dims) by space."""
        known = batch.codes
        return {name: code + self._moved(name, batch) if name in self.moves else code for name, code in known.items()}

    def strayed(self, batch: PicturedBatch) -> Tensor:
        """L_dis of Eq. 7, the mean over the batch, ()."""
        terms = [HELD.get(name, HELD_LOOSELY) * self._moved(name, batch).square().sum(-1).mean() for name in self.moves]
        return torch.stack(terms).sum() if terms else torch.zeros(())
