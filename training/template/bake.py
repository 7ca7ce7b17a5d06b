"""From the texels of the template's atlas to the studio's head: what to read there when pictures are baked."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.studio.head import HeadModel
from training.template.locate import locate
from training.template.mesh import TemplateMesh

Floats: TypeAlias = NDArray[np.floating]
Ints: TypeAlias = NDArray[np.int64]

PADDING: Final = 3.0
"""Texels around every chart that are filled too, with what lies on the chart's edge."""


@dataclass(frozen=True, eq=False)
class StudioMap:
    """For every texel of an atlas of ``size`` x ``size``, row 0 at v = 0, the studio's surface seen there.

    ``part`` (size, size) indexes ``half.PARTS``, -1 on texels that no chart is near; ``inside`` says which texel
    centres a chart covers (the others are padding). ``material`` indexes ``HeadModel.material_names``; ``uv`` (size,
    size, 2) is the place in the studio's textures, the integer part of u being the tile. ``vertices`` and ``weights``
    (size, size, 3) give the same place as studio vertices and barycentric weights.
    """

    part: Ints
    inside: NDArray[np.bool_]
    material: Ints
    uv: Floats
    vertices: Ints
    weights: Floats


def studio_map(head: HeadModel, mesh: TemplateMesh, size: int) -> StudioMap:
    """Look up every texel centre of the right half of the atlas in the studio's charts, and mirror the answer."""
    half = mesh.half
    row, column = np.indices((size, size // 2)).reshape(2, -1).astype(np.int64)
    place = (np.stack([column, row], axis=1) + 0.5) / size
    number = np.flatnonzero(mesh.charts[mesh.faces[:, 0]] <= half.wedge_chart.max())
    face, share, distance = locate(place, mesh.uv[mesh.faces[number]])
    near = distance * size <= PADDING
    wedges = mesh.render_wedge[mesh.faces[number[face[near]]]]
    studio_uv = np.einsum("nc,ncd->nd", share[near], half.wedge_uv[wedges])
    triangle, weights = _in_charts(half.wedge_chart[wedges[:, 0]], studio_uv, mesh)
    corners, vertices = half.corners[triangle], half.triangles[triangle]
    kind = half.material[triangle]
    sides = (
        (column[near], vertices, half.wedge_uv[corners], kind),
        (
            size - 1 - column[near],
            head.mirror[vertices].astype(np.int64),
            half.left_uv[triangle],
            _other_side(head)[kind],
        ),
    )
    out = StudioMap(
        part=np.full((size, size), -1, np.int64),
        inside=np.zeros((size, size), np.bool_),
        material=np.full((size, size), -1, np.int64),
        uv=np.zeros((size, size, 2)),
        vertices=np.zeros((size, size, 3), np.int64),
        weights=np.zeros((size, size, 3)),
    )
    for columns, vertices, uv, kind in sides:
        at = (row[near], columns)
        out.part[at] = half.part[triangle]
        out.inside[at] = distance[near] * size < 1e-6
        out.material[at] = kind
        out.uv[at] = np.einsum("nc,ncd->nd", weights, uv)
        out.vertices[at] = vertices
        out.weights[at] = weights
    return out


def _in_charts(chart: Ints, uv: Floats, mesh: TemplateMesh) -> tuple[Ints, Floats]:
    """The triangle of the studio's right half, and weights, at places in its charts."""
    half = mesh.half
    triangle: Ints = np.zeros(len(uv), np.int64)
    weights: Floats = np.zeros((len(uv), 3))
    for number in np.unique(chart):
        members, mine = np.flatnonzero(half.chart == number), chart == number
        found, weight, _ = locate(uv[mine], half.wedge_uv[half.corners[members]])
        triangle[mine], weights[mine] = members[found], weight
    return triangle, weights


def _other_side(head: HeadModel) -> Ints:
    """For every material the one of the other eye, or itself."""
    names = head.material_names
    return np.array([names.index(name.replace("Right", "Left")) for name in names], np.int64)
