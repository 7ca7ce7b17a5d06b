"""The main window: puts the panels in their places and ties them to the session."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QSettings, QSize, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeyEvent
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QWidget

from faceeditor import __version__
from faceeditor.engine.exports import NO_REFINER, unserved
from faceeditor.engine.jobs import Job, JobState
from faceeditor.engine.photos import Photo
from faceeditor.errors import NoFaceError
from faceeditor.gui import actions, dialogs
from faceeditor.gui.commands import Commands
from faceeditor.gui.fit_dialog import FitDialog
from faceeditor.gui.gallery import Gallery
from faceeditor.gui.history import History
from faceeditor.gui.inspector import Inspector
from faceeditor.gui.menus import Menus
from faceeditor.gui.presenter import Presenter
from faceeditor.gui.scan_dialog import ScanDialog
from faceeditor.gui.status import Status
from faceeditor.gui.timeline import Timeline
from faceeditor.gui.transfer_panel import TransferPanel
from faceeditor.gui.viewport import Mode, Viewport
from faceeditor.resources import user_config_dir
from faceeditor.session import Session

_SIZE: Final = QSize(1480, 920)
_LAYOUT_VERSION: Final = 1


class Window(QMainWindow):
    """One session in one window. ``files`` are opened as soon as the model is ready.

    Without ``ask`` nobody is there to answer: work that a crash left is neither offered nor touched.
    """

    def __init__(self, session: Session, files: list[Path] | None = None, *, ask: bool = True) -> None:
        super().__init__()
        self.session = session
        self._files = files or []
        self._ask = ask
        self._started = False
        self._surfaces = False
        self.setWindowTitle("FaceEditor")
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.commands = Commands(session, self)
        self.viewport = Viewport()
        self.presenter = Presenter(session, self.viewport)
        self.gallery = Gallery(session)
        self.inspector = Inspector(session)
        self.transfer = TransferPanel(session)
        self.timeline = Timeline(session)
        self.history = History(session.document)
        self.status = Status(session)
        self.actions_by_name = actions.build(self)
        self._lay_out()
        panels = [dock.toggleViewAction() for dock in self._docks]
        self.menus = Menus(self, self.actions_by_name, session, self.presenter, panels)
        self._connect_session()
        self._connect_panels()
        self._connect_actions()
        self._restore_geometry()
        self._show_history()
        self.viewport.say("Loading the face model…")
        self.viewport.setFocus()
        self.commands.guard(lambda: session.load(session.settings.model))

    # Building ---------------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.setCentralWidget(self.viewport)
        self.setStatusBar(self.status)
        area = Qt.DockWidgetArea
        self.setCorner(Qt.Corner.BottomRightCorner, area.RightDockWidgetArea)
        self.setCorner(Qt.Corner.BottomLeftCorner, area.LeftDockWidgetArea)
        self._docks = [
            self._dock("Gallery", self.gallery, area.LeftDockWidgetArea),
            self._dock("History", self.history, area.LeftDockWidgetArea),
            self._dock("Inspector", self.inspector, area.RightDockWidgetArea),
            self._dock("Transfer", self.transfer, area.RightDockWidgetArea),
            self._dock("Timeline", self.timeline, area.BottomDockWidgetArea),
        ]
        gallery, history, inspector, transfer, _ = self._docks
        self.resizeDocks([gallery, inspector], [224, 380], Qt.Orientation.Horizontal)
        self.resizeDocks([gallery, history], [620, 200], Qt.Orientation.Vertical)
        self.resizeDocks([inspector, transfer], [640, 200], Qt.Orientation.Vertical)

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setWidget(widget)
        feature = QDockWidget.DockWidgetFeature
        dock.setFeatures(feature.DockWidgetClosable | feature.DockWidgetMovable | feature.DockWidgetFloatable)
        self.addDockWidget(area, dock)
        return dock

    # Wiring -----------------------------------------------------------------------------------------------------------

    def _connect_session(self) -> None:
        session, document = self.session, self.session.document
        session.model_ready.connect(self._model_ready)
        session.failed.connect(self._drawing_failed)
        session.view_changed.connect(self._view_changed)
        document.current_changed.connect(self._show_current)
        document.face_changed.connect(self._face_changed)
        document.history_changed.connect(self._show_history)
        document.saved_changed.connect(self._show_title)
        self.menus.recent.aboutToShow.connect(self._fill_recent)

    def _connect_panels(self) -> None:
        self.inspector.gesture_finished.connect(lambda: self.presenter.refresh(moving=False, edited=True))
        self.inspector.trouble.connect(lambda error: dialogs.show_exception(self, error))
        self.transfer.finished.connect(lambda: self.presenter.refresh(moving=False, edited=True))
        self.transfer.trouble.connect(lambda error: dialogs.show_exception(self, error))
        self.timeline.showing.connect(self.presenter.show_version)
        self.timeline.trouble.connect(lambda error: dialogs.show_exception(self, error))
        self.timeline.record_asked.connect(self._record)
        self.gallery.files_dropped.connect(self.commands.open_files)
        self.gallery.gift.connect(self.commands.give)
        self.gallery.dropped.connect(self.transfer.give)
        self.gallery.would = self.transfer.would
        self.gallery.wanted.connect(self._gallery_wants)
        self.commands.fit_asked.connect(self.ask_fit)
        self.commands.glanced.connect(self._glancing)
        self.commands.scan_asked.connect(self.ask_scan)
        self.commands.fit_started.connect(self.presenter.follow_fit)
        self.status.job_ended.connect(self._job_ended)
        self.presenter.trouble.connect(self.status.tell)
        self.presenter.settled.connect(self._get_ready, Qt.ConnectionType.SingleShotConnection)

    def _connect_actions(self) -> None:
        document, commands, session = self.session.document, self.commands, self.session
        handlers = {
            "open": commands.open,
            "save": commands.save,
            "save_as": commands.save_as,
            "save_gallery": commands.save_gallery,
            "fit": commands.fit,
            "refine": lambda: self._on_current(self.ask_refine),
            "fit_scan": commands.fit_scan,
            "new": lambda: commands.guard(session.new),
            "random": lambda: self._on_current(session.randomise),
            "duplicate": lambda: self._on_current(session.duplicate),
            "remove": lambda: self._on_current(session.remove),
            "mirror": lambda: self._on_current(session.mirror),
            "reset": lambda: self._on_current(lambda face: session.reset(face, "all")),
            "undo": document.undo,
            "redo": document.redo,
            "export_picture": commands.export_picture,
            "export_mesh": commands.export_mesh,
            "export_surface": commands.export_surface,
            "export_expressions": commands.export_expressions,
            "export_turntable": commands.export_turntable,
            "drive": self.timeline.driving.ask,
            "drive_camera": self.timeline.driving.camera.toggle,
            "search": lambda: self.inspector.search.setFocus(Qt.FocusReason.ShortcutFocusReason),
            "keys": self._show_keys,
            "about": self._show_about,
            "quit": self.close,
            "view_reset": lambda: self._on_current(session.reset_view),
        }
        for name, handler in handlers.items():
            self.actions_by_name[name].triggered.connect(lambda _checked=False, handler=handler: handler())
        enhance = self.actions_by_name["enhance"]
        enhance.setChecked(session.settings.enhance and session.can_enhance)
        enhance.triggered.connect(lambda on: commands.guard(lambda: self.presenter.set_enhance(on)))
        for mode in Mode:
            self.actions_by_name[mode.value].triggered.connect(lambda _on, mode=mode: self.presenter.set_mode(mode))
        for name, action in self.actions_by_name.items():
            view = name.removeprefix("view_")
            if view != name and view != "reset":
                action.triggered.connect(
                    lambda _on, view=view: self._on_current(lambda face: session.standard_view(face, view))
                )

    def _on_current(self, act: Any) -> None:
        face_id = self.session.document.current
        if face_id is not None:
            self.commands.guard(lambda: act(face_id))

    # Following the session --------------------------------------------------------------------------------------------

    def _model_ready(self, name: str) -> None:
        document = self.session.document
        if self._started:
            if document.current is not None and document[document.current].model == name:
                self._show_current(document.current)
            return
        if name != self.session.settings.model:
            return
        self.viewport.say("")
        self._started = True
        gc.freeze()  # what was imported stays: later collections, which stop every thread, look at new objects only
        recovered = self._ask and self.commands.offer_recovery()
        if self._files:
            self.commands.open_files(self._files)
        elif not recovered and not self.commands.guard(self.session.samples):
            self.commands.guard(self.session.new)
        self._show_current(self.session.document.current)

    def _get_ready(self) -> None:
        """What the first photo needs is loaded when there is nothing else to do; if it cannot be, that photo tells."""
        self.status.ignore(self.session.get_ready_for_photos())

    def _show_current(self, face_id: str | None) -> None:
        loaded = face_id is not None and self._loaded(self.session.document[face_id].model)
        shown = face_id if loaded else None
        self._show_kind(shown)
        self.inspector.show_face(shown)
        self.presenter.show_face(shown)
        if self._started:
            self.viewport.say("" if face_id is not None else "Drop a photo, a 3D scan or a .face file here")
        self._show_title()

    def _show_kind(self, face_id: str | None) -> None:
        """Offer what the face has, and show it as what it is: faces of surface models as surfaces. Between faces of a
        kind the artist's choice stays.
        """
        of_photo = face_id is not None and self.session.document[face_id].origin.photo_srgb is not None
        self.actions_by_name["refine"].setEnabled(of_photo)
        if face_id is None:
            return
        model = self.session.document[face_id].model
        able = self.session.capabilities(model)
        self._offer_enhance(model, "radiance" in able)
        surface = "surface" in able
        self.actions_by_name["export_surface"].setEnabled(surface)
        self.menus.offer_scan(self.session.document[face_id].origin.scan_points is not None)
        if surface != self._surfaces:
            self._surfaces = surface
            self.actions_by_name[(Mode.SURFACE if surface else Mode.LOOK).value].trigger()

    def _offer_enhance(self, model: str, drawn: bool) -> None:
        """Offer to make pictures finer where there are some and something that does it; say what is missing if not."""
        enhance, served = self.actions_by_name["enhance"], self.session.refiner(model) is not None
        enhance.setEnabled(drawn and served)
        missing = unserved(model) if self.session.can_enhance else NO_REFINER
        enhance.setToolTip(actions.tip_of("enhance") if served else missing)

    def _loaded(self, model: str) -> bool:
        """Whether the sliders of ``model`` are known; asks for it to be loaded if not."""
        if self.session.engine.loaded(model) is not None:
            return True
        self.commands.guard(lambda: self.session.load(model))
        return False

    def _face_changed(self, face_id: str) -> None:
        if face_id == self.session.document.current:
            self.inspector.refresh()
            self.presenter.refresh(moving=True, edited=True)

    def _view_changed(self, face_id: str) -> None:
        if face_id == self.session.document.current:
            camera = self.session.view(face_id)
            self.viewport.show_camera(camera)
            self.inspector.show_camera(camera)
            self.presenter.refresh(moving=True)

    def _show_history(self) -> None:
        document = self.session.document
        self.actions_by_name["undo"].setEnabled(document.can_undo)
        self.actions_by_name["redo"].setEnabled(document.can_redo)
        done, steps = document.position, document.history
        self.actions_by_name["undo"].setText(f"Undo {steps[done - 1]}" if document.can_undo else "Undo")
        self.actions_by_name["redo"].setText(f"Redo {steps[done]}" if document.can_redo else "Redo")

    def _show_title(self) -> None:
        document = self.session.document
        if document.current is not None:
            self.setWindowTitle(f"{document[document.current].name}[*] – FaceEditor")
            self.setWindowModified(document.current in document.unsaved)

    def ask_fit(self, path: Path) -> FitDialog:
        """Show what is found in a photo, to be corrected before it is fitted."""
        return self._show_fit(FitDialog(self.session, Photo(path), self))

    def ask_refine(self, face_id: str) -> FitDialog:
        """Show what was found in a face's photo, to be corrected before the face is fitted to it anew."""
        return self._show_fit(FitDialog(self.session, self.session.photo(face_id), self, face_id=face_id))

    def _show_fit(self, dialog: FitDialog) -> FitDialog:
        dialog.looking.connect(self.status.leave_to_others)
        dialog.started.connect(self.presenter.follow_fit)
        dialog.open()
        dialog.look()
        return dialog

    def _glancing(self, path: Path, job: Job[str]) -> None:
        self.status.leave_to_others(job)
        self.presenter.follow_fit(job)
        job.finished.connect(lambda: self._glanced(path, job))

    def _glanced(self, path: Path, job: Job[str]) -> None:
        """A face that was not found may be shown by the artist."""
        if isinstance(job.exception, NoFaceError):
            self.ask_fit(path)
        elif job.state is not JobState.DONE:
            self._job_ended(job)
        elif not self.status.currentMessage():
            self.status.tell(f"{path.stem} at first sight; Refine fits it to its photo.")

    def ask_scan(self, path: Path) -> ScanDialog:
        """Show where the face of a scan is, to be corrected before it is fitted."""
        dialog = ScanDialog(self.session, path, self)
        dialog.looking.connect(self.status.leave_to_others)
        dialog.drawing.connect(self.status.ignore)
        dialog.started.connect(self.presenter.follow_fit)
        dialog.open()
        dialog.look()
        return dialog

    def _drawing_failed(self, sentence: str, details: str) -> None:
        self.viewport.set_waiting(False)
        dialogs.show_error(self, sentence, details)

    def _job_ended(self, job: Job[Any]) -> None:
        if job.state is JobState.FAILED:
            error = job.exception
            dialogs.show_exception(self, error) if error is not None else dialogs.show_error(self, job.error)
            if not self._started:
                self.viewport.say(job.error)
        elif job.state is JobState.CANCELLED:
            self.status.tell(f"{job.label} was cancelled.")

    def _gallery_wants(self, what: str, face_id: str) -> None:
        deeds: dict[str, Callable[[str], object]] = {
            "save": self.commands.save,
            "export_picture": self.commands.export_picture,
            "export_mesh": self.commands.export_mesh,
            "refine": self.ask_refine,
            "duplicate": self.session.duplicate,
            "remove": self.session.remove,
        }
        self.commands.guard(lambda: deeds[what](face_id))

    def _record(self, what: str) -> None:
        if what == "turntable":
            self.commands.export_turntable()
        elif self.timeline.ends is not None:
            self.commands.export_interpolation(*self.timeline.ends)

    def _fill_recent(self) -> None:
        self.menus.recent.clear()
        for path in self.session.settings.recent:
            action = self.menus.recent.addAction(Path(path).name)
            action.setToolTip(str(path))
            action.triggered.connect(lambda _checked=False, path=path: self.commands.open_files([Path(path)]))
        self.menus.recent.setEnabled(bool(self.session.settings.recent))

    def _show_keys(self) -> None:
        QMessageBox.information(self, "Keys and mouse", actions.help_text())

    def _show_about(self) -> None:
        models = "<br>".join(f"{info.name}: {info.error or info.hash[:12]}" for info in self.session.models())
        text = f"<h3>FaceEditor {__version__}</h3><p>Edit faces through trained face models.</p><p>{models}</p>"
        QMessageBox.about(self, "About FaceEditor", text)

    # Qt's events ------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Hold B: how the face started."""
        if event.key() == Qt.Key.Key_B and not event.isAutoRepeat():
            self.presenter.hold_start(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """B let go: the face as it is."""
        if event.key() == Qt.Key.Key_B and not event.isAutoRepeat():
            self.presenter.hold_start(False)
        else:
            super().keyReleaseEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files may be dropped anywhere."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Dropped files are opened."""
        self.commands.open_files(Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile())
        event.acceptProposedAction()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about unsaved faces, remember the layout, end the session."""
        if not self.commands.may_close():
            event.ignore()
            return
        self.timeline.stop()
        self.presenter.close()
        settings = _layout_file()
        settings.setValue("geometry", self.saveGeometry())
        settings.setValue("layout", self.saveState(_LAYOUT_VERSION))
        settings.sync()
        self.commands.guard(self.session.settings.save)
        self.session.close()
        event.accept()

    def _restore_geometry(self) -> None:
        settings = _layout_file()
        geometry, layout = settings.value("geometry"), settings.value("layout")
        if geometry is None or not self.restoreGeometry(geometry):
            available = self.screen().availableSize()
            self.resize(_SIZE.boundedTo(available))
        if layout is not None:
            self.restoreState(layout, _LAYOUT_VERSION)


def _layout_file() -> QSettings:
    return QSettings(str(user_config_dir() / "window.ini"), QSettings.Format.IniFormat)
