"""Pictures of anything but heads: what lies behind and before the studio's heads to make them look real."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage import data
from torch import Tensor
from torch.nn import functional

Random: TypeAlias = np.random.Generator
Picture: TypeAlias = NDArray[np.uint8]

SIDE: Final = 160
PHOTOS: Final = (
    "coffee",
    "chelsea",
    "rocket",
    "brick",
    "grass",
    "gravel",
    "moon",
    "page",
    "text",
    "immunohistochemistry",
    "hubble_deep_field",
    "stereo_motorcycle",
    "retina",
)
"""skimage's packaged pictures without people."""


def _colour(random: Random) -> NDArray[np.float64]:
    """A colour that is more often dull than bright, in [0, 1]."""
    grey = random.uniform(0.02, 0.98)
    return np.clip(grey + random.normal(0, random.choice([0.03, 0.1, 0.25]), 3), 0, 1)


def _noise(random: Random) -> Picture:
    """Value noise of several octaves between two or three colours."""
    total = np.zeros((SIDE, SIDE, 3))
    fade = random.uniform(0.35, 0.8)
    for octave in range(1, 8):
        cells = random.uniform(-1, 1, (2**octave, 2**octave, 3 if random.random() < 0.3 else 1))
        layer = torch.from_numpy(np.broadcast_to(cells, (*cells.shape[:2], 3)).copy()).permute(2, 0, 1)[None]
        total += fade**octave * functional.interpolate(layer, (SIDE, SIDE), mode="bicubic")[0].permute(1, 2, 0).numpy()
    blend = 0.5 + 0.5 * np.tanh(total * random.uniform(1, 4))
    return _to_bytes(_colour(random) * blend + _colour(random) * (1 - blend))


def _gradient(random: Random) -> Picture:
    angle, steep = random.uniform(0, 2 * np.pi), random.uniform(0.5, 3)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    far = np.hypot(x - random.normal(0, 0.3), y - random.normal(0, 0.3)) if random.random() < 0.5 else 0
    along = np.clip(0.5 + steep * (x * np.cos(angle) + y * np.sin(angle) + far), 0, 1)[..., None]
    return _to_bytes(_colour(random) * along + _colour(random) * (1 - along))


def _shapes(random: Random) -> Picture:
    """Overlapping polygons, ellipses, lines and frames, as rooms and streets have them."""
    picture = Image.fromarray(_gradient(random))
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(3, 30)):
        fill = tuple((_colour(random) * 255).astype(int))
        middle, extent = random.uniform(-12, SIDE + 12, 2), random.uniform(3, 70, 2)
        low, high = tuple(middle - extent), tuple(middle + extent)
        kind = random.integers(4)
        if kind == 0:
            draw.ellipse([low, high], fill=fill)
        elif kind == 1:
            draw.rectangle([low, high], fill=fill)
        elif kind == 2:
            draw.line(
                [tuple(random.uniform(0, SIDE, 2)) for _ in range(2)], fill=fill, width=int(random.integers(1, 14))
            )
        else:
            draw.polygon([tuple(middle + random.normal(0, 40, 2)) for _ in range(random.integers(3, 7))], fill=fill)
    return np.asarray(_softened(picture, random))


def _stripes(random: Random) -> Picture:
    angle, period = random.uniform(0, np.pi), random.uniform(4, 60)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    if random.random() < 0.5:
        wave *= np.sin(2 * np.pi * (x * np.sin(angle) - y * np.cos(angle)) / random.uniform(4, 60))
    blend = (0.5 + 0.5 * np.tanh(wave * random.uniform(0.5, 6)))[..., None]
    return _to_bytes(_colour(random) * blend + _colour(random) * (1 - blend))


def _photo(random: Random) -> Picture:
    name = str(random.choice(PHOTOS))
    found = getattr(data, name)()
    picture = Image.fromarray(found[0] if isinstance(found, tuple) else found).convert("RGB")
    share = random.uniform(0.25, 1)
    side = int(share * min(picture.size))
    left, top = (int(random.integers(0, length - side + 1)) for length in picture.size)
    crop = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    return np.asarray(_softened(crop, random))


def _softened(picture: Image.Image, random: Random) -> Image.Image:
    """Out of focus, as what is behind a portrait often is."""
    return picture.filter(ImageFilter.GaussianBlur(random.uniform(0.7, 8))) if random.random() < 0.5 else picture


def _to_bytes(values: NDArray[np.float64]) -> Picture:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


MAKERS: Final[tuple[Callable[[Random], Picture], ...]] = (_noise, _gradient, _shapes, _shapes, _stripes, _photo, _photo)


def backgrounds(count: int, seed: int) -> Tensor:
    """``count`` pictures (count, 3, SIDE, SIDE) uint8 sRGB."""
    random = np.random.default_rng(seed)
    pictures = [MAKERS[random.integers(len(MAKERS))](random) for _ in range(count)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
