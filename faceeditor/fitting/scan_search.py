"""The face of a scan in any unit and any position: drawn from all sides, read by the portrait network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.alignment import STEADY
from faceeditor.fitting.portrait import PortraitReader, confidence
from faceeditor.fitting.scan_surfels import Sampler, Surfels
from faceeditor.fitting.scan_units import LIKELY
from faceeditor.fitting.scan_views import NOTHING, View, draw

Array = NDArray[np.float64]

COARSE: Final = 25_000
"""Surfels of the whole scan in which the face is looked for."""
LOOK: Final = 128
"""Pixels of the pictures in which a face is looked for."""
GUESSES: Final = ((0.42, 1.0), (0.22, 0.5), (0.8, 1.0), (1.7, 1.0))
"""What the scan's longest extent may be in metres, and where the face is: at the top (1), in the middle (0.5)."""
CROWN: Final = 0.13
"""Height of the crown above head space's origin, in metres."""
FRONT: Final = 0.08
"""How far in front of the origin a face's middle is, in metres."""
PROMISING: Final = 3
"""How many views of one guess are looked at again."""
LOOKS: Final = 3
"""How often they are, each time from where the last look says that the front is."""
TRUST: Final = 0.5
"""The trust from which a view is believed to show a face."""
MISFIT: Final = 0.008
"""Metres by which the lifted landmarks of a face may differ from those of the mean face, half of them at least."""
TURNING_MISFIT: Final = 0.0065
"""The same up to which they also tell how a head is turned that else looks along the line of sight: on hair they were
7.8 to 10.5 mm off in frames of seven hair styles, on faces 3.9 to 7.3, 6.2 but for one."""
ASIDE: Final = 15.0
"""Degrees by which a half hidden face may look past the camera."""
HIDDEN_TRUST, HIDDEN_MISFIT = 0.35, 0.02
"""The same where hair may hide half of the face, but the size is known."""
NEAREST, HEAD_DEPTH, HEAD_HEIGHT = 98, 0.35, 0.25
"""The percentile of depths that is the nearest of a head before a camera, and the metres behind and below it that it
may reach."""
ROBUST: Final = 0.008
NO_FACE: Final = (
    "No face was found in the scan; check that it shows a whole face from the front, or mark the eye corners, the "
    "nose tip and the mouth corners by hand."
)


@dataclass(frozen=True, eq=False)
class Sight:
    """A scan seen from where its front may be: the ``similarity`` to head space as its landmarks tell it, the ``trust``
    in them, and the median ``misfit`` in metres to those of the mean face. ``shifted`` is where they take it without
    turning it.
    """

    similarity: Similarity
    trust: float
    misfit: float
    shifted: Similarity

    @property
    def convincing(self) -> bool:
        """Whether this is a face."""
        return self.trust >= TRUST and self.misfit <= MISFIT

    @property
    def of_true_size(self) -> bool:
        """Whether this is a face in metres, be it half hidden."""
        size = abs(np.log(self.similarity.scale))
        return self.trust >= HIDDEN_TRUST and self.misfit <= HIDDEN_MISFIT and size < LIKELY


def find_face(sampler: Sampler, reader: PortraitReader, breathe: Callable[[], None] = lambda: None) -> Similarity:
    """The similarity that brings a scan's face to head space, to a few degrees and percent. Raises ``UserError`` when
    none is found.

    It is looked for in the scan's own frame, so that what is found does not depend on the scan's unit and axes.
    """
    try:
        frame = sampler.own_frame()
    except ValueError:
        raise UserError(NO_FACE) from None
    return frame.then(_find(sampler.draw(COARSE).moved(frame), reader, breathe))


def find_upright(
    sampler: Sampler, reader: PortraitReader, breathe: Callable[[], None] = lambda: None
) -> list[Similarity]:
    """The same for what a camera saw, in metres, upright or turned by quarters: a head of a head's size at the top of
    what is nearest, as it may stand, the likeliest first. Empty when there is none.

    Where hair hides much of the face its landmarks lie on hair and would turn the head by 20 degrees; then they only
    tell where it is, and it looks along the line of sight, or a little past it.
    """
    surfels = sampler.draw(COARSE)
    near = np.percentile(surfels.points[:, 2], NEAREST) - HEAD_DEPTH
    surfels = surfels.only(surfels.points[:, 2] > near)
    sights = []
    for turn in quarter_turns():
        turned = surfels.points @ turn.T
        crown = np.percentile(turned[:, 1], 99)
        middle = np.median(turned[turned[:, 1] > crown - HEAD_HEIGHT], axis=0)
        face = np.array([middle[0], crown - CROWN, middle[2] + FRONT / 2])
        breathe()
        sights.append(look(surfels, Similarity(1.0, turn, np.array([0, 0, FRONT]) - face), reader))
    first = max(sights, key=lambda sight: sight.trust)
    sights = [first]
    for _ in range(LOOKS - 1):
        breathe()
        sights.append(look(surfels, max(sights, key=lambda sight: sight.trust).similarity, reader))
    best = max(sights[1:], key=lambda sight: sight.trust)
    if best.convincing and best.misfit <= TURNING_MISFIT and best.of_true_size:
        return [best.similarity]
    if not any(sight.of_true_size for sight in sights):
        return []
    aside = [Rotation.from_euler("y", angle, degrees=True).as_matrix() for angle in (-ASIDE, ASIDE)]
    return [first.shifted, *(first.shifted.then(Similarity(1.0, turn, np.zeros(3))) for turn in aside)]


