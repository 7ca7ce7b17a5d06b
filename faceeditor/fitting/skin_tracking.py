"""Expressions of one person from the skin itself: every frame shows the same texture, only elsewhere.

Landmarks are found anew in each frame, and a network overlooks what moves little. Once all frames are there, and who
they show is known, each is laid onto the mean texture of all by Gauss-Newton steps in expression and pose (Baker and
Matthews, "Lucas-Kanade 20 Years On", 2004; Matthews and Baker, "Active Appearance Models Revisited", 2004), which tells
motions of a fraction of a pixel. Landmarks and what is usual go on to count.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from faceeditor.faces import landmarks as points
from faceeditor.fitting import alignment
from faceeditor.fitting.alignment import Array
from faceeditor.fitting.detail import LUMA, detail
from faceeditor.fitting.expressions import USED, ExpressionSolver, Guess, Landmarks, within
from faceeditor.fitting.portrait import LOOK, Look
from faceeditor.fitting.skin_points import SkinPoints

Floats = NDArray[np.float32]

WINDOW: Final = slice(40, 216)
"""Rows and columns of the crop of ``LOOK`` pixels that are kept."""
COARSE: Final = 4
"""Pixels of the crop a side of those of the mask."""
BAND: Final = (0.5, 2.5)
"""Pixels of the detail that is compared: smaller is noise, larger is shading."""
HIDDEN: Final = 4.0
"""How many times as far off landmarks are as their reader expects where there is hair: it does not see them move."""
FACING: Final = 0.2
"""Cosine of the angle to the camera from which a point of the skin is seen."""
ALIKE: Final = 1.4
"""Root of how many neighbouring points count as one, because they are wrong together."""
NOISE: Final = 0.15
"""Least error of a point's value, in units of the local contrast."""
ODD: Final = 2.0
"""Errors, in units of a point's own, from which it is believed less (Cauchy's weights)."""
TIMES: Final = 8
"""How often texture and motions are told by each other."""


@dataclass(frozen=True, eq=False)
class Skin:
    """What is kept of a frame: ``grey`` (176, 176) uint8, the ``WINDOW`` of its upright crop, and where the whole crop
    shows the head ``bare`` of hair, (64, 64) bool.
    """

    grey: NDArray[np.uint8]
    bare: NDArray[np.bool_]

    @classmethod
    def of(cls, crop_srgb: NDArray[np.uint8], look: Look, transform: Array) -> Self:
        """Of the crop (LOOK, LOOK, 3) under ``transform``, and of what was read of the head in a ``look`` at it."""
        grey = crop_srgb[WINDOW, WINDOW] @ LUMA
        free = look.reading.mask[0] * (1 - look.reading.hair[0])
        scale = np.diag([len(free) / LOOK, len(free) / LOOK, 1.0])
        there = np.diag([1 / COARSE, 1 / COARSE, 1.0]) @ transform @ alignment.inverted(scale @ look.transform)
        shades = np.repeat((free[..., None] * 255).astype(np.uint8), 3, axis=2)
        mask = alignment.warp(shades, there, LOOK // COARSE)
        return cls(grey.round().astype(np.uint8), mask[..., 0] > 127)

    def detail(self) -> Floats:
        """Detail (176, 176) that neither light nor shading changes."""
        return detail(self.grey, *BAND)

    def doubts(self, places: Array) -> Array:
        """How many times as far off landmarks read at ``places`` (68, 2), fractions of the crop, may be (68,). Those of
        the jaw lie on the outline and are not asked.
        """
        hidden = ~self.shows(places)
        hidden[points.JAW] = False
        return np.where(hidden, HIDDEN, 1.0)

    def shows(self, places: Array) -> NDArray[np.bool_]:
        """Whether bare skin is seen at ``places`` (N, 2), fractions of the crop."""
        column, row = (places.T * (LOOK // COARSE)).astype(np.int64).clip(0, LOOK // COARSE - 1)
        return np.asarray(self.bare[row, column])


def followed(
    solver: ExpressionSolver,
    skin: SkinPoints,
    frames: Sequence[tuple[Landmarks, Guess, Skin]],
    breathe: Callable[[], None] = lambda: None,
) -> list[Guess]:
    """Better guesses of all ``frames`` of the person that ``solver`` has learnt."""
    person = skin.mean + skin.identity @ solver.identity
    guesses = [guess for _, guess, _ in frames]
    if len(frames) < 2:
        return guesses
    for _ in range(TIMES):
        values = np.zeros((len(frames), len(person)), np.float32)
        weights = np.zeros_like(values)
        for number, (_, _, shown) in enumerate(frames):
            breathe()
            places, seen = _seen(person, skin, guesses[number], shown)
            values[number], weights[number] = _sampled(shown.detail(), places), seen
        texture, error = _texture(values, weights)
        for number, (landmarks, _, shown) in enumerate(frames):
            breathe()
            guess = guesses[number]
            information, evidence = solver.equations(landmarks, guess)
            more, said = _told(person, skin, guess, shown, texture, error)
            guesses[number] = guess.moved(within(information + more, evidence + said))
    return guesses


def _seen(person: Array, skin: SkinPoints, guess: Guess, shown: Skin) -> tuple[Array, NDArray[np.bool_]]:
    """Where (N, 2) the points are, fractions of the crop, and which (N,) are seen there."""
    places, _ = guess.seen(person + skin.expression @ guess.expression, np.zeros((len(person), 3, 0)))
    return places, (skin.normals @ guess.rotation[2] < -FACING) & shown.shows(places)


def _sampled(picture: Floats, places: Array) -> Floats:
    """Values (N,) of a ``picture`` of the window at ``places`` (N, 2), fractions of the crop."""
    at = places * LOOK - WINDOW.start - 0.5
    return np.asarray(map_coordinates(picture, [at[:, 1], at[:, 0]], order=1, mode="nearest"), np.float32)


def _texture(values: Floats, seen: Floats) -> tuple[Array, Array]:
    """The mean (N,) of ``values`` (frames, N) where they were ``seen``, odd ones counting less, and how far (N,) they
    lie from it.
    """
    weights = seen
    for _ in range(3):
        texture = (values * weights).sum(0) / np.maximum(weights.sum(0), 1e-6)
        weights = seen / (1 + ((values - texture) / 0.5) ** 2)
    variance = ((values - texture) ** 2 * seen).sum(0) / np.maximum(seen.sum(0), 1)
    return texture.astype(np.float64), np.sqrt(variance.astype(np.float64) + NOISE**2)


def _told(
    person: Array, skin: SkinPoints, guess: Guess, shown: Skin, texture: Array, error: Array
) -> tuple[Array, Array]:
    """What the texture adds to the normal equations of a frame, (59, 59) and (59,)."""
    places, seen = _seen(person, skin, guess, shown)
    fine, places = shown.detail(), places[seen]
    off = _sampled(fine, places) - texture[seen]
    down, across = (_sampled(np.asarray(slope), places) * LOOK for slope in np.gradient(fine))
    _, change = guess.seen((person + skin.expression @ guess.expression)[seen], skin.expression[seen])
    rows = across[:, None] * change[:, 0] + down[:, None] * change[:, 1]
    weights = 1 / (ALIKE * error[seen] * np.sqrt(1 + (off / (ODD * error[seen])) ** 2))
    rows, off = rows * weights[:, None], off * weights
    return rows.T @ rows, rows.T @ (rows[:, :USED] @ guess.expression - off)
