"""NPHM's scans of whole heads (Giebenhain et al., "Learning Neural Parametric Head Models", CVPR 2023), given to
researchers by its authors.

What is read: ``PERSON/EXPRESSION/scan.ply``, the fused scan with shoulders; ``registration.ply``, FLAME made finer and
drawn to the scan, of one topology for all; and ``flame.ply``, the FLAME mesh before that. Folders are numbers of three
digits. The data are under licence, so this was written without them, from what is published: section 5.1 of the
tri-plane thesis, the readme and the data manager of the authors' code, and their answers in issues 1 and 18 (all is in
FLAME's axes, y up and z out of the face, four units to a metre). ``neutrals_open.json`` of that code tells which
expression is a person's neutral one with an open mouth, or -1 where there is none. ``s.npy``, ``R.npy`` and ``t.npy``
lead back to the scanner's space, which nothing here asks for.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.files.scans import read_scan

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNIT: Final = 0.25
"""Metres."""
NOSE_TIP: Final = 3526
"""Its vertex in registrations."""
THROAT: Final = (3276, 3207, 3310)
"""Vertices of flame.ply: the plane through them parts the head from the shoulders, which lie behind it."""
HELD_OUT: Final = frozenset({
    20, 23, 38, 98, 99, 105, 143, 163, 186, 194, 199, 202, 204, 209, 236, 241, 254, 267, 276, 283, 286, 290, 291, 292,
    293, 294, 295, 297, 298, 341, 343, 350, 363,
})  # fmt: skip
"""Who is never trained on: the authors' 23 people for tests and 10 for validation."""
FAILED: Final = {
    79: (16, 17, 18, 19, 20), 85: (2,), 88: (19,), 100: (0,), 106: (20,), 125: (1, 4, 5), 261: (19,), 292: (9,),
    298: (23, 24, 25, 26), 345: (12,), 360: (6, 14), 362: (20,), 363: (1,),
}  # fmt: skip
"""Expressions that the authors leave out, by person, for their scans went wrong."""


class Mesh(NamedTuple):
    """``vertices`` (V, 3) in metres, along FLAME's axes, and triangles ``faces`` (F, 3)."""

    vertices: Floats
    faces: Ints


class Person(NamedTuple):
    """One person: the ``number`` of the ``folder``, which expression is ``neutral``, and the ``others``."""

    number: int
    folder: Path
    neutral: int
    others: tuple[int, ...]

    def file(self, expression: int, name: str) -> Path:
        """Where ``name`` of an expression lies."""
        return self.folder / f"{expression:03d}" / name

    def throat(self) -> tuple[Floats, Floats]:
        """A point of the plane that parts the neutral head from the shoulders, and its unit normal, towards the head.
        Raises ``UserError``.
        """
        path = self.file(self.neutral, "flame.ply")
        vertices = read_mesh(path).vertices
        if len(vertices) <= max(THROAT):
            raise UserError(f"{path} has {len(vertices)} vertices, which is not FLAME; load it down again.")
        first, second, third = vertices[list(THROAT)]
        normal = np.cross(second - first, third - first)
        length = np.linalg.norm(normal)
        if not length:
            raise UserError(f"{path} has no throat; load it down again.")
        return first, normal / length


def people(root: Path, neutrals: Path) -> list[Person]:
    """Everyone in the folder ``root`` with a neutral expression, by number. Raises ``UserError``."""
    folders = sorted(path for path in root.glob("*") if path.name.isdecimal() and path.is_dir())
    if not folders:
        raise UserError(f"There are no people of NPHM in {root}; choose the folder that holds 017/000.")
    neutral = _neutral_expressions(neutrals)
    found = [_person(folder, neutral[int(folder.name)]) for folder in folders if neutral.get(int(folder.name), -1) >= 0]
    if not found:
        raise UserError(f"{neutrals} names no neutral expression of anybody in {root}; add some people.")
    return found


def _person(folder: Path, neutral: int) -> Person:
    number = int(folder.name)
    shown = {int(path.name) for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()}
    return Person(number, folder, neutral, tuple(sorted(shown - {neutral, *FAILED.get(number, ())})))


def _neutral_expressions(path: Path) -> dict[int, int]:
    try:
        return {int(person): int(expression) for person, expression in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(
            f"{path} does not tell which expression of each person is neutral; "
            "take dataset/neutrals_open.json of the code that NPHM's authors published."
        ) from None


def read_mesh(path: Path) -> Mesh:
    """The mesh in a file. Raises ``UserError``."""
    scan = read_scan(path)
    if scan.faces is None:
        raise UserError(f"There is no surface in {path}; load it down again.")
    return Mesh(scan.vertices * UNIT, scan.faces.astype(np.int64))


def read_registration(path: Path, faces: Ints | None = None) -> Mesh:
    """The registration in a file. Raises ``UserError``, also where its triangles are not ``faces``."""
    mesh = read_mesh(path)
    if len(mesh.vertices) <= NOSE_TIP:
        raise UserError(f"{path} has {len(mesh.vertices)} vertices, too few for a registration; load it down again.")
    if faces is not None and not np.array_equal(mesh.faces, faces):
        raise UserError(f"{path} has another topology than the other registrations; load it down again.")
    return mesh
