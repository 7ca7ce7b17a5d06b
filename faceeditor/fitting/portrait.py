"""Portrait analysis: find the head in a photo, bring it upright into a square crop, and tell what is there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.fitting import alignment
from faceeditor.fitting.alignment import Array
from faceeditor.fitting.detection import FaceBox, candidates, everywhere
from faceeditor.fitting.matting import drawn_to_edges, whole
from faceeditor.models.portrait import Reading

PASSES: Final = 2
"""How often a head that was found is read again, each time from a better placed crop; the last time thoroughly."""

SURE: Final = 0.3
"""The trust from which a candidate is believed to be a head when nothing better is found."""

CONTENT: Final = 0.6
"""The trust at which the search ends."""

MOST: Final = 8
"""How many candidates of one search are looked at."""

TOLERANCE: Final = 0.02
"""A landmark's confidence is the probability that it lies within this fraction of the crop's side."""

LOOK: Final = 256
"""Pixels of the crops that are read."""

NO_FACE: Final = "No face was found in the picture; draw a box around the face by hand, or take a larger, clearer one."


class PortraitReader(Protocol):
    """What reads landmarks, mask and pose from square crops: our own network, or any other landmarker behind the same
    calls, such as MediaPipe's, with its points brought to these 68.
    """

    @property
    def landmarks_3d(self) -> Array:
        """(68, 3) landmarks of the mean head, head space metres."""
        ...

    def read(self, crops_srgb: NDArray[np.uint8], *, thorough: bool = False) -> Reading:
        """Reads ``crops_srgb`` (N, S, S, 3); ``thorough`` may take several times as long."""
        ...


@dataclass(frozen=True, eq=False)
class Portrait:
    """A head found in a photo and cropped to a square of S pixels, upright and never stretched.

    ``crop_srgb`` (S, S, 3) uint8, the photo's edge repeated beyond it; ``transform`` (3, 3) photo -> crop pixels, a
    similarity; ``landmarks`` (68, 2) crop pixels with ``confidence`` (68,) in [0, 1]; ``mask`` (S, S) float32 soft mask
    of head, hair and neck, and ``hair`` (S, S) of the hair alone; ``styles`` (STYLES,) probabilities of the hair
    styles, bald first; ``inside`` (S, S) bool, where the crop shows the photo; ``pose`` yaw, pitch and roll in
    degrees as :class:`Camera` means them; ``box`` left, top, right, bottom of the face in photo pixels;
    ``presence`` the probability that this is a head.
    """

    crop_srgb: NDArray[np.uint8]
    transform: Array
    landmarks: Array
    confidence: Array
    mask: NDArray[np.float32]
    hair: NDArray[np.float32]
    styles: Array
    inside: NDArray[np.bool_]
    pose: tuple[float, float, float]
    box: tuple[float, float, float, float]
    presence: float

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""
        return len(self.crop_srgb)

    @property
    def photo_landmarks(self) -> Array:
        """(68, 2) landmarks in photo pixels."""
        return alignment.move(alignment.inverted(self.transform), self.landmarks)

    def camera(self) -> Camera:
        """The camera that sees the mean head about as the crop shows this one."""
        yaw, pitch, roll = self.pose
        return Camera(yaw=yaw, pitch=pitch, roll=roll)


@dataclass(frozen=True, eq=False)
class _Look:
    """One candidate: the transform of its crop of ``LOOK`` pixels, and what was read there (N = 1)."""

    transform: Array
    reading: Reading

    @property
    def trust(self) -> float:
        """Probability of a head, times the mean confidence in its landmarks."""
        return float(self.reading.presence[0] * confidence(self.reading.spread[0], LOOK).mean())

    @property
    def pose(self) -> tuple[float, float, float]:
        return alignment.pose_of(self.reading.rotation[0])


def confidence(spread: Array, size: int) -> Array:
    """Probability that a landmark lies within ``TOLERANCE`` of a crop's side of ``size`` pixels, if its error has a
    Laplace distribution of mean ``spread`` pixels.
    """
    return np.asarray(1 - np.exp(-TOLERANCE * size / np.maximum(spread, 1e-6)))


def analyse(
    photo_srgb: NDArray[np.uint8],
    reader: PortraitReader,
    *,
    box: tuple[float, float, float, float] | None = None,
    landmarks: NDArray[np.floating[Any]] | None = None,
    size: int = 512,
    breathe: Callable[[], None] = lambda: None,
) -> Portrait:
    """Finds and reads the most prominent head of ``photo_srgb`` (H, W, 3), already upright as its EXIF says.

    The artist may correct what was found, in photo pixels: ``box`` (left, top, right, bottom) of the face, brows to
    chin, or all 68 ``landmarks`` (68, 2), which are then taken as they are. ``breathe`` is called every few tenths of a
    second; what it raises ends the search. Raises ``UserError`` when no face is found and when a correction cannot be
    meant.
    """
    if landmarks is not None:
        look = _from_landmarks(photo_srgb, reader, _checked(landmarks))
        return _portrait(photo_srgb, reader, look, size, _checked(landmarks))
    look = _find(photo_srgb, reader, breathe) if box is None else _from_box(photo_srgb, reader, box)
    for number in range(PASSES):
        breathe()
        look = _closer(photo_srgb, reader, look, thorough=number == PASSES - 1)
    return _portrait(photo_srgb, reader, look, size, None)


def _checked(landmarks: NDArray[np.floating[Any]]) -> Array:
    given = np.asarray(landmarks, np.float64)
    if given.shape != (points.COUNT, 2) or not np.isfinite(given).all() or np.ptp(given, axis=0).min() < 4:
        raise UserError("The corrected landmarks must be 68 points around a face; reset them and try again.")
    return given


def _look(photo: NDArray[np.uint8], reader: PortraitReader, transform: Array, *, thorough: bool = False) -> _Look:
    return _Look(transform, reader.read(alignment.warp(photo, transform, LOOK)[None], thorough=thorough))


def _closer(photo: NDArray[np.uint8], reader: PortraitReader, look: _Look, *, thorough: bool = False) -> _Look:
    """The same head from a crop that was placed by what has been read of it."""
    step = alignment.upright(look.reading.landmarks[0], reader.landmarks_3d, look.pose, LOOK)
    return _look(photo, reader, step @ look.transform, thorough=thorough)


def _best(photo: NDArray[np.uint8], reader: PortraitReader, boxes: list[FaceBox]) -> _Look:
    """The candidate that is most likely a head and stands out by its size."""
    transforms = [box.crop_transform(LOOK) for box in boxes]
    reading = reader.read(np.stack([alignment.warp(photo, transform, LOOK) for transform in transforms]))
    trust = reading.presence * confidence(reading.spread, LOOK).mean(1)
    sides = np.array([box.side for box in boxes])
    best = int(np.argmax(trust * np.sqrt(sides)))
    return _closer(photo, reader, _look(photo, reader, transforms[best]))


def _find(photo: NDArray[np.uint8], reader: PortraitReader, breathe: Callable[[], None]) -> _Look:
    best: _Look | None = None
    for boxes in candidates(photo):
        breathe()
        if boxes:
            look = _best(photo, reader, boxes[:MOST])
            if best is None or look.trust > best.trust:
                best = look
            if best.trust >= CONTENT:
                return best
    if best is None or best.trust < SURE:
        best = _best(photo, reader, everywhere(photo))
    if best.trust < SURE:
        raise UserError(NO_FACE)
    return best


def _from_box(photo: NDArray[np.uint8], reader: PortraitReader, box: tuple[float, float, float, float]) -> _Look:
    left, top, right, bottom = box
    height, width = photo.shape[:2]
    if not (left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height):
        raise UserError("The face box must be left, top, right, bottom in pixels inside the picture; draw it again.")
    return _look(photo, reader, FaceBox.around(left, top, right - left, bottom - top).crop_transform(LOOK))


def _from_landmarks(photo: NDArray[np.uint8], reader: PortraitReader, landmarks: Array) -> _Look:
    """Crop and pose that follow from the artist's landmarks alone."""
    pose = alignment.pose_from_landmarks(landmarks, reader.landmarks_3d, (0.0, 0.0, 0.0))
    return _look(photo, reader, alignment.upright(landmarks, reader.landmarks_3d, pose, LOOK), thorough=True)


