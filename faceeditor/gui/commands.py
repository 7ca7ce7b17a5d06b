"""What the menus do with files and faces: open, fit, save, export. Asks where, then tells the session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from faceeditor.engine.jobs import Job
from faceeditor.faces.scan import SCAN_SUFFIXES
from faceeditor.gui import dialogs
from faceeditor.gui.backdrops import BACKGROUNDS, backdrop
from faceeditor.session import Session

PHOTO_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
PHOTOS: Final = " ".join(f"*{suffix}" for suffix in PHOTO_SUFFIXES)
SCANS: Final = " ".join(f"*{suffix}" for suffix in SCAN_SUFFIXES)
FACES: Final = "Faces (*.face)"
GALLERIES: Final = "Galleries (*.faces)"
SURFACES: Final = "Meshes (*.ply *.obj *.stl *.glb)"
MESHES: Final = "glTF with morphs (*.glb);;Other meshes (*.obj *.ply *.stl)"
EVERYTHING: Final = f"Faces, galleries, photos and scans (*.face *.faces {PHOTOS} {SCANS})"


class Commands(QObject):
    """Every method may be connected to an action; a failure becomes a dialog with one sentence."""

    fit_asked = Signal(Path)
    glanced = Signal(Path, object)
    """A photo and the job that looks at it."""
    scan_asked = Signal(Path)
    fit_started = Signal(object)

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._window = session, window

    def guard(self, act: Callable[[], Any]) -> Any:
        """Do it; tell what went wrong. Returns ``None`` then."""
        try:
            return act()
        except Exception as error:
            dialogs.show_exception(self._window, error)
            return None

    def open(self) -> None:
        """Ask for faces, photos and scans."""
        names, _ = QFileDialog.getOpenFileNames(self._window, "Open", self._folder(), EVERYTHING)
        self.open_files(Path(name) for name in names)

    def fit(self) -> None:
        """Ask for photos."""
        names, _ = QFileDialog.getOpenFileNames(self._window, "Fit photos", self._folder(), f"Photos ({PHOTOS})")
        self.open_files(Path(name) for name in names)

    def fit_scan(self) -> None:
        """Ask for scans."""
        names, _ = QFileDialog.getOpenFileNames(self._window, "Fit scans", self._folder(), f"3D scans ({SCANS})")
        self.open_files(Path(name) for name in names)

    def open_files(self, paths: Iterable[Path]) -> None:
        """Faces open; photos become faces at first sight, or else are fitted, as scans are: a single one after a
        dialog, several at once.
        """
        found = list(paths)
        kind = found[0].suffix.lower() if len(found) == 1 else ""
        if kind in PHOTO_SUFFIXES:
            self._open_photo(found[0])
            return
        if kind in SCAN_SUFFIXES:
            self.scan_asked.emit(found[0])
            return
        for path in found:
            for result in self.guard(partial(self._session.import_any, [path])) or ():
                if isinstance(result, Job):
                    self.fit_started.emit(result)

    def _open_photo(self, path: Path) -> None:
        if not self.guard(self._session.glances):
            self.fit_asked.emit(path)
            return
        job = self.guard(lambda: self._session.glance(path))
        if job is not None:
            self.glanced.emit(path, job)

    def save(self, face_id: str | None = None) -> bool:
        """Save where it lies; ask where when it lies nowhere. ``False`` when it was not saved."""
        face_id = face_id or self._current()
        if face_id is None:
            return False
        if self._session.path(face_id) is None:
            return self.save_as(face_id)
        return self.guard(lambda: self._session.save(face_id)) is not None

    def save_as(self, face_id: str | None = None) -> bool:
        """Ask where to save. ``False`` when it was not saved."""
        face_id = face_id or self._current()
        if face_id is None:
            return False
        path = self._ask("Save face", face_id, ".face", FACES)
        return path is not None and self.guard(lambda: self._session.save(face_id, path)) is not None

    def save_gallery(self) -> None:
        """All faces in one file."""
        path = self._ask("Save gallery", None, ".faces", GALLERIES)
        if path is not None:
            self.guard(lambda: self._session.save_gallery(path))

    def export_picture(self, face_id: str | None = None) -> None:
        """The current view as a picture."""
        face_id = face_id or self._current()
        if face_id is None:
            return
        photo = self._session.document[face_id].origin.photo_srgb
        settings = {name: setting for name, setting in BACKGROUNDS.items() if setting != "photo" or photo is not None}
        behind = {name: backdrop(setting, photo) for name, setting in settings.items() if setting != "transparent"}
        behind["Transparent"] = None
        dialog = dialogs.PictureDialog(self._window, behind)
        if dialog.exec() != dialog.DialogCode.Accepted:
            return
        path, choice = self._ask("Export picture", face_id, ".png", "Pictures (*.png)"), dialog.choice()
        if path is not None:
            view = self._session.view(face_id)
            self.guard(
                lambda: self._session.export_picture(
                    face_id, path, size=choice.size, camera=view, background=choice.background
                )
            )

    def export_mesh(self, face_id: str | None = None) -> None:
        """Mesh with texture and morphs."""
        face_id = face_id or self._current()
        path = None if face_id is None else self._ask("Export mesh", face_id, ".glb", MESHES)
        if face_id is not None and path is not None:
            self.guard(lambda: self._session.export_mesh(face_id, path))

    def export_surface(self) -> None:
        """The field's own surface, as fine as the artist wants."""
        face_id = self._current()
        if face_id is None:
            return
        dialog = dialogs.ResolutionDialog(self._window, self._session.extent(self._session.document[face_id].model))
        if dialog.exec() != dialog.DialogCode.Accepted:
            return
        resolution = dialog.resolution()
        path = self._ask("Export surface", face_id, ".ply", SURFACES)
        if path is not None:
            self.guard(lambda: self._session.export_mesh(face_id, path, resolution=resolution))

    def export_expressions(self) -> None:
        """A folder of meshes, one for every expression."""
        face_id = self._current()
        if face_id is None:
            return
        chosen = QFileDialog.getExistingDirectory(self._window, "Folder for the expressions", self._folder())
        if chosen:
            folder = Path(chosen) / f"{self._session.document[face_id].name} expressions"
            self.guard(lambda: self._session.export_expressions(face_id, folder))

    def export_turntable(self) -> None:
        """A video of the head turning."""
        face_id = self._current()
        path = None if face_id is None else self._ask("Export turntable", face_id, ".mp4", "Videos (*.mp4)")
        if face_id is not None and path is not None:
            self.guard(lambda: self._session.export_turntable(face_id, path, frames=90, fps=30, size=512))

    def export_interpolation(self, first: str, second: str) -> None:
        """A video from one face to another."""
        path = self._ask("Record interpolation", first, ".mp4", "Videos (*.mp4)")
        if path is not None:
            self.guard(lambda: self._session.export_interpolation(first, second, path, frames=60, fps=30, size=512))

    def give(self, what: str, source: str, target: str) -> None:
        """A part of one face to another."""
        self.guard(lambda: self._session.transfer(what, source, target))

    def may_close(self) -> bool:
        """Ask about unsaved faces; whether the window may close."""
        document = self._session.document
        unsaved = document.unsaved
        if not unsaved:
            return True
        answer = dialogs.ask_unsaved(self._window, [document[face_id].name for face_id in unsaved])
        if answer is dialogs.Answer.SAVE:
            return all(self.save(face_id) for face_id in unsaved)
        return answer is dialogs.Answer.DISCARD

    def offer_recovery(self) -> bool:
        """Ask about what a crash left; whether faces were brought back."""
        left = self._session.recovery()
        if not left:
            return False
        recover = dialogs.ask_recovery(self._window, len(left))
        for path in left:
            self.guard(partial(self._session.recover if recover else self._session.discard_recovery, path))
        return recover

    def _current(self) -> str | None:
        return self._session.document.current

    def _folder(self) -> str:
        recent = self._session.settings.recent
        return str(Path(recent[0]).parent) if recent else str(Path.home())

    def _ask(self, title: str, face_id: str | None, suffix: str, kinds: str) -> Path | None:
        name = "gallery" if face_id is None else self._session.document[face_id].name
        known = None if face_id is None else self._session.path(face_id)
        start = known.with_suffix(suffix) if known is not None else Path(self._folder()) / f"{name}{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(self._window, title, str(start), kinds)
        if not chosen:
            return None
        path = Path(chosen)
        return path if path.suffix else path.with_suffix(suffix)
