"""Hair cards for the template: the studio's hair styles, lighter, and hung on the template's vertices."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.studio.assets import HAIR_STYLES, Assets, HairStyle
from training.studio.head import HeadModel
from training.template.decimate import Simplifier
from training.template.locate import locate
from training.template.mesh import TemplateMesh

Floats: TypeAlias = NDArray[np.floating]
Ints: TypeAlias = NDArray[np.int64]

TRIANGLES: Final = 2500
"""Triangles of a style after simplification, about."""
BINDINGS: Final = 8
"""Template vertices that each hair vertex hangs on."""


@dataclass(frozen=True, eq=False)
class HairCards:
    """All styles, one after the other. Vertices are split where a card's texture has a seam.

    ``rest`` (n, 3) and unit ``normals`` (n, 3) on the mean head, ``uv`` (n, 2) in the style's own texture, ``faces``
    (f, 3), ``bind`` (n, 8) template vertices and ``weights`` (n, 8). ``ranges`` gives, by style, the first and last
    vertex and the first and last face (half-open).
    """

    rest: Floats
    normals: Floats
    uv: Floats
    faces: Ints
    bind: Ints
    weights: Floats
    ranges: dict[str, tuple[int, int, int, int]]


def build_hair(head: HeadModel, assets: Assets, mesh: TemplateMesh) -> HairCards:
    """Simplify every style and hang it on the template."""
    styles = [_build_style(head, assets.hair(name), mesh) for name in HAIR_STYLES]
    ranges: dict[str, tuple[int, int, int, int]] = {}
    faces = []
    vertex_count = face_count = 0
    for name, style in zip(HAIR_STYLES, styles, strict=True):
        ends = vertex_count + len(style.rest), face_count + len(style.faces)
        ranges[name] = (vertex_count, ends[0], face_count, ends[1])
        faces.append(style.faces + vertex_count)
        vertex_count, face_count = ends
    return HairCards(
        rest=np.concatenate([style.rest for style in styles]),
        normals=np.concatenate([style.normals for style in styles]),
        uv=np.concatenate([style.uv for style in styles]),
        faces=np.concatenate(faces),
        bind=np.concatenate([style.bind for style in styles]),
        weights=np.concatenate([style.weights for style in styles]),
        ranges=ranges,
    )


def _build_style(head: HeadModel, style: HairStyle, mesh: TemplateMesh) -> HairCards:
    pairs = np.stack([style.faces, style.faces_uv], axis=-1).reshape(-1, 2).astype(np.int64)
    wedges, corners = np.unique(pairs, axis=0, return_inverse=True)
    corners = corners.reshape(-1, 3)
    work = Simplifier(
        poses=style.vertices[None].astype(np.float64),
        triangles=style.faces.astype(np.int64),
        corners=corners,
        uv=style.uv[wedges[:, 1]].astype(np.float64),
        weight=np.ones(len(style.vertices)),
        locked=set(),
        labels=np.zeros(len(style.faces), np.int64),
    )
    if len(style.faces) > TRIANGLES:
        fewer = (len(style.faces) - TRIANGLES) // 2
        corners = work.corners[work.run(len(work.faces_of) - fewer)]
    used, corners = np.unique(corners, return_inverse=True)
    vertex, place = wedges[used].T
    bind, weights = _hang(head, mesh, style.bind_vertices[vertex], style.bind_weights[vertex])
    return HairCards(
        rest=style.vertices[vertex],
        normals=style.normals[vertex],
        uv=style.uv[place],
        faces=corners.reshape(-1, 3),
        bind=bind,
        weights=weights,
        ranges={style.name: (0, len(used), 0, len(corners))},
    )


def _hang(head: HeadModel, mesh: TemplateMesh, bind: Ints, weights: Floats) -> tuple[Ints, Floats]:
    """The same hold on template vertices: each studio vertex is held by the corners of the template face it lies on."""
    start, end = mesh.parts["skin"]
    faces = mesh.render_vertex[mesh.faces[start:end]]
    asked, where = np.unique(bind, return_inverse=True)
    surface = head.neutral[mesh.source].astype(np.float64)
    face, share, _ = locate(head.neutral[asked].astype(np.float64), surface[faces])
    members = faces[face][where.reshape(bind.shape)].reshape(len(bind), -1)
    holds = (weights[..., None] * share[where.reshape(bind.shape)]).reshape(len(bind), -1)
    return _strongest(members, holds)


def _strongest(members: Ints, holds: Floats) -> tuple[Ints, Floats]:
    """Sums the holds of equal members in each row and keeps the ``BINDINGS`` strongest, scaled to sum to 1."""
    equal = members[:, :, None] == members[:, None, :]
    first = ~np.tril(equal, -1).any(axis=2)
    summed = np.where(first, (equal * holds[:, None, :]).sum(axis=2), 0)
    order = np.argsort(-summed, axis=1, kind="stable")[:, :BINDINGS]
    kept = np.take_along_axis(summed, order, axis=1)
    return np.take_along_axis(members, order, axis=1), kept / kept.sum(axis=1, keepdims=True)
