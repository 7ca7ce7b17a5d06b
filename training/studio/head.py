"""The linear head that the studio photographs, mended and brought to head space.

The shape is the ICT Face Model Light (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR
2020): ``vertices = neutral + identity @ identity_modes + weights @ expression_modes``. As published it is in
centimetres, its left and right expressions differ by up to a millimetre, its eyeballs poke through closed lids and do
not turn when the lids say where they look; all this is mended here, and the model stays linear.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.layout import mirror_name

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]

ORIGIN_CM: Final = np.array([0.0, 0.1, 4.1])
"""Head space's origin in the published coordinates: 9 cm behind the nose tip of the mean head."""

EYES: Final = ("sclera_left", "iris_left", "sclera_right", "iris_right")
EYE_SETBACK: Final = 0.0004
"""Metres by which the eyeballs are moved back for good."""
BLINK_SETBACK: Final = 0.0012
"""Metres by which a fully closed lid pushes its eyeball back, so that the cornea stays behind it."""
BLINK_REACH: Final = 1.15
"""Factor on the published blink, whose lids leave a slit open on most identities."""

GAZE_TURNS: Final = {"eyeLookUp": (-20, 0), "eyeLookDown": (25, 0), "eyeLookIn": (0, -25), "eyeLookOut": (0, 25)}
"""Degrees by which an eyeball turns at weight 1: about head space's X (downwards) and about its Y (outwards)."""

SIDEWAYS: Final = {"jawLeft": "jawRight", "mouthLeft": "mouthRight"}
MIRROR_RINGS: Final = 4


def arkit_name(name: str) -> str:
    """``mouthSmile_L`` -> ``mouthSmileLeft``; names without a side stay as they are."""
    return name[:-2] + {"_L": "Left", "_R": "Right"}[name[-2:]] if name[-2:] in ("_L", "_R") else name


def to_head_space(points_cm: NDArray[np.floating]) -> Floats:
    """Published centimetres (..., 3) as head-space metres."""
    return np.asarray((points_cm - ORIGIN_CM) / 100, dtype=np.float32)


def mirrored(points: Floats, order: Ints) -> Floats:
    """The mirror image in the plane x = 0 of ``points`` (..., vertices, 3), listed in the order of the originals."""
    return np.asarray(points[..., order, :] * np.array([-1, 1, 1], np.float32), np.float32)


def mirror_vertices(neutral: Floats, polygons: Ints) -> Ints:
    """The permutation (vertices,) that sends every vertex to its mirror image.

    Lips and lids hold vertices at the same place, so a position alone does not tell them apart: the mean positions of
    the surrounding rings of neighbours do. Raises ValueError when the mesh has no mirror symmetry.
    """
    count = len(neutral)
    starts, ends = polygons, np.roll(polygons, -1, axis=1)
    ends = np.where(ends < 0, polygons[:, :1], ends)
    used = (starts >= 0) & (starts != ends)
    pairs = sparse.coo_array((np.ones(used.sum()), (starts[used], ends[used])), shape=(count, count)).tocsr()
    joined = ((pairs + pairs.T) > 0).astype(np.float64)
    around = sparse.diags_array(1 / np.maximum(joined.sum(axis=1), 1)) @ joined
    rings = [neutral.astype(np.float64)]
    for _ in range(MIRROR_RINGS):
        rings.append(around @ rings[-1])
    here = np.concatenate(rings, axis=1)
    there = here * np.tile([-1.0, 1.0, 1.0], len(rings))
    order = np.asarray(cKDTree(here).query(there)[1], np.int32)
    if not np.array_equal(order[order], np.arange(count)):
        raise ValueError("the head mesh is not symmetric about x = 0")
    return order


def _partners(names: tuple[str, ...]) -> Ints:
    """For every expression the index of the same movement on the other side."""
    sideways = SIDEWAYS | {right: left for left, right in SIDEWAYS.items()}
    return np.array([names.index(sideways.get(name, mirror_name(name))) for name in names], np.int32)


