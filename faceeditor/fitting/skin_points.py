"""Points of the skin of a face and of its eyes, and how codes move them."""

from dataclasses import dataclass
from typing import Final, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces import landmarks as points
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.fitting.easel import neutral_codes
from faceeditor.fitting.expressions import USED
from faceeditor.fitting.refine import area_normals
from faceeditor.models.contract import FittableModel
from faceeditor.models.layers import tensors

Array = NDArray[np.float64]

PARTS: Final = (("skin", 0.25), ("eyeLeft", 0.7), ("eyeRight", 0.7))
"""Parts of the head, and the least share of their normals to the front that their points have."""
ROOM: Final = 0.03
"""Metres above the brows up to which points lie."""
CHIN_ROOM: Final = 0.005
"""Metres below the lowest landmark down to which they lie."""


@dataclass(frozen=True, eq=False)
class SkinPoints:
    """N points: ``mean`` and unit ``normals`` (N, 3), metres and head space, and how ``identity`` (N, 3, 100) and the
    weights of an ``expression`` (N, 3, 53) move them.
    """

    mean: Array
    normals: Array
    identity: Array
    expression: Array

    @classmethod
    def of(cls, model: FittableModel) -> Self:
        """Those between chin and brows of the faces of ``model`` that look forward; made once."""
        found = _KNOWN.get(model) or _KNOWN.setdefault(model, cls._made(model))
        assert isinstance(found, cls)
        return found

    @classmethod
    def _made(cls, model: FittableModel) -> Self:
        codes = tensors(neutral_codes(model))
        with torch.inference_mode():
            surface, marks = model.surface(codes), model.landmarks(codes).double().numpy()
            vertices, first = np.unique(surface.shape.numpy(), return_index=True)
            faces = np.searchsorted(vertices, surface.shape.numpy())[surface.faces.numpy()]
            mean = surface.head.double().numpy()[first]
            normals = area_normals(mean, faces)
            normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
            of_part = {part: faces[slice(*surface.parts[part])] for part, _ in PARTS}
            chosen = np.concatenate([_forward(of_part[part], mean, normals, marks, least) for part, least in PARTS])
            identity, expression = (
                _moves(model, codes, surface.head, space, first[chosen]) for space in (IDENTITY, EXPRESSION)
            )
        return cls(mean[chosen], normals[chosen], identity, expression[..., :USED].copy())

    def at(self, identity: NDArray[np.floating], expression: NDArray[np.floating]) -> Array:
        """Where (N, 3) they are in a face with codes ``identity`` (100,) and ``expression`` (53 or more,)."""
        return np.asarray(self.mean + self.identity @ identity + self.expression @ expression[:USED], np.float64)


_KNOWN: Final[WeakKeyDictionary[FittableModel, SkinPoints]] = WeakKeyDictionary()


def _moves(
    model: FittableModel, codes: dict[str, torch.Tensor], still: torch.Tensor, space: str, chosen: NDArray[np.int64]
) -> Array:
    """How the components of a space move ``chosen`` vertices (N,), (N, 3, dims): points are linear in them."""
    moved = [model.surface({**codes, space: unit}).head - still for unit in torch.eye(len(codes[space]))]
    return torch.stack([move[chosen] for move in moved], dim=-1).double().numpy()


def _forward(faces: NDArray[np.int64], mean: Array, normals: Array, marks: Array, least: float) -> NDArray[np.int64]:
    known = np.unique(faces)
    brows = marks[points.RIGHT_BROW.start : points.LEFT_BROW.stop]
    places = mean[known]
    inside = (places[:, 1] > marks[:, 1].min() - CHIN_ROOM) & (places[:, 1] < brows[:, 1].max() + ROOM)
    inside &= (np.abs(places[:, 0]) < np.abs(marks[:, 0]).max()) & (places[:, 2] > marks[0, 2])
    return np.asarray(known[inside & (normals[known, 2] > least)], np.int64)
