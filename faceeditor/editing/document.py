"""The document: an ordered gallery of faces and one undo stack over all of it.

A gallery is immutable and shares its faces with the one before, so a step of the history is simply the gallery before
and after; undo puts the old one back and tells what differs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self, TypeAlias
from uuid import uuid4

from psygnal import Signal

from faceeditor.faces.face import Face

FaceId: TypeAlias = str


def new_id() -> FaceId:
    """An id that no other face has."""
    return uuid4().hex[:12]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Faces in their order and which one is current (``None`` only when there are no faces)."""

    faces: Mapping[FaceId, Face] = field(default_factory=lambda: MappingProxyType({}))
    current: FaceId | None = None

    def having(self, faces: Mapping[FaceId, Face], current: FaceId | None) -> Self:
        """A gallery of ``faces``; when ``current`` is not among them, the first one is."""
        chosen = current if current in faces else next(iter(faces), None)
        return type(self)(MappingProxyType(dict(faces)), chosen)

    def same_faces(self, other: "Gallery") -> bool:
        """Whether both hold the very same faces in the same order."""
        return list(self.faces) == list(other.faces) and all(self.faces[key] is other.faces[key] for key in self.faces)


@dataclass(frozen=True, eq=False)
class Step:
    """One undoable step. Steps with the same ``merge`` key that follow each other become one (a slider's drag)."""

    label: str
    before: Gallery
    after: Gallery
    merge: object = None


