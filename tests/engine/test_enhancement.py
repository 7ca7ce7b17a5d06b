"""What a refiner does to full pictures: after them, when nothing else waits, and never to others."""

import numpy as np
import pytest

from faceeditor.engine.requests import DrawRequest, Enhancement, Show
from faceeditor.models.contract import Quality
from tests.engine.test_engine import Desk
from tests.tiny import NAME, TinyHead, tiny_face
from tests.tiny_refiner import NAME as REFINER
from tests.tiny_refiner import tiny_refiner


class FineDesk(Desk):
    """A desk that has a refiner too."""

    def load(self, name, device):
        if name != REFINER:
            return super().load(name, device)
        self.refiner = tiny_refiner()
        return self.refiner


@pytest.fixture
def desk():
    desk = FineDesk()
    yield desk
    desk.engine.close()


FINE = Enhancement(REFINER, 5)


def test_the_full_picture_comes_first_and_its_enhancement_last(desk):
    request = desk.ask(enhancement=FINE, background=(0.0, 0.0, 0.0))
    desk.settle()
    assert [answer.quality for answer in desk.answers] == [Quality.MOVING, Quality.FULL, Quality.FULL]
    assert [answer.final for answer in desk.answers] == [False, False, True]
    assert [answer.enhanced for answer in desk.answers] == [False, False, True]
    full, finer = (answer.frame for answer in desk.answers[1:])
    expected = desk.refiner.refine(TinyHead().render(request.codes, request.camera, 64), 5)
    np.testing.assert_array_equal(finer.rgb_linear, expected.rgb_linear)
    assert not np.array_equal(full.rgb_linear, finer.rgb_linear)
    assert not np.array_equal(desk.answers[1].picture_srgb, desk.answers[2].picture_srgb)


@pytest.mark.parametrize("facts", [{"moving": True}, {"show": Show.SURFACE}, {"enhancement": None}])
def test_what_moves_and_what_is_no_look_is_not_enhanced(desk, facts):
    desk.ask(**{"enhancement": FINE, **facts})
    desk.settle()
    assert not any(answer.enhanced for answer in desk.answers)
    assert desk.answers[-1].final


def test_a_newer_request_takes_its_place(desk):
    """It comes in the middle of the enhancement, which then never ends."""
    newer = DrawRequest.of(tiny_face(seed=1), target="viewport", size=64, enhancement=FINE)
    refine, asked = [], []

    def load(name, device):
        model = desk.load(name, device)
        if name == REFINER:
            refine.append(model.refine)
            model.refine = lambda frame, seed, breathe: refine[0](frame, seed, lambda: interrupt(breathe))
        return model

    def interrupt(breathe):
        if not asked:
            asked.append(newer)
            desk.engine.draw(newer)
        breathe()

    desk.engine._load = load
    older = desk.ask(enhancement=FINE)
    desk.until(lambda: any(answer.enhanced for answer in desk.answers))
    desk.settle()
    enhanced = [answer.request for answer in desk.answers if answer.enhanced]
    assert enhanced == [newer]
    assert older in [answer.request for answer in desk.answers]


def test_others_are_drawn_and_jobs_done_before_it(desk):
    first = []
    blocker = desk.engine.submit("block", lambda step: first.append(len(desk.answers)))
    for target in ("viewport", "start"):
        desk.ask(target=target, enhancement=FINE)
    desk.ask(target="thumbnail:1", urgency=1)
    job = desk.engine.submit("work", lambda step: [step(share / 10) for share in range(10)])
    desk.settle()
    assert blocker.ended
    assert job.ended
    kinds = [answer.enhanced for answer in desk.answers]
    assert kinds == sorted(kinds), "enhancements last"
    assert sum(kinds) == 2


def test_a_failure_is_told_once_and_the_full_picture_stays(desk):
    desk.ask(enhancement=Enhancement(NAME))
    desk.settle()
    assert [text for text, _ in desk.troubles] == [
        "The model tiny has not the capability refining; choose another model."
    ]
    assert desk.answers[-1].quality is Quality.FULL
    assert desk.engine.idle
