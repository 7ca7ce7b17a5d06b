"""The codes that ImFace++'s scans are trained with, and the latent spaces of learned ones."""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.latents import Direction, Space, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.imface import DETAIL, ImFaceConfig
from training.directions import dual
from training.facescape import EXPRESSIONS, NEUTRAL
from training.guided_spaces import EXAMPLES, Floats, covariance_factor
from training.imface_losses import LossWeights

PRIOR_SPREAD: Final = 0.01
"""Standard deviation of learned codes at the start."""
LABELS: Final = {IDENTITY: "Identity", EXPRESSION: "Expression", DETAIL: "Detail"}


def only_numbers(scans: dict[str, Tensor]) -> bool:
    """Whether nothing is known of the scans' faces but who and which expression they are."""
    return scans[EXPRESSION].shape[1] == 1


class ScanCodes(nn.Module):
    """The codes of all scans: the studio's own, or learned from small ones (section 3.4: one for every scan, but one
    identity for all scans of a person).
    """

    def __init__(self, scans: dict[str, Tensor], config: ImFaceConfig, learned: bool) -> None:
        super().__init__()
        if only_numbers(scans) and not learned:
            raise UserError(
                "The faces of these scans have no studio codes; train with a configuration that learns them."
            )
        self.dims = {IDENTITY: config.identity_dims, EXPRESSION: config.expression_dims, DETAIL: config.detail_dims}
        self.person: Tensor
        self.register_buffer("person", torch.unique(scans[IDENTITY], dim=0, return_inverse=True)[1], persistent=False)
        count = {**dict.fromkeys(self.dims, len(self.person)), IDENTITY: int(self.person.max()) + 1}
        self.learned = nn.ParameterDict(
            {name: PRIOR_SPREAD * torch.randn(count[name], dims) for name, dims in self.dims.items()} if learned else {}
        )

    def of(self, scans: dict[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
        """The codes (B, dims) of the ``chosen`` (B,) scans."""
        if self.learned:
            rows = {name: self.person[chosen] if name == IDENTITY else chosen for name in self.dims}
            return {name: self.learned[name][rows[name]] for name in self.dims}
        return {
            name: functional.pad(code := scans[name][chosen], (0, dims - code.shape[1]))
            for name, dims in self.dims.items()
        }

    def prior(self, codes: dict[str, Tensor], weights: LossWeights) -> Tensor:
        """Eq. 15; nothing where codes are not learned. Its sums over components are means, like the other losses' sums
        over points and as in the authors' released losses: the weights of section 4.2 are meant so.
        """
        if not self.learned:
            return torch.zeros(())
        shapes = codes[IDENTITY].square().mean() + codes[EXPRESSION].square().mean()
        return weights.embedding * shapes + weights.detail_embedding * codes[DETAIL].square().mean()


def learned_spaces(codes: ScanCodes, scans: dict[str, Tensor]) -> dict[str, Space]:
    """The spaces of learned codes; sliders of expressions where the scans' expressions have names."""
    tables = {name: table.detach().cpu().numpy() for name, table in codes.learned.items()}
    spaces = {name: _space(name, table, table.mean(0), ()) for name, table in tables.items()}
    if only_numbers(scans):
        numbers = scans[EXPRESSION][:, 0].cpu().numpy()
        means = {number: tables[EXPRESSION][numbers == number].mean(0) for number in np.unique(numbers).astype(int)}
        rest = means.pop(NEUTRAL)
        named = {EXPRESSIONS[number - NEUTRAL]: (mean - rest, 0.0, 1.0) for number, mean in means.items()}
        sliders = dual(EXPRESSION, {_joined(name): facts for name, facts in named.items()}, "Face") if named else ()
        spaces[EXPRESSION] = _space(EXPRESSION, tables[EXPRESSION], rest, sliders)
    return spaces


def _joined(name: str) -> str:
    """``jaw_left`` -> ``jawLeft``."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def _space(name: str, codes: Floats, mean: Floats, sliders: tuple[Direction, ...]) -> Space:
    return Space(
        name=name,
        label=LABELS[name],
        mean=as_code(mean),
        scale=as_code(codes.std(0)),
        low=as_code(codes.min(0)),
        high=as_code(codes.max(0)),
        factor=covariance_factor(codes),
        examples=codes[:EXAMPLES],
        gaussian=name != EXPRESSION,
        directions=sliders,
    )
