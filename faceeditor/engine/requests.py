"""What the engine is asked to draw and what it answers; immutable, so that any thread may hold them."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Codes
from faceeditor.faces.mesh import Mesh
from faceeditor.models.contract import Frame, Quality
from faceeditor.rendering.colour import srgb8_to_linear

Background: TypeAlias = tuple[float, float, float] | NDArray[np.uint8] | None
"""A linear colour, a photo (H, W, 3) uint8 sRGB stretched over the picture, or ``None`` for transparency."""

WHITE: Final = (1.0, 1.0, 1.0)


def background_of(setting: str, photo_srgb: NDArray[np.uint8] | None = None) -> Background:
    """What ``white``, ``transparent``, ``photo`` or ``#rrggbb`` means. Raises ``UserError`` for anything else."""
    if setting == "transparent":
        return None
    if setting == "photo":
        if photo_srgb is None:
            raise UserError("This face was not made from a photo; choose another background.")
        return photo_srgb
    text = "#ffffff" if setting == "white" else setting
    try:
        if len(text) != 7 or text[0] != "#":
            raise ValueError(text)
        red, green, blue = srgb8_to_linear(np.array(list(bytes.fromhex(text[1:])), np.uint8)).tolist()
    except ValueError:
        raise UserError(
            f"'{setting}' is not a background; use white, transparent, photo or a colour such as #336699."
        ) from None
    return red, green, blue


class Show(StrEnum):
    """What of a face is drawn: its look (a radiance frame), or its surface (a mesh), perhaps with its texture or its
    distances to the scan that it was fitted to.
    """

    LOOK = "look"
    SURFACE = "surface"
    TEXTURED = "textured"
    MEASURED = "measured"


class Enhancement(NamedTuple):
    """By which ``refiner``, a bundle's name, full pictures are made finer, and the ``seed`` of what it makes up."""

    refiner: str
    seed: int = 0


@dataclass(frozen=True, eq=False)
class DrawRequest:
    """A picture to compute. ``target`` names where it is shown: of two requests for one target the newer wins.

    ``size`` is the square picture's side in pixels. ``moving`` asks for one coarse frame alone, of at most ``size``
    pixels as the machine's speed allows; otherwise a coarse frame comes first and the full one follows.
    ``urgency`` 0 is drawn before 1. A full look is followed by an ``enhancement`` of it if one is asked for, when
    nothing else waits.
    """

    target: str
    model: str
    codes: Codes
    camera: Camera
    size: int
    refinement: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    moving: bool = False
    show: Show = Show.LOOK
    background: Background = WHITE
    urgency: int = 0
    scan_points: NDArray[np.float32] | None = None
    enhancement: Enhancement | None = None

    @classmethod
    def of(cls, face: Face, *, camera: Camera | None = None, **facts: Any) -> Self:
        """The request that draws ``face``, through its own camera unless another is given."""
        return cls(
            model=face.model,
            codes=face.codes,
            camera=camera or face.camera,
            refinement=face.refinement,
            scan_points=face.origin.scan_points,
            **facts,
        )

    def same_look(self, other: "DrawRequest") -> bool:
        """Whether both show the very same codes through the same camera over the same background."""
        return (
            self.codes is other.codes
            and self.refinement is other.refinement
            and self.background is other.background
            and (self.model, self.camera, self.show) == (other.model, other.camera, other.show)
        )

    @property
    def enhances(self) -> bool:
        """Whether the full picture is made finer."""
        return self.enhancement is not None and self.show is Show.LOOK and not self.moving

    @property
    def levels(self) -> tuple[Quality, ...]:
        """The qualities to draw, in order."""
        if self.moving:
            return (Quality.MOVING,)
        return (Quality.FULL,) if self.show is not Show.LOOK or self.urgency else (Quality.MOVING, Quality.FULL)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The answer to ``request``: for a look ``frame`` and ``picture_srgb`` (S, S, 3 or 4) over the background, for a
    surface ``mesh``, when measured with ``distances_mm`` (V,) as :class:`~faceeditor.engine.gauge.Gauge` tells them.
    ``final`` says that nothing better follows; ``seconds`` is the time on the inference thread; ``enhanced`` that a
    refiner has made the picture finer.
    """

    request: DrawRequest
    quality: Quality
    final: bool
    seconds: float
    frame: Frame | None = None
    picture_srgb: NDArray[np.uint8] | None = None
    mesh: Mesh | None = None
    distances_mm: NDArray[np.float32] | None = None
    enhanced: bool = False


def compose(frame: Frame, background: Background) -> NDArray[np.uint8]:
    """The 8-bit picture of ``frame`` over ``background``: (H, W, 3), or (H, W, 4) when that is ``None``."""
    if background is None:
        return frame.rgba_srgb()
    if isinstance(background, tuple):
        return frame.over(background)
    height, width = frame.alpha.shape
    photo = Image.fromarray(background[..., :3]).resize((width, height), Image.Resampling.LANCZOS)
    return frame.over(srgb8_to_linear(np.asarray(photo)))


class Pace:
    """Chooses the size of coarse frames so that they keep up with the hand, from the speed measured so far."""

    SIZES: Final = (384, 256, 192, 128, 96)
    SECONDS: Final = 1 / 14
    FIRST: Final = 256

    def __init__(self, sizes: Sequence[int] = SIZES) -> None:
        self._sizes = sizes
        self._per_size: dict[int, float] = {}
        self._times: deque[float] = deque(maxlen=60)

    def size(self, limit: int) -> int:
        """The greatest size up to ``limit`` that can be drawn in time; 256 before anything was measured."""
        known = self._per_size
        for size in (size for size in self._sizes if size <= limit):
            nearest = min(known, key=lambda other: abs(other - size), default=None)
            guess = 0.0 if nearest is None else known[nearest] * (size / nearest) ** 1.5
            if (nearest is None and size <= self.FIRST) or (nearest is not None and guess <= self.SECONDS):
                return size
        return min(limit, self._sizes[-1])

    def note(self, size: int, seconds: float, now: float) -> None:
        """Takes a drawn coarse frame into account."""
        old = self._per_size.get(size, seconds)
        self._per_size[size] = 0.7 * old + 0.3 * seconds
        self._times.append(now)

    def fps(self, now: float) -> float:
        """Coarse frames in the last second."""
        return float(sum(now - moment <= 1.0 for moment in self._times))
