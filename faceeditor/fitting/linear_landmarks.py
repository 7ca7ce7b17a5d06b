"""A model's landmarks as the linear function of identity and expression that they are."""

from dataclasses import dataclass
from typing import Final, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.contract import FittableModel
from faceeditor.models.template import CONTOUR_YAW

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearLandmarks:
    """``mean`` (68, 3) in head space metres, and how both codes move it, ``modes`` (68, 3, codes): first the components
    of the identity, of which there are so many as ``people`` says, then those of the expression.
    """

    mean: Array
    modes: Array
    people: int

    @classmethod
    def of(cls, model: FittableModel, yaw: float) -> Self:
        """Those of ``model`` with the jaw line as seen from ``yaw``; made once for each side that is seen."""
        side = 0.0 if abs(yaw) <= CONTOUR_YAW else float(np.copysign(2 * CONTOUR_YAW, yaw))
        known = _KNOWN.setdefault(model, {})
        if side not in known:
            known[side] = cls._made(model, side)
        found = known[side]
        assert isinstance(found, cls)
        return found

    @classmethod
    def _made(cls, model: FittableModel, yaw: float) -> Self:
        given = tuple(torch.zeros(model.spaces[name].dims) for name in (IDENTITY, EXPRESSION))

        def landmarks(identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
            return model.landmarks({IDENTITY: identity, EXPRESSION: expression}, yaw)

        with torch.inference_mode(False), torch.enable_grad():
            modes = torch.cat(torch.func.jacfwd(landmarks, argnums=(0, 1))(*given), dim=-1)
            return cls(landmarks(*given).double().numpy(), modes.double().numpy(), len(given[0]))

    def at(self, codes: Array) -> Array:
        """The landmarks (68, 3) of both ``codes``, one behind the other."""
        return np.asarray(self.mean + self.modes @ codes)

    @property
    def identity(self) -> Array:
        """How the identity's components move landmarks, (68, 3, dims)."""
        return self.modes[..., : self.people]

    @property
    def expression(self) -> Array:
        """How the expression's do, (68, 3, dims)."""
        return self.modes[..., self.people :]


_KNOWN: Final[WeakKeyDictionary[FittableModel, dict[float, LinearLandmarks]]] = WeakKeyDictionary()
