"""Any scan in: OBJ, PLY, STL, GLB, glTF and OFF meshes; PLY, XYZ and NPY clouds; PNG, EXR and NPY depth pictures.

Nothing that is read can run code or reach the network: names inside a file lead only to files beside it.
"""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from trimesh.exchange.stl import load_stl_binary

from faceeditor.errors import UserError
from faceeditor.faces.scan import Picture, Points, Scan
from faceeditor.files.atomic import require_file
from faceeditor.files.claims import MOST_BYTES, MOST_VERTICES, cut_off, too_many
from faceeditor.files.corners import weld
from faceeditor.files.depth import (
    Intrinsics,
    back_projected,
    read_depth_exr,
    read_depth_picture,
    read_intrinsics,
    require_plausible,
)
from faceeditor.files.gltf_scan import read_gltf
from faceeditor.files.images import decode_image_srgba
from faceeditor.files.numbers import colours8, numbers
from faceeditor.files.obj import read_obj
from faceeditor.files.off import read_off
from faceeditor.files.ply import read_ply

LEAST_POINTS: Final = 100
"""A cloud with fewer cannot show a face."""
FARTHEST: Final = 1e15
"""Coordinates beyond this are damage, and their squares would overflow."""

Number = TypeVar("Number", bound=np.generic)

_STL_HEADER: Final = 84
_STL_TRIANGLE: Final = 50
_STL_CORNER: Final = re.compile(r"\bvertex\s([^\n\r]*)", re.IGNORECASE)


