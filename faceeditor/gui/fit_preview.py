"""The surface of a fit under way, streamed into the viewport, where it can be turned meanwhile."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from PySide6.QtCore import QObject, Signal

from faceeditor.engine.jobs import Job
from faceeditor.engine.requests import Drawn, Show
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.gui.surface_layer import SurfaceLayer
from faceeditor.session import Session

TARGET: Final = "fit"
EVERY_S: Final = 0.45
"""Seconds between two surfaces: each takes time from the fit."""


class FitPreview(QObject):
    """``shown(picture)`` with a QImage whenever there is a new one."""

    shown = Signal(object)

    def __init__(self, session: Session, layer: SurfaceLayer, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._layer = session, layer
        self._face: Face | None = None
        self._asked = 0.0
        self.camera = Camera()
        self.size = 512
        session.drawn.connect(self._drawn)

    @property
    def active(self) -> bool:
        """Whether a surface is being fitted."""
        return self._face is not None

    def follow(self, job: Job[Any]) -> None:
        """Show what ``job`` streams until it ends."""
        job.previewed.connect(self._streamed)
        job.finished.connect(self.close)

    def turn(self, camera: Camera, *, moving: bool) -> None:
        """Look from elsewhere."""
        self.camera = camera
        self._paint(moving)

    def close(self) -> None:
        """Show nothing any more."""
        if self._face is not None:
            self._face = None
            self._layer.clear()

    def _streamed(self, face: object) -> None:
        if isinstance(face, Face) and monotonic() - self._asked > EVERY_S:
            if self._face is None:
                self.camera = Camera()
                self._layer.clear()
            self._face, self._asked = face, monotonic()
            self._session.draw("", self.size, target=TARGET, show=Show.SURFACE, face=face, camera=self.camera)

    def _drawn(self, drawn: Drawn) -> None:
        if drawn.request.target != TARGET or drawn.mesh is None or self._face is None:
            return
        try:
            self._layer.set_drawn(drawn)
        except UserError:
            return  # the surface view says so
        self._paint(False)

    def _paint(self, moving: bool) -> None:
        picture = self._layer.picture(self.camera, self.size, moving=moving)
        if picture is not None:
            self.shown.emit(picture)
