"""The status bar: notices, the running job with progress, time left and Cancel, speed, device."""

from __future__ import annotations

from typing import Any, Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QStatusBar, QToolButton, QWidget

from faceeditor.engine.jobs import Job
from faceeditor.gui import theme
from faceeditor.session import Session

_NOTICE_MS: Final = 9000


class Status(QStatusBar):
    """Follows the session. ``job_ended(job)`` once for each job."""

    job_ended = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._known: list[Job[Any]] = []
        self._quiet: list[Job[Any]] = []
        self._ignored: Job[Any] | None = None
        self.setSizeGripEnabled(False)
        self.label, self.left, self.speed, self.device = QLabel(), QLabel(), QLabel(), QLabel()
        self.device.setContentsMargins(0, 0, theme.MARGIN, 0)
        self.device.setToolTip("Where the models run")
        self.speed.setToolTip("Frames drawn in the last second")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFixedWidth(180)
        self.bar.setTextVisible(False)
        self.cancel = QToolButton()
        self.cancel.setIcon(theme.icon("ph.x"))
        self.cancel.setText("Cancel")
        self.cancel.setToolTip("Cancel this")
        self.cancel.setAccessibleName("Cancel the running job")
        self.cancel.clicked.connect(self._cancel)
        self.work = QWidget()
        row = QHBoxLayout(self.work)
        row.setContentsMargins(0, 0, theme.MARGIN, 0)
        inside: tuple[QWidget, ...] = (self.label, self.bar, self.left, self.cancel)
        for widget in inside:
            row.addWidget(widget)
        self.work.hide()
        for part in (self.work, self.speed, self.device):
            self.addPermanentWidget(part)
        session.notice.connect(self.tell)
        session.jobs_changed.connect(self._jobs_changed)
        self._tick = QTimer(self, interval=500)
        self._tick.timeout.connect(self._show_facts)
        self._tick.start()
        self._jobs_changed()

    def tell(self, notice: str) -> None:
        """Show one sentence for a while."""
        self.showMessage(notice, _NOTICE_MS)

    def leave_to_others(self, job: Job[Any]) -> None:
        """Somebody else tells how ``job`` ends."""
        self._quiet.append(job)

    def ignore(self, job: Job[Any]) -> None:
        """``job`` is not worth telling."""
        self._ignored = job

    def _jobs_changed(self) -> None:
        for job in self._session.jobs:
            if job not in self._known and job is not self._ignored:
                self._known.append(job)
                job.changed.connect(self._show_job)
                job.finished.connect(self._check_ended)
        self._check_ended()
        self._show_job()

    def _check_ended(self) -> None:
        for job in [job for job in self._known if job.ended]:
            self._known.remove(job)
            if job in self._quiet:
                self._quiet.remove(job)
            else:
                self.job_ended.emit(job)
        self._show_job()

    def _show_job(self) -> None:
        running = [job for job in self._known if not job.ended]
        self.work.setVisible(bool(running))
        if running:
            job = running[0]
            more = f" (+{len(running) - 1})" if len(running) > 1 else ""
            self.label.setText(f"{job.label}{f': {job.message}' if job.message else ''}{more}")
            self.bar.setValue(round(job.progress * 1000))
            self.left.setText("" if job.left is None else f"{job.left:.0f} s left")

    def _cancel(self) -> None:
        running = [job for job in self._known if not job.ended]
        if running:
            running[0].cancel()

    def _show_facts(self) -> None:
        fps = self._session.fps
        self.speed.setText(f"{fps:.0f} fps" if fps >= 1 else "")
        self.device.setText(self._session.device.upper())
        self._show_job()
