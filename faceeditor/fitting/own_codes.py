"""The last stage of a fit for models with codes of a face's own, such as INFAMOUS-NeRF's θ, α and β (section 3.2): they
are moved until the drawing meets the photo, with all else frozen. The moves are refinements of the face.
"""

from typing import Final

import numpy as np
import torch

from faceeditor.fitting.descent import Descent
from faceeditor.fitting.easel import Codes, Gains
from faceeditor.models.contract import OwnCodesModel
from faceeditor.models.layers import tensors

RATE: Final = 0.03
"""Adam's steps."""
USUAL: Final = 0.5
"""How far codes usually lie from where sliders say that they are: the photo must have reasons to move them farther."""


def own_codes(
    descent: Descent, model: OwnCodesModel, codes: Codes, gains: Gains, steps: int, usual: float = USUAL
) -> Gains:
    """``gains`` with moves of the face's own codes, after some steps down from where they are; ``usual`` is how far
    they usually lie.
    """
    known, fixed = tensors(codes), tensors(gains)
    start = {name: fixed.pop(name, torch.zeros(dims)) for name, dims in model.own_dims.items()}
    moves = {name: move.clone().requires_grad_() for name, move in start.items()}
    adam = torch.optim.Adam(moves.values(), lr=RATE, betas=(0.8, 0.95))
    for step in range(steps):
        descent.tick()
        adam.zero_grad()
        with torch.enable_grad():
            far = sum((move.square().sum() for move in moves.values()), torch.zeros(()))
            loss = descent.picture(known, {**fixed, **moves}) + 0.5 * far / usual**2
        torch.autograd.backward(loss)
        adam.param_groups[0]["lr"] = RATE * min(1.0, 2 * (1 - step / steps))
        adam.step()
    return {**gains, **{name: np.asarray(move.detach().numpy(), np.float16) for name, move in moves.items()}}
