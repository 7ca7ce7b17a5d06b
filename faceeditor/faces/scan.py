"""A scan as its file tells it: unknown unit, unknown axes, perhaps only points."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Faces = NDArray[np.int32]
Picture = NDArray[np.uint8]

SCAN_SUFFIXES: Final = (".obj", ".ply", ".stl", ".glb", ".gltf", ".off", ".xyz", ".npy", ".exr")
"""Files that can only be scans; a .png may be a depth picture, too."""
MOST_TEXELS: Final = 100_000_000
"""Textures that are more than this together are made coarser."""
_UNKNOWN_SRGB: Final = 128
"""The grey of what has no colour while other pieces of the scan have."""
_GREY: Final = np.full((1, 1, 3), _UNKNOWN_SRGB, np.uint8)


@dataclass(frozen=True, eq=False)
class Scan:
    """A mesh or a cloud in its file's own unit and axes.

    ``vertices`` (N, 3) float64; ``faces`` (F, 3) int32 counter-clockwise from outside, or ``None`` for a cloud;
    ``normals`` (N, 3) as stored, not necessarily unit, or ``None``; ``colours_srgb`` (N, 3) uint8 or ``None``; ``uv``
    (N, 2) with v up, whole numbers repeat the texture, or ``None``; ``texture_srgb`` (H, W, 3) uint8, row 0 at v = 1,
    or ``None``. A scan with a ``viewpoint`` (3,) is what a camera there saw: in metres, upright, and between it
    and the vertices is nothing.
    """

    vertices: Points
    faces: Faces | None = None
    normals: Points | None = None
    colours_srgb: Picture | None = None
    uv: Points | None = None
    texture_srgb: Picture | None = None
    viewpoint: Points | None = None


def joined(pieces: list[Scan]) -> Scan:
    """One scan of several. Where some are meshes, those that are clouds are left out; what only some pieces have is
    filled with grey, zero normals or a grey corner of the common texture.
    """
    kept = [piece for piece in pieces if piece.faces is not None] or pieces
    if len(kept) == 1:
        return kept[0]
    starts = np.cumsum([0, *(len(piece.vertices) for piece in kept)]).astype(np.int32)
    faces = [piece.faces + start for piece, start in zip(kept, starts, strict=False) if piece.faces is not None]
    shared, uv = _one_texture(kept)
    return Scan(
        vertices=np.concatenate([piece.vertices for piece in kept]),
        faces=np.concatenate(faces) if faces else None,
        normals=_filled([piece.normals for piece in kept], kept, 0.0, np.float64),
        colours_srgb=_filled([piece.colours_srgb for piece in kept], kept, _UNKNOWN_SRGB, np.uint8),
        uv=uv,
        texture_srgb=shared,
    )


def _filled(columns: list[NDArray[Any] | None], pieces: list[Scan], value: float, kind: type) -> NDArray[Any] | None:
    """The columns of all pieces one below the other; ``None`` if no piece has any."""
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [
            np.full((len(piece.vertices), 3), value, kind) if column is None else column
            for column, piece in zip(columns, pieces, strict=True)
        ]
    )


def _one_texture(pieces: list[Scan]) -> tuple[Picture | None, Points | None]:
    """The textures of all pieces side by side, and the place of every vertex in them."""
    if all(piece.texture_srgb is None for piece in pieces):
        return None, None
    whole = {id(picture): picture for picture in map(_texture, pieces)}
    pixels = max(map(len, whole.values())) * sum(picture.shape[1] for picture in whole.values())
    step = int(np.ceil(np.sqrt(pixels / MOST_TEXELS)))
    pictures = {name: picture[::step, ::step] for name, picture in whole.items()}
    height = max(map(len, pictures.values()))
    starts = np.cumsum([0, *(picture.shape[1] for picture in pictures.values())])
    shared = np.zeros((height, starts[-1], 3), np.uint8)
    for picture, start in zip(pictures.values(), starts, strict=False):
        shared[: len(picture), start : start + picture.shape[1]] = picture
    start_of = dict(zip(pictures, starts, strict=False))
    places = []
    for piece in pieces:
        name = id(_texture(piece))
        rows, columns = pictures[name].shape[:2]
        uv = np.full((len(piece.vertices), 2), 0.5) if piece.uv is None else _unrepeated(piece.uv)
        across = (start_of[name] + uv[:, 0] * columns) / starts[-1]
        places.append(np.stack([across, 1 - (1 - uv[:, 1]) * rows / height], axis=1))
    return shared, np.concatenate(places)


def _texture(piece: Scan) -> Picture:
    return _GREY if piece.texture_srgb is None or piece.uv is None else piece.texture_srgb


def _unrepeated(uv: Points) -> Points:
    """``uv`` in [0, 1]: where they leave it, the repetition they lie in is taken off."""
    return uv if uv.min(initial=0.0) >= 0 and uv.max(initial=1.0) <= 1 else uv - np.floor(uv)
