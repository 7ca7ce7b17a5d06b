"""A face of a surface model as a mesh that never changes its topology, with texture and named morphs."""

from collections.abc import Hashable
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.face import DETAIL_AMOUNT, TEXTURE
from faceeditor.faces.latents import Codes
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.mesh import Mesh
from faceeditor.models.contract import Refinement
from faceeditor.models.following import Followed, Follower
from faceeditor.models.imface import DETAIL, ImFace
from faceeditor.models.memo import fingerprint
from faceeditor.models.template import Template

TEMPLATE: Final = "template-studio"
"""The bundle with the mesh that follows."""
CLAY_SRGB: Final = (196, 170, 152)
"""The colour of a face without a texture."""


def detail_amount(refinement: Refinement | None) -> float:
    """How much of its detail a face with this ``refinement`` shows."""
    return float(np.asarray((refinement or {}).get(DETAIL_AMOUNT, 1.0)).reshape(-1)[0])


def texture_of(refinement: Refinement | None) -> NDArray[np.uint8]:
    """The face's texture, or plain clay. Raises ``UserError`` for a refinement that is no picture."""
    texture = np.asarray((refinement or {}).get(TEXTURE, np.full((8, 8, 3), CLAY_SRGB, np.uint8)))
    if texture.dtype != np.uint8 or texture.ndim != 3 or texture.shape[2] != 3 or not texture.size:
        raise UserError("The face's texture is damaged; fit the scan again.")
    return texture


DRAGGED: Final = 0.25
"""How far an expression weight may have moved since the last mesh for the next to begin there. From farther away a
vertex of one lip may end on the other."""


class FaceMesher:
    """Makes meshes of the faces of ``model``; remembers the last one, so that a dragged slider costs little."""

    def __init__(self, model: ImFace, template: Template) -> None:
        self.template = template
        self._model = model
        self._last: tuple[Hashable, Codes, Followed] | None = None

    @cached_property
    def _follower(self) -> Follower:
        return Follower(self._model.config, self.template)

    def mesh(
        self, codes: Codes, refinement: Refinement | None = None, *, morphs: bool = False, textured: bool = False
    ) -> Mesh:
        """See :meth:`faceeditor.models.contract.MeshModel.mesh`: the template's opaque parts, by render vertices."""
        template, amount = self.template, detail_amount(refinement)
        vertices = self._dragged(codes, amount)
        render = template.render_vertex
        return Mesh(
            vertices=vertices[render].cpu().numpy(),
            faces=template.faces[: template.cards_from].cpu().numpy().astype(np.int32),
            uv=template.uv.cpu().numpy(),
            normals=template.normals(vertices[None])[0, render].cpu().numpy(),
            texture_srgb=texture_of(refinement) if textured else None,
            morphs=self._morphs(codes, amount) if morphs else {},
            parts={name: ends for name, ends in template.parts.items() if ends[1] <= template.cards_from},
        )

    def _dragged(self, codes: Codes, amount: float) -> Tensor:
        """Shape vertices (V, 3): those of the last call for the same face, or found from them for the same person."""
        face = (*fingerprint(codes.values()), amount)
        if self._last is None or self._last[0] != face:
            near = self._last[2] if self._last is not None and _dragged_from(self._last[1], codes) else None
            self._last = face, codes, self._followed(codes, amount, near)
        return self._last[2].vertices

    def _morphs(self, codes: Codes, amount: float) -> dict[str, NDArray[np.float32]]:
        """Vertex offsets (R, 3) from this person's neutral face to each of the ARKit names at 1."""
        still = np.zeros_like(codes[EXPRESSION])
        neutral = self._followed({**codes, EXPRESSION: still}, amount)
        render = self.template.render_vertex
        offsets = {}
        for name, parts in ARKIT.items():
            expression = still.copy()
            expression[[EXPRESSION_COMPONENTS.index(part) for part in parts]] = 1
            face = self._followed({**codes, EXPRESSION: expression}, amount, neutral)
            offsets[name] = (face.vertices - neutral.vertices)[render].cpu().numpy()
        return offsets

    def _followed(self, codes: Codes, amount: float, last: Followed | None = None) -> Followed:
        tensors = {name: self._tensor(codes[name]) for name in (IDENTITY, EXPRESSION, DETAIL) if name in codes}
        decoded = self._follower.decoded(tensors[IDENTITY], tensors[EXPRESSION])
        with torch.no_grad():
            return self._follower.follow(self._model.field(tensors, amount), decoded, last)

    def _tensor(self, code: NDArray[np.float32]) -> Tensor:
        return torch.tensor(code, dtype=torch.float32, device=self._model.device)


def _dragged_from(before: Codes, now: Codes) -> bool:
    """Whether ``now`` is the same person whose expression moved a little."""
    moved = np.abs(before[EXPRESSION] - now[EXPRESSION]).max()
    return bool(moved <= DRAGGED) and np.array_equal(before[IDENTITY], now[IDENTITY])
