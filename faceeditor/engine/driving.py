"""What jobs do with videos on the inference thread: tell a head's performance, and film a face that is driven by it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.engine import exports
from faceeditor.engine.engine import able
from faceeditor.engine.jobs import Steps
from faceeditor.errors import UserError
from faceeditor.faces.performance import Performance
from faceeditor.files.video import read_frames, read_video_facts

if TYPE_CHECKING:
    from faceeditor.fitting.video import HeadTracker, Sight

# Fitting is imported by the first video and not before, for the sake of a quick start.

UNKNOWN: Final = 250
"""Frames that a video is taken to have that does not tell how long it takes."""


def watch(model_of: Callable[[str], Any], path: Path, step: Steps) -> Performance:
    """What the head in the video at ``path`` does; what it does in each frame streams by ``step``. Raises ``UserError``
    for a file that is no video, or shows no face.
    """
    from faceeditor.fitting.video import performance

    step(0.0, "Reading the video")
    facts = read_video_facts(path)
    tracker = _tracker(model_of)
    count = round(facts.duration * facts.fps) or UNKNOWN
    with closing(read_frames(path)) as pictures:
        return performance(_told(pictures, tracker, count, step), facts.fps)


def _told(
    pictures: Iterable[NDArray[np.uint8]], tracker: "HeadTracker", count: int, step: Steps
) -> "Iterator[Sight | None]":
    for number, picture in enumerate(pictures):
        share = min(number / count, 1.0)
        step(share, f"Frame {number + 1} of {max(count, number + 1)}")
        sight = tracker.see(picture, partial(step, share))
        step(share, preview=sight)
        yield sight


def _tracker(model_of: Callable[[str], Any]) -> "HeadTracker":
    from faceeditor.fitting.video import HeadTracker

    encoder = exports.name_of(exports.ENCODER)
    if encoder is None:
        raise UserError("The model that reads faces off videos is not installed; install the program again.")
    return HeadTracker(model_of(exports.reader_name()), able(model_of(encoder), "attributes"))
