"""The template mesh on the surface of a field: the same vertices, faces and texture places for every face.

Every vertex of the template's mean head has its place in the template space of an ImFace++ model. Where the face's warp
takes a point to that place, and the face's distance is zero, there the vertex belongs. Newton's method finds it, from
the linear decoder's head or the last answer: what the distance says goes along the normal, what the warp says along the
surface.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from faceeditor.models.imface import CHUNK, FaceField, ImFaceConfig
from faceeditor.models.region import Region
from faceeditor.models.template import Template

STEPS: Final = 6
"""Newton's steps from a cold start, at most."""
CLOSE: Final = 5e-4
"""After a step of less than this, in the model's unit, a vertex is there: 0.05 mm, and the error left is smaller."""
LONGEST: Final = 0.05
"""No step is longer: 5 mm."""
ASTRAY: Final = (0.01, 0.04)
"""Up to which step still to be taken, in the model's unit, an answer counts in full, and from which not at all."""
RIM: Final = (0.97, 1.03)
"""The same for the way from the ball's centre."""
RAGGED: Final = (0.002, 0.006)
"""The same for how much farther a vertex moved from the decoder's than the vertices around it: both know the face, so
that what they differ by changes slowly along the skin; where lips and lids fold, the field may not tell places apart.
"""


@dataclass(frozen=True, eq=False)
class Followed:
    """A head: shape ``vertices`` (V, 3) in head space metres and, for the next one's first guess, how far ``moves``
    (N, 3), in the model's unit, its face lies from the decoder's.
    """

    vertices: Tensor
    moves: Tensor


class Follower:
    """Puts the template on the faces of one model."""

    def __init__(self, config: ImFaceConfig, template: Template) -> None:
        self.template = template
        self.config = config
        self.region = Region.of(template, config.unit, config.origin)
        device = template.mean.device
        self._index = torch.from_numpy(self.region.vertices).to(device)
        self._origin = torch.tensor(config.origin, device=device)
        self._places = self._own(template.mean)[self._index]

    def decoded(self, identity: Tensor, expression: Tensor) -> Tensor:
        """The first guess: the linear decoder's shape vertices (V, 3) of codes (dims,)."""
        dims = len(self.template.identity_signs)
        return self.template.vertices(identity[None, :dims], expression[None])[0]

    def follow(self, field: FaceField, decoded: Tensor, last: Followed | None = None) -> Followed:
        """The template on the surface of ``field``, from the decoder's vertices ``decoded`` (V, 3), metres, of the
        same codes; ``last`` is a face that differs little from this one, as while a slider is dragged.
        """
        guess = self._own(decoded).index_select(0, self._index)
        normals = self.template.normals(decoded[None])[0].index_select(0, self._index)
        start = guess if last is None else guess + last.moves
        points, left = self._found(field, start, normals)
        sure = _falling(left, *ASTRAY) * _falling(points.norm(dim=-1), *RIM)
        moves = points - guess
        sure = sure * _falling(self._ragged(moves, sure), *RAGGED)
        smooth = decoded + self._carried(moves, sure)
        if field.detail is None or not field.amount:
            return Followed(smooth, moves)
        outward = self.template.normals(smooth[None])[0].index_select(0, self._index)
        weight = torch.from_numpy(self.region.weight).to(smooth)
        relief = -self.config.unit * weight * field.displacement(self._places)
        return Followed(smooth.index_add(0, self._index, relief[:, None] * outward), moves)

    def _ragged(self, moves: Tensor, sure: Tensor) -> Tensor:
        """How far (N,) each of ``moves`` (N, 3) is from those around it."""
        found = self.region.raggedness(moves.cpu().double().numpy(), sure.cpu().double().numpy())
        return torch.from_numpy(found).to(moves)

    def _carried(self, moves: Tensor, sure: Tensor) -> Tensor:
        """What all shape vertices (V, 3) move by, in metres, with the region's ``moves`` (N, 3)."""
        carried = self.region.carried(moves.cpu().double().numpy(), sure.cpu().double().numpy())
        return torch.from_numpy(carried * self.config.unit).to(moves)

    def _found(self, field: FaceField, start: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """Where on the smooth surface of ``field`` the region's vertices belong (N, 3), near ``start``, and how far
        the next step would have taken them (N,). A step after which the next one is longer is taken back.
        """
        points, held, left = start.clone(), start.clone(), torch.full_like(start[:, 0], torch.inf)
        moving = torch.arange(len(start), device=start.device)
        for _ in range(STEPS):
            at = points[moving]
            step = self._step(field, at, normals[moving], self._places[moving])
            length = step.norm(dim=-1)
            worse = length >= left[moving]
            points[moving[worse]] = held[moving[worse]]
            moving, at, step, length = (values[~worse] for values in (moving, at, step, length))
            held[moving], left[moving] = at, length
            points[moving] = at + step * (LONGEST / length.clamp_min(LONGEST))[:, None]
            moving = moving[length > CLOSE]
            if not len(moving):
                break
        return points, left

    def _step(self, field: FaceField, points: Tensor, normals: Tensor, places: Tensor) -> Tensor:
        """Newton's step (N, 3): the distance along the normals, what the warp misses its ``places`` by across them."""
        parts = [field.stages(part) for part in torch.split(points, CHUNK)]
        away = places - torch.cat([part.template for part in parts])
        distance = torch.cat([part.sdf for part in parts])
        return away - normals * ((away * normals).sum(-1) + distance)[:, None]

    def _own(self, points: Tensor) -> Tensor:
        return (points - self._origin) / self.config.unit


def _falling(values: Tensor, full: float, none: float) -> Tensor:
    """1 up to ``full``, 0 from ``none`` on."""
    along = ((none - values) / (none - full)).clamp(0, 1)
    return along * along * (3 - 2 * along)
