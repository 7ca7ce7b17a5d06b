"""The right half of the studio's head, cut into the parts that the template keeps.

The template is made once for the half x <= 0 and mirrored, so that it is symmetric by construction. The lips, the mouth
and the eye sockets are welded to the skin, as in the studio.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from training.studio.head import HeadModel

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

UV_DIGITS: Final = 5
EYE_DISC: Final = 0.41
"""Radius, in the eyeball's picture, of the part that is kept: 90 degrees around the gaze, more than lids ever show."""

TONGUE_ISLANDS: Final = (((2.47, 0.0), (2.96, 0.75)), ((2.0, 0.09), (2.27, 0.42)))
"""Boxes around the two islands of the studio's texture that hold the tongue's back and its underside."""
NECK_CUT: Final = 0.30
"""Below this v of the back-of-head tile lies the neck; it becomes a chart of its own, so that the skull may be
larger."""


@dataclass(frozen=True, eq=False)
class Half:
    """Triangles of the right half of the head (x <= 0), by the studio's vertex numbers.

    ``corners`` (triangles, 3) number the *wedges*: a wedge is a vertex with one texture position, and
    ``wedge_vertex``, ``wedge_uv`` (the studio's, with the tile) and ``wedge_chart`` describe it. ``part`` (triangles,)
    numbers ``part_names``; charts are the connected pieces of texture. ``material`` (triangles,) is the studio's, and
    ``left_uv`` (triangles, 3, 2) says where the mirror image of every corner lies in the studio's textures.
    """

    triangles: Ints
    corners: Ints
    part: Ints
    part_names: tuple[str, ...]
    wedge_vertex: Ints
    wedge_uv: Floats
    wedge_chart: Ints
    material: Ints
    left_uv: Floats

    @property
    def chart(self) -> Ints:
        """The chart of every triangle, (triangles,)."""
        return np.asarray(self.wedge_chart[self.corners[:, 0]])


PARTS: Final = ("skin", "mouth", "eyesocket", "eye", "teethUpper", "teethLower", "gums", "tongue", "lashes")
"""Parts of the half; those off the midline come out as a left and a right part."""


def right_half(head: HeadModel) -> Half:
    """The triangles of the right half that the template keeps, split into parts, charts and wedges."""
    part = _parts(head)
    centre = head.neutral[head.triangles].mean(axis=1)
    keep = (part >= 0) & (centre[:, 0] < 0)
    triangles, part = head.triangles[keep].astype(np.int64), part[keep]
    place = np.round(head.uv[head.triangles_uv[keep]].reshape(-1, 2), UV_DIGITS)
    sheet = np.repeat(2 * head.material[keep] + _on_neck(head, keep), 3)
    key = np.column_stack([triangles.reshape(-1), sheet, place])
    unique, corners = np.unique(key, axis=0, return_inverse=True)
    corners = corners.reshape(-1, 3)
    chart = pieces(corners, len(unique))
    part[_on_tongue(unique[:, 2:], chart)[corners[:, 0]]] = PARTS.index("tongue")
    return Half(
        triangles=triangles,
        corners=corners,
        part=part,
        part_names=PARTS,
        wedge_vertex=unique[:, 0].astype(np.int64),
        wedge_uv=unique[:, 2:],
        wedge_chart=chart,
        material=head.material[keep].astype(np.int64),
        left_uv=_mirrored_uv(head, np.flatnonzero(keep)),
    )


def pieces(triangles: Ints, count: int) -> Ints:
    """For each of ``count`` points the number of the connected piece of the triangles that it belongs to."""
    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _mirrored_uv(head: HeadModel, triangles: Ints) -> Floats:
    """Texture places (triangles, 3, 2) of the mirror images of the triangles' corners."""
    ordered = np.sort(np.where(head.polygons < 0, -1, head.polygons), axis=1)
    number = {tuple(row): polygon for polygon, row in enumerate(ordered.tolist())}
    reflected = np.where(head.polygons < 0, -1, head.mirror[head.polygons])
    twin = [number[tuple(row)] for row in np.sort(reflected, axis=1).tolist()]
    texture = {
        (polygon, vertex): place
        for polygon, row, places in zip(
            head.triangle_polygon.tolist(), head.triangles.tolist(), head.triangles_uv.tolist(), strict=True
        )
        for vertex, place in zip(row, places, strict=True)
    }
    found = [
        [texture[twin[polygon], vertex] for vertex in row]
        for polygon, row in zip(
            head.triangle_polygon[triangles].tolist(), head.mirror[head.triangles[triangles]].tolist(), strict=True
        )
    ]
    return np.asarray(head.uv[found])


def _parts(head: HeadModel) -> Ints:
    """The number of the part of every studio triangle, -1 where the template leaves it out."""
    part = np.full(len(head.triangles), -1, np.int64)
    polygon, uv = head.triangle_polygon, head.uv[head.triangles_uv]
    for region, name in (
        ("face", "skin"),
        ("head_and_neck", "skin"),
        ("mouth_socket", "mouth"),
        ("eye_socket_right", "eyesocket"),
        ("sclera_right", "eye"),
        ("gums_and_tongue", "gums"),
        ("teeth", "teethLower"),
        ("eyelashes_right", "lashes"),
    ):
        start, end = head.polygon_ranges[region]
        part[(polygon >= start) & (polygon < end)] = PARTS.index(name)
    part[(part == PARTS.index("eye")) & ~_front_of_eye(uv.astype(np.float64))] = -1
    part[(part == PARTS.index("teethLower")) & _upper(head)] = PARTS.index("teethUpper")
    return part


def _front_of_eye(uv: Floats) -> Mask:
    return np.asarray((np.linalg.norm(uv - 0.5, axis=2) < EYE_DISC).all(axis=1))


def _on_neck(head: HeadModel, keep: Mask) -> Mask:
    """Whether a kept triangle lies on the neck; both halves of a polygon go the same way."""
    height = np.zeros(len(head.polygons))
    np.maximum.at(height, head.triangle_polygon, head.uv[head.triangles_uv, 1].max(axis=1))
    start, end = head.polygon_ranges["head_and_neck"]
    polygon = head.triangle_polygon[keep]
    return np.asarray((polygon >= start) & (polygon < end) & (height[polygon] <= NECK_CUT + 0.02))


def _on_tongue(uv: Floats, chart: Ints) -> Mask:
    """Whether a wedge lies in a chart that fits into one of the tongue's boxes."""
    found = np.zeros(len(uv), np.bool_)
    for number in np.unique(chart):
        piece = uv[chart == number]
        fits = [(piece > low).all() and (piece < high).all() for low, high in TONGUE_ISLANDS]
        found |= (chart == number) & any(fits)
    return found


def _upper(head: HeadModel) -> Mask:
    """Whether a triangle belongs to a tooth that does not follow the jaw."""
    jaw = np.linalg.norm(head.expression_modes[head.expression_names.index("jawOpen")], axis=1)
    return np.asarray(jaw[head.triangles].mean(axis=1) < 0.1 * jaw.max())
