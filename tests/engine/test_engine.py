import threading
import time
from queue import Empty, SimpleQueue

import pytest
import torch

from faceeditor.engine.engine import Engine
from faceeditor.engine.jobs import Cancelled, JobState
from faceeditor.engine.requests import DrawRequest, Show
from faceeditor.errors import UserError
from faceeditor.models.contract import Quality
from tests.tiny import NAME, TinyHead, tiny_face


class Desk:
    """An engine with a tiny model and everything it said, in order."""

    def __init__(self, pause=0.0, **facts):
        self.inbox = SimpleQueue()
        self.models = []
        self.pause = pause
        self.answers, self.troubles, self.notices = [], [], []
        self.engine = Engine(self.inbox.put, load=self.load, **facts)
        self.engine.drawn.connect(self.answers.append)
        self.engine.failed.connect(lambda text, details: self.troubles.append((text, details)))
        self.engine.notice.connect(self.notices.append)

    def load(self, name, device):
        if name != NAME:
            raise UserError(f"There is no model named {name}.")
        self.models.append(TinyHead(name, device, self.pause))
        return self.models[-1]

    def ask(self, jaw=0.0, **facts):
        face = tiny_face().with_code("expression", [jaw, 0, 0, 0, 0])
        request = DrawRequest.of(face, **{"target": "viewport", "size": 64, **facts})
        self.engine.draw(request)
        return request

    def until(self, true, seconds=5.0):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "nothing came in time"
            try:
                self.inbox.get(timeout=0.05)()
            except Empty:
                continue

    def settle(self):
        """Waits until all that was asked for is drawn and done."""
        self.until(lambda: self.engine.idle and self.inbox.empty())


@pytest.fixture
def desk(request):
    desk = Desk(**getattr(request, "param", {}))
    yield desk
    desk.engine.close()
    assert not any(thread.name == "inference" and thread.is_alive() for thread in threading.enumerate())


def test_a_picture_at_rest_comes_coarse_first_then_full(desk):
    desk.ask(size=512)
    desk.until(lambda: desk.answers and desk.answers[-1].final)
    coarse, full = desk.answers
    assert (coarse.quality, full.quality) == (Quality.MOVING, Quality.FULL)
    assert coarse.picture_srgb.shape[0] < full.picture_srgb.shape[0] == 512
    assert not coarse.final
    assert desk.models[0].threads == {"inference"}


@pytest.mark.alone
@pytest.mark.parametrize("desk", [{"pause": 0.05}], indirect=True)
def test_the_newest_request_wins_and_stale_ones_are_never_drawn(desk):
    for value in range(40):
        desk.ask(value / 100, moving=True)
        time.sleep(0.005)
    desk.until(lambda: desk.answers and desk.answers[-1].request.codes["expression"][0] == pytest.approx(0.39))
    assert len(desk.models[0].drawn) < 15
    shown = [answer.request.codes["expression"][0] for answer in desk.answers]
    assert shown == sorted(shown)


@pytest.mark.alone
@pytest.mark.parametrize("desk", [{"pause": 0.05}], indirect=True)
def test_a_newer_request_comes_between_the_levels(desk):
    desk.ask(0.1)
    desk.until(lambda: desk.models and desk.models[0].drawn)
    desk.ask(0.2)
    desk.until(lambda: desk.answers and desk.answers[-1].final)
    full = [jaw for jaw, _, quality in desk.models[0].drawn if quality is Quality.FULL]
    assert full == pytest.approx([0.2])


def test_after_a_drag_only_the_full_picture_is_missing(desk):
    face = tiny_face()
    for moving in (True, False):
        desk.engine.draw(DrawRequest.of(face, target="viewport", size=64, moving=moving))
        desk.settle()
    assert [answer.quality for answer in desk.answers] == [Quality.MOVING, Quality.FULL]


@pytest.mark.parametrize("desk", [{"pause": 0.03}], indirect=True)
def test_the_viewport_is_drawn_before_thumbnails(desk):
    blocker = desk.engine.submit("block", lambda step: time.sleep(0.1))
    for index in range(4):
        desk.ask(target=f"thumbnail:{index}", urgency=1)
    desk.ask(target="viewport")
    desk.until(lambda: len(desk.answers) == 6)
    assert blocker.state is JobState.DONE
    order = [answer.request.target for answer in desk.answers]
    assert order.index("viewport") <= 1


def test_the_surface_comes_as_a_mesh_and_transparency_as_four_channels(desk):
    desk.ask(show=Show.SURFACE)
    desk.ask(target="other", background=None)
    desk.until(lambda: len(desk.answers) == 3)
    meshes = [answer.mesh for answer in desk.answers if answer.mesh is not None]
    assert meshes[0].vertices.shape == (4, 3)
    assert {answer.picture_srgb.shape[-1] for answer in desk.answers if answer.mesh is None} == {4}


