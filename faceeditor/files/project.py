"""The .face file: one face, exactly; and the .faces file: a whole gallery.

A .face is a zip of ``face.json`` (format and program version, model and its hash, camera, origin, notes),
``codes.safetensors``, and where the face has them ``refinement.safetensors``, ``told.safetensors`` (the codes that its
photo told), ``scan.safetensors`` (points of the scan
it was fitted to), ``photo.png`` (lossless) and ``thumbnail.png``. Arrays come back bit for bit. A .faces is a zip of
.face files with ``gallery.json`` telling their order.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

import faceeditor
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import Codes, as_code
from faceeditor.faces.similarity import Similarity
from faceeditor.files.atomic import require_file, write_bytes

FORMAT: Final = 1
SUFFIX: Final = ".face"
GALLERY_SUFFIX: Final = ".faces"

_MEGABYTE: Final = 1 << 20
_LIMITS: Final = {
    ".json": 4 * _MEGABYTE,
    ".safetensors": 512 * _MEGABYTE,
    ".png": 128 * _MEGABYTE,
    SUFFIX: 1024 * _MEGABYTE,
}
"""The most bytes that a member may unpack to, so that a crafted file cannot fill the memory."""
FAST: Final = 1
"""How hard zlib tries: a save must not hold up the window, and trying harder gains a few percent."""

_MOST_MEMBERS: Final = 4096
_LARGEST_PICTURE: Final = 8192

Description = dict[str, Any]
MIGRATIONS: Final[dict[int, Callable[[Description], Description]]] = {}
"""Format version -> what makes a description of the next version of it."""


@dataclass(frozen=True, eq=False)
class FaceFile:
    """What a .face holds: the face, the hash of the model it was made with, and a thumbnail (H, W, 3) uint8 sRGB."""

    face: Face
    model_hash: str = ""
    thumbnail_srgb: NDArray[np.uint8] | None = None


class _Origin(BaseModel):
    model_config = ConfigDict(extra="ignore")
    kind: str
    source: str
    figures: dict[str, float] = {}
    placement: dict[str, Any] | None = None


class _Camera(BaseModel):
    model_config = ConfigDict(extra="ignore")
    yaw: FiniteFloat
    pitch: FiniteFloat
    roll: FiniteFloat
    distance: FiniteFloat
    field_of_view: FiniteFloat
    pan: tuple[FiniteFloat, FiniteFloat]
    centre: tuple[FiniteFloat, FiniteFloat]


class _Description(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str
    model: str
    model_hash: str = ""
    notes: str = ""
    camera: _Camera
    origin: _Origin


def write_face(path: Path, file: FaceFile) -> None:
    """Writes a .face, whole or not at all. Raises ``UserError`` for a full disk or an unwritable folder."""
    write_bytes(path, face_bytes(file))


def read_face(path: Path) -> FaceFile:
    """Reads a .face. Raises ``UserError`` when it is missing, damaged, or of a version this program does not know."""
    return face_from_bytes(_bytes(path), path.name)


def face_bytes(file: FaceFile) -> bytes:
    """The content of a .face; the same face gives the same bytes."""
    face = file.face
    description = {
        "format": FORMAT,
        "program": faceeditor.__version__,
        "name": face.name,
        "model": face.model,
        "model_hash": file.model_hash,
        "notes": face.notes,
        "camera": _Camera(**asdict(face.camera)).model_dump(),
        "origin": {
            "kind": face.origin.kind,
            "source": face.origin.source,
            "figures": {name: float(value) for name, value in face.origin.figures.items() if np.isfinite(value)},
            **({} if face.origin.placement is None else {"placement": face.origin.placement.document()}),
        },
    }
    members = {"face.json": _json(description), "codes.safetensors": _arrays(face.codes)}
    if face.refinement:
        members["refinement.safetensors"] = _arrays(face.refinement)
    if face.origin.codes is not None:
        members["told.safetensors"] = _arrays(face.origin.codes)
    if face.origin.scan_points is not None:
        members["scan.safetensors"] = _arrays({"points": face.origin.scan_points})
    if face.origin.photo_srgb is not None:
        members["photo.png"] = _png(face.origin.photo_srgb)
    if file.thumbnail_srgb is not None:
        members["thumbnail.png"] = _png(file.thumbnail_srgb)
    return _zip(members)


def face_from_bytes(data: bytes, name: str) -> FaceFile:
    """The face in the content of a .face; ``name`` is how errors call the file."""
    members = _unzip(data, name, "face.json")
    with _damage(name):
        found = _Description.model_validate(migrate(_parse(members["face.json"], name), name))
        face = Face(
            name=found.name,
            model=found.model,
            codes=_codes(members["codes.safetensors"]),
            camera=Camera(**found.camera.model_dump()),
            origin=_origin(found.origin, members),
            refinement=load(members["refinement.safetensors"]) if "refinement.safetensors" in members else {},
            notes=found.notes,
        )
        thumbnail = _picture(members["thumbnail.png"]) if "thumbnail.png" in members else None
        return FaceFile(face, found.model_hash, thumbnail)


def _origin(found: _Origin, members: Mapping[str, bytes]) -> Origin:
    return Origin(
        kind=found.kind,
        source=found.source,
        photo_srgb=_picture(members["photo.png"]) if "photo.png" in members else None,
        figures=found.figures,
        codes=_codes(members["told.safetensors"]) if "told.safetensors" in members else None,
        placement=None if found.placement is None else Similarity.from_document(found.placement),
        scan_points=_points(load(members["scan.safetensors"])["points"]) if "scan.safetensors" in members else None,
    )


def _codes(data: bytes) -> Codes:
    codes = {space: as_code(code) for space, code in load(data).items()}
    if not all(np.isfinite(code).all() for code in codes.values()):
        raise ValueError("a code is not finite")
    return codes


def _points(points: NDArray[Any]) -> NDArray[np.float32]:
    if points.dtype != np.float32 or points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError("unexpected points")
    return points


def write_gallery(path: Path, files: Sequence[FaceFile], current: int = 0) -> None:
    """Writes several faces with their order and the index of the current one, whole or not at all."""
    members = {f"{index:04}{SUFFIX}": face_bytes(file) for index, file in enumerate(files)}
    members["gallery.json"] = _json({"format": FORMAT, "faces": sorted(members), "current": current})
    write_bytes(path, _zip(members))


def read_gallery(path: Path) -> tuple[list[FaceFile], int]:
    """The faces of a .faces and the index of the current one. Raises ``UserError`` as :func:`read_face` does."""
    members = _unzip(_bytes(path), path.name, "gallery.json")
    with _damage(path.name):
        description = migrate(_parse(members["gallery.json"], path.name), path.name)
        files = [face_from_bytes(members[name], f"{path.name}/{name}") for name in description["faces"]]
        return files, int(description["current"])


def migrate(
    description: Description,
    name: str,
    migrations: Mapping[int, Callable[[Description], Description]] = MIGRATIONS,
    newest: int = FORMAT,
) -> Description:
    """A description of a known older version, brought up to ``newest``. Raises ``UserError`` for an unknown one."""
    version = description.get("format")
    while isinstance(version, int) and version in migrations and version != newest:
        version += 1
        description = {**migrations[version - 1](description), "format": version}
    if version != newest:
        raise UserError(
            f"{name} is of format version {version!r}, which this program does not know; update FaceEditor to open it."
        )
    return description


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """Turns whatever a damaged file makes the readers raise into one sentence."""
    try:
        yield
    except (SafetensorError, ValidationError, KeyError, TypeError, ValueError, OSError, AttributeError) as error:
        raise UserError(f"{name} is damaged and cannot be opened; use an older copy of it.") from error


def _bytes(path: Path) -> bytes:
    return require_file(path).read_bytes()


def _parse(data: bytes, name: str) -> Description:
    description = json.loads(data)
    if not isinstance(description, dict):
        raise ValueError(f"{name} has no description")
    return description


def _json(description: Description) -> bytes:
    return json.dumps(description, indent=1, allow_nan=False).encode()


def _arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    return save({name: np.array(array, order="C") for name, array in arrays.items()})


def _png(picture_srgb: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture_srgb).save(buffer, "PNG", compress_level=FAST)
    return buffer.getvalue()


def _picture(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        if max(picture.size) > _LARGEST_PICTURE or picture.mode != "RGB":
            raise ValueError("an unexpected picture")
        return np.asarray(picture)


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            packed = zipfile.ZIP_STORED if name.endswith((".png", SUFFIX)) else zipfile.ZIP_DEFLATED
            archive.writestr(_undated(name), data, packed, FAST)
    return buffer.getvalue()


def _undated(name: str) -> zipfile.ZipInfo:
    """A member without a time of its own, so that equal faces give equal files."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _unzip(data: bytes, name: str, needed: str) -> dict[str, bytes]:
    """The members of a zip by name, each within its limit."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if needed in archive.namelist() and not _is_bomb(infos):
                return {info.filename: archive.read(info) for info in infos}
    except MemoryError:
        raise
    except Exception as error:  # zipfile lets zlib.error, struct.error and many others through, without a common base
        raise UserError(f"{name} is damaged or not a FaceEditor file; use an older copy of it.") from error
    raise UserError(f"{name} does not hold what a FaceEditor file holds; it was not opened.")


def _is_bomb(infos: Sequence[zipfile.ZipInfo]) -> bool:
    """Whether members would unpack to more than a face or gallery can be."""
    return (
        len(infos) > _MOST_MEMBERS
        or sum(info.file_size for info in infos) > _LIMITS[SUFFIX]
        or any(info.file_size > _LIMITS.get(Path(info.filename).suffix, 0) for info in infos)
    )
