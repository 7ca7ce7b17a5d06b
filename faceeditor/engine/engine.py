"""The inference thread: it alone owns the models (and their GL context), draws, and runs jobs between two frames."""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Condition, Thread, current_thread
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from psygnal import Signal

from faceeditor.engine.gauge import Gauge
from faceeditor.engine.jobs import Deliver, Job, Steps, Work, sentence
from faceeditor.engine.requests import Drawn, DrawRequest, Pace, Show, compose
from faceeditor.engine.runtime import configure, cuda_available, is_device_failure, preload
from faceeditor.errors import UserError
from faceeditor.faces.latents import Space
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import CAPABILITIES, Frame, MeshModel, Quality, Refiner, capabilities

T = TypeVar("T")
Loader = Callable[[str, str], Any]
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class _Drawing:
    """A request and the levels that are still to be drawn."""

    request: DrawRequest
    levels: list[Quality] = field(default_factory=list)
    full: Frame | None = None
    """What was drawn in full and is still to be enhanced."""


class _Interrupted(Exception):
    """Raised inside an enhancement, between two steps of it, when something else waits."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """What any thread may know about a loaded model; ``extent`` is the side in metres of the box that a surface model
    knows its faces in.
    """

    spaces: Mapping[str, Space]
    capabilities: tuple[str, ...]
    extent: float


class Engine:
    """Draws the newest request of every target and runs jobs, all on one thread.

    Every method but :meth:`model` may be called from any thread. Signals are emitted by ``deliver``. An ``eager`` one
    imports at once what it would otherwise import in the middle of the first fit.
    """

    drawn = Signal(Drawn)
    failed = Signal(str, str)
    notice = Signal(str)
    model_ready = Signal(str)
    jobs_changed = Signal()
    device_changed = Signal(str)

    def __init__(
        self,
        deliver: Deliver,
        *,
        device: str = "auto",
        threads: int | None = None,
        load: Loader = load_model,
        cuda: Callable[[], bool] = cuda_available,
        pace: Pace | None = None,
        eager: bool = False,
    ) -> None:
        self._deliver = deliver
        self._load = load
        self._cuda = cuda
        self._wanted = device
        self._threads = threads
        self._eager = eager
        self.device = "cpu"
        self._models: dict[str, Any] = {}
        self._loaded: dict[str, Loaded] = {}
        self._pending: dict[str, _Drawing] = {}
        self._coarse: dict[str, DrawRequest] = {}
        self._jobs: list[Job[Any]] = []
        self._pace = pace or Pace()
        self._gauge = Gauge()
        self._closing = False
        self._busy = True
        self._news = Condition()
        self._thread = Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    # --- asked from any thread -------------------------------------------------------------------------------------

    def draw(self, request: DrawRequest) -> None:
        """Asks for a picture; a waiting request for the same target is forgotten."""
        with self._news:
            shown = self._coarse.get(request.target)
            levels = list(request.levels)
            if len(levels) > 1 and shown is not None and shown.same_look(request):
                levels.remove(Quality.MOVING)
            self._pending[request.target] = _Drawing(request, levels)
            self._news.notify()

    def forget(self, target: str) -> None:
        """Drops what waits for ``target``."""
        with self._news:
            self._pending.pop(target, None)

    def submit(self, label: str, work: Work[T]) -> Job[T]:
        """Puts a work in the queue of jobs."""
        job: Job[T] = Job(label, lambda step: self._rescued(lambda: work(step)), self._deliver)
        with self._news:
            if self._closing:
                raise UserError("The program is closing; start it again.")
            self._jobs.append(job)
            self._news.notify()
        self._deliver(self.jobs_changed.emit)
        return job

    def load(self, name: str) -> Job[Loaded]:
        """Loads a model ahead of its first use."""

        def work(step: Steps) -> Loaded:
            self.model(name)
            return self._loaded[name]

        return self.submit(f"Load {name}", work)

    def loaded(self, name: str) -> Loaded | None:
        """The facts of a model, ``None`` while it is not loaded."""
        return self._loaded.get(name)

    def set_device(self, device: str) -> Job[str]:
        """Moves to ``auto``, ``cpu`` or ``cuda``; models are loaded again when next used."""

        def work(step: Steps) -> str:
            self._wanted = device
            self._choose_device()
            return self.device

        return self.submit("Change device", work)

    @property
    def jobs(self) -> tuple[Job[Any], ...]:
        """Jobs that have not ended, the running one first."""
        with self._news:
            return tuple(job for job in self._jobs if not job.ended)

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is being drawn or worked at."""
        with self._news:
            return not (self._pending or self._jobs or self._busy)

    @property
    def fps(self) -> float:
        """Coarse frames drawn in the last second."""
        return self._pace.fps(time.monotonic())

    def close(self) -> None:
        """Cancels all jobs, forgets all requests, and waits for the thread's end."""
        with self._news:
            self._closing = True
            self._pending.clear()
            for job in self._jobs:
                job.cancel()
            self._news.notify()
        if current_thread() is not self._thread:
            self._thread.join()

    # --- on the inference thread -----------------------------------------------------------------------------------

    def model(self, name: str) -> Any:
        """The model ``name``, loaded if need be. Raises ``UserError`` when there is none."""
        if current_thread() is not self._thread:
            raise RuntimeError("models belong to the inference thread; submit a job")
        if name not in self._models:
            model = self._load(name, self.device)
            self._models[name] = model
            spaces = MappingProxyType(dict(getattr(model, "spaces", {})))
            self._loaded[name] = Loaded(spaces, capabilities(model), getattr(model, "extent", 0.0))
            self._deliver(lambda: self.model_ready.emit(name))
        return self._models[name]

    def _run(self) -> None:
        configure(self._threads)
        if self._eager:
            preload()
        self._choose_device()
        while True:
            with self._news:
                self._busy = False
                self._news.wait_for(lambda: self._closing or self._pending or self._jobs)
                if self._closing:
                    break
                self._busy = True
                job = self._jobs[0] if self._jobs else None
            self._draw_next()
            if job is not None:
                self._work(job)
        self._models.clear()

    def _work(self, job: Job[Any]) -> None:
        job.run(self._draw_next)
        with self._news:
            self._jobs.remove(job)
        self._report(job.exception)
        self._deliver(self.jobs_changed.emit)

    def _draw_next(self) -> None:
        """Draws one level of the most urgent request, if any waits; when nothing else waits, enhances one."""
        with self._news:
            waiting = [drawing for drawing in self._pending.values() if drawing.full is None]
            finished = [] if waiting or self._jobs else list(self._pending.values())
            if waiting:
                drawing = min(waiting, key=lambda drawing: drawing.request.urgency)
                quality = drawing.levels.pop(0)
                final = not drawing.levels and not drawing.request.enhances
                if final:
                    del self._pending[drawing.request.target]
        if finished:
            self._enhance_next(finished[0])
        if not waiting:
            return
        try:
            answer = self._rescued(lambda: self._draw(drawing.request, quality, final))
        except Exception as error:  # the thread must outlive any request
            self._give_up(drawing)
            self._report(error, tell=True)
        else:
            if quality is Quality.MOVING:
                self._coarse[drawing.request.target] = drawing.request
            elif not final:
                drawing.full = answer.frame
            self._deliver(lambda: self.drawn.emit(answer))

    def _enhance_next(self, drawing: _Drawing) -> None:
        """Makes a full picture finer, unless something else comes: then it waits, or a newer one takes its place."""
        try:
            answer = self._rescued(lambda: self._enhanced(drawing))
        except _Interrupted:
            return
        except Exception as error:  # the thread must outlive any request
            self._give_up(drawing)
            self._report(error, tell=True)
        else:
            self._give_up(drawing)
            self._deliver(lambda: self.drawn.emit(answer))

    def _enhanced(self, drawing: _Drawing) -> Drawn:
        request = drawing.request
        assert request.enhancement is not None
        assert drawing.full is not None
        began = time.monotonic()

        def breathe() -> None:
            with self._news:
                wanted = drawing in self._pending.values() and not self._jobs
                if not wanted or any(other.full is None for other in self._pending.values()):
                    raise _Interrupted

        refiner: Refiner = able(self.model(request.enhancement.refiner), "refining")
        frame = refiner.refine(drawing.full, request.enhancement.seed, breathe)
        picture = compose(frame, request.background)
        return Drawn(request, Quality.FULL, True, time.monotonic() - began, frame, picture, enhanced=True)

    def _give_up(self, drawing: _Drawing) -> None:
        """Drops what else was to be done for a request."""
        with self._news:
            if self._pending.get(drawing.request.target) is drawing:
                del self._pending[drawing.request.target]

    def _draw(self, request: DrawRequest, quality: Quality, final: bool) -> Drawn:
        model = self.model(request.model)
        began = time.monotonic()
        with torch.no_grad():
            if request.show is not Show.LOOK:
                textured = request.show is Show.TEXTURED
                surface: MeshModel = able(model, "mesh")
                mesh = surface.mesh(request.codes, request.refinement, textured=textured, quality=quality)
                scan = request.scan_points if request.show is Show.MEASURED else None
                away = None if scan is None else self._gauge.distances_mm(mesh, scan)
                return Drawn(request, quality, final, time.monotonic() - began, mesh=mesh, distances_mm=away)
            size = self._pace.size(request.size) if quality is Quality.MOVING else request.size
            radiance = able(model, "radiance")
            frame = radiance.render(request.codes, request.camera, size, quality, request.refinement)
        picture = compose(frame, request.background)
        now = time.monotonic()
        if quality is Quality.MOVING:
            self._pace.note(size, now - began, now)
        return Drawn(request, quality, final, now - began, frame, picture)

    # --- devices ---------------------------------------------------------------------------------------------------

    def _choose_device(self) -> None:
        if self._wanted == "cuda" and not self._cuda():
            self._notice("No CUDA GPU can be used on this machine; the CPU does the work.")
        self._use("cuda" if self._wanted in ("auto", "cuda") and self._cuda() else "cpu")

    def _use(self, device: str) -> None:
        if device != self.device:
            self._models.clear()
        self.device = device
        self._deliver(lambda: self.device_changed.emit(device))

    def _rescued(self, call: Callable[[], T]) -> T:
        """Calls; when the GPU is full or lost, once more on the CPU."""
        try:
            return call()
        except Exception as error:
            if self.device == "cpu" or not is_device_failure(error):
                raise
            _LOG.warning("GPU failure: %s", error)
        self._notice("The GPU is full or was lost; the CPU goes on with the work, more slowly.")
        self._use("cpu")
        return call()

    def _notice(self, text: str) -> None:
        self._deliver(lambda: self.notice.emit(text))

    def _report(self, error: BaseException | None, *, tell: bool = False) -> None:
        """Logs a defect; ``tell`` also signals it (a job's failure is told by the job)."""
        if error is None:
            return
        details = "".join(traceback.format_exception(error))
        if not isinstance(error, UserError):
            _LOG.debug("%s", details)
        if tell:
            text = sentence(error)
            self._deliver(lambda: self.failed.emit(text, details))


def able(model: Any, capability: str) -> Any:
    """``model``, if it has the named capability. Raises ``UserError`` when it lacks it."""
    if not isinstance(model, CAPABILITIES[capability]):
        raise UserError(f"The model {model.name} has not the capability {capability}; choose another model.")
    return model