def test_a_failing_request_becomes_one_sentence_and_the_thread_lives(desk):
    desk.ask()
    desk.settle()
    desk.models[0].fail = ZeroDivisionError("boom")
    desk.ask(1.0)
    desk.settle()
    ((text, details),) = desk.troubles
    assert "ZeroDivisionError" in text
    assert "Traceback" in details
    desk.ask(0.5)
    desk.settle()
    assert desk.answers[-1].final
    desk.engine.draw(DrawRequest.of(tiny_face().replace(model="nobody"), target="x", size=64))
    desk.settle()
    assert desk.troubles[-1][0] == "There is no model named nobody."


@pytest.mark.alone
def test_a_job_is_cancelled_within_half_a_second_and_drawing_goes_on_meanwhile(desk):
    def endless(step):
        while True:
            time.sleep(0.02)
            step(0.5, "on and on", preview="look")

    seen = []
    job = desk.engine.submit("endless", endless)
    job.previewed.connect(seen.append)
    desk.until(lambda: job.state is JobState.RUNNING)
    desk.ask(0.3)
    desk.until(lambda: desk.answers and desk.answers[-1].final, 2.0)
    assert not job.ended
    waiting = desk.engine.submit("waiting", lambda step: 1)
    began = time.monotonic()
    waiting.cancel()
    assert waiting.state is JobState.CANCELLED
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(2)
    assert time.monotonic() - began < 0.5
    desk.settle()
    assert job.state is JobState.CANCELLED
    assert seen[0] == "look"
    assert desk.engine.jobs == ()


def test_a_job_tells_progress_time_left_result_and_error(desk):
    told = []

    def work(step):
        for part in range(5):
            step(part / 5, f"part {part}")
            time.sleep(0.02)
        return 42

    job = desk.engine.submit("work", work)
    job.changed.connect(lambda: told.append((job.progress, job.message, job.left)))
    desk.until(lambda: job.ended and desk.inbox.empty())
    assert job.result() == 42
    assert job.left == 0.0
    assert told[-1][:2] == (1.0, "part 4")

    def wrong(step):
        raise UserError("The photo is too dark; take another.")

    job = desk.engine.submit("wrong", wrong)
    desk.settle()
    assert job.state is JobState.FAILED
    assert job.error == "The photo is too dark; take another."
    with pytest.raises(UserError):
        job.result()


@pytest.mark.parametrize("desk", [{"device": "cuda", "cuda": lambda: True}], indirect=True)
def test_a_full_gpu_hands_over_to_the_cpu_with_a_notice(desk):
    desk.ask()
    desk.settle()
    assert desk.models[0].device == "cuda"
    desk.models[0].fail = torch.OutOfMemoryError("CUDA out of memory")
    desk.ask(0.7, moving=True)
    desk.settle()
    assert desk.engine.device == desk.models[1].device == "cpu"
    assert "CPU" in desk.notices[0]
    assert desk.answers[-1].request.codes["expression"][0] == pytest.approx(0.7)
    assert not desk.troubles


@pytest.mark.parametrize("desk", [{"device": "cuda", "cuda": lambda: True}], indirect=True)
def test_a_job_on_a_lost_gpu_starts_again_on_the_cpu(desk):
    def work(step):
        if desk.engine.model(NAME).device == "cuda":
            raise RuntimeError("CUDA error: unspecified launch failure")
        return "done"

    job = desk.engine.submit("work", work)
    desk.settle()
    assert job.result() == "done"


@pytest.mark.parametrize("desk", [{"device": "cuda", "cuda": lambda: False}], indirect=True)
def test_asking_for_a_gpu_that_is_not_there_is_told(desk):
    desk.settle()
    assert desk.engine.device == "cpu"
    assert "No CUDA GPU" in desk.notices[0]


def test_models_are_kept_from_other_threads(desk):
    with pytest.raises(RuntimeError, match="inference thread"):
        desk.engine.model(NAME)
    loaded = desk.engine.load(NAME).result(5)
    assert loaded.capabilities == ("radiance", "mesh")
    assert desk.engine.loaded(NAME) is loaded


@pytest.mark.alone
def test_closing_in_the_middle_of_work_ends_everything():
    desk = Desk(pause=0.05)

    def endless(step):
        while True:
            time.sleep(0.01)
            step(0.1)

    job, waiting = desk.engine.submit("endless", endless), desk.engine.submit("waiting", lambda step: None)
    desk.ask()
    time.sleep(0.05)
    began = time.monotonic()
    desk.engine.close()
    assert time.monotonic() - began < 0.5
    assert job.ended
    assert waiting.ended
