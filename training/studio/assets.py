"""Textures and hair of the studio's data folder, read once and brought to head space and linear light."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from faceeditor.errors import UserError
from faceeditor.rendering.colour import linear_to_srgb8, srgb8_to_linear
from training.studio.head import Floats, Ints, to_head_space

Bytes = NDArray[np.uint8]

LUMINANCE: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
FRINGE: Final = 6.0
"""Texels from which a transparent texel of hair borrows its brightness."""

SKINS: Final = tuple(
    """
    middleage_darkskinned_female middleage_darkskinned_male middleage_lightskinned_female middleage_lightskinned_female2
    middleage_lightskinned_male middleage_lightskinned_male2 old_darkskinned_female old_darkskinned_male
    old_lightskinned_female old_lightskinned_female2 old_lightskinned_male old_lightskinned_male2
    young_darkskinned_female young_darkskinned_male young_lightskinned_female young_lightskinned_female2
    young_lightskinned_female3 young_lightskinned_male young_lightskinned_male2 young_lightskinned_male3
    """.split()
)
"""The skins, in the order of the skin code's first weights."""

BROWS: Final = tuple(f"eyebrow{number:03d}" for number in range(1, 13))
IRISES: Final = tuple("blue bluegreen brown brownlight darkbrown deepblue green grey hazel ice lightblue".split())
HAIR_STYLES: Final = tuple("afro01 bob01 bob02 braid01 long01 ponytail01 short01 short02 short03 short04".split())

DETAIL_CONTRAST: Final = 0.6
DETAIL_FLOOR: Final = 0.02
"""Exponent that calms the painted highlights of hair before it is recoloured, and light below which paint is noise."""
DETAIL_RANGE: Final = 4.0
"""Largest brightness of a strand relative to the mid-tone."""


@dataclass(frozen=True, eq=False)
class HairStyle:
    """Hair cards on the mean head: head-space ``vertices`` (n, 3), unit ``normals``, ``faces`` (f, 3), ``faces_uv``.

    Every vertex hangs on 8 head vertices, ``bind_vertices`` (n, 8) with ``bind_weights``. ``texture`` (h, w, 2) uint8,
    row 0 at v = 0: brightness relative to the mid-tone over ``DETAIL_RANGE``, and opacity.
    """

    name: str
    vertices: Floats
    normals: Floats
    faces: Ints
    uv: Floats
    faces_uv: Ints
    bind_vertices: Ints
    bind_weights: Floats
    texture: Bytes

    def follow(self, head_offset: Floats) -> Floats:
        """The hair's vertices (n, 3) when the head's differ from the neutral mean head's by ``head_offset``."""
        moved = np.einsum("nk,nkc->nc", self.bind_weights, head_offset[self.bind_vertices])
        return np.asarray(self.vertices + moved, np.float32)


