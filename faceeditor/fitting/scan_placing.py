"""A scan brought to head space: its face found, its landmarks, and first guesses of its codes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.depth_noise import steadied
from faceeditor.fitting.portrait import PortraitReader
from faceeditor.fitting.scan_reading import READ, averaged, read_landmarks
from faceeditor.fitting.scan_registration import TRIMS, FaceRegion, Rays, Registration, register
from faceeditor.fitting.scan_search import NO_FACE, find_face, find_upright
from faceeditor.fitting.scan_surfels import Ball, Sampler, Surfels
from faceeditor.fitting.scan_views import NOTHING, draw
from faceeditor.models.template import Template

Array = NDArray[np.float64]

FINE: Final = 160_000
"""Surfels of the head that was found."""
HEAD: Final = 0.18
"""Metres around head space's origin in which a head lies."""
SURFACE_VIEWS: Final = (
    Camera(),
    *(Camera(yaw=yaw) for yaw in (-40, 40)),
    *(Camera(pitch=pitch) for pitch in (-35, 35)),
)
"""From where the face's surface is seen: what none of them sees is inside or behind."""
FACE_MIDDLE: Final = np.array([0.0, 0.0, 0.04])
FACE_REACH: Final = 0.13
"""The ball around the face whose surface is used, in metres of head space."""
MARKED: Final = {
    "right eye's outer corner": points.RIGHT_EYE_CORNER,
    "left eye's outer corner": points.LEFT_EYE_CORNER,
    "nose tip": points.NOSE_TIP,
    "mouth's right corner": points.OUTER_LIPS.start,
    "mouth's left corner": points.OUTER_LIPS.start + 6,
}
"""What the artist marks, right and left being the subject's, and which landmarks these are."""
MARK_TRUST: Final = 3.0
"""How much more a marked point is trusted than one read from a picture."""
MARK_MISFIT: Final = 0.03
"""Metres by which marked points may lie off those of the mean face."""
SENSELESS: Final = (
    "The five points must be the right and the left eye's outer corner, the nose tip, and the mouth's right and left "
    "corner, right and left being the subject's; mark them again."
)
DOUBTFUL, FARTHEST = 0.003, 0.006
"""Metres from the scan at which a landmark is little trusted, and not at all."""
ROUNDS: Final = 5
"""How often the landmarks are read, each time from where the last registration says that the front is."""
AVERAGED: Final = 3
"""Of how many readings the landmarks are the mean: each wavers by a fraction of a pixel with where it is drawn."""
SURFACES: Final = 2
"""In how many of the first rounds it is drawn anew what of the scan is in sight."""
LATER_TRIMS: Final = (0.006, *(0.004,) * 7)
"""The trims of all rounds but the first, see :data:`~faceeditor.fitting.scan_registration.TRIMS`."""
NEAR_MM: Final = 0.8
"""The face region's mean distance in millimetres from which no other start is tried."""
WORST_MM, LEAST = 2.5, 0.35
"""The face region's mean distance in millimetres, and the share of it that must be there, for what is a face."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a scan's face is.

    ``similarity`` scan -> head space; ``landmarks`` (68, 3) on the scan's surface in head space, with ``weights`` (68,)
    in [0, 1], 0 where none was found; ``identity`` (100,) and ``expression`` (53,) of the template that was laid onto
    the face, and ``error_mm``, the mean distance of its face region to the scan.
    """

    similarity: Similarity
    landmarks: Array
    weights: Array
    identity: Array
    expression: Array
    error_mm: float


def place_scan(
    scan: Scan, reader: PortraitReader, template: Template, breathe: Callable[[], None] = lambda: None
) -> Placement:
    """Finds the face of ``scan`` and brings it to head space, whatever its unit and axes. ``breathe`` is called every
    few tenths of a second; what it raises ends the search. Raises ``UserError`` when there is no face.
    """
    sampler = _sampler(steadied(scan))
    if scan.viewpoint is None:
        return _placed(sampler, find_face(sampler, reader, breathe), reader, template, breathe)
    try:
        starts = find_upright(sampler, reader, breathe) or [find_face(sampler, reader, breathe)]
        return _nearest(sampler, starts, reader, template, breathe)
    except UserError:
        raise UserError(_no_face_before(scan.vertices - scan.viewpoint)) from None


def _nearest(
    sampler: Sampler, starts: list[Similarity], reader: PortraitReader, template: Template, breathe: Callable[[], None]
) -> Placement:
    """The face that begins at the first of ``starts`` from which it comes near enough, else the nearest of all."""
    found: list[Placement] = []
    for start in starts:
        with suppress(UserError):
            found.append(_placed(sampler, start, reader, template, breathe))
            if found[-1].error_mm <= NEAR_MM:
                break
    if not found:
        raise UserError(NO_FACE)
    return min(found, key=lambda one: one.error_mm)


