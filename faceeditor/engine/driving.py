"""What jobs do with videos and cameras on the inference thread: tell what a head does."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.engine import exports
from faceeditor.engine.engine import able
from faceeditor.engine.jobs import Steps
from faceeditor.errors import UserError
from faceeditor.faces.performance import Performance
from faceeditor.files.video import read_camera, read_frames, read_video_facts

if TYPE_CHECKING:
    from faceeditor.fitting.video import HeadTracker, Sight

# Fitting is imported by the first video and not before, for the sake of a quick start.

FPS: Final = 25.0
"""Frames a second of what cameras saw."""
GUIDED: Final = "guided"
"""The architecture of the bundle that says how faces move, and which expressions are common."""
UNKNOWN: Final = 250
"""Frames that a video is taken to have that does not tell how long it takes."""


def watch(model_of: Callable[[str], Any], path: Path, step: Steps) -> Performance:
    """What the head in the video at ``path`` does; what it does in each frame streams by ``step``. Raises ``UserError``
    for a file that is no video, or shows no face.
    """
    step(0.0, "Reading the video")
    facts = read_video_facts(path)
    tracker = _tracker(model_of)
    count = round(facts.duration * facts.fps) or UNKNOWN
    with closing(read_frames(path)) as pictures:
        return tracker.told(
            _sights(pictures, tracker, count, step), facts.fps, partial(step, 1.0, "Telling the expressions")
        )


def _sights(
    pictures: Iterable[NDArray[np.uint8]], tracker: "HeadTracker", count: int, step: Steps
) -> "Iterator[Sight | None]":
    for number, picture in enumerate(pictures):
        share = min(number / count, 1.0)
        step(share, f"Frame {number + 1} of {max(count, number + 1)}")
        sight = tracker.see(picture, partial(step, share))
        step(share, preview=_moment(sight))
        yield sight


def watch_camera(
    model_of: Callable[[str], Any], number: int, enough: Event, seconds: float, step: Steps
) -> Performance:
    """What the head before a camera does until ``enough`` is set, or ``seconds`` have passed. Raises ``UserError`` for
    a camera that is not there, or sees no face.
    """
    step(0.0, "Opening the camera")
    tracker = _tracker(model_of)
    seen: list[Sight | None] = []
    moments: list[float] = []
    with closing(read_camera(number)) as pictures:
        began = time.monotonic()
        for picture in pictures:
            now = time.monotonic() - began
            step(min(now / seconds, 1.0), "Watching")
            if picture is not None:
                seen.append(tracker.see(picture, partial(step, 0.0)))
                moments.append(now)
                step(0.0, preview=_moment(seen[-1]))
            if enough.is_set() or now >= seconds:
                break
    return evenly(tracker.told(seen, FPS, partial(step, 1.0)), np.array(moments))


def evenly(told: Performance, moments: NDArray[np.float64]) -> Performance:
    """What was ``told`` at ``moments`` (N,), seconds from any beginning, in frames that follow each other evenly."""
    grid = np.arange(moments[0], moments[-1] + 1e-9, 1 / told.fps)
    nearest = np.abs(moments[:, None] - grid).argmin(0)
    between = [
        np.stack([np.interp(grid, moments, column) for column in curves.T], axis=1)
        for curves in (told.expressions, told.poses)
    ]
    return Performance(told.fps, between[0].astype(np.float32), between[1], told.seen[nearest])


def _moment(sight: "Sight | None") -> Performance | None:
    """A performance of one frame."""
    from faceeditor.fitting.video import performance

    return None if sight is None else performance([sight], FPS)


def _tracker(model_of: Callable[[str], Any]) -> "HeadTracker":
    from faceeditor.fitting.expressions import ExpressionSolver
    from faceeditor.fitting.skin_points import SkinPoints
    from faceeditor.fitting.video import HeadTracker

    encoder, common = (exports.name_of(kind) for kind in (exports.ENCODER, GUIDED))
    if encoder is None or common is None:
        raise UserError("A model that reads faces off videos is not installed; install the program again.")
    model = able(model_of(common), "fitting")
    eyes = model_of(exports.reader_name()), able(model_of(encoder), "attributes")
    return HeadTracker(*eyes, ExpressionSolver(model), SkinPoints.of(model))