def _portrait(
    photo: NDArray[np.uint8], reader: PortraitReader, look: _Look, size: int, given: Array | None
) -> Portrait:
    reading = look.reading
    larger = np.diag([size / LOOK, size / LOOK, 1.0])
    transform = larger @ look.transform
    crop = alignment.warp(photo, transform, size)
    inside = alignment.seen(photo.shape, transform, size)
    found = alignment.move(larger, reading.landmarks[0]) if given is None else alignment.move(transform, given)
    pose = look.pose if given is None else alignment.pose_from_landmarks(found, reader.landmarks_3d, look.pose)
    face = alignment.move(alignment.inverted(transform), found)[alignment.STEADY]
    (left, top), (right, bottom) = face.min(0), face.max(0)
    mask = whole(drawn_to_edges(reading.mask[0], crop) * inside)
    hair = np.minimum(drawn_to_edges(reading.hair[0], crop), mask)
    return Portrait(
        crop_srgb=crop,
        transform=transform,
        landmarks=found,
        confidence=confidence(reading.spread[0], LOOK) if given is None else np.ones(points.COUNT),
        mask=mask,
        hair=hair,
        styles=reading.style[0],
        inside=inside,
        pose=pose,
        box=(float(left), float(top), float(right), float(bottom)),
        presence=float(reading.presence[0]),
    )
