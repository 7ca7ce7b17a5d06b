"""Everything an artist does to a face, as verbs on a document: one undoable step each."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Literal

from faceeditor.editing import controls
from faceeditor.editing import transfer as transfers
from faceeditor.editing.document import Document, FaceId
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Space


class Edits(ABC):
    """The edits of a document's faces. Steps with the same ``gesture`` that follow each other become one (a drag).

    ``locks`` names spaces that dice leave alone.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.locks: set[str] = set()

    @abstractmethod
    def spaces(self, model: str) -> Mapping[str, Space]:
        """The latent spaces of a model."""

    @property
    @abstractmethod
    def symmetric(self) -> bool:
        """Whether sliders of one side move those of the other."""

    def value(self, face_id: FaceId, key: str) -> float:
        """Where a slider or raw component stands."""
        return controls.value(*self._with_spaces(face_id), key)

    def set_slider(self, face_id: FaceId, key: str, value: float, *, gesture: object = None) -> None:
        """Moves a slider, and with symmetry on its twin on the other side."""
        face, spaces = self._with_spaces(face_id)
        edited = controls.set_slider(face, spaces, key, value, symmetric=self.symmetric)
        self.document.replace(face_id, edited, f"{_title(spaces, key)} {value:.2f}", _merge(key, gesture))

    def set_component(self, face_id: FaceId, space: str, index: int, value: float, *, gesture: object = None) -> None:
        """Sets one raw component of a code."""
        self.set_slider(face_id, f"{space}.{index}", value, gesture=gesture)

    def choice(self, face_id: FaceId, key: str) -> str:
        """The chosen option."""
        return controls.choice(*self._with_spaces(face_id), key)

    def set_choice(self, face_id: FaceId, key: str, option: str) -> None:
        """Chooses an option."""
        face, spaces = self._with_spaces(face_id)
        edited = controls.set_choice(face, spaces, key, option)
        self.document.replace(face_id, edited, f"{_title(spaces, key)}: {option}")

    def assign(self, face_id: FaceId, assignment: str) -> None:
        """Does ``key=value``, as typed on the command line."""
        face, spaces = self._with_spaces(face_id)
        self.document.replace(face_id, controls.assign(face, spaces, assignment), assignment)

    def reset(self, face_id: FaceId, what: str, *, to: Literal["start", "neutral"] = "start") -> None:
        """Puts a slider, a choice, a space or ``all`` back to how the face started, or to the model's neutral."""
        face, spaces = self._with_spaces(face_id)
        start = self.document.original(face_id) if to == "start" else None
        edited = controls.reset(face, spaces, what, start)
        if what in ("all", "skin"):
            edited = edited.replace(refinement=start.refinement if start else {})
        self.document.replace(face_id, edited, f"Reset {what}")

    def randomise(self, face_id: FaceId, spaces: Iterable[str] | None = None, seed: int | None = None) -> None:
        """Draws plausible random codes in ``spaces`` (all by default), but not in those that are locked."""
        face, known = self._with_spaces(face_id)
        names = [name for name in (known if spaces is None else spaces) if name not in self.locks]
        edited = controls.randomise(face, known, names, secrets.randbits(32) if seed is None else seed)
        self.document.replace(face_id, edited, f"Random {', '.join(names)}")

    def mirror(self, face_id: FaceId) -> None:
        """Exchanges left and right of expression, light and pose."""
        self.document.replace(face_id, transfers.mirror(*self._with_spaces(face_id)), "Mirror")

    def transfer(
        self, what: str, source: FaceId, target: FaceId, amount: float = 1.0, *, gesture: object = None
    ) -> None:
        """Gives a part of ``source`` (or several, ``expression,skin``, or ``hair=0.5,pose`` where some have amounts of
        their own) to ``target``.

        A gesture always starts again from what it found.
        """
        key = _merge(f"transfer {what} {source}", gesture)
        edited = self.document.base(target, key)
        parts = transfers.parts_of(what, amount)
        for part, share in parts:
            edited = transfers.transfer(part, self.document[source], edited, share)
        words = ", ".join(part for part, _ in parts).capitalize()
        self.document.replace(target, edited, f"{words} from {self.document[source].name}", key)

    def transferable(self, source: FaceId, target: FaceId) -> tuple[transfers.Part, ...]:
        """What ``source`` can give to ``target``."""
        faces = self.document[source], self.document[target]
        return tuple(part for part in transfers.TRANSFERS if transfers.can_give(part, *faces))

    def blend(self, first: FaceId, second: FaceId, amount: float) -> FaceId:
        """Adds the face between two others."""
        face = transfers.blend(self.document[first], self.document[second], amount)
        return self.document.add(face, f"Blend {face.name}")

    def changed(self, face_id: FaceId) -> frozenset[str]:
        """The keys of controls that stand elsewhere than when the face was added."""
        face, spaces = self._with_spaces(face_id)
        return controls.changed(face, self.document.original(face_id), spaces)

    def set_camera(self, face_id: FaceId, camera: Camera) -> None:
        """Makes ``camera`` the face's own; a step."""
        self.document.replace(face_id, self.document[face_id].replace(camera=camera), "Keep view")

    def _with_spaces(self, face_id: FaceId) -> tuple[Face, Mapping[str, Space]]:
        face = self.document[face_id]
        return face, self.spaces(face.model)


def _merge(key: str, gesture: object) -> object:
    return None if gesture is None else (key, gesture)


def _title(spaces: Mapping[str, Space], key: str) -> str:
    """How the history calls a control."""
    _, control = controls.find(spaces, key)
    return key if isinstance(control, int) else control.label
