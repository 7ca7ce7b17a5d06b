"""Videos become performances: one head is followed from frame to frame, and a look at each tells its expression."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code
from faceeditor.faces.layout import DIMS, EXPRESSION
from faceeditor.faces.performance import Performance
from faceeditor.fitting import alignment
from faceeditor.fitting.expressions import ExpressionSolver, Guess, Landmarks
from faceeditor.fitting.portrait import LOOK, SURE, Look, PortraitReader, closer, find, placed
from faceeditor.fitting.skin_points import SkinPoints
from faceeditor.fitting.skin_tracking import Skin, followed
from faceeditor.models.contract import AttributeEncoder

Picture = NDArray[np.uint8]

PATIENCE: Final = 32
"""Most frames between two searches for a head that is lost; the search, which takes long, comes ever more rarely."""
NO_FACE: Final = "No face was found in the video; take one in which a face is larger and clearer."


@dataclass(frozen=True, eq=False)
class Sight:
    """What one frame shows: the ``expression`` (64,), as far as is known yet, and the ``pose``, yaw, pitch and roll in
    degrees; ``landmarks`` and the ``skin`` are what that is told by.
    """

    expression: Code
    pose: tuple[float, float, float]
    landmarks: Landmarks
    skin: Skin


class HeadTracker:
    """Follows one head through the pictures it is shown: the most prominent one when it begins, or begins again."""

    def __init__(
        self, reader: PortraitReader, encoder: AttributeEncoder, solver: ExpressionSolver, points: SkinPoints
    ) -> None:
        self._reader, self._encoder, self._solver, self._points = reader, encoder, solver, points
        self._look: Look | None = None
        self._missed = 0

    def see(self, picture_srgb: Picture, breathe: Callable[[], None] = lambda: None) -> Sight | None:
        """What the head does in the next picture (H, W, 3); ``None`` when it cannot be seen. ``breathe`` is called
        every few tenths of a second.
        """
        look = self._followed(picture_srgb) or self._searched(picture_srgb, breathe)
        self._look, self._missed = look or self._look, 0 if look else self._missed + 1
        return None if look is None else self._read(picture_srgb, look)

    def _followed(self, picture: Picture) -> Look | None:
        """Looks where the head was seen last."""
        if self._look is None:
            return None
        look = closer(picture, self._reader, self._look)
        return look if look.trust >= SURE else None

    def _searched(self, picture: Picture, breathe: Callable[[], None]) -> Look | None:
        """Searches the first picture without a head, the second, the fourth and so on."""
        count = self._missed
        due = count % PATIENCE == 0 if count >= PATIENCE else count & (count - 1) == 0
        look = find(picture, self._reader, breathe) if due else None
        return None if look is None else closer(picture, self._reader, look)

    def _read(self, picture: Picture, look: Look) -> Sight:
        transform = placed(self._reader, look)
        crop = alignment.warp(picture, transform, LOOK)
        codes, _ = self._encoder.encode(crop[None])
        yaw, pitch, roll = look.pose
        skin = Skin.of(crop, look, transform)
        places = alignment.move(transform @ alignment.inverted(look.transform), look.reading.landmarks[0]) / LOOK
        landmarks = Landmarks(
            places=places,
            spread=skin.doubts(places) * look.reading.spread[0] / LOOK,
            rotation=Camera(yaw=yaw, pitch=pitch).rotation(),
            expression=codes[EXPRESSION][0],
        )
        turn = float(np.degrees(np.arctan2(look.transform[1, 0], look.transform[0, 0])))
        pose = (yaw, pitch, roll + turn)
        return Sight(self._solver.solve(landmarks).code(), pose, landmarks, skin)

    def told(self, seen: Iterable[Sight | None], fps: float, breathe: Callable[[], None] = lambda: None) -> Performance:
        """The performance of all that was ``seen``, frame by frame, now that it is known whom it shows. Raises
        ``UserError`` when nothing ever was.
        """
        every = list(seen)
        shown = [sight for sight in every if sight is not None]
        guesses: list[Guess] = []
        for learn in (True, False):
            self._solver.forget()
            guesses = [self._solver.solve(sight.landmarks, learn=learn) for sight in breathing(shown, breathe)]
        frames = [(sight.landmarks, guess, sight.skin) for sight, guess in zip(shown, guesses, strict=True)]
        found = iter(followed(self._solver, self._points, frames, breathe))
        told = [None if sight is None else replace(sight, expression=next(found).code()) for sight in every]
        return performance(told, fps)


def breathing(sights: Iterable[Sight], breathe: Callable[[], None]) -> Iterator[Sight]:
    """``sights``, with a breath before each."""
    for sight in sights:
        breathe()
        yield sight


def performance(seen: Iterable[Sight | None], fps: float) -> Performance:
    """All that was ``seen``, frame by frame; where nothing was, what was seen last before, or first at all. Raises
    ``UserError`` when nothing ever was.
    """
    every = list(seen)
    found = [number for number, sight in enumerate(every) if sight is not None]
    if not found:
        raise UserError(NO_FACE)
    last = np.maximum.accumulate([number if sight is not None else found[0] for number, sight in enumerate(every)])
    kept = [sight for sight in (every[number] for number in last) if sight is not None]
    expressions = np.stack([sight.expression for sight in kept]).reshape(-1, DIMS[EXPRESSION])
    poses = np.array([sight.pose for sight in kept])
    return Performance(fps, expressions, poses, np.array([sight is not None for sight in every]))
