"""Pictures in and out: careful reading into 8-bit sRGB, marked and tagged PNG, JPEG and EXR."""

import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from faceeditor.errors import UserError
from faceeditor.files.atomic import atomic_write, require_file, write_bytes
from faceeditor.files.provenance import Provenance
from faceeditor.rendering.colour import linear_to_srgb8

Picture = NDArray[np.uint8]

READABLE: Final = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""The decoders that may see a user's file (never one that starts another program, as EPS does)."""
READABLE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".jp2", ".avif")
MOST_PIXELS: Final = 100_000_000

_JPEG_QUALITY: Final = 95
_SRGB: Final = ImageCms.createProfile("sRGB")
_SRGB_BYTES: Final = ImageCms.ImageCmsProfile(_SRGB).tobytes()
_REC709: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def read_image_srgb(path: Path | str) -> Picture:
    """The picture (H, W, 3) uint8 sRGB, upright, its transparent parts over white.

    Honours the EXIF orientation and the colour profile; takes grey, palette, CMYK, 16-bit and floating-point pictures
    and the first frame of an animation. Raises ``UserError`` for what is missing, empty, no picture, damaged or huge.
    """
    file = require_file(path)
    rgb, opacity = _decoded(file, str(file))
    if opacity is None or opacity.min() == 255:
        return rgb
    alpha = opacity[..., None].astype(np.float32) / 255
    return np.rint(rgb * alpha + 255 * (1 - alpha)).astype(np.uint8)


def read_image_srgba(path: Path | str) -> Picture:
    """Like :func:`read_image_srgb`, with straight alpha (H, W, 4)."""
    file = require_file(path)
    return decode_image_srgba(file, str(file))


def decode_image_srgba(source: Path | BinaryIO, name: str) -> Picture:
    """Like :func:`read_image_srgba`, from an open stream too; errors call it ``name``."""
    rgb, alpha = _decoded(source, name)
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha])


def _decoded(source: Path | BinaryIO, name: str) -> tuple[Picture, Picture | None]:
    """The picture (H, W, 3) and its alpha (H, W), if it has transparent parts; errors call it ``name``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_picture(source) as image:
                _refuse_huge(name, *image.size)
                image.load()
                return _upright_srgb(image)
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise _huge(name) from None
    except UnidentifiedImageError:
        raise UserError(f"{name} is not a picture this program knows; use PNG, JPEG, WebP, TIFF or GIF.") from None
    except Exception as error:  # a decoder fed with a damaged file may raise anything
        raise UserError(f"{name} is damaged and cannot be read whole; open another copy of it.") from error


def write_image(path: Path | str, image_srgb: Picture, provenance: Provenance) -> None:
    """Saves (H, W, 3 or 4) uint8 sRGB as PNG or JPEG by the suffix of ``path``, whole or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix == ".png":
        write_png(path, image_srgb, provenance)
    elif suffix in (".jpg", ".jpeg"):
        write_jpeg(path, image_srgb, provenance)
    else:
        raise UserError(f"{path} has no suffix a picture can be saved with; use .png or .jpg.")


def write_png(path: Path | str, image_srgb: Picture, provenance: Provenance) -> None:
    """Saves (H, W, 3), or (H, W, 4) with straight alpha, uint8 sRGB; tagged sRGB and marked as synthetic."""
    write_bytes(path, png_bytes(image_srgb, provenance))


def png_bytes(image_srgb: Picture, provenance: Provenance) -> bytes:
    """The PNG file that :func:`write_png` saves, to be embedded in another file."""
    facts = PngImagePlugin.PngInfo()
    facts.add(b"sRGB", b"\0")
    facts.add_itxt("XML:com.adobe.xmp", provenance.xmp().decode())
    stream = io.BytesIO()
    Image.fromarray(image_srgb).save(stream, "PNG", pnginfo=facts)
    return stream.getvalue()


def write_jpeg(path: Path | str, image_srgb: Picture, provenance: Provenance) -> None:
    """Saves (H, W, 3) uint8 sRGB without chroma subsampling, with an sRGB profile; alpha is dropped."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image_srgb[..., :3])).save(
        stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0, icc_profile=_SRGB_BYTES, xmp=provenance.xmp()
    )
    write_bytes(path, stream.getvalue())


def write_exr(
    path: Path | str,
    rgb_linear: NDArray[np.float32],
    provenance: Provenance,
    *,
    alpha: NDArray[np.float32] | None = None,
    depth: NDArray[np.float32] | None = None,
    normals: NDArray[np.float32] | None = None,
) -> None:
    """Saves linear light (H, W, 3), premultiplied by ``alpha`` (H, W), in half floats with Rec. 709 primaries.

    ``depth`` (H, W) in metres becomes channel Z in full floats, ``normals`` (H, W, 3) become N.X, N.Y, N.Z.
    """
    planes = {name: _half(rgb_linear[..., i]) for i, name in enumerate("RGB")}
    if alpha is not None:
        planes["A"] = _half(alpha)
    if depth is not None:
        planes["Z"] = np.ascontiguousarray(depth, np.float32)
    if normals is not None:
        planes |= {f"N.{axis}": _half(normals[..., i]) for i, axis in enumerate("XYZ")}
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": _REC709,
        "xmp": provenance.xmp().decode(),
    }
    with atomic_write(path) as beside, OpenEXR.File(header, planes) as file:
        file.write(str(beside))


def open_picture(file: Path | BinaryIO) -> Image.Image:
    """Pillow's picture of a file or stream, not decoded yet, by one of the decoders named in ``READABLE``."""
    Image.init()
    return Image.open(file, formats=[name for name in READABLE if name in Image.OPEN])


def _upright_srgb(image: Image.Image) -> tuple[Picture, Picture | None]:
    """Copies as little as it can: a photo may have a hundred million pixels."""
    ImageOps.exif_transpose(image, in_place=True)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    return np.asarray(_to_srgb(_eight_bit(image))), alpha


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel; floating-point values are taken as linear light in [0, 1]."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values: NDArray[Any] = np.asarray(image)
    if image.mode == "F":
        return Image.fromarray(linear_to_srgb8(np.nan_to_num(values)))
    most = 65535 if values.max() <= 65535 else 2**31 - 1
    return Image.fromarray(np.rint(np.clip(values / most, 0, 1) * 255).astype(np.uint8))


def _to_srgb(image: Image.Image) -> Image.Image:
    """An RGB picture in sRGB, by the picture's own colour profile where it has a usable one."""
    plain = image if image.mode in ("RGB", "L", "CMYK", "LAB") else image.convert("RGB")
    try:
        source = _profile(image)
        converted = source and ImageCms.profileToProfile(plain, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        converted = None
    return converted or (plain if plain.mode == "RGB" else plain.convert("RGB"))


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    if image.mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    content = image.info.get("icc_profile")
    return ImageCms.ImageCmsProfile(io.BytesIO(content)) if content else None


def _refuse_huge(name: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise _huge(name)


def _huge(name: str) -> UserError:
    return UserError(f"{name} has more than {MOST_PIXELS // 10**6} million pixels; make it smaller first.")


def _half(plane: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    most = np.finfo(np.float16).max
    return np.ascontiguousarray(np.clip(plane, -most, most), np.float16)