class Document:
    """The faces that are open, evented; every change of a face is one step on the undo stack.

    Which face is current is not a step, but undo and redo return to the face they change.
    """

    faces_changed = Signal()
    face_changed = Signal(str)
    current_changed = Signal(object)
    history_changed = Signal()
    saved_changed = Signal()

    def __init__(self) -> None:
        self._gallery = Gallery()
        self._steps: list[Step] = []
        self._position = 0
        self._originals: dict[FaceId, Face] = {}
        self._saved: dict[FaceId, Face] = {}

    # --- reading ---------------------------------------------------------------------------------------------------

    @property
    def gallery(self) -> Gallery:
        """What is shown now; immutable, so another thread may keep it."""
        return self._gallery

    @property
    def ids(self) -> tuple[FaceId, ...]:
        """The faces in the gallery's order."""
        return tuple(self._gallery.faces)

    @property
    def current(self) -> FaceId | None:
        """The face that is being edited."""
        return self._gallery.current

    def __getitem__(self, face_id: FaceId) -> Face:
        return self._gallery.faces[face_id]

    def __contains__(self, face_id: object) -> bool:
        return face_id in self._gallery.faces

    def __len__(self) -> int:
        return len(self._gallery.faces)

    def original(self, face_id: FaceId) -> Face:
        """The face as it was added or opened, for before/after and for resetting."""
        return self._originals[face_id]

    # --- history ---------------------------------------------------------------------------------------------------

    @property
    def history(self) -> tuple[str, ...]:
        """The labels of all steps, oldest first, undone ones included."""
        return tuple(step.label for step in self._steps)

    @property
    def position(self) -> int:
        """How many steps are done."""
        return self._position

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        return self._position < len(self._steps)

    def undo(self) -> None:
        """Takes one step back; nothing when there is none."""
        self.go_to(max(self._position - 1, 0))

    def redo(self) -> None:
        """Takes an undone step again; nothing when there is none."""
        self.go_to(min(self._position + 1, len(self._steps)))

    def go_to(self, position: int) -> None:
        """Undoes or redoes until ``position`` steps are done. Raises ``IndexError`` outside the history."""
        if not 0 <= position <= len(self._steps):
            raise IndexError(position)
        if position == self._position:
            return
        back = position < self._position
        gallery = self._steps[position].before if back else self._steps[position - 1].after
        self._position = position
        self._show(gallery)
        self.history_changed.emit()
        self.saved_changed.emit()

    def execute(self, label: str, after: Gallery, merge: object = None) -> None:
        """Does one step to the gallery ``after``; a change of nothing is no step. Undone steps are forgotten."""
        if after.same_faces(self._gallery):
            return self._show(after)
        before = self._gallery
        del self._steps[self._position :]
        last = self._steps[-1] if self._steps else None
        if last is not None and merge is not None and last.merge == merge:
            before = last.before
            self._steps.pop()
        self._steps.append(Step(label, before, after, merge))
        self._position = len(self._steps)
        self._show(after)
        self.history_changed.emit()
        return self.saved_changed.emit()

    def _show(self, gallery: Gallery) -> None:
        old, self._gallery = self._gallery, gallery
        if list(old.faces) != list(gallery.faces):
            self.faces_changed.emit()
        for face_id, face in gallery.faces.items():
            if face_id in old.faces and old.faces[face_id] is not face:
                self.face_changed.emit(face_id)
        if old.current != gallery.current:
            self.current_changed.emit(gallery.current)

    # --- steps -----------------------------------------------------------------------------------------------------

    def add(self, face: Face, label: str, face_id: FaceId | None = None, merge: object = None) -> FaceId:
        """Appends a face, makes it current, and returns its id (a new one unless given). A :meth:`replace` of it with
        the same ``merge`` that follows at once belongs to the step.
        """
        face_id = self._register(face, face_id)
        key = None if merge is None else (face_id, merge)
        self.execute(label, self._gallery.having({**self._gallery.faces, face_id: face}, face_id), key)
        return face_id

    def extend(self, faces: Iterable[Face], label: str) -> tuple[FaceId, ...]:
        """Appends several faces in one step, makes the first of them current, and returns their ids."""
        added = {self._register(face): face for face in faces}
        self.execute(label, self._gallery.having({**self._gallery.faces, **added}, next(iter(added), self.current)))
        return tuple(added)

    def replace(
        self,
        face_id: FaceId,
        face: Face,
        label: str,
        merge: object = None,
        *,
        select: bool = True,
        start: Face | None = None,
    ) -> None:
        """Puts an edited face in the place of an old one, and makes it current unless told not to ``select`` it.
        ``start`` is taken for how the face started, from then on.
        """
        if start is not None:
            self._originals[face_id] = start
        key, current = None if merge is None else (face_id, merge), face_id if select else self.current
        self.execute(label, self._gallery.having({**self._gallery.faces, face_id: face}, current), key)

    def base(self, face_id: FaceId, merge: object) -> Face:
        """The face that an edit with the key ``merge`` starts from: as it was before the steps that it merges with."""
        last = self._steps[self._position - 1] if self._position else None
        if last is not None and merge is not None and last.merge == (face_id, merge):
            return last.before.faces[face_id]
        return self[face_id]

    def remove(self, face_id: FaceId) -> None:
        """Takes a face out of the gallery; its neighbour becomes current if it was."""
        ids = list(self.ids)
        left = {key: face for key, face in self._gallery.faces.items() if key != face_id}
        neighbours = ids[ids.index(face_id) + 1 :] + ids[: ids.index(face_id)][::-1]
        current = self.current if self.current != face_id else next(iter(neighbours), None)
        self.execute(f"Remove {self[face_id].name}", self._gallery.having(left, current))

    def rename(self, face_id: FaceId, name: str) -> None:
        """Gives a face another name."""
        if name != self[face_id].name:
            self.replace(face_id, self[face_id].replace(name=name), f"Rename to {name}")

    def move(self, face_id: FaceId, index: int) -> None:
        """Puts a face at another place of the gallery."""
        order = [key for key in self.ids if key != face_id]
        order.insert(index, face_id)
        self.execute(
            f"Move {self[face_id].name}",
            self._gallery.having({key: self[key] for key in order}, self.current),
        )

    # --- beside the history ----------------------------------------------------------------------------------------

    def select(self, face_id: FaceId) -> None:
        """Makes a face current; not a step."""
        self._show(self._gallery.having(self._gallery.faces, face_id))

    def populate(self, faces: Iterable[Face]) -> tuple[FaceId, ...]:
        """Appends faces that count as saved, without a step: a sample gallery at first start.

        Raises ``ValueError`` when there is a history already, because its steps would not know of them.
        """
        if self._steps:
            raise ValueError("the history has begun")
        added = {self._register(face): face for face in faces}
        self._saved |= added
        self._show(self._gallery.having({**self._gallery.faces, **added}, self.current))
        return tuple(added)

    def mark_saved(self, face_id: FaceId) -> None:
        """Notes that the file of this face holds it as it is now."""
        self._saved[face_id] = self[face_id]
        self.saved_changed.emit()

    @property
    def unsaved(self) -> tuple[FaceId, ...]:
        """Faces that differ from their files. Undoing back to what was saved makes a face clean again."""
        return tuple(key for key, face in self._gallery.faces.items() if self._saved.get(key) is not face)

    @property
    def dirty(self) -> bool:
        """Whether closing now would lose something."""
        return bool(self.unsaved)

    def _register(self, face: Face, face_id: FaceId | None = None) -> FaceId:
        face_id = face_id or new_id()
        self._originals[face_id] = face
        return face_id
