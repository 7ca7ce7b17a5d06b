"""The template's mesh: the simplified right half, mirrored and welded along the middle."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.studio.head import HeadModel
from training.template.atlas import lay_out
from training.template.decimate import Simplifier
from training.template.half import PARTS, Half, right_half

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

GROUPS: Final[dict[str, tuple[tuple[str, ...], float]]] = {
    "skin": (("skin", "mouth", "eyesocket"), 0.5),
    "eye": (("eye",), 0.85),
    "teeth": (("teethUpper", "teethLower"), 0.23),
    "flesh": (("gums", "tongue"), 0.33),
    "lashes": (("lashes",), 0.24),
}
"""Parts that are simplified together, and the share of their vertices that stays."""

POSES: Final[tuple[tuple[str, ...], ...]] = (
    ("jawOpen",),
    ("eyeBlinkLeft", "eyeBlinkRight", "mouthPucker"),
    ("mouthSmileLeft", "mouthSmileRight", "eyeWideLeft", "eyeWideRight"),
    ("browDownLeft", "browDownRight", "noseSneerLeft", "noseSneerRight", "mouthRollUpper", "mouthRollLower"),
    ("browInnerUpLeft", "browInnerUpRight", "browOuterUpLeft", "browOuterUpRight", "mouthFunnel"),
    ("cheekPuffLeft", "cheekPuffRight", "mouthFrownLeft", "mouthFrownRight"),
    ("eyeSquintLeft", "eyeSquintRight", "mouthStretchLeft", "mouthStretchRight"),
    ("mouthLeft",),
    ("mouthRight",),
    ("eyeLookDownLeft", "eyeLookDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    ("cheekSquintLeft", "cheekSquintRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    ("mouthShrugLower", "mouthShrugUpper"),
)
"""Expressions, beside the face at rest, in which the simplified mesh must keep its shape."""

PEOPLE: Final = 3
"""Identity modes, at two standard deviations, in which it must keep its shape too."""

HIDDEN: Final = {"mouth": 0.1, "eyesocket": 0.05}
"""How little an error counts in parts that are hardly seen."""
FOCUS: Final = ((slice(36, 48), 0.012, 60.0), (slice(48, 68), 0.011, 25.0), (slice(30, 36), 0.010, 8.0))
"""Landmarks around which errors count more: within how many metres, and how much more."""
BACK_WEIGHT: Final = 0.15
"""How much an error counts on the skull, the neck and the shoulders."""


@dataclass(frozen=True, eq=False)
class TemplateMesh:
    """The whole template as made of the studio's vertices.

    ``source`` (vertices,) is the studio vertex that each template vertex is; ``mirror`` (vertices,) its mirror image.
    *Render vertices* are vertices split where the texture has a seam: ``render_vertex`` (render vertices,) is the
    vertex of each and ``uv`` (render vertices, 2) its atlas position. ``faces`` (faces, 3) are render vertices;
    ``parts`` names ranges of faces. ``render_mirror`` is the mirror image among render vertices, ``charts`` (render
    vertices,) the chart each lies in, and ``render_wedge`` the wedge of ``half`` that it, or its mirror image, is.
    """

    source: Ints
    mirror: Ints
    render_vertex: Ints
    uv: Floats
    faces: Ints
    parts: dict[str, tuple[int, int]]
    render_mirror: Ints
    charts: Ints
    half: Half
    render_wedge: Ints


def build_mesh(head: HeadModel) -> TemplateMesh:
    """Simplify the right half of the studio's head part by part, mirror it and weld it."""
    half = right_half(head)
    atlas = lay_out(half)
    corners, part = _simplify(head, half)
    return _mirror(head, half, atlas, corners, part)


