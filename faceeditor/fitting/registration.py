"""A head that was brought to its landmarks is laid onto its photo by the look of its skin.

Landmarks are few and read a little off; brows, lids, lips and folds show at thousands of points. The head is drawn as
far as it is known, its detail compared with the photo's, and what that tells of camera, identity and expression added
to what landmarks tell, by Gauss-Newton steps with the mean slope of both pictures (Baker and Matthews, "Lucas-Kanade 20
Years On", 2004; Malis, "Improving vision-based control using efficient second-order minimization techniques", 2004).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.fitting.atlas import sampled
from faceeditor.fitting.detail import LUMA, detail
from faceeditor.fitting.easel import Codes
from faceeditor.fitting.placing import Array, Placing, Told, camera_slope, projection_slope
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.refine import SAME_SURFACE
from faceeditor.fitting.skin_points import SkinPoints
from faceeditor.fitting.target import Floats, Target
from faceeditor.models.contract import FittableModel, Frame, Quality, do_nothing

SIZE: Final = 192
"""Pixels of the pictures that are compared."""
BAND: Final = (0.7, 3.0)
"""Pixels of the detail that is compared: smaller is noise, larger is shading."""
FACING: Final = 0.25
"""Cosine of the angle to the camera from which a point of the skin is seen."""
SEEN: Final = 0.9
"""Coverage, in the photo and in the drawing, from which it is."""
ERROR: Final = 0.4
"""How far detail is off that shape does not explain, in units of the local contrast."""
ALIKE: Final = 2.0
"""Root of how many neighbouring points count as one, because they are wrong together."""
ODD: Final = 2.0
"""Errors from which a point is believed less (Cauchy's weights)."""
FARTHEST: Final = 10.0
"""Metres that nothing lies behind."""
ROUNDS: Final = 3


def register(
    placing: Placing, portrait: Portrait, model: FittableModel, codes: Codes, breathe: Callable[[], None] = do_nothing
) -> None:
    """Goes on with ``placing`` until the head of ``model``, which looks as the other ``codes`` say, lies on its photo.
    ``breathe`` is called before each drawing.
    """
    target = Target.of(portrait, SIZE)
    photo, bare = detail(255 * target.srgb @ LUMA, *BAND), target.mask * (1 - target.hair) * target.inside
    for _ in range(ROUNDS):
        breathe()
        found = placing.placed
        now = {**codes, IDENTITY: found.identity, EXPRESSION: found.expression}
        frame = model.render(now, found.camera, SIZE, Quality.MOVING)
        placing.solve(_told(placing, SkinPoints.of(model), frame, photo, bare))


def _told(placing: Placing, skin: SkinPoints, frame: Frame, photo: Floats, bare: Floats) -> Told:
    """What the ``photo``'s detail (S, S) tells beside that of the head as it is known, drawn in ``frame``, where both
    show ``bare`` (S, S) skin.
    """
    found, size = placing.placed, len(photo)
    drawn = detail(frame.over().astype(np.float32) @ LUMA, *BAND)
    places = skin.at(found.identity, found.expression)
    at = found.camera.project(places, size, size)
    seen = _seen(skin, places, at, found.camera, frame, bare)
    places, at = places[seen], at[seen]
    off = sampled(photo[..., None], at)[:, 0] - sampled(drawn[..., None], at)[:, 0]
    down, across = (np.asarray(slope) * np.float32(size) for slope in np.gradient((photo + drawn) / 2))
    slope = sampled(np.stack([across, down], axis=-1), at)[:, None].astype(np.float64)
    by_place = slope @ projection_slope(found.camera, places)
    unknown = placing.unknown
    table = np.zeros((len(places), len(unknown)))
    table[:, :7] = (slope @ camera_slope(unknown[:7], places))[:, 0]
    moves = np.concatenate([skin.identity[seen], skin.expression[seen]], axis=-1)
    table[:, 7 : 7 + moves.shape[-1]] = (by_place @ moves)[:, 0]
    weight = 1 / (ALIKE * ERROR * np.sqrt(1 + (off / (ODD * ERROR)) ** 2))
    fewer = np.asarray(np.linalg.qr(np.c_[table, off] * weight[:, None], mode="r"))  # rows that tell the same
    return Told(unknown, fewer[:, -1], fewer[:, :-1])


def _seen(skin: SkinPoints, places: Array, at: Array, camera: Camera, frame: Frame, bare: Floats) -> NDArray[np.bool_]:
    """Which (N,) of the points at ``places`` (N, 3), pixels ``at`` (N, 2), both pictures show."""
    shown = sampled(np.stack([bare, frame.alpha], axis=-1), at).min(1) > SEEN
    front = sampled(np.minimum(frame.depth, FARTHEST)[..., None], at, "nearest")[:, 0]
    extrinsics = camera.extrinsics()
    depth = places @ extrinsics[2, :3] + extrinsics[2, 3]
    return np.asarray(shown & (depth < front + SAME_SURFACE) & (skin.normals @ extrinsics[2, :3] < -FACING), np.bool_)
