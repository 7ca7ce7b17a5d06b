"""The part of the timeline where a video, or a camera, drives the face: open, play, turn the head along, record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Final

from PySide6.QtCore import QElapsedTimer, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QWidget

from faceeditor.editing.driving import driven, turned
from faceeditor.engine.jobs import Job, JobState
from faceeditor.faces.camera import Camera
from faceeditor.faces.performance import Performance
from faceeditor.files.video import READABLE
from faceeditor.gui import theme
from faceeditor.gui.buttons import tool_button
from faceeditor.gui.slider import Control, SliderRow
from faceeditor.session import Session

_TICK_MS: Final = 40
VIDEOS: Final = f"Videos ({' '.join(f'*{suffix}' for suffix in READABLE)})"
OUT: Final = "Videos (*.mp4)"


class Driving(QWidget):
    """``showing(face)`` wants a face in the viewport instead of the document's (``None`` ends it); ``started`` when
    something begins to play.
    """

    showing = Signal(object)
    started = Signal()
    trouble = Signal(Exception)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.performance: Performance | None = None
        self._job: Job[Performance] | None = None
        self._enough = Event()
        self._before: Camera | None = None
        self._shown: tuple[Performance, int] | None = None
        self._clock = QElapsedTimer()
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.open = tool_button("ph.video-camera", "Open a video whose expressions drive this face")
        self.camera = tool_button("ph.record", "Drive this face by a camera, until pressed again", checkable=True)
        self.play = tool_button("ph.play", "Play the driving video on this face", checkable=True)
        self.pose = tool_button("ph.arrows-out-cardinal", "Turn the head as in the video, too", checkable=True)
        self.record = tool_button("ph.film-strip", "Record this face, driven, as a video")
        self.name = QLabel("No driving video")
        self.at = SliderRow(Control("timeline.at", "Moment", 0.0, 1.0))
        self._lay_out()
        self.open.clicked.connect(self.ask)
        self.camera.toggled.connect(self._watch_camera)
        self.play.toggled.connect(self._play)
        self.pose.toggled.connect(self._pose)
        self.record.clicked.connect(self._record)
        self.at.moved.connect(self._scrub)
        self.at.reset_asked.connect(self.stop)
        self.at.neutral_asked.connect(self.stop)
        session.document.face_changed.connect(self._changed)
        self._offer()

    # Where performances come from -------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for a video and watch it."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Open driving video", str(Path.home()), VIDEOS)
        if chosen:
            self.watch(Path(chosen))

    def watch(self, path: Path) -> Job[Performance] | None:
        """Read what the head in a video does, and show it on the face meanwhile."""
        return self._follow(lambda: self._session.watch_video(path), path.name)

    def _watch_camera(self, on: bool) -> None:
        self._enough.set()
        if on:
            self._enough = Event()
            job = self._follow(lambda: self._session.watch_camera(enough=self._enough), "Camera")
            if job is None:
                self.camera.setChecked(False)

    def _follow(self, begin: Callable[[], Job[Performance]], name: str) -> Job[Performance] | None:
        self.stop()
        if self._job is not None:
            self._job.cancel()
        try:
            self._job = job = begin()
        except Exception as error:
            self.trouble.emit(error)
            return None
        self.name.setText(name)
        self.started.emit()
        job.previewed.connect(self._streamed)
        job.finished.connect(lambda: self._ended(job, name))
        return job

    def _streamed(self, seen: object) -> None:
        if isinstance(seen, Performance):
            self._show(seen, 0)

    def _ended(self, job: Job[Performance], name: str) -> None:
        if job is not self._job:
            return
        self._job = None
        self.camera.setChecked(False)
        if job.state is JobState.DONE:
            self.performance = job.result().smoothed()
            self.name.setToolTip(job.result().gaps)
        self.name.setText(name if self.performance is not None else "No driving video")
        self._offer()
        self.stop()

    # Playing ----------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether the face in the viewport is driven."""
        return self.play.isChecked() or self._job is not None

    def stop(self) -> None:
        """Stop playing and show the document's face again, as it was seen before."""
        self.play.setChecked(False)
        self._shown = None
        self._look_back()
        self.at.show_value(0.0)
        self.showing.emit(None)

    def _play(self, on: bool) -> None:
        self.play.setIcon(theme.icon("ph.pause" if on else "ph.play"))
        if on:
            self.started.emit()
            self._clock.start()
            self._timer.start()
        else:
            self._timer.stop()

    def _tick(self) -> None:
        if self.performance is not None:
            self._go_to(self._clock.elapsed() / 1000 % self.performance.seconds)

    def _scrub(self, share: float) -> None:
        if self.performance is not None:
            self.play.setChecked(False)
            self.started.emit()
            self._go_to(share * self.performance.seconds)

    def _go_to(self, seconds: float) -> None:
        assert self.performance is not None
        self.at.show_value(seconds / self.performance.seconds)
        self._show(self.performance, self.performance.frame_at(seconds))

    def _show(self, performance: Performance, frame: int) -> None:
        face_id = self._session.document.current
        if face_id is None:
            return
        self._shown = performance, frame
        face = self._session.document[face_id]
        try:
            self.showing.emit(driven(face, self._session.spaces(face.model), performance, frame))
        except Exception as error:
            self.stop()
            self.trouble.emit(error)
            return
        if self.pose.isChecked():
            self._before = self._before or self._session.view(face_id)
            self._session.look(face_id, turned(self._before, performance, frame))

    def _changed(self, face_id: str) -> None:
        """What the artist edits shows on the driven face at once."""
        if self._shown is not None and face_id == self._session.document.current:
            self._show(*self._shown)

    def _pose(self, on: bool) -> None:
        if not on:
            self._look_back()

    def _look_back(self) -> None:
        face_id = self._session.document.current
        if face_id is not None and self._before is not None:
            self._session.look(face_id, self._before)
        self._before = None

    # Recording --------------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        face_id = self._session.document.current
        if face_id is None or self.performance is None:
            return
        start = Path.home() / f"{self._session.document[face_id].name} driven.mp4"
        chosen, _ = QFileDialog.getSaveFileName(self, "Record driven face", str(start), OUT)
        if chosen:
            path = Path(chosen)
            self.record_to(path if path.suffix else path.with_suffix(".mp4"))

    def record_to(self, path: Path) -> Job[Path] | None:
        """Record the current face, driven by the whole performance."""
        face_id = self._session.document.current
        if face_id is None or self.performance is None:
            return None
        self.stop()
        try:
            return self._session.export_driven(face_id, self.performance, path, pose=self.pose.isChecked())
        except Exception as error:
            self.trouble.emit(error)
            return None

    # Inside -----------------------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        for widget in (self.play, self.at, self.record):
            widget.setEnabled(self.performance is not None)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.MARGIN, 0, theme.MARGIN, 4)
        row.setSpacing(theme.MARGIN // 2)
        self.name.setMinimumWidth(150)
        self.name.setMaximumWidth(260)
        widgets: tuple[Any, ...] = (self.open, self.camera, self.name, self.play, self.at, self.pose, self.record)
        for widget in widgets:
            row.addWidget(widget, 1 if widget is self.at else 0)