def _simplify(head: HeadModel, half: Half) -> tuple[Ints, Ints]:
    """Wedges (faces, 3) and parts (faces,) of the simplified half."""
    poses, weight = _poses(head), _weights(head, half)
    marks = np.concatenate([head.landmarks68, head.jaw_left, head.jaw_right])
    locked = {int(v) for v in (*marks, *head.mirror[marks])}
    corners, parts = [], []
    for members, share in GROUPS.values():
        chosen = np.isin(half.part, [PARTS.index(name) for name in members])
        work = Simplifier(
            poses=poses,
            triangles=half.triangles[chosen],
            corners=half.corners[chosen],
            uv=half.wedge_uv,
            weight=weight,
            locked=locked,
            labels=half.part[chosen],
        )
        kept = work.run(round(share * len(work.faces_of)))
        corners.append(work.corners[kept])
        parts.append(half.part[chosen][kept])
    return np.concatenate(corners), np.concatenate(parts)


def _poses(head: HeadModel) -> Floats:
    """(poses, vertices, 3): at rest, the expressions of ``POSES``, and a few identities."""
    nobody, rest = np.zeros(len(head.identity_modes)), np.zeros(len(head.expression_modes))
    moved = [head.vertices(nobody, np.isin(head.expression_names, names).astype(float)) for names in POSES]
    people = [head.vertices(2 * np.eye(len(nobody))[mode], rest) for mode in range(PEOPLE)]
    return np.asarray([head.neutral, *moved, *people], np.float64)


def _weights(head: HeadModel, half: Half) -> Floats:
    weight = np.ones(len(head.neutral))
    back = half.wedge_uv[:, 0] >= 1
    weight[half.wedge_vertex[back]] = BACK_WEIGHT
    for name, value in HIDDEN.items():
        weight[half.triangles[half.part == PARTS.index(name)]] = value
    for marks, radius, gain in FOCUS:
        near = head.neutral[head.landmarks68[marks]].astype(np.float64)
        distance = np.linalg.norm(head.neutral[:, None] - near, axis=2).min(axis=1)
        weight *= 1 + gain * np.exp(-((distance / radius) ** 2))
    return weight


def _mirror(head: HeadModel, half: Half, atlas: Floats, corners: Ints, part: Ints) -> TemplateMesh:
    """Both halves: render vertices on the middle that need no seam are shared, and so are the vertices there."""
    used, corners = np.unique(corners, return_inverse=True)
    corners = corners.reshape(-1, 3)
    vertex = half.wedge_vertex[used]
    shared = (head.mirror[vertex] == vertex) & (np.abs(atlas[used, 0] - 0.5) < 1e-6)
    twin = np.where(shared, np.arange(len(used)), len(used) + np.cumsum(~shared) - 1)
    lone = ~shared
    render_source = np.concatenate([vertex, head.mirror[vertex[lone]]])
    source, render_vertex = np.unique(render_source, return_inverse=True)
    uv = atlas[used]
    faces, parts = _both_sides(corners, twin[corners][:, ::-1], part)
    back = np.flatnonzero(lone)
    return TemplateMesh(
        source=source,
        mirror=np.searchsorted(source, head.mirror[source]),
        render_vertex=render_vertex,
        uv=np.concatenate([uv, uv[lone] * [-1, 1] + [1, 0]]),
        faces=faces,
        parts=parts,
        render_mirror=np.concatenate([twin, back]),
        charts=np.concatenate([half.wedge_chart[used], half.wedge_chart[used][lone] + half.wedge_chart.max() + 1]),
        half=half,
        render_wedge=np.concatenate([used, used[lone]]),
    )


def _both_sides(right: Ints, left: Ints, part: Ints) -> tuple[Ints, dict[str, tuple[int, int]]]:
    """Faces of both halves sorted by part, and the range of each part; the pairs get ``Left`` and ``Right`` names."""
    blocks: list[Ints] = []
    parts: dict[str, tuple[int, int]] = {}

    def add(name: str, faces: Ints) -> None:
        start = sum(map(len, blocks))
        blocks.append(faces)
        parts[name] = (start, start + len(faces))

    for number, name in enumerate(PARTS):
        mine = part == number
        if name in ("eyesocket", "eye", "lashes"):
            add(f"{name}Left", left[mine])
            add(f"{name}Right", right[mine])
        else:
            add(name, np.concatenate([right[mine], left[mine]]))
    return np.concatenate(blocks), parts
