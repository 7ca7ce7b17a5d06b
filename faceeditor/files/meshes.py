"""Meshes to files: GLB with everything, OBJ with its texture, PLY and STL. All in metres, +Y up, +Z out of the face.

Vertices, their order, texture places and normals are kept in every format that has room for them; only GLB has room for
morphs. STL knows neither vertices nor textures. Every file carries the synthetic-media mark.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.mesh import Mesh
from faceeditor.files.atomic import write_bytes
from faceeditor.files.gltf import glb_bytes
from faceeditor.files.images import write_png
from faceeditor.files.provenance import Provenance
from faceeditor.files.smoothing import face_normals


def write_mesh(path: Path | str, mesh: Mesh, provenance: Provenance) -> None:
    """Saves ``mesh`` in the format that the suffix of ``path`` names, whole or not at all.

    Row 0 of its texture is the picture's top, at v = 1. Raises ``UserError`` for a suffix that is not .glb, .obj, .ply
    or .stl, for a mesh without faces, and where the file cannot be saved.
    """
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise UserError(f"{target} has no suffix a mesh can be saved with; use {', '.join(_WRITERS)}.")
    if not len(mesh.faces):
        raise UserError(f"There is no surface to save as {target.name}; choose another face or model.")
    writer(target, mesh, provenance)


def write_glb(path: Path, mesh: Mesh, provenance: Provenance) -> None:
    """Saves binary glTF 2.0: UVs, normals, the texture inside, morphs by name, parts in the mesh's extras."""
    write_bytes(path, glb_bytes(mesh, provenance))


def write_obj(path: Path, mesh: Mesh, provenance: Provenance) -> None:
    """Saves Wavefront OBJ, and beside it an MTL and a PNG of the same name when the mesh has a texture."""
    name = path.stem
    lines = [f"# {provenance.line()}", *([f"mtllib {name}.mtl", "usemtl face"] if _textured(mesh) else [])]
    lines += _rows("v", mesh.vertices)
    lines += _rows("vt", mesh.uv) if mesh.uv is not None else []
    lines += _rows("vn", mesh.normals) if mesh.normals is not None else []
    corner = "%d/%d" if mesh.uv is not None else "%d"
    if mesh.normals is not None:
        corner += "/%d" if mesh.uv is not None else "//%d"
    columns = 1 + (mesh.uv is not None) + (mesh.normals is not None)
    for part, (start, end) in (mesh.parts or {name: (0, len(mesh.faces))}).items():
        lines.append(f"g {part}")
        lines += _rows("f", np.repeat(mesh.faces[start:end] + 1, columns, axis=1), " ".join([corner] * 3))
    if _textured(mesh):
        assert mesh.texture_srgb is not None
        write_png(path.with_suffix(".png"), mesh.texture_srgb, provenance)
        write_bytes(path.with_suffix(".mtl"), _material(name, provenance).encode())
    write_bytes(path, "\n".join([*lines, ""]).encode())


def write_ply(path: Path, mesh: Mesh, provenance: Provenance) -> None:
    """Saves binary PLY with normals and texture places (properties nx ny nz and s t)."""
    named = {"x y z": mesh.vertices, "nx ny nz": mesh.normals, "s t": mesh.uv}
    columns = {names: np.asarray(values, "<f4") for names, values in named.items() if values is not None}
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {provenance.line()}",
        f"element vertex {len(mesh.vertices)}",
        *(f"property float {name}" for names in columns for name in names.split()),
        f"element face {len(mesh.faces)}",
        "property list uchar int vertex_indices",
        "end_header",
        "",
    ]
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    body = np.concatenate(list(columns.values()), axis=1).tobytes() + faces.tobytes()
    write_bytes(path, "\n".join(header).encode() + body)


def write_stl(path: Path, mesh: Mesh, provenance: Provenance) -> None:
    """Saves STL as text, because the binary kind's 80 bytes of header have no room for the mark."""
    mark = provenance.line()
    normals = face_normals(mesh.vertices, mesh.faces)
    table = np.concatenate([normals[:, None], mesh.vertices[mesh.faces]], axis=1).reshape(-1, 12)
    facet = f"facet normal {_THREE}\nouter loop\n" + f"vertex {_THREE}\n" * 3 + "endloop\nendfacet"
    lines = [f"solid {mark}", *(facet % tuple(row) for row in table.tolist()), f"endsolid {mark}", ""]
    write_bytes(path, "\n".join(lines).encode())


_NUMBER: Final = "%.9g"
"""Enough digits that a float32 is read back exactly."""
_THREE: Final = " ".join([_NUMBER] * 3)

_WRITERS: Final[dict[str, Callable[[Path, Mesh, Provenance], None]]] = {
    ".glb": write_glb,
    ".obj": write_obj,
    ".ply": write_ply,
    ".stl": write_stl,
}


def _textured(mesh: Mesh) -> bool:
    return mesh.texture_srgb is not None and mesh.uv is not None


def _rows(word: str, values: NDArray[np.generic], form: str = "") -> list[str]:
    """The lines of a table, as one text: many small ones take twice as long."""
    form = f"{word} " + (form or " ".join([_NUMBER] * values.shape[1]))
    return ["\n".join([form] * len(values)) % tuple(values.ravel().tolist())] if len(values) else []


def _material(name: str, provenance: Provenance) -> str:
    return f"# {provenance.line()}\nnewmtl face\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {name}.png\n"
