"""How the artist looks at each face: beside the document, because turning the camera is no edit."""

from collections.abc import Mapping
from typing import Final

from psygnal import Signal

from faceeditor.editing.document import Document, FaceId
from faceeditor.faces.camera import Camera

STANDARD_VIEWS: Final[Mapping[str, tuple[float, float]]] = {
    "front": (0, 0),
    "left": (90, 0),
    "right": (-90, 0),
    "three_quarter_left": (40, 0),
    "three_quarter_right": (-40, 0),
    "above": (0, 35),
    "below": (0, -30),
}
"""Name -> yaw and pitch in degrees; left and right are the subject's."""


class Views:
    """A camera for every face of a document: the face's own until the artist looks otherwise."""

    view_changed = Signal(str)

    def __init__(self, document: Document) -> None:
        self.document = document
        self._homes: dict[FaceId, Camera] = {}
        self._views: dict[FaceId, Camera] = {}
        document.face_changed.connect(self._follow_camera)

    def view(self, face_id: FaceId) -> Camera:
        """How the artist looks at a face now; the face's own camera at first."""
        return self._views.get(face_id, self.document[face_id].camera)

    def look(self, face_id: FaceId, camera: Camera) -> None:
        """Looks at a face otherwise."""
        self._homes.setdefault(face_id, self.document[face_id].camera)
        self._views[face_id] = camera
        self.view_changed.emit(face_id)

    def standard_view(self, face_id: FaceId, name: str) -> None:
        """Looks at a face from one of :data:`STANDARD_VIEWS`."""
        yaw, pitch = STANDARD_VIEWS[name]
        self.look(face_id, self.view(face_id).replace(yaw=yaw, pitch=pitch, roll=0.0, pan=(0.0, 0.0)))

    def reset_view(self, face_id: FaceId) -> None:
        """Looks through the face's own camera."""
        self.look(face_id, self.document[face_id].camera)

    def _follow_camera(self, face_id: FaceId) -> None:
        """The view follows when a step changes the face's own camera."""
        camera = self.document[face_id].camera
        if face_id in self._views and self._homes.get(face_id) != camera:
            self._homes[face_id] = camera
            self._views[face_id] = camera
            self.view_changed.emit(face_id)
