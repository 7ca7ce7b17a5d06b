"""FaceScape's topologically uniform models (Yang et al., "FaceScape", CVPR 2020), given to researchers by its authors.

What is read, each by the name of its file: ``PERSON/models_reg/K_EXPRESSION.obj``, people numbered 1 to 847 and
:data:`EXPRESSIONS` from 1, and ``PERSON/dpmap/K_EXPRESSION.png``, in one folder or in the folders of a hundred people
as they are loaded down. The data are under licence, so this was written without them, from what is published: the
authors' page on these models (what there is of each person, and that files may be missing); their answers in issues
23, 39, 47 and 114 (all models aligned to one template, no true scale: people were brought to one distance of the inner
eye corners, taken as about 40 mm; a grey value g of a displacement map says (g - 32768) / 32768 * 0.914 mm outwards);
and the preparation of the authors of ImFace (y up, z out of the face, 100 units to 10 cm, landmark 30 the nose tip;
landmarks under the key ``v10`` of ``landmark_indices.npz``). Not found in writing: the direction of v in the
displacement maps, which is taken to be OBJ's, and the other keys of the landmarks' file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.landmarks import COUNT
from faceeditor.faces.scan import Picture
from faceeditor.files.numbers import numbers
from faceeditor.files.obj import read_obj

Points = NDArray[np.float64]

EXPRESSIONS: Final = (
    "neutral", "smile", "mouth_stretch", "anger", "jaw_left", "jaw_right", "jaw_forward", "mouth_left", "mouth_right",
    "dimpler", "chin_raiser", "lip_puckerer", "lip_funneler", "sadness", "lip_roll", "grin", "cheek_blowing",
    "eye_closed", "brow_raiser", "brow_lower",
)  # fmt: skip
"""What everyone was asked for, in the order of the numbers."""
NEUTRAL: Final = 1
HELD_OUT: Final = (53, 17)
"""People whose number leaves 17 when it is divided by 53 are never trained on: 16 of 847, as in section 4.1."""
DEEPEST: Final = 0.914
"""Units of the models that the blackest and the whitest of a displacement map mean."""
MIDDLE: Final = 32768
TEXELS: Final = 2048
"""A displacement map's side at most, about 0.2 mm of a face; what is finer is noise to a face model."""


class Model(NamedTuple):
    """One file: who and, from 1, which of :data:`EXPRESSIONS`."""

    person: int
    expression: int
    path: Path

    @property
    def relief(self) -> Path:
        """Where its displacement map lies."""
        return self.path.parents[1] / "dpmap" / f"{self.path.stem}.png"


class Topology(NamedTuple):
    """What all models share: triangles ``faces`` (F, 3) and ``uv`` (V, 2), v up; not finite on the seams."""

    faces: NDArray[np.int64]
    uv: Points


def held_out(person: int) -> bool:
    """Whether a person is never trained on; the number alone tells, whatever part of the data someone has."""
    return person % HELD_OUT[0] == HELD_OUT[1]


def people(root: Path) -> dict[int, list[Model]]:
    """The models of everyone who has a neutral one, that first, by the person's number. Raises ``UserError``."""
    found: dict[int, list[Model]] = {}
    for folder in sorted({*root.glob("*/models_reg"), *root.glob("*/*/models_reg")}):
        if folder.parent.name.isdecimal():
            models = list(_models(int(folder.parent.name), folder))
            if models and models[0].expression == NEUTRAL:
                found[models[0].person] = models
    if not found:
        raise UserError(f"There are no FaceScape models in {root}; choose the folder that holds 1/models_reg.")
    return dict(sorted(found.items()))


def _models(person: int, folder: Path) -> Iterator[Model]:
    for number, name in enumerate(EXPRESSIONS, start=NEUTRAL):
        path = folder / f"{number}_{name}.obj"
        if path.is_file():
            yield Model(person, number, path)


