"""What jobs do with photos on the inference thread: find heads, tell a face at one glance, fit a face."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.engine.engine import able
from faceeditor.engine.exports import ENCODER, QUALITIES, name_of, reader_name, require_quality
from faceeditor.engine.jobs import Steps
from faceeditor.errors import NoFaceError, UserError
from faceeditor.faces.face import Face
from faceeditor.faces.latents import in_studio_coordinates
from faceeditor.files.images import read_image_srgb

if TYPE_CHECKING:
    from faceeditor.fitting.portrait import Crop, Portrait
    from faceeditor.fitting.progress import FitProgress

# Fitting is imported by the first fit and not before, for the sake of a quick start.

Box = tuple[float, float, float, float]
ModelOf = Callable[[str], Any]

GLANCE: Final = "glance"
"""The quality of photos that is no fit: what one look tells."""
PHOTO_QUALITIES: Final = (GLANCE, *QUALITIES)

FIRST_SIGHT: Final = 256
"""Pixels of the picture of what that tells."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo ``at`` a path, or as a face keeps it (H, W, 3) uint8 sRGB, and what the artist said of it, in its pixels:
    the ``box`` of the face (left, top, right, bottom), all its ``landmarks`` (68, 2), or the ``number`` of the face,
    counted from the left, 1 being the first.
    """

    at: Path | NDArray[np.uint8]
    box: Box | None = None
    landmarks: NDArray[np.float64] | None = None
    number: int | None = None

    def __post_init__(self) -> None:
        """Refuses two ways of telling which face is meant."""
        if self.number is not None and (self.box is not None or self.landmarks is not None):
            raise UserError("Choose the face by its number or by a box or landmarks, not by both.")

    @property
    def path(self) -> Path | None:
        """Its file."""
        return self.at if isinstance(self.at, Path) else None

    def read(self) -> NDArray[np.uint8]:
        """The picture (H, W, 3), upright. Raises ``UserError`` when its file cannot be read."""
        return read_image_srgb(self.at) if isinstance(self.at, Path) else self.at

    def given(self, box: Box | None, landmarks: NDArray[np.float64] | None) -> "Photo":
        """With corrections, which count in place of what was said before."""
        return self if box is None and landmarks is None else Photo(self.at, box, landmarks)


def find_head(model_of: ModelOf, photo: Photo, step: Steps) -> tuple[NDArray[np.uint8], "Portrait"]:
    """The picture (H, W, 3) and the head that was found in it. Raises ``UserError`` where there is none."""
    from faceeditor.fitting.portrait import analyse

    picture, reader, box = _opened(model_of, photo, step)
    landmarks = photo.landmarks
    return picture, analyse(picture, reader, box=box, landmarks=landmarks, breathe=lambda: step(0.02))


def find_heads(model_of: ModelOf, photo: Photo, step: Steps) -> list[Box]:
    """The faces of all heads, from left to right."""
    from faceeditor.fitting.portrait import heads

    return heads(photo.read(), model_of(reader_name()), lambda: step(0.1, "Looking for other faces"))


def glance(model_of: ModelOf, photo: Photo, name: str, step: Steps) -> tuple[Face, "Crop"]:
    """The face of the model ``name`` that one look at a photo tells, the quickest way there is, without figures; and
    what was looked at.
    """
    from faceeditor.fitting.glance import at_first_sight
    from faceeditor.fitting.portrait import cropped

    picture, reader, box = _opened(model_of, photo, step)
    model, encoder = model_of(name), _encoder(model_of, needed=True)
    crop = cropped(picture, reader, box=box, breathe=lambda: step(0.1))
    step(0.8, "At first sight", crop.crop_srgb)
    return _kept(at_first_sight(crop, encoder, model), photo), crop


def settle(model_of: ModelOf, face: Face, photo: Photo, crop: "Crop", step: Steps) -> Face:
    """``face``, told by :func:`glance`, brought to what its photo shows by least squares."""
    from faceeditor.fitting.portrait import read_closely
    from faceeditor.fitting.settling import settled

    step(0.0, "Settling")
    portrait = read_closely(photo.read(), model_of(reader_name()), crop)
    model = able(model_of(face.model), "fitting")
    near = settled(face, portrait, model, lambda: step(0.5))
    return near.replace(origin=replace(near.origin, codes=near.codes))


def fit(model_of: ModelOf, photo: Photo, name: str, quality: str, step: Steps) -> tuple[Face, "Crop"]:
    """Finds the head in a photo and fits the model ``name`` to it; streams pictures by ``step``, the first of them of
    what one glance tells, if there is a model for that. With the quality ``glance`` that is all. Also gives what was
    looked at.
    """
    from faceeditor.fitting.glance import at_first_sight, over_photo
    from faceeditor.fitting.glance import glance as measured_glance
    from faceeditor.fitting.photo import fit_photo

    require_quality(quality, PHOTO_QUALITIES)
    chosen = model_of(name)
    glanced = quality == GLANCE or in_studio_coordinates(chosen.spaces)
    encoder: Any = _encoder(model_of, needed=quality == GLANCE) if glanced else None
    _, portrait = find_head(model_of, photo, step)
    model = able(chosen, "fitting")
    step(0.05, "Fitting", portrait.crop_srgb)

    def on_step(progress: "FitProgress") -> None:
        step(0.05 + 0.95 * progress.fraction, progress.message, progress.picture_srgb)

    if quality == GLANCE:
        return _kept(measured_glance(portrait, encoder, model), photo), portrait
    if encoder is not None:
        first = at_first_sight(portrait, encoder, model)
        step(0.05, "At first sight", over_photo(first, portrait, model, FIRST_SIGHT))
    with torch.enable_grad():
        face = fit_photo(portrait, model, quality=quality, on_step=on_step, cancelled=lambda: False)
    return _kept(face, photo), portrait


def get_ready(model_of: ModelOf, step: Steps) -> None:
    """Loads what the first photo needs, so that it need not wait."""
    step(0.0, "Loading")
    model_of(reader_name())
    step(0.5, "Loading")
    _encoder(model_of, needed=False)


def _opened(model_of: ModelOf, photo: Photo, step: Steps) -> tuple[NDArray[np.uint8], Any, Box | None]:
    """The picture, what reads it, and the box of the face that is wanted."""
    step(0.0, "Reading the photo")
    picture = photo.read()
    step(0.02, "Finding the face", picture)
    reader = model_of(reader_name())
    return picture, reader, photo.box if photo.number is None else _numbered(picture, reader, photo.number, step)


def _numbered(picture: NDArray[np.uint8], reader: Any, number: int, step: Steps) -> Box:
    from faceeditor.fitting.portrait import heads

    found = heads(picture, reader, lambda: step(0.02))
    if not found:
        raise NoFaceError
    if not 1 <= number <= len(found):
        count = "one face was" if len(found) == 1 else f"{len(found)} faces were"
        raise UserError(f"There is no face {number}: {count} found, counted from the left; choose 1 to {len(found)}.")
    return found[number - 1]


def _kept(face: Face, photo: Photo) -> Face:
    """``face`` under the name of its photo, remembering what the photo told."""
    name = "" if photo.path is None else photo.path.name
    return face.replace(name=Path(name).stem, origin=replace(face.origin, source=name, codes=face.codes))


def _encoder(model_of: ModelOf, *, needed: bool) -> Any:
    """The model that tells a face at one glance, or ``None``. Raises ``UserError`` when it is ``needed``."""
    name = name_of(ENCODER)
    if name is None and needed:
        raise UserError(f"The model that a glance needs is not installed; choose {', '.join(QUALITIES)}.")
    return None if name is None else able(model_of(name), "attributes")