def read_scan(path: Path | str, intrinsics: Intrinsics | None = None) -> Scan:
    """The scan in a file, in its own unit and axes, every piece of it placed.

    A depth picture (.png, .exr, or .npy with two axes) needs ``intrinsics`` or a JSON file of the same name beside
    it; it comes back in metres, upright, as :func:`faceeditor.files.depth.back_projected` says.
    Raises ``UserError`` for a file that is missing, empty, of another kind, damaged or cut off, for more than
    :data:`MOST_VERTICES` vertices, for coordinates that are not finite, and for what has no face and too few points.
    """
    file = require_file(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UserError(f"{file} has no suffix of a scan; use {', '.join(_READERS)}.")
    if file.stat().st_size > MOST_BYTES:
        raise UserError(f"{file} is larger than {MOST_BYTES >> 30} GiB; make the scan coarser first.")
    try:
        with np.errstate(all="ignore"):
            return _checked(file, reader(file, intrinsics))
    except UserError:
        raise
    except EOFError:
        raise cut_off(file) from None
    except Exception as error:  # a reader fed with a damaged file may raise anything
        raise UserError(f"{file} is damaged or no {file.suffix[1:].upper()} file; export the scan again.") from error


def _checked(file: Path, scan: Scan) -> Scan:
    """``scan`` without what does not belong to its vertices. Raises ``UserError`` for what cannot be used."""
    count = len(scan.vertices)
    if count > MOST_VERTICES:
        raise too_many(file)
    if scan.faces is None and count < LEAST_POINTS:
        raise UserError(f"{file} has {count} points and no faces; a face needs at least {LEAST_POINTS} points.")
    if scan.faces is not None and not len(scan.faces):
        raise UserError(f"There is no surface in {file}; choose another file.")
    if scan.faces is not None and (scan.faces.min() < 0 or scan.faces.max() >= count):
        raise UserError(f"Faces of {file} name vertices that are not there; export the scan again.")
    if not np.isfinite(scan.vertices).all() or np.abs(scan.vertices).max() > FARTHEST:
        raise UserError(f"{file} has vertices that are not finite numbers; clean the scan and export it again.")
    if not np.ptp(scan.vertices, axis=0).any():
        raise UserError(f"All vertices of {file} lie in one point; choose another file.")
    uv = _fitting(scan.uv, count)
    return replace(
        scan,
        normals=_fitting(scan.normals, count),
        colours_srgb=_fitting(scan.colours_srgb, count),
        uv=uv,
        texture_srgb=None if uv is None else scan.texture_srgb,
    )


def _fitting(column: NDArray[Number] | None, count: int) -> NDArray[Number] | None:
    """``column`` if it has finite numbers for every vertex."""
    return column if column is not None and len(column) == count and np.isfinite(column).all() else None


def _read_ply(file: Path, _: Intrinsics | None) -> Scan:
    scan, picture = read_ply(file.read_bytes())
    if picture is None or scan.uv is None:
        return scan
    try:
        return replace(scan, texture_srgb=_decode(_Beside(file).get(picture)))
    except (OSError, UserError):
        return scan


def _read_gltf(file: Path, _: Intrinsics | None) -> Scan:
    return read_gltf(file, file.read_bytes(), _Beside(file).get, _decode)


def _read_obj(file: Path, _: Intrinsics | None) -> Scan:
    return read_obj(_text(file), _Beside(file).get, _decode)


def _read_off(file: Path, _: Intrinsics | None) -> Scan:
    return read_off(_text(file))


def _read_stl(file: Path, _: Intrinsics | None) -> Scan:
    """STL has no vertices, only corners: those that lie in one place become one vertex."""
    data = file.read_bytes()
    told = int.from_bytes(data[80:_STL_HEADER], "little")
    if _STL_HEADER + told * _STL_TRIANGLE == len(data):
        corners = load_stl_binary(io.BytesIO(data))["vertices"]
    elif data[:5].lower() == b"solid" and b"\0" not in data:
        if b"endsolid" not in data.lower()[-4096:]:
            raise EOFError
        corners = numbers(" ".join(_STL_CORNER.findall(_text(file)))).reshape(-1, 3)
    else:
        raise EOFError
    if len(corners) > 6 * MOST_VERTICES:
        raise too_many(file)
    group, first = weld(corners + 0.0)
    return Scan(vertices=corners[first].astype(np.float64), faces=group.reshape(-1, 3).astype(np.int32))


def _read_xyz(file: Path, _: Intrinsics | None) -> Scan:
    """Lines of at least three numbers, parted by blanks, commas or semicolons; what comes first and is less is a
    heading, what starts with # or / is a comment.
    """
    text = re.sub(r"[,;]", " ", _text(file))
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#/"]
    heading = next((i for i, line in enumerate(lines[:100]) if _is_row(line)), len(lines))
    if heading == len(lines):
        raise ValueError("no rows of numbers")
    columns = len(lines[heading].split())
    table = numbers("\n".join(lines[heading:]))
    return _cloud(table.reshape(-1, columns))


def _is_row(line: str) -> bool:
    try:
        return len(numbers(line)) >= 3
    except ValueError:
        return False


def _read_npy(file: Path, intrinsics: Intrinsics | None) -> Scan:
    """An array (N, 3 or more) is a cloud, any other with two axes a depth picture."""
    table = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu" or table.ndim != 2:
        raise UserError(f"{file} holds no table of numbers; a cloud is (points, 3), a depth picture (rows, columns).")
    if intrinsics is None and not file.with_suffix(".json").is_file() and 3 <= table.shape[1] <= 10:
        return _cloud(np.asarray(table))
    return _depth(file, np.asarray(table), intrinsics)


def _read_png(file: Path, intrinsics: Intrinsics | None) -> Scan:
    depth = read_depth_picture(file)
    if depth is None:
        raise UserError(f"{file} is a picture without depths; a depth picture has 16 bits and one channel.")
    return _depth(file, depth, intrinsics)


def _read_exr(file: Path, intrinsics: Intrinsics | None) -> Scan:
    depth = read_depth_exr(file)
    if depth is None:
        raise UserError(f"{file} has no channel of depths; it is looked for in Z, Y and R.")
    return _depth(file, depth, intrinsics)


def _depth(file: Path, depth: NDArray[Any], intrinsics: Intrinsics | None) -> Scan:
    if depth.size > MOST_VERTICES:
        raise too_many(file)
    camera = intrinsics or read_intrinsics(file.with_suffix(".json"))
    require_plausible(file, depth.shape, camera)
    seen = int((np.isfinite(depth) & (depth > 0)).sum())
    if seen < LEAST_POINTS:
        raise UserError(
            f"{file} has a depth in {seen} of its {depth.size} pixels; a face needs at least {LEAST_POINTS}, so choose "
            "another frame."
        )
    return back_projected(depth, camera)


def _cloud(table: NDArray[Any]) -> Scan:
    """Points of rows x, y, z and perhaps a normal and a colour, in either order; other columns are passed over."""
    extras = [table[:, start : start + 3] for start in range(3, table.shape[1] - 2, 3)]
    normals = next((three for three in extras if _are_normals(three)), None)
    colours = next((three for three in extras if three is not normals and _are_colours(three)), None)
    return Scan(
        vertices=table[:, :3].astype(np.float64),
        normals=None if normals is None else normals.astype(np.float64),
        colours_srgb=None if colours is None else colours8(colours),
    )


def _are_normals(three: Points) -> bool:
    return bool(np.median(np.abs(np.linalg.norm(three, axis=1) - 1)) < 0.05) and bool((three < 0).any())


def _are_colours(three: Points) -> bool:
    return bool((three >= 0).all() and (three <= 255).all())


def _text(file: Path) -> str:
    """The text of a file, whatever its encoding; numbers are the same in all of them. Raises ``ValueError`` for bytes
    that are no text.
    """
    data = file.read_bytes()
    if b"\0" in data:
        raise ValueError("no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _decode(data: bytes) -> Picture:
    return np.ascontiguousarray(decode_image_srgba(io.BytesIO(data), "The texture")[..., :3])


class _Beside:
    """Files in a scan's own folder or below it, and only those."""

    def __init__(self, scan: Path) -> None:
        self._folder = scan.resolve().parent

    def get(self, name: str) -> bytes:
        """The content of a file. Raises ``OSError`` where there is none."""
        file = (self._folder / unquote(name.strip().replace("\\", "/"))).resolve()
        if not file.is_relative_to(self._folder) or file.stat().st_size > MOST_BYTES:
            raise FileNotFoundError(name)
        return file.read_bytes()


_READERS: Final[dict[str, Callable[[Path, Intrinsics | None], Scan]]] = {
    ".obj": _read_obj,
    ".ply": _read_ply,
    ".stl": _read_stl,
    ".glb": _read_gltf,
    ".gltf": _read_gltf,
    ".off": _read_off,
    ".xyz": _read_xyz,
    ".npy": _read_npy,
    ".png": _read_png,
    ".exr": _read_exr,
}