def _parity(modes: Floats, order: Ints) -> Floats:
    """+1 for every identity mode that keeps the head symmetric, -1 for those that lean it to one side."""
    return np.asarray(np.sign(np.einsum("mvc,mvc->m", modes, mirrored(modes, order))), np.float32)


@dataclass(frozen=True, eq=False)
class HeadModel:
    """The head's linear shape model in head space (metres, +Y up, +Z out of the face, +X to the subject's left).

    ``identity_modes`` (100, vertices, 3) are scaled to one standard deviation; ``expression_modes`` (53, vertices, 3)
    take weights 0..1 in the order of ``expression_names``. ``triangles`` and ``triangles_uv`` (triangles, 3) index
    vertices and ``uv`` (texture vertices, 2; the integer part of u is the tile); ``material`` and ``tile`` (triangles,)
    say which material and tile a triangle has. ``mirror`` is the vertex permutation of the mirror image,
    ``mirror_expression`` that of the expression weights and ``mirror_identity`` the signs (+-1) of the identity code.
    """

    neutral: Floats
    identity_modes: Floats
    expression_modes: Floats
    expression_names: tuple[str, ...]
    polygons: Ints
    triangles: Ints
    triangles_uv: Ints
    uv: Floats
    material: Ints
    tile: Ints
    material_names: tuple[str, ...]
    vertex_ranges: dict[str, tuple[int, int]]
    polygon_ranges: dict[str, tuple[int, int]]
    triangle_polygon: Ints
    landmarks68: Ints
    jaw_left: Ints
    jaw_right: Ints
    mirror: Ints
    mirror_expression: Ints
    mirror_identity: Floats

    @classmethod
    def load(cls, data_folder: Path | str) -> Self:
        """The mended head of ``data_folder/ict_head.npz``. Raises UserError when the file is not there."""
        path = Path(data_folder) / "ict_head.npz"
        if not path.is_file():
            raise UserError(f"The studio's data are not at {path}; give their folder with --data.")
        with np.load(path, allow_pickle=False) as file:
            return cls._mend({key: file[key] for key in file.files})

    @classmethod
    def _mend(cls, data: dict[str, NDArray[np.generic]]) -> Self:
        names = tuple(arkit_name(str(name)) for name in data["expression_names"])
        ranges = _ranges(data["region_names"], data["region_vertex_range"])
        polygons = data["quads"].astype(np.int32)
        published = data["neutral"].astype(np.float32)
        mirror = mirror_vertices(published, polygons)
        neutral = to_head_space(published)
        neutral = _mean(neutral, mirrored(neutral, mirror))
        modes = _metres(data["identity"])
        signs = _parity(modes, mirror)
        modes = _mean(modes, signs[:, None, None] * mirrored(modes, mirror))
        partners = _partners(names)
        moves = _metres(data["expression"])
        moves = _mean(moves, mirrored(moves[partners], mirror))
        _close_lids(neutral, moves, names, ranges)
        _turn_eyes(neutral, moves, names, ranges)
        return cls(
            neutral=neutral,
            identity_modes=modes,
            expression_modes=moves,
            expression_names=names,
            polygons=polygons,
            triangles=data["tris"].astype(np.int32),
            triangles_uv=data["tris_uv"].astype(np.int32),
            uv=data["uv"].astype(np.float32),
            material=data["quad_material"][data["tri_quad"]].astype(np.int32),
            tile=data["quad_uv_tile"][data["tri_quad"]].astype(np.int32),
            material_names=tuple(str(name) for name in data["material_names"]),
            vertex_ranges=ranges,
            polygon_ranges=_ranges(data["region_names"], data["region_quad_range"]),
            triangle_polygon=data["tri_quad"].astype(np.int32),
            landmarks68=data["landmarks68"].astype(np.int32),
            jaw_left=data["jaw_left"].astype(np.int32),
            jaw_right=data["jaw_right"].astype(np.int32),
            mirror=mirror,
            mirror_expression=partners,
            mirror_identity=signs,
        )

    def vertices(self, identity: NDArray[np.floating], expression: NDArray[np.floating]) -> Floats:
        """Vertices (vertices, 3) of an identity code (100,) and expression weights (53 or more, rest unused)."""
        weights = np.asarray(expression, np.float32)[: len(self.expression_modes)]
        shape = self.neutral + _combine(np.asarray(identity, np.float32), self.identity_modes)
        return shape + _combine(weights, self.expression_modes)

    def triangles_of(self, *materials: str) -> NDArray[np.bool_]:
        """Mask (triangles,) of the triangles that have one of the named materials, for example ``M_Face``."""
        wanted = [self.material_names.index(name) for name in materials]
        return np.isin(self.material, wanted)

    def region(self, name: str) -> slice:
        """The vertices of a named part, for example ``teeth`` or ``eyeball_left``."""
        return slice(*self.vertex_ranges[name])

    def landmark_vertices(self, yaw: float = 0.0) -> Ints:
        """The 68 landmark vertices (68,) for a camera at ``yaw`` degrees.

        Where the far cheek hides the jaw line, the contour that is seen in its place is given (Multi-PIE convention).
        """
        chosen = self.landmarks68.copy()
        if yaw > CONTOUR_YAW:
            chosen[0:8] = self.jaw_right
        elif yaw < -CONTOUR_YAW:
            chosen[9:17] = self.jaw_left
        return chosen


