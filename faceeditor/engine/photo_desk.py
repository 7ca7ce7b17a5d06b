"""Where photos become faces: at one glance, by a fit, or by a fit of a face that was only glanced at."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.editing import controls
from faceeditor.editing.document import Document, FaceId, new_id
from faceeditor.engine import photos
from faceeditor.engine.engine import Engine
from faceeditor.engine.exports import ENCODER, QUALITIES, name_of
from faceeditor.engine.jobs import Deliver, Job, Steps
from faceeditor.engine.photos import Box, Photo
from faceeditor.errors import UserError
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Space, in_studio_coordinates

if TYPE_CHECKING:
    from faceeditor.fitting.portrait import Crop, Portrait


class PhotoDesk(ABC):
    """The verbs of photos over a document and an engine."""

    document: Document
    engine: Engine
    _deliver: Deliver

    def __init__(self) -> None:
        self._photos: dict[FaceId, Photo] = {}

    @property
    @abstractmethod
    def preferred_model(self) -> str:
        """The model of faces that are asked for without naming one."""

    @abstractmethod
    def spaces(self, model: str) -> Mapping[str, Space]:
        """The latent spaces of a model."""

    def glances(self, model: str | None = None) -> bool:
        """Whether :meth:`glance` works for a model: an encoder is installed, and the model understands it."""
        return name_of(ENCODER) is not None and in_studio_coordinates(self.spaces(model or self.preferred_model))

    def photo_qualities(self, model: str | None = None) -> tuple[str, ...]:
        """What :meth:`fit_photo` knows with the models at hand, the quickest first."""
        return photos.PHOTO_QUALITIES if self.glances(model) else QUALITIES

    def get_ready_for_photos(self) -> Job[None]:
        """Loads what the first photo would have to wait for."""
        return self.engine.submit("Get ready for photos", lambda step: photos.get_ready(self.engine.model, step))

    def photo(self, face_id: FaceId) -> Photo:
        """The photo of a face, and which of its heads it is: the file, while the session knows it and it is there, or
        the picture that the face keeps. Raises ``UserError`` for a face without a photo.
        """
        known, kept = self._photos.get(face_id), self.document[face_id].origin.photo_srgb
        if kept is None:
            raise UserError(f"{self.document[face_id].name} was not made from a photo.")
        if known is not None and known.path is not None and known.path.is_file():
            return known
        from faceeditor.fitting.detection import box_of_crop

        return Photo(kept, box_of_crop(len(kept)))

    def find_head(
        self, photo: Path | Photo, *, box: Box | None = None, landmarks: NDArray[np.float64] | None = None
    ) -> Job[tuple[NDArray[np.uint8], "Portrait"]]:
        """The photo and the head found in it, for the artist to correct before :meth:`fit_photo`."""
        chosen = _as_photo(photo).given(box, landmarks)
        return self.engine.submit(
            f"Look at {_name(chosen)}", lambda step: photos.find_head(self.engine.model, chosen, step)
        )

    def find_heads(self, photo: Path | Photo) -> Job[list[Box]]:
        """The faces in a photo, from left to right: the boxes to choose from for the other verbs."""
        chosen = _as_photo(photo)
        return self.engine.submit(
            f"Look for other faces in {_name(chosen)}",
            lambda step: photos.find_heads(self.engine.model, chosen, step),
        )

    def glance(self, photo: Path | Photo, *, model: str | None = None) -> Job[FaceId]:
        """Adds the face that one look at a photo tells, at once; another job then settles it, in the same step. That is
        what :meth:`fit_photo` gives with the quality ``glance``, but without figures. :meth:`refine` fits it later.
        """
        chosen, name = _as_photo(photo), model or self.preferred_model

        def work(step: Steps) -> FaceId:
            face, crop = photos.glance(self.engine.model, chosen, name, step)
            face_id = self._made(face, crop, chosen)
            self._deliver(lambda: self._settle(face_id, face, chosen, crop))
            return face_id

        return self.engine.submit(f"Glance at {_name(chosen)}", work)

    def fit_photo(
        self,
        photo: Path | Photo,
        *,
        quality: str = "standard",
        model: str | None = None,
        box: Box | None = None,
        landmarks: NDArray[np.float64] | None = None,
    ) -> Job[FaceId]:
        """Makes a face from a photo; previews stream by the job, and the face is added when it is done."""
        chosen, name = _as_photo(photo).given(box, landmarks), model or self.preferred_model

        def work(step: Steps) -> FaceId:
            return self._made(*photos.fit(self.engine.model, chosen, name, quality, step), chosen)

        return self.engine.submit(f"Fit {_name(chosen)}", work)

    def refine(
        self,
        face_id: FaceId,
        *,
        quality: str = "standard",
        box: Box | None = None,
        landmarks: NDArray[np.float64] | None = None,
    ) -> Job[FaceId]:
        """Fits a face to its photo anew, in one step when it is done. What the artist has changed since the photo told
        it, also meanwhile, stays as it was set. Raises ``UserError`` for a face without a photo.
        """
        chosen, name = self.photo(face_id).given(box, landmarks), self.document[face_id].model

        def work(step: Steps) -> FaceId:
            fitted, _ = photos.fit(self.engine.model, chosen, name, quality, step)
            self._deliver(lambda: self._refined(face_id, fitted, chosen))
            return face_id

        return self.engine.submit(f"Refine {self.document[face_id].name}", work)

    def _made(self, face: Face, crop: "Crop", photo: Photo) -> FaceId:
        """Has a new face added by the session's thread, and told what the artist may want to correct."""
        face_id = new_id()
        self._deliver(lambda: self._add(face, photo, face_id))
        doubt = "" if photo.box is not None else _UNCERTAIN if not crop.certain else "" if crop.alone else _SEVERAL
        if doubt:
            self._deliver(lambda: self.engine.notice.emit(doubt.format(_name(photo))))
        return face_id

    def _settle(self, face_id: FaceId, face: Face, photo: Photo, crop: "Crop") -> None:
        """Begun when the face was added and asked to be drawn, so that it is seen first."""

        def work(step: Steps) -> None:
            near = photos.settle(self.engine.model, face, photo, crop, step)
            self._deliver(lambda: self._tell_again(face_id, near, f"Fit {face.name}", _AT_FIRST_SIGHT))

        self.engine.submit(f"Settle {face.name}", work)

    def _add(self, face: Face, photo: Photo, face_id: FaceId) -> None:
        self._photos[face_id] = photo
        self.document.add(face, f"Fit {face.name}", face_id, merge=_AT_FIRST_SIGHT)

    def _refined(self, face_id: FaceId, fitted: Face, photo: Photo) -> None:
        if face_id in self.document:
            self._photos[face_id] = photo
            self._tell_again(face_id, fitted, f"Refine {self.document[face_id].name}")

    def _tell_again(self, face_id: FaceId, told: Face, label: str, merge: object = None) -> None:
        """Puts what the photo tells now in the place of what it told before; what was edited stays as it was set."""
        if face_id not in self.document:
            return
        edited = self.document[face_id]
        face = controls.carried(edited, edited.origin.codes or edited.codes, told, self.spaces(told.model))
        origin = replace(face.origin, source=edited.origin.source)
        face = face.replace(name=edited.name, notes=edited.notes, origin=origin)
        start = told.replace(name=edited.name, origin=origin)
        self.document.replace(face_id, face, label, merge, select=False, start=start)


_AT_FIRST_SIGHT: Final = "at first sight"


def _as_photo(photo: Path | Photo) -> Photo:
    return Photo(photo) if isinstance(photo, Path) else photo


def _name(photo: Photo) -> str:
    return "the photo" if photo.path is None else photo.path.name


_SEVERAL: Final = (
    "{} shows several faces and the most prominent was taken; Refine in the window, or --face on the command line, "
    "takes another."
)
_UNCERTAIN: Final = (
    "What was taken for a face in {} may be none; draw a box around the face by Refine in the window, or give it by "
    "--box on the command line."
)