def quarter_turns() -> list[Array]:
    """The 4 rotations (3, 3) about the line of sight."""
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return [np.linalg.matrix_power(quarter, number) for number in range(4)]


def _find(surfels: Surfels, reader: PortraitReader, breathe: Callable[[], None]) -> Similarity:
    for extent, height in GUESSES:
        starts = list(_starts(surfels.points, extent, height))
        trusts = []
        for start in starts:
            breathe()
            trusts.append(look(surfels, start, reader).trust)
        sights = []
        for best in np.argsort(trusts)[::-1][:PROMISING]:
            if trusts[best] > 0.1:
                breathe()
                sights.append(_closer(surfels, starts[best], reader))
        good = [sight for sight in sights if sight.convincing]
        if good:
            return max(good, key=lambda sight: sight.trust / (1 + sight.misfit / MISFIT)).similarity
    raise UserError(NO_FACE)


def _closer(surfels: Surfels, start: Similarity, reader: PortraitReader) -> Sight:
    sight = look(surfels, start, reader)
    for _ in range(LOOKS - 1):
        sight = look(surfels, sight.similarity, reader)
    return sight


def axis_turns() -> list[Array]:
    """The 24 rotations (3, 3) that bring axes to axes; any rotation is within 63 degrees of one of them."""
    turns = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        turn = np.eye(3)[list(order)] * np.array(signs)[:, None]
        if np.linalg.det(turn) > 0:
            turns.append(turn)
    return turns


def _starts(points: Array, extent: float, height: float) -> Iterator[Similarity]:
    """Similarities under which the face may look into the camera."""
    for turn in axis_turns():
        turned = points @ turn.T
        low, high = np.percentile(turned, [1, 99], axis=0)
        scale = extent / max((high - low).max(), 1e-300)
        face = (low + high) / 2
        face[1] = high[1] - CROWN / scale if height == 1.0 else low[1] + height * (high[1] - low[1])
        face[2] = high[2] - FRONT / scale
        yield Similarity(scale, turn, -scale * face)


def look(surfels: Surfels, similarity: Similarity, reader: PortraitReader) -> Sight:
    """Draws the scan as ``similarity`` brings it to head space, reads the landmarks, lifts them onto the surface, and
    brings them to those of the mean face.
    """
    moved = surfels.moved(similarity)
    view = draw(moved, Camera(), LOOK)
    if (view.ids != NOTHING).sum() < len(STEADY):
        return Sight(similarity, 0.0, np.inf, similarity)
    reading = reader.read(view.picture_srgb[None])
    sure = confidence(reading.spread[0], LOOK)
    trust = float(reading.presence[0] * sure.mean())
    found, mean = lifted(view, moved, reading.landmarks[0])[STEADY], reader.landmarks_3d[STEADY]
    try:
        step, misses = _robust(found, mean, sure[STEADY])
    except ValueError:
        return Sight(similarity, 0.0, np.inf, similarity)
    shift = Similarity(1.0, np.eye(3), _shift(found, mean, sure[STEADY]))
    return Sight(similarity.then(step), trust, float(np.median(misses)), similarity.then(shift))


def lifted(view: View, surfels: Surfels, pixels: Array) -> Array:
    """The points (N, 3) of ``surfels`` that ``view`` shows at ``pixels`` (N, 2) or nearest to them."""
    size = len(view.ids)
    _, (rows, columns) = distance_transform_edt(view.ids == NOTHING, return_indices=True)
    at = np.clip(np.floor(pixels).astype(np.int64), 0, size - 1)
    row, column = at[:, 1], at[:, 0]
    return np.asarray(surfels.points[view.ids[rows[row, column], columns[row, column]]])


def _robust(source: Array, target: Array, trust: Array) -> tuple[Similarity, Array]:
    """The similarity of ``source`` to ``target`` under which points far off count little, and what they miss."""
    weights = trust
    for _ in range(5):
        step = Similarity.fit(source, target, weights + 1e-9)
        misses = np.linalg.norm(step.to_head(source) - target, axis=1)
        weights = trust / (1 + (misses / ROBUST) ** 2)
    return step, misses


def _shift(source: Array, target: Array, trust: Array) -> Array:
    """The shift (3,) of ``source`` to ``target`` under which points far off count little."""
    weights = trust + 1e-9
    for _ in range(8):
        shift = np.average(target - source, axis=0, weights=weights)
        weights = trust / (1 + (np.linalg.norm(source + shift - target, axis=1) / ROBUST) ** 2) + 1e-9
    return np.asarray(shift)