def read_vertices(path: Path, count: int) -> Points:
    """The vertices (V, 3) of a model, ``count`` of them. Raises ``UserError``."""
    rows = [line[2:] for line in path.read_text(errors="replace").splitlines() if line.startswith("v ")]
    try:
        vertices = np.array([row.split()[:3] for row in rows], np.float64).reshape(-1, 3)
    except ValueError:
        raise UserError(f"{path} has vertices that are no numbers; load it down again.") from None
    if len(vertices) != count or not np.isfinite(vertices).all():
        raise UserError(f"{path} has {len(vertices)} vertices, not {count} finite ones; load it down again.")
    return vertices


def read_topology(path: Path) -> Topology:
    """The topology of one model, which is everyone's. Raises ``UserError``."""
    text = path.read_text(errors="replace")
    bare = re.sub(r"(?m)^f .*$", lambda line: re.sub(r"/\S*", "", line[0]), text)
    try:
        scan, plain = read_obj(text, _no_neighbour, _no_picture), read_obj(bare, _no_neighbour, _no_picture)
    except (ValueError, IndexError):
        raise UserError(f"{path} is damaged; load it down again.") from None
    if plain.faces is None or scan.faces is None:
        raise UserError(f"There is no surface in {path}; load it down again.")
    uv = np.full((len(plain.vertices), 2), np.nan)
    if scan.uv is not None:
        corners = scan.uv[scan.faces]
        uv[plain.faces] = corners
        uv[plain.faces[(uv[plain.faces] != corners).any(2)]] = np.nan
    return Topology(plain.faces.astype(np.int64), uv)


def _no_neighbour(name: str) -> bytes:
    raise FileNotFoundError(name)


def _no_picture(_: bytes) -> Picture:
    raise UserError("Pictures are not read here.")


def read_marks(path: Path, key: str) -> NDArray[np.int64]:
    """The vertices (68,) of the landmarks under ``key`` of the toolkit's .npz, or in a text of numbers."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                marks = np.asarray(file[key]).astype(np.int64).ravel()
        else:
            marks = numbers(path.read_text()).astype(np.int64)
    except (OSError, KeyError, ValueError):
        _no_landmarks(path, key)
    if len(marks) != COUNT:
        _no_landmarks(path, key)
    return marks


def _no_landmarks(path: Path, key: str) -> NoReturn:
    raise UserError(f"{path} does not tell {COUNT} vertex numbers under {key}; take landmark_indices.npz.") from None


@dataclass(frozen=True, eq=False)
class Relief:
    """A displacement map: ``heights`` (1, 1, T, T) outwards, row 0 at v = 1."""

    heights: Tensor

    @classmethod
    def flat(cls) -> Self:
        """No displacement at all."""
        return cls(torch.zeros(1, 1, 1, 1, dtype=torch.float64))

    @classmethod
    def read(cls, path: Path, scale: float) -> Self:
        """The map in a 16-bit picture, its heights times ``scale``. Raises ``UserError``."""
        try:
            grey = np.asarray(Image.open(path))
        except OSError:
            raise UserError(f"{path} is no picture; load it down again.") from None
        if grey.ndim != 2 or grey.dtype == np.uint8:
            raise UserError(f"{path} is no picture of 16 bits of grey; load it down again.")
        heights = (torch.from_numpy(grey.astype(np.float64)) / MIDDLE - 1)[None, None] * (DEEPEST * scale)
        side = min(TEXELS, len(grey))
        return cls(functional.interpolate(heights, (side, side), mode="area"))

    def displacement(self, places: Tensor, _: Tensor) -> Tensor:
        """Heights (N,) at ``places`` (N, 2) in texture space, with gradients; 0 outside of it."""
        grid = 2 * places * torch.tensor([1.0, -1.0]) + torch.tensor([-1.0, 1.0])
        found = functional.grid_sample(self.heights, grid[None, None], align_corners=False)
        return found[0, 0, 0]