class Assets:
    """What the data folder holds beside the head; every part is read when first asked for.

    Pictures come with row 0 at v = 0, the way OpenGL wants them. Raises UserError when a file is missing.
    """

    def __init__(self, data_folder: Path | str) -> None:
        self.folder = Path(data_folder)
        self._hair: dict[str, HairStyle] = {}

    def _path(self, *parts: str) -> Path:
        path = self.folder.joinpath(*parts)
        if not path.is_file():
            raise UserError(f"The studio's data lack {path}; give the right folder with --data.")
        return path

    def _picture(self, *parts: str) -> Bytes:
        with Image.open(self._path(*parts)) as picture:
            return np.ascontiguousarray(np.asarray(picture)[::-1])

    @cached_property
    def _painted_skins_srgb(self) -> Bytes:
        return np.stack([self._picture("albedo", f"{name}.jpg") for name in SKINS])

    @cached_property
    def _skin_gains(self) -> Floats:
        return np.stack([plausible_gain(skin) for skin in self._painted_skins_srgb])

    @cached_property
    def face_skins_srgb(self) -> Bytes:
        """Albedo of UV tile 0 (20, h, w, 3), its colour mended by :func:`plausible_gain`."""
        return np.stack([_gained(*pair) for pair in zip(self._painted_skins_srgb, self._skin_gains, strict=True)])

    @cached_property
    def head_skins_srgb(self) -> Bytes:
        """Albedo of UV tile 1 (20, h, w, 3): back of the head, neck, sockets; mended alike."""
        painted = [self._picture("albedo", f"{name}_head.jpg") for name in SKINS]
        return np.stack([_gained(*pair) for pair in zip(painted, self._skin_gains, strict=True)])

    @cached_property
    def brows(self) -> Bytes:
        """Opacity of the eyebrows in UV tile 0 (12, h, w)."""
        return np.stack([self._picture("brows", f"{name}.png")[..., 3] for name in BROWS])

    def irises_srgb(self, side: str) -> Bytes:
        """Sclera, iris and pupil (11, h, w, 3) of the ``left`` or ``right`` eye."""
        return np.stack([self._picture("eyes", f"{name}_{side}.jpg") for name in IRISES])

    @cached_property
    def lashes(self) -> Bytes:
        """Opacity of the lash strips (h, w), UV tile 6."""
        return self._picture("lashes", "lash_alpha.png")

    def hair(self, name: str) -> HairStyle:
        """One of ``HAIR_STYLES``."""
        if name not in self._hair:
            with np.load(self._path("hair", f"{name}.npz"), allow_pickle=False) as file:
                self._hair[name] = self._read_hair(name, {key: file[key] for key in file.files})
        return self._hair[name]

    def _read_hair(self, name: str, data: dict[str, NDArray[Any]]) -> HairStyle:
        weights = data["bind_weights"].astype(np.float32)
        return HairStyle(
            name=name,
            vertices=to_head_space(data["vertices"]),
            normals=data["normals"].astype(np.float32),
            faces=data["faces"].astype(np.int32),
            uv=data["uv"].astype(np.float32),
            faces_uv=data["faces_uv"].astype(np.int32),
            bind_vertices=data["bind_vertices"].astype(np.int32),
            bind_weights=weights / weights.sum(axis=1, keepdims=True),
            texture=_strands(self._picture("hair", f"{name}.png")),
        )


def plausible_gain(skin_srgb: Bytes) -> Floats:
    """Linear gain (3,) that calms a skin (h, w, 3) painted redder than skin is, and keeps its luminance.

    Skin's linear red is about twice its green and green about 1.6 times its blue, dark or light; what goes beyond
    shrinks to a part of itself.
    """
    height, width = skin_srgb.shape[:2]
    face = srgb8_to_linear(skin_srgb[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3])
    red, green, blue = np.maximum(face.mean(axis=(0, 1)), 1e-4)
    redness, yellowness = np.log(red / green / 2.0), np.log(green / blue / 1.55)
    gain = np.exp([0.65 * -max(redness, 0.0), 0.0, 0.6 * max(yellowness, 0.0)])
    kept = (LUMINANCE @ (red, green, blue)) / (LUMINANCE @ (gain * (red, green, blue)))
    return np.asarray(gain * kept, np.float32)


def _gained(picture_srgb: Bytes, gain: Floats) -> Bytes:
    """An sRGB picture (h, w, 3) whose linear channels are multiplied by ``gain`` (3,)."""
    levels = srgb8_to_linear(np.arange(256, dtype=np.uint8))
    tables = [linear_to_srgb8(levels * factor) for factor in gain]
    return np.stack([table[picture_srgb[..., channel]] for channel, table in enumerate(tables)], axis=-1)


def _strands(rgba_srgb: Bytes) -> Bytes:
    """Brightness relative to the mid-tone, and opacity, (h, w, 2) of painted hair (h, w, 4).

    Where the paint is transparent its brightness is that of the hair around, so that no edge shines through.
    """
    opacity = rgba_srgb[..., 3]
    share = opacity / np.float32(255)
    brightness = (srgb8_to_linear(rgba_srgb[..., :3]) @ LUMINANCE + DETAIL_FLOOR) ** DETAIL_CONTRAST
    around = gaussian_filter(brightness * share, FRINGE) / (gaussian_filter(share, FRINGE) + 1e-4)
    detail = share * brightness + (1 - share) * around
    detail /= np.average(detail, weights=share + 1e-6)
    return np.stack([np.clip(detail * 255 / DETAIL_RANGE + 0.5, 0, 255).astype(np.uint8), opacity], axis=-1)
