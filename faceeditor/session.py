"""The application without a screen: one document, one engine, and every verb of the window and the command line."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalInstance

from faceeditor.editing import controls
from faceeditor.editing.document import Document, FaceId
from faceeditor.editing.driving import driven
from faceeditor.editing.edits import Edits
from faceeditor.editing.views import Views
from faceeditor.engine import exports
from faceeditor.engine.engine import Engine, Loader
from faceeditor.engine.jobs import Deliver, Job, Steps
from faceeditor.engine.photo_desk import PhotoDesk
from faceeditor.engine.requests import WHITE, Background, Drawn, DrawRequest, Enhancement, Show
from faceeditor.engine.scan_desk import ScanDesk
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import Space
from faceeditor.faces.performance import Performance
from faceeditor.faces.scan import SCAN_SUFFIXES
from faceeditor.files import project, recovery
from faceeditor.files.provenance import Provenance
from faceeditor.models.bundle import load_model
from faceeditor.models.catalogue import ModelInfo, catalogue
from faceeditor.resources import resource_path
from faceeditor.settings import Settings

T = TypeVar("T")

THUMBNAIL: Final = "thumbnail:"
"""Targets that begin so are drawn after the others and their pictures go into .face files."""


class Session(Edits, Views, PhotoDesk, ScanDesk):
    """One open document and the engine that serves it.

    It belongs to one thread: verbs are called there, and all signals (the session's, the engine's, the jobs') arrive
    there. ``deliver`` posts a callable to that thread's event loop; without it calls queue up until :meth:`wait` or
    :meth:`process`. ``eager`` is for windows: see :class:`~faceeditor.engine.engine.Engine`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        deliver: Deliver | None = None,
        load: Loader = load_model,
        autosave: bool = True,
        eager: bool = False,
    ) -> None:
        self.settings = settings or Settings.load()
        Edits.__init__(self, Document())
        Views.__init__(self, self.document)
        PhotoDesk.__init__(self)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._deliver: Deliver = deliver or self._inbox.put
        self.engine = Engine(
            self._deliver, device=self.settings.device, threads=self.settings.threads, load=load, eager=eager
        )
        self._paths: dict[FaceId, Path] = {}
        self._thumbnails: dict[FaceId, NDArray[np.uint8]] = {}
        self._hashes: dict[str, str] = {}
        self._refiners: dict[str, str | None] = {}
        self._autosaver: recovery.Autosaver[_Unsaved] | None = None
        if autosave:
            self._autosaver = recovery.Autosaver(_write_recovery, self.settings.autosave_seconds)
            self.document.saved_changed.connect(self._autosave)
        self.engine.drawn.connect(self._keep_thumbnail)

    def close(self) -> None:
        """Ends the threads; the recovery file is deleted, because the session ended well."""
        self.engine.close()
        if self._autosaver is not None:
            self._autosaver.close()

    # --- the engine's voice ----------------------------------------------------------------------------------------

    @property
    def drawn(self) -> SignalInstance:
        """``(Drawn)`` for every picture and mesh."""
        return self.engine.drawn

    @property
    def failed(self) -> SignalInstance:
        """``(sentence, details)`` when something could not be drawn."""
        return self.engine.failed

    @property
    def notice(self) -> SignalInstance:
        """``(sentence)`` for the status line."""
        return self.engine.notice

    @property
    def model_ready(self) -> SignalInstance:
        """``(name)`` when a model was loaded."""
        return self.engine.model_ready

    @property
    def jobs_changed(self) -> SignalInstance:
        """When a job was added or ended."""
        return self.engine.jobs_changed

    @property
    def device_changed(self) -> SignalInstance:
        """``(device)``."""
        return self.engine.device_changed

    @property
    def jobs(self) -> tuple[Job[Any], ...]:
        """Unfinished jobs, the running one first."""
        return self.engine.jobs

    @property
    def fps(self) -> float:
        """Coarse frames drawn in the last second."""
        return self.engine.fps

    @property
    def device(self) -> str:
        """Where models run: ``cpu`` or ``cuda``."""
        return self.engine.device

    def process(self) -> None:
        """Delivers what has queued up; only for sessions without an event loop."""
        while True:
            try:
                self._inbox.get_nowait()()
            except Empty:
                return

    def wait(self, job: Job[T]) -> T:
        """Delivers signals until the job ended, and returns its result or raises its exception; not for a window."""
        while not job.ended:
            try:
                self._inbox.get(timeout=0.02)()
            except Empty:
                continue
        self.process()
        return job.result()

    def settle(self) -> None:
        """Delivers signals until nothing is left to draw or to do; not for a window."""
        while not (self.engine.idle and self._inbox.empty()):
            try:
                self._inbox.get(timeout=0.02)()
            except Empty:
                continue

    # --- models ----------------------------------------------------------------------------------------------------

    def models(self) -> tuple[ModelInfo, ...]:
        """All bundles at hand, damaged ones with the reason."""
        return catalogue()

    def load(self, name: str) -> Job[Any]:
        """Loads a model ahead of its first use; ``model_ready`` follows."""
        return self.engine.load(name)

    def spaces(self, model: str) -> Mapping[str, Space]:
        """The latent spaces of a model; blocks while it is not loaded."""
        loaded = self.engine.loaded(model) or self.engine.load(model).result()
        return loaded.spaces

    def capabilities(self, model: str) -> tuple[str, ...]:
        """What a model can do; blocks while it is not loaded."""
        loaded = self.engine.loaded(model) or self.engine.load(model).result()
        return loaded.capabilities

    def extent(self, model: str) -> float:
        """Side in metres of the box that a surface model knows its faces in; blocks while it is not loaded."""
        loaded = self.engine.loaded(model) or self.engine.load(model).result()
        return loaded.extent

    def model_hash(self, name: str) -> str:
        """The content hash of a bundle; empty when there is none of that name."""
        if name not in self._hashes:
            self._hashes[name] = next((info.hash for info in catalogue() if info.name == name), "")
        return self._hashes[name]

    @property
    def preferred_model(self) -> str:
        """The model of faces that are asked for without naming one."""
        return self.settings.model

    @property
    def symmetric(self) -> bool:
        """Whether sliders of one side move those of the other."""
        return self.settings.symmetry

    def set_device(self, device: Literal["auto", "cpu", "cuda"]) -> Job[str]:
        """Moves the models to another device, now and in later sessions."""
        self.settings.device = device
        return self.engine.set_device(device)

    @cached_property
    def can_enhance(self) -> bool:
        """Whether anything is installed that makes pictures finer."""
        return exports.name_of(exports.REFINER) is not None

    def refiner(self, model: str) -> str | None:
        """The name of the bundle that makes pictures of a ``model`` finer; ``None`` when there is none."""
        if model not in self._refiners:
            self._refiners[model] = exports.refiner_of(model)
        return self._refiners[model]

    def enhancement(self, model: str) -> Enhancement | None:
        """What is done to full pictures of a ``model``, on the screen and in files; ``None`` while that is switched
        off.
        """
        refiner = self.refiner(model) if self.settings.enhance else None
        return Enhancement(refiner, self.settings.enhance_seed) if refiner else None

    def set_enhance(self, on: bool, seed: int | None = None) -> None:
        """Whether full pictures are made finer from now on, and with which seed. Raises ``UserError`` where nothing is
        installed that does that.
        """
        if on and not self.can_enhance:
            raise UserError(exports.NO_REFINER)
        self.settings.enhance = on
        if seed is not None:
            self.settings.enhance_seed = seed

    # --- faces and files -------------------------------------------------------------------------------------------

    def new(self, model: str | None = None) -> FaceId:
        """Adds a neutral face of ``model``, the preferred one by default."""
        name = model or self.settings.model
        codes = {space.name: controls.neutral(space) for space in self.spaces(name).values()}
        return self.document.add(Face("New face", name, codes, origin=Origin("sample", "neutral")), "New face")

    def open(self, path: Path) -> FaceId:
        """Adds the face of a .face file. Raises ``UserError`` when it cannot be read or its model is not here."""
        file = project.read_face(path)
        self._check(file)
        face_id = self.document.add(file.face, f"Open {path.name}")
        self._keep_thumbnails((face_id,), (file,))
        self._saved_as(face_id, path)
        return face_id

    def save(self, face_id: FaceId, path: Path | None = None) -> Path:
        """Writes a face to ``path``, or where it was opened or last saved. Raises ``UserError`` when it cannot."""
        target = path or self._paths.get(face_id)
        if target is None:
            raise UserError(f"{self.document[face_id].name} has no file yet; choose where to save it.")
        project.write_face(target, self._file(face_id))
        self._saved_as(face_id, target)
        return target

    def path(self, face_id: FaceId) -> Path | None:
        """The file of a face, ``None`` when it has none."""
        return self._paths.get(face_id)

    def open_gallery(self, path: Path) -> tuple[FaceId, ...]:
        """Adds all faces of a .faces file."""
        files, current = project.read_gallery(path)
        for file in files:
            self._check(file)
        ids = self.document.extend((file.face for file in files), f"Open {path.name}")
        self._keep_thumbnails(ids, files)
        for face_id in ids:
            self.document.mark_saved(face_id)
        if 0 <= current < len(ids):
            self.document.select(ids[current])
        return ids

    def save_gallery(self, path: Path) -> Path:
        """Writes all faces to one .faces file."""
        ids = self.document.ids
        current = ids.index(self.document.current) if self.document.current else 0
        project.write_gallery(path, [self._file(face_id) for face_id in ids], current)
        for face_id in ids:
            self.document.mark_saved(face_id)
        return path

    def samples(self) -> tuple[FaceId, ...]:
        """Adds the sample gallery; not a step, and nothing to save. Samples that cannot be read are left out."""
        files = []
        for path in sorted(resource_path("samples").glob(f"*{project.SUFFIX}")):
            try:
                files.append(project.read_face(path))
            except UserError as error:
                self.notice.emit(str(error))
        ids = self.document.populate(file.face for file in files)
        self._keep_thumbnails(ids, files)
        return ids

    def thumbnail(self, face_id: FaceId) -> NDArray[np.uint8] | None:
        """The last small picture (S, S, 3) of a face, drawn or read from its file; ``None`` when there is none."""
        return self._thumbnails.get(face_id)

    def import_any(self, paths: Iterable[Path]) -> tuple[FaceId | Job[FaceId], ...]:
        """Opens .face and .faces files, glances at pictures or else begins to fit them, and begins to fit scans: what
        was dropped on the window.
        """
        found: list[FaceId | Job[FaceId]] = []
        for path in paths:
            suffix = path.suffix.lower()
            if suffix == project.GALLERY_SUFFIX:
                found.extend(self.open_gallery(path))
            elif suffix == project.SUFFIX:
                found.append(self.open(path))
            else:
                fit = self.fit_scan if suffix in SCAN_SUFFIXES else self.glance if self.glances() else self.fit_photo
                found.append(fit(path))
        return tuple(found)

    def duplicate(self, face_id: FaceId) -> FaceId:
        """Adds a copy of a face."""
        face = self.document[face_id]
        return self.document.add(face.replace(name=f"{face.name} copy"), f"Duplicate {face.name}")

    def remove(self, face_id: FaceId) -> None:
        """Takes a face out of the gallery."""
        self.document.remove(face_id)

    def rename(self, face_id: FaceId, name: str) -> None:
        """Gives a face another name."""
        self.document.rename(face_id, name)

    # --- drawing -----------------------------------------------------------------------------------------------------

    def draw(
        self,
        face_id: FaceId,
        size: int,
        *,
        moving: bool = False,
        target: str = "viewport",
        show: Show | Literal["look", "surface"] = Show.LOOK,
        background: Background = WHITE,
        face: Face | None = None,
        camera: Camera | None = None,
    ) -> None:
        """Asks for a picture of a face (or of a version of it), answered by ``drawn``; the newest per target wins."""
        thumbnail = target.startswith(THUMBNAIL)
        shown = face or self.document[face_id]
        view = camera or (shown.camera if thumbnail else self.view(face_id))
        self.engine.draw(
            DrawRequest.of(
                shown,
                camera=view,
                target=target,
                size=size,
                moving=moving,
                show=Show(show),
                background=background,
                urgency=int(thumbnail),
                enhancement=None if thumbnail else self.enhancement(shown.model),
            )
        )

    # --- jobs --------------------------------------------------------------------------------------------------------

    def export_picture(
        self,
        face_id: FaceId,
        path: Path,
        size: int = 1024,
        *,
        camera: Camera | None = None,
        background: Background = WHITE,
    ) -> Job[Path]:
        """Draws a face in full quality to a .png, .jpg or .exr file."""
        face = self.document[face_id].replace(camera=camera or self.view(face_id))
        models, enhancement = self.engine.model, self._enhancing(face.model)
        mark = self.provenance(face, photo_shown=isinstance(background, np.ndarray), by=enhancement)
        return self.engine.submit(
            f"Export {path.name}",
            lambda step: exports.picture(
                models(face.model),
                face,
                path,
                size,
                background,
                mark,
                step,
                exports.finisher(models, enhancement, step),
            ),
        )

    def export_mesh(self, face_id: FaceId, path: Path, *, resolution: int | None = None) -> Job[Path]:
        """Writes a face's surface to a .glb (with texture and morphs), .obj, .ply or .stl file; with a ``resolution``
        the field's own surface, as fine as that, instead of the mesh that all faces share.
        """
        face = self.document[face_id]
        mark = self.provenance(face)
        return self.engine.submit(
            f"Export {path.name}",
            lambda step: exports.mesh(self.engine.model(face.model), face, path, mark, step, resolution),
        )

    def export_expressions(self, face_id: FaceId, folder: Path) -> Job[list[Path]]:
        """Writes the person's neutral face and every ARKit expression to .obj files with the same vertices."""
        face = self.document[face_id]
        mark = self.provenance(face)
        return self.engine.submit(
            f"Export {folder.name}",
            lambda step: exports.expressions(self.engine.model(face.model), face, folder, mark, step),
        )

    def export_turntable(
        self,
        face_id: FaceId,
        path: Path,
        *,
        frames: int = 90,
        fps: float = 30,
        size: int = 512,
        background: Background = WHITE,
    ) -> Job[Path]:
        """Records the camera swinging around a face to a .mp4 or .gif file."""
        face = self.document[face_id].replace(camera=self.view(face_id))
        return self._film(exports.turntable(face, frames), path, fps, size, background)

    def export_interpolation(
        self,
        first: FaceId,
        second: FaceId,
        path: Path,
        *,
        frames: int = 60,
        fps: float = 30,
        size: int = 512,
        background: Background = WHITE,
    ) -> Job[Path]:
        """Records the way from one face to another to a .mp4 or .gif file."""
        ends = self.document[first], self.document[second]
        return self._film(exports.interpolation(*ends, frames), path, fps, size, background)

    def watch_video(self, path: Path) -> Job[Performance]:
        """Tells what the head in a video does; each frame streams by the job, as a performance of its own, as soon as
        it was read. The result is as it was read, not smoothed.
        """
        from faceeditor.engine import driving

        return self._watch(path.name, lambda step: driving.watch(self.engine.model, path, step))

    def watch_camera(self, number: int = 0, *, seconds: float = 600.0, enough: Event | None = None) -> Job[Performance]:
        """The same for what a camera sees, until ``enough`` is set or ``seconds`` have passed."""
        from faceeditor.engine import driving

        end = enough or Event()
        return self._watch(
            f"camera {number}", lambda step: driving.watch_camera(self.engine.model, number, end, seconds, step)
        )

    def _watch(self, name: str, tell: Callable[[Steps], Performance]) -> Job[Performance]:
        def work(step: Steps) -> Performance:
            performance = tell(step)
            if performance.gaps:
                self._deliver(lambda: self.notice.emit(performance.gaps))
            return performance

        return self.engine.submit(f"Watch {name}", work)

    def export_driven(
        self,
        face_id: FaceId,
        performance: Performance,
        path: Path,
        *,
        pose: bool = False,
        size: int = 512,
        background: Background = WHITE,
    ) -> Job[Path]:
        """Records a face doing what was seen in a video, with the head turned as there if ``pose``, to a .mp4 or .gif
        file.
        """
        face = self.document[face_id].replace(camera=self.view(face_id))
        spaces = self.spaces(face.model)
        faces = [driven(face, spaces, performance, frame, pose=pose) for frame in range(len(performance))]
        return self._film(faces, path, performance.fps, size, background)

    def _film(self, faces: list[Face], path: Path, fps: float, size: int, background: Background) -> Job[Path]:
        models, enhancement = self.engine.model, self._enhancing(faces[0].model)
        mark = self.provenance(faces[0], photo_shown=isinstance(background, np.ndarray), by=enhancement)
        return self.engine.submit(
            f"Record {path.name}",
            lambda step: exports.film(
                models(faces[0].model),
                faces,
                path,
                fps,
                size,
                background,
                mark,
                step,
                exports.finisher(models, enhancement, step),
            ),
        )

    def _enhancing(self, model: str) -> Enhancement | None:
        """:meth:`enhancement`, with a notice where it was asked for and nothing serves the model."""
        found = self.enhancement(model)
        if self.settings.enhance and found is None:
            self.notice.emit(exports.unserved(model))
        return found

    def provenance(self, face: Face, *, photo_shown: bool = False, by: Enhancement | None = None) -> Provenance:
        """The mark for an export of ``face``, enhanced ``by`` a refiner or not."""
        refiner = self.model_hash(by.refiner) if by else ""
        return Provenance.of(face, self.model_hash(face.model), photo_shown=photo_shown, refiner_hash=refiner)

    # --- recovery ----------------------------------------------------------------------------------------------------

    def recovery(self) -> tuple[Path, ...]:
        """Unsaved work of sessions that crashed, newest first."""
        return recovery.left_behind()

    def recover(self, path: Path) -> tuple[FaceId, ...]:
        """Adds the faces of a recovery file, unsaved as they were, and deletes it."""
        files, _ = project.read_gallery(path)
        ids = self.document.extend((file.face for file in files), "Recover unsaved work")
        recovery.discard(path)
        return ids

    def discard_recovery(self, path: Path) -> None:
        """Deletes a recovery file."""
        recovery.discard(path)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _check(self, file: project.FaceFile) -> None:
        face = file.face
        controls.check_codes(face, self.spaces(face.model))
        if file.model_hash and file.model_hash != self.model_hash(face.model):
            self.notice.emit(
                f"{face.name} was made with another version of {face.model}; it may look a little different."
            )

    def _file(self, face_id: FaceId) -> project.FaceFile:
        face = self.document[face_id]
        return project.FaceFile(face, self.model_hash(face.model), self._thumbnails.get(face_id))

    def _keep_thumbnails(self, ids: Iterable[FaceId], files: Iterable[project.FaceFile]) -> None:
        for face_id, file in zip(ids, files, strict=True):
            if file.thumbnail_srgb is not None:
                self._thumbnails[face_id] = file.thumbnail_srgb

    def _saved_as(self, face_id: FaceId, path: Path) -> None:
        self._paths[face_id] = path
        self.settings.remember(path.resolve())
        self.document.mark_saved(face_id)

    def _autosave(self) -> None:
        if self._autosaver is not None:
            self._autosaver.note(tuple(self._file(face_id) for face_id in self.document.unsaved))

    def _keep_thumbnail(self, drawn: Drawn) -> None:
        target = drawn.request.target
        if target.startswith(THUMBNAIL) and drawn.picture_srgb is not None:
            self._thumbnails[target.removeprefix(THUMBNAIL)] = drawn.picture_srgb[..., :3]


_Unsaved: TypeAlias = tuple[project.FaceFile, ...]


def _write_recovery(path: Path, files: _Unsaved) -> None:
    if files:
        project.write_gallery(path, files)
    else:
        path.unlink(missing_ok=True)