CONTOUR_YAW: Final = 20.0
"""Degrees of yaw beyond which the far jaw landmarks slide to the visible contour."""


def _metres(centimetres: NDArray[np.generic]) -> Floats:
    return np.asarray(centimetres.astype(np.float32) / 100, np.float32)


def _mean(first: Floats, second: Floats) -> Floats:
    return np.asarray((first + second) / 2, np.float32)


def _ranges(names: NDArray[np.generic], limits: NDArray[np.generic]) -> dict[str, tuple[int, int]]:
    return {str(name): (int(start), int(end)) for name, (start, end) in zip(names, limits.tolist(), strict=True)}


def _combine(weights: Floats, modes: Floats) -> Floats:
    """``sum_i weights[i] * modes[i]`` without the zero weights; (count,) and (count, vertices, 3) -> (vertices, 3)."""
    used = np.flatnonzero(weights)
    if len(used) < len(weights) // 2:
        weights, modes = weights[used], modes[used]
    return np.asarray(np.tensordot(weights, modes, axes=1), np.float32)


def _close_lids(neutral: Floats, moves: Floats, names: tuple[str, ...], ranges: dict[str, tuple[int, int]]) -> None:
    """Let blinks close the lids, and move the eyeballs behind them: a little for good, more on a blink."""
    for side in ("Left", "Right"):
        moves[names.index(f"eyeBlink{side}")] *= BLINK_REACH
    for eye in EYES:
        part = slice(*ranges[eye])
        neutral[part, 2] -= EYE_SETBACK
        side = "Left" if eye.endswith("left") else "Right"
        moves[names.index(f"eyeBlink{side}"), part, 2] -= BLINK_SETBACK


def _turn_eyes(neutral: Floats, moves: Floats, names: tuple[str, ...], ranges: dict[str, tuple[int, int]]) -> None:
    """Let eyeballs turn with their lids. A mode is linear, so it holds the way straight to where a full turn leads."""
    for side, outwards in (("left", 1), ("right", -1)):
        centre = _sphere_centre(neutral[slice(*ranges[f"sclera_{side}"])])
        for part in (slice(*ranges[f"{piece}_{side}"]) for piece in ("sclera", "iris")):
            arm = neutral[part] - centre
            for name, (down, out) in GAZE_TURNS.items():
                turn = Rotation.from_euler("xy", [down, outwards * out], degrees=True).as_matrix()
                moves[names.index(name + side.title()), part] = arm @ (turn - np.eye(3)).T


def _sphere_centre(points: Floats) -> NDArray[np.float64]:
    """The centre (3,) of the sphere that fits ``points`` (count, 3) best: ``|p|^2 = 2 p.c + const``, least squares."""
    exact = points.astype(np.float64)
    design = np.concatenate([2 * exact, np.ones((len(exact), 1))], axis=1)
    return np.asarray(np.linalg.lstsq(design, (exact**2).sum(1), rcond=None)[0][:3])
