"""Portrait analysis: find the head in a photo, bring it upright into a square crop, and tell what is there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import NoFaceError, UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.fitting import alignment
from faceeditor.fitting.alignment import Array
from faceeditor.fitting.detection import FaceBox, candidates, everywhere
from faceeditor.fitting.matting import drawn_to_edges, whole
from faceeditor.models.portrait import Reading

SURE: Final = 0.3
"""The trust from which a candidate is believed to be a head when nothing better is found."""

CONTENT: Final = 0.6
"""The trust at which the search ends."""

HOPEFUL: Final = 6
"""How many of the candidates that were taken from all over a photo are looked at twice."""

MOST: Final = 8
"""How many candidates of one search are looked at."""

AT_ONCE: Final = 4
"""How many candidates are read at once."""

UPRIGHT: Final = 3
"""How many searches find nearly upright heads, the likeliest there are."""

THOROUGH: Final = 6
"""How many searches are made for all heads of a picture: all but those for turned small ones and heads that lie."""

TOLERANCE: Final = 0.02
"""A landmark's confidence is the probability that it lies within this fraction of the crop's side."""

LOOK: Final = 256
"""Pixels of the crops that are read."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a face, brows to chin, in photo pixels."""


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
class Crop:
    """A head found in a photo and cropped to a square of S pixels, upright and never stretched.

    ``crop_srgb`` (S, S, 3) uint8, the photo's edge repeated beyond it; ``transform`` (3, 3) photo -> crop pixels, a
    similarity; ``alone`` is false when another head was seen on the way to it, ``certain`` is false when it may be no
    head at all.
    """

    crop_srgb: NDArray[np.uint8]
    transform: Array
    alone: bool = field(default=True, kw_only=True)
    certain: bool = field(default=True, kw_only=True)

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""
        return len(self.crop_srgb)


@dataclass(frozen=True, eq=False)
class Portrait(Crop):
    """A crop and all that was read in it.

    ``landmarks`` (68, 2) crop pixels with ``confidence`` (68,) in [0, 1]; ``mask`` (S, S) float32 soft mask
    of head, hair and neck, and ``hair`` (S, S) of the hair alone; ``styles`` (STYLES,) probabilities of the hair
    styles, bald first; ``inside`` (S, S) bool, where the crop shows the photo; ``pose`` yaw, pitch and roll in
    degrees as :class:`Camera` means them; ``box`` left, top, right, bottom of the face in photo pixels;
    ``presence`` the probability that this is a head.
    """

    landmarks: Array
    confidence: Array
    mask: NDArray[np.float32]
    hair: NDArray[np.float32]
    styles: Array
    inside: NDArray[np.bool_]
    pose: tuple[float, float, float]
    box: Box
    presence: float

    @property
    def photo_landmarks(self) -> Array:
        """(68, 2) landmarks in photo pixels."""
        return alignment.move(alignment.inverted(self.transform), self.landmarks)

    def camera(self) -> Camera:
        """The camera that sees the mean head about as the crop shows this one."""
        yaw, pitch, roll = self.pose
        return Camera(yaw=yaw, pitch=pitch, roll=roll)


