"""The codes that the tri-plane head is trained with: the studio's own, or learned ones (an auto-decoder)."""

import torch
from torch import Tensor, nn

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.triplane import TriplaneConfig

NUMBER = 1
"""Components of what is no code but a person's number."""


class HeadCodes(nn.Module):
    """A code for every head and one for every expression of every head; ``learned`` ones start as N(0, 1) and have
    sparse gradients, for only those of a step's heads are touched. Raises ``UserError`` for people who have no code.
    """

    def __init__(self, heads: dict[str, Tensor], config: TriplaneConfig, learned: bool) -> None:
        super().__init__()
        count, expressions = heads[EXPRESSION].shape[:2]
        self.learned, self.expressions, self.numbered = learned, expressions, heads[IDENTITY].shape[-1] == NUMBER
        self.tables = nn.ModuleDict(
            {
                IDENTITY: nn.Embedding(count, config.identity_dims, sparse=True),
                EXPRESSION: nn.Embedding(count * expressions, config.expression_dims, sparse=True),
            }
        )
        if not learned:
            if self.numbered:
                raise UserError("These heads are scans of people and have no studio codes; train them as paper says.")
            with torch.no_grad():
                for name in self.tables:
                    table, known = self.table(name), heads[name].flatten(0, -2)
                    table.zero_()[:, : known.shape[1]] = known[:, : table.shape[1]]
            self.requires_grad_(False)

    def identity(self, heads: Tensor) -> Tensor:
        """Codes (B, dims) of ``heads`` (B,)."""
        found: Tensor = self.tables[IDENTITY](heads)
        return found

    def expression(self, heads: Tensor, numbers: Tensor) -> Tensor:
        """Codes (B, dims) of the expressions with ``numbers`` (B,) of ``heads`` (B,)."""
        found: Tensor = self.tables[EXPRESSION](heads * self.expressions + numbers)
        return found

    def table(self, name: str) -> Tensor:
        """All codes (count, dims) of the space ``name``."""
        found = self.tables[name]
        assert isinstance(found, nn.Embedding)
        return found.weight