def _no_face_before(seen: Array) -> str:
    """What to say when there is no face in a frame whose camera saw the points ``seen`` (N, 3)."""
    wide, high = np.ptp(np.percentile(seen[:, :2], [2, 98], axis=0), axis=0)
    return (
        f"No face was found in this frame; by its intrinsics and its unit it shows {wide:.2g} x {high:.2g} m "
        f"{np.median(-seen[:, 2]):.2g} m away, so check these, or mark the eye corners, the nose tip and the mouth "
        "corners by hand."
    )


def place_by_points(
    scan: Scan,
    marked: NDArray[np.floating],
    reader: PortraitReader,
    template: Template,
    breathe: Callable[[], None] = lambda: None,
) -> Placement:
    """Brings ``scan`` to head space by the artist's five points ``marked`` (5, 3), in the scan's own unit and axes and
    in the order of :data:`MARKED`. Raises ``UserError`` for points that cannot be meant.
    """
    sampler, given = _sampler(steadied(scan)), np.asarray(marked, np.float64)
    mean = reader.landmarks_3d[list(MARKED.values())]
    if given.shape != mean.shape or not np.isfinite(given).all():
        raise UserError(SENSELESS)
    try:
        start = Similarity.fit(given, mean)
    except ValueError:
        raise UserError(SENSELESS) from None
    if np.linalg.norm(start.to_head(given) - mean, axis=1).max() > MARK_MISFIT:
        raise UserError(SENSELESS)
    return _placed(sampler, start, reader, template, breathe, given)


def _sampler(scan: Scan) -> Sampler:
    if len(scan.vertices) < points.COUNT or not np.isfinite(scan.vertices).all():
        raise UserError(NO_FACE)
    return Sampler(scan)


def _placed(
    sampler: Sampler,
    start: Similarity,
    reader: PortraitReader,
    template: Template,
    breathe: Callable[[], None],
    marked: Array | None = None,
) -> Placement:
    head = sampler.draw(FINE, Ball(start.inverse().to_head(np.zeros(3)), HEAD / start.scale))
    region, now = FaceRegion(template), Registration.start(start)
    read: list[Rays] = []
    for number in range(ROUNDS):
        breathe()
        moved, back = head.moved(now.similarity), now.similarity.inverse()
        read.append(read_landmarks(moved, reader, thorough=number == ROUNDS - 1).moved(back))
        if number < SURFACES:
            surface = head.only(_visible(moved))
        rays = averaged(read[-max(1, min(number, AVERAGED)) :])
        if marked is not None:
            rays = rays.and_also(_crossing(marked))
        trims = TRIMS if number == 0 else LATER_TRIMS
        now = register(region, surface, rays, now, trims=trims, breathe=breathe)
    return _placement(region, surface.moved(now.similarity), now)


def _visible(moved: Surfels) -> NDArray[np.int64]:
    """The surfels of the face that some camera in front of it sees."""
    seen = np.unique(np.concatenate([draw(moved, camera, READ).ids.ravel() for camera in SURFACE_VIEWS]))
    seen = seen[seen != NOTHING]
    return np.asarray(seen[np.linalg.norm(moved.points[seen] - FACE_MIDDLE, axis=1) < FACE_REACH])


def _crossing(marked: Array) -> Rays:
    """Lines along two axes through each of the marked points (5, 3): what is to lie on both lies on the point."""
    index = np.array(list(MARKED.values()))
    lines = [Rays(index, marked, np.tile(axis, (len(index), 1)), np.full(len(index), MARK_TRUST)) for axis in np.eye(3)]
    return lines[0].and_also(lines[2])


def _placement(region: FaceRegion, surface: Surfels, now: Registration) -> Placement:
    there = np.isfinite(now.distances)
    error = float(np.abs(now.distances[there]).mean()) * 1000 if there.any() else np.inf
    if there.mean() < LEAST or error > WORST_MM:
        raise UserError(NO_FACE)
    _, _, landmarks = region.shape(now.identity, now.expression)
    away, near = cKDTree(surface.points).query(landmarks)
    normals = surface.normals[near]
    onto = landmarks - ((landmarks - surface.points[near]) * normals).sum(1, keepdims=True) * normals
    weights = np.where(away < FARTHEST, np.exp(-((away / DOUBTFUL) ** 2)), 0.0)
    return Placement(now.similarity, onto, weights, now.identity, now.expression, error)