@dataclass(frozen=True, eq=False)
class Look:
    """One candidate: the ``transform`` of its crop of ``LOOK`` pixels, and the ``reading`` of it (N = 1)."""

    transform: Array
    reading: Reading

    @property
    def trust(self) -> float:
        """Probability of a head, times the mean confidence in its landmarks."""
        return float(self.reading.presence[0] * confidence(self.reading.spread[0], LOOK).mean())

    @property
    def pose(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll in degrees, as the crop shows the head."""
        return alignment.pose_of(self.reading.rotation[0])

    @property
    def box(self) -> Box:
        """Left, top, right and bottom of the face, brows to chin, in photo pixels."""
        return _box(alignment.move(alignment.inverted(self.transform), self.reading.landmarks[0]))


def confidence(spread: Array, size: int) -> Array:
    """Probability that a landmark lies within ``TOLERANCE`` of a crop's side of ``size`` pixels, if its error has a
    Laplace distribution of mean ``spread`` pixels.
    """
    return np.asarray(1 - np.exp(-TOLERANCE * size / np.maximum(spread, 1e-6)))


def expected_error(sure: Array) -> Array:
    """The other way round: the mean error, a fraction of the crop's side, of landmarks of such a :func:`confidence`."""
    return np.asarray(-TOLERANCE / np.log1p(-np.clip(sure, 0.01, 1 - 1e-12)))


def analyse(
    photo_srgb: NDArray[np.uint8],
    reader: PortraitReader,
    *,
    box: Box | None = None,
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
    crop = cropped(photo_srgb, reader, box=box, size=size, breathe=breathe)
    breathe()
    return read_closely(photo_srgb, reader, crop)


def cropped(
    photo_srgb: NDArray[np.uint8],
    reader: PortraitReader,
    *,
    box: Box | None = None,
    size: int = 512,
    breathe: Callable[[], None] = lambda: None,
) -> Crop:
    """The very crop of :func:`analyse`, without what takes most of its time: reading it."""
    looks = _located(photo_srgb, reader, box, breathe)
    transform = _larger(size) @ placed(reader, looks[0])
    picture = alignment.warp(photo_srgb, transform, size)
    return Crop(picture, transform, alone=len(looks) == 1, certain=looks[0].trust >= CONTENT)


def read_closely(photo_srgb: NDArray[np.uint8], reader: PortraitReader, crop: Crop) -> Portrait:
    """All that can be read of a head that was :func:`cropped` from the photo."""
    look = _look(photo_srgb, reader, np.linalg.inv(_larger(crop.size)) @ crop.transform, thorough=True)
    portrait = _portrait(photo_srgb, reader, look, crop.size, None)
    return replace(portrait, alone=crop.alone, certain=crop.certain)


def _located(
    photo: NDArray[np.uint8], reader: PortraitReader, box: Box | None, breathe: Callable[[], None]
) -> list[Look]:
    """The head from near, then others that were seen. Raises ``NoFaceError`` where there is none."""
    looks = survey(photo, reader, breathe) if box is None else [_from_box(photo, reader, box)]
    if not looks:
        raise NoFaceError
    breathe()
    return [closer(photo, reader, looks[0]), *looks[1:]]


def _checked(landmarks: NDArray[np.floating[Any]]) -> Array:
    given = np.asarray(landmarks, np.float64)
    if given.shape != (points.COUNT, 2) or not np.isfinite(given).all() or np.ptp(given, axis=0).min() < 4:
        raise UserError("The corrected landmarks must be 68 points around a face; reset them and try again.")
    return given


def _look(photo: NDArray[np.uint8], reader: PortraitReader, transform: Array, *, thorough: bool = False) -> Look:
    return Look(transform, reader.read(alignment.warp(photo, transform, LOOK)[None], thorough=thorough))


def placed(reader: PortraitReader, look: Look) -> Array:
    """The transform (3, 3) of the crop of ``LOOK`` pixels that shows a head upright by what has been read of it."""
    return alignment.upright(look.reading.landmarks[0], reader.landmarks_3d, look.pose, LOOK) @ look.transform


def closer(photo: NDArray[np.uint8], reader: PortraitReader, look: Look, *, thorough: bool = False) -> Look:
    """The same head, in the same photo or the next one of a video, from a crop :func:`placed` by ``look``."""
    return _look(photo, reader, placed(reader, look), thorough=thorough)


def _ranked(
    photo: NDArray[np.uint8],
    reader: PortraitReader,
    boxes: list[FaceBox],
    breathe: Callable[[], None],
    hopeful: int = 1,
) -> list[Look]:
    """The candidates, those that are most likely heads and stand out by their size first. The first so many
    ``hopeful`` ones are looked at more closely, and the best of them then comes before all others.
    """
    looks = _looks(photo, reader, boxes, breathe)
    rank = [look.trust * np.sqrt(box.side) for look, box in zip(looks, boxes, strict=True)]
    looks = [looks[index] for index in np.argsort(rank)[::-1]]
    near: list[Look] = []
    for look in looks[:hopeful]:
        breathe()
        near.append(closer(photo, reader, look))
    return [*sorted(near, key=lambda look: -look.trust), *looks[hopeful:]]


def _looks(
    photo: NDArray[np.uint8], reader: PortraitReader, boxes: list[FaceBox], breathe: Callable[[], None]
) -> list[Look]:
    transforms = [box.crop_transform(LOOK) for box in boxes]
    looks: list[Look] = []
    while len(looks) < len(boxes):
        breathe()
        some = transforms[len(looks) :][:AT_ONCE]
        reading = reader.read(np.stack([alignment.warp(photo, transform, LOOK) for transform in some]))
        looks += [Look(transform, reading.one(index)) for index, transform in enumerate(some)]
    return looks


def find(photo: NDArray[np.uint8], reader: PortraitReader, breathe: Callable[[], None]) -> Look | None:
    """The most prominent head of ``photo``, if there is one. ``breathe`` is called every few tenths of a second."""
    return next(iter(survey(photo, reader, breathe)), None)


def survey(photo: NDArray[np.uint8], reader: PortraitReader, breathe: Callable[[], None]) -> list[Look]:
    """The most prominent head of ``photo``, then others that were certainly seen on the way to it; :func:`heads` looks
    for all of them.
    """
    best: list[Look] = []
    for boxes, hopeful in _likeliest_first(photo):
        breathe()
        if boxes:
            looks = _ranked(photo, reader, boxes, breathe, hopeful)
            if not best or looks[0].trust > best[0].trust:
                best = looks
            if best[0].trust >= CONTENT:
                break
    if not best or best[0].trust < SURE:
        return []
    return distinct([best[0], *(look for look in best[1:] if look.trust >= CONTENT)])


def _likeliest_first(photo: NDArray[np.uint8]) -> Iterator[tuple[list[FaceBox], int]]:
    """Where a head may be, and how many of the candidates are worth a closer look: nearly upright heads that are seen
    from the front, then those that no cascade knows, such as profiles, then all others.
    """
    searches = ((boxes[:MOST], 1) for boxes in candidates(photo))
    yield from islice(searches, UPRIGHT)
    yield everywhere(photo), HOPEFUL
    yield from searches


def distinct(looks: list[Look]) -> list[Look]:
    """Without those whose face's middle lies in the face of an earlier one."""
    kept: list[Look] = []
    for look in looks:
        if not any(_holds(other.box, look.box) for other in kept):
            kept.append(look)
    return kept


def heads(
    photo_srgb: NDArray[np.uint8], reader: PortraitReader, breathe: Callable[[], None] = lambda: None
) -> list[Box]:
    """The face of every head of ``photo_srgb`` (H, W, 3) that can be told from others, from left to right; a box is
    what :func:`analyse` takes. Searches on when the most prominent one is found, and so takes some seconds.
    """
    known: list[Look] = []
    for boxes in islice(candidates(photo_srgb), THOROUGH):
        new = [box for box in boxes[:MOST] if not any(_holds(look.box, box.corners) for look in known)]
        for look in _looks(photo_srgb, reader, new, breathe):
            breathe()
            near = closer(photo_srgb, reader, look) if look.trust >= SURE else look
            known = distinct([*known, near] if near.trust >= CONTENT else known)
    return sorted(look.box for look in known or survey(photo_srgb, reader, breathe))


def _holds(box: Box, other: Box) -> bool:
    """Whether the middle of ``other`` lies in ``box``."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _from_box(photo: NDArray[np.uint8], reader: PortraitReader, box: Box) -> Look:
    left, top, right, bottom = box
    height, width = photo.shape[:2]
    if not (left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height):
        raise UserError("The face box must be left, top, right, bottom in pixels inside the picture; draw it again.")
    return _look(photo, reader, FaceBox.around(left, top, right - left, bottom - top).crop_transform(LOOK))


def _from_landmarks(photo: NDArray[np.uint8], reader: PortraitReader, landmarks: Array) -> Look:
    """Crop and pose that follow from the artist's landmarks alone."""
    pose = alignment.pose_from_landmarks(landmarks, reader.landmarks_3d, (0.0, 0.0, 0.0))
    return _look(photo, reader, alignment.upright(landmarks, reader.landmarks_3d, pose, LOOK), thorough=True)


def _larger(size: int) -> Array:
    """From a crop of ``LOOK`` pixels to one of ``size``."""
    return np.diag([size / LOOK, size / LOOK, 1.0])


def _box(landmarks: Array) -> Box:
    steady = landmarks[alignment.STEADY]
    (left, top), (right, bottom) = steady.min(0), steady.max(0)
    return float(left), float(top), float(right), float(bottom)


def _portrait(photo: NDArray[np.uint8], reader: PortraitReader, look: Look, size: int, given: Array | None) -> Portrait:
    reading, larger = look.reading, _larger(size)
    transform = larger @ look.transform
    crop = alignment.warp(photo, transform, size)
    inside = alignment.seen(photo.shape, transform, size)
    found = alignment.move(larger, reading.landmarks[0]) if given is None else alignment.move(transform, given)
    pose = look.pose if given is None else alignment.pose_from_landmarks(found, reader.landmarks_3d, look.pose)
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
        box=_box(alignment.move(alignment.inverted(transform), found)),
        presence=float(reading.presence[0]),
    )
