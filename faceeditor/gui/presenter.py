"""Keeps the viewport's pictures fresh: asks the session for what the mode shows, puts in place what comes back."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from faceeditor.engine.jobs import Job, JobState
from faceeditor.engine.requests import Background, Drawn
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.fitting.scan_surfels import normals_of_cloud
from faceeditor.gui.backdrops import backdrop
from faceeditor.gui.bridge import to_image
from faceeditor.gui.fit_preview import FitPreview
from faceeditor.gui.surface import Beside, Light, Shading
from faceeditor.gui.surface_layer import SurfaceLayer
from faceeditor.gui.viewport import Layers, Mode, Viewport
from faceeditor.session import Session

REST_MS: Final = 160
"""A hand that pauses this long gets the full picture."""
WARMING_MS: Final = 400
"""So long after a picture is shown in full the surface view gets ready, a part at a time."""
_CELL: Final = 64
"""Sizes are asked for in steps of this many pixels, so that the models' caches fit while a window is resized."""


class Versus(StrEnum):
    """What the wipe compares the look with."""

    PHOTO = "photo"
    START = "start"
    SURFACE = "surface"


class Presenter(QObject):
    """Between session and viewport. ``trouble(sentence)`` when something cannot be shown."""

    trouble = Signal(str)
    settled = Signal()
    """The face as it is now, through the present camera, is shown in full."""

    def __init__(self, session: Session, viewport: Viewport) -> None:
        super().__init__(viewport)
        self._session, self._view = session, viewport
        self._face_id: str | None = None
        self._playing: Face | None = None
        self._layers = Layers()
        self._photo: QImage | None = None
        self._start: QImage | None = None
        self._preview: QImage | None = None
        self._followed: Job[Any] | None = None
        self._leaving = False
        """Whether the preview ends as soon as there is a picture of the face."""
        self._show_start = False
        self._arrived = False
        self._owing = False
        """Whether the surface was last asked for while something moved, when it may be coarser."""
        self.surface = SurfaceLayer()
        self.fit_preview = FitPreview(session, self.surface, self)
        self._scan: NDArray[np.float32] | None = None
        self._versus = Versus.PHOTO
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(lambda: self.refresh(moving=False))
        self._warming = QTimer(self, singleShot=True, interval=WARMING_MS)
        self._warming.timeout.connect(self._warm)
        session.drawn.connect(self._drawn)
        self.fit_preview.shown.connect(self.show_preview)
        viewport.camera_moved.connect(self._camera_moved)
        viewport.resized.connect(lambda: self.refresh(moving=False))

    @property
    def size(self) -> int:
        """Side of the pictures asked for."""
        room = min(self._view.pixels, self._session.settings.viewport_size)
        return max(room // _CELL * _CELL, 2 * _CELL)

    @property
    def versus(self) -> Versus:
        """What the wipe compares with: a face without a photo is compared with how it started."""
        return Versus.START if self._versus is Versus.PHOTO and self._photo is None else self._versus

    def show_face(self, face_id: str | None) -> None:
        """Show another face."""
        self._face_id = face_id
        self._arrived = False
        self._playing = None
        self._turn_away()
        self._layers = Layers()
        self._start = None
        self.surface.clear()
        self._scan = None
        self._prepare_scan()
        photo = self._session.document[face_id].origin.photo_srgb if face_id is not None else None
        self._photo = None if photo is None else to_image(photo)
        self._compose()
        if face_id is not None:
            self._view.show_camera(self._session.view(face_id))
            self.refresh(moving=False, edited=True)

    def refresh(self, *, moving: bool, edited: bool = False) -> None:
        """Ask for what is shown, coarse while ``moving`` and in full when the hand rests; ``edited``: codes changed."""
        if self._face_id is None or self._face_id not in self._session.document:
            return
        if moving:
            self._turn_away()
        self._rest.start() if moving else self._rest.stop()
        self._view.set_waiting(edited or self._wants_look())
        if self._wants_surface() and (edited or (self._owing and not moving)):
            self._owing = moving
            show = self.surface.show(moving)
            self._session.draw(self._face_id, self.size, moving=moving, target="surface", show=show, face=self._playing)
        elif self._wants_surface():
            self._draw_surface(moving)
        if self._wants_look():
            self._ask("viewport", moving, self._playing)
        if self._show_start or (self._view.mode is Mode.WIPE and self.versus is Versus.START):
            self._ask("start", moving, self._session.document.original(self._face_id))

    def show_version(self, face: Face | None) -> None:
        """Show ``face`` in place of the document's (a timeline plays); ``None`` ends that."""
        self._playing = face
        self.refresh(moving=face is not None, edited=True)

    def set_mode(self, mode: Mode) -> None:
        """Look, surface, both or wipe."""
        self._view.set_mode(mode)
        self.refresh(moving=False, edited=True)
        self._compose()

    def set_versus(self, versus: Versus) -> None:
        """What the wipe compares with."""
        self._versus = versus
        self.refresh(moving=False, edited=True)
        self._compose()

    def set_shading(self, shading: Shading) -> None:
        """Clay, texture, normals, wire or the distance to the scan."""
        self.surface.set_finish(shading=shading)
        self.refresh(moving=False, edited=True)
        self._compose()

    def set_light(self, light: Light) -> None:
        """Where the surface's light comes from."""
        self.surface.set_finish(light=light)
        self.refresh(moving=False)

    def set_heat_range(self, range_mm: float) -> None:
        """What the ends of the heat map's colours mean."""
        self.surface.set_range(range_mm)
        self.refresh(moving=False)

    def set_scan(self, where: Beside) -> None:
        """Where the scan is shown that the face was fitted to."""
        self.surface.set_finish(scan=where)
        self._prepare_scan()
        self.refresh(moving=False)

    def set_background(self, setting: str) -> None:
        """One of the values of :data:`~faceeditor.gui.backdrops.BACKGROUNDS`."""
        self._session.settings.background = setting
        self.refresh(moving=False)

    def set_enhance(self, on: bool) -> None:
        """Whether resting pictures are made finer."""
        self._session.set_enhance(on)
        self.refresh(moving=False)

    def set_size(self, pixels: int) -> None:
        """The largest side of the viewport's pictures."""
        self._session.settings.viewport_size = pixels
        self.refresh(moving=False, edited=True)

    def hold_start(self, held: bool) -> None:
        """Show how the face started while a key is held."""
        self._show_start = held
        self._compose()
        self.refresh(moving=False)

    def follow_fit(self, job: Job[Any]) -> None:
        """Show what a fit streams, pictures or surfaces, instead of the face until it ends; pictures until the artist
        turns to a face meanwhile.
        """
        self.fit_preview.size = self.size
        self.fit_preview.follow(job)
        self._followed = job
        job.previewed.connect(lambda preview: self._streamed(job, preview))
        job.finished.connect(lambda: self._fit_ended(job))

    def show_preview(self, picture: QImage | None) -> None:
        """A picture of work in progress instead of the face; ``None`` ends it."""
        self._preview, self._leaving = picture, False
        self._compose()

    def close(self) -> None:
        """Ask for nothing any more and give OpenGL back."""
        self._rest.stop()
        self._warming.stop()
        self._face_id = None
        self.fit_preview.close()
        self.surface.close()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _ask(self, target: str, moving: bool, face: Face | None) -> None:
        assert self._face_id is not None
        self._session.draw(
            self._face_id, self.size, moving=moving, target=target, background=self._backdrop(), face=face
        )

    def _backdrop(self) -> Background:
        assert self._face_id is not None
        photo = self._session.document[self._face_id].origin.photo_srgb
        return backdrop(self._session.settings.background, photo)

    def _wants_look(self) -> bool:
        return self._view.mode is not Mode.SURFACE

    def _wants_surface(self) -> bool:
        mode = self._view.mode
        return mode in (Mode.SURFACE, Mode.BOTH) or (mode is Mode.WIPE and self.versus is Versus.SURFACE)

    def _warm(self) -> None:
        try:
            ready = self._face_id is None or self.surface.warm()
        except UserError:
            return  # told when a surface is asked for
        if not ready:
            self._warming.start()

    def _streamed(self, job: Job[Any], preview: object) -> None:
        if isinstance(preview, np.ndarray):
            if job is self._followed and preview.shape[0] == preview.shape[1]:
                self.show_preview(to_image(preview))
        elif isinstance(preview, Face):
            self._view.show_camera(self.fit_preview.camera)

    def _turn_away(self) -> None:
        """Follow no fit any more; what it has shown last stays until the face is drawn, so that nothing flickers."""
        self._followed = None
        self._leaving = self._preview is not None
        if self._face_id is None:
            self.show_preview(None)

    def _fit_ended(self, job: Job[Any]) -> None:
        if self._followed in (job, None):
            self._turn_away()
        self._scan = None
        if self._face_id is not None and self._face_id in self._session.document:
            self._view.show_camera(self._session.view(self._face_id))
            self._prepare_scan()
            self.refresh(moving=False, edited=True)

    def _prepare_scan(self) -> None:
        """Once for each face, when its scan is to be seen: the scan's normals."""
        if self._face_id is None or self.surface.finish.scan is Beside.HIDDEN:
            return
        points = self._session.document[self._face_id].origin.scan_points
        if points is None or points is self._scan:
            return
        self._scan = points
        job = self._session.engine.submit("Prepare the scan", lambda step: normals_of_cloud(points.astype(np.float64)))
        job.finished.connect(lambda: self._show_scan(points, job))

    def _show_scan(self, points: NDArray[np.float32], job: Job[NDArray[np.float64]]) -> None:
        if points is not self._scan or job.state is not JobState.DONE:
            return
        try:
            self.surface.set_scan(points, job.result().astype(np.float32))
        except UserError as error:
            self.trouble.emit(str(error))
        self.refresh(moving=False)

    def _camera_moved(self, camera: Camera, moving: bool) -> None:
        if self.fit_preview.active:
            self._view.show_camera(camera)
            self.fit_preview.turn(camera, moving=moving)
        elif self._face_id is not None:
            self._session.look(self._face_id, camera)
            self.refresh(moving=moving)

    def _drawn(self, drawn: Drawn) -> None:
        target, now = drawn.request.target, self._is_now(drawn)
        if target not in ("viewport", "start", "surface") or not (now or self._arrived):
            return
        if target == "surface" and drawn.mesh is not None:
            self._set_mesh(drawn)
        elif drawn.picture_srgb is not None:
            self._set_picture(target, to_image(drawn.picture_srgb))
        if self._leaving and target == self._main_target():
            self.show_preview(None)
        if drawn.final and target == self._main_target():
            self._view.set_waiting(False)
        if now and drawn.final and not drawn.request.moving and target == self._main_target():
            self._warming.start()
            self.settled.emit()

    def _is_now(self, drawn: Drawn) -> bool:
        """Whether it shows the face as it is; from then on late pictures of the same face are welcome too."""
        document = self._session.document
        if self._face_id is None or self._face_id not in document:
            return False
        shown = self._playing or document[self._face_id]
        if drawn.request.target == "start":
            shown = document.original(self._face_id)
        now = drawn.request.codes is shown.codes and drawn.request.refinement is shown.refinement
        self._arrived = self._arrived or now
        return now and drawn.request.camera == self._session.view(self._face_id)

    def _main_target(self) -> str:
        return "viewport" if self._wants_look() else "surface"

    def _set_picture(self, target: str, image: QImage) -> None:
        if target == "start":
            self._start = image
        else:
            self._layers = replace(self._layers, look=image)
        self._compose()

    def _set_mesh(self, drawn: Drawn) -> None:
        if self.fit_preview.active:
            return
        try:
            self.surface.set_drawn(drawn)
        except UserError as error:
            self.trouble.emit(str(error))
            return
        self._draw_surface(drawn.request.moving)

    def _draw_surface(self, moving: bool) -> None:
        if self._face_id is None or self.fit_preview.active:
            return
        picture = self.surface.picture(self._session.view(self._face_id), self.size, moving=moving)
        if picture is not None:
            self._layers = replace(self._layers, surface=picture, legend=self.surface.legend)
            self._compose()

    def _compose(self) -> None:
        """Put together what is there, as the mode wants it."""
        other = {Versus.PHOTO: self._photo, Versus.START: self._start, Versus.SURFACE: self._layers.surface}[
            self.versus
        ]
        instead, name = self._preview, "Fitting"
        if instead is None and self._show_start:
            instead, name = self._start, "Start"
        self._view.show_layers(
            replace(
                self._layers,
                other=other,
                other_name=self.versus.value.capitalize(),
                instead=instead,
                instead_name=name if instead is not None else "",
            )
        )
