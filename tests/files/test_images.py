"""Reading pictures of every kind, refusing what is none, and writing marked and tagged ones."""

import contextlib
import io
import struct
import zlib

import numpy as np
import OpenEXR
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from faceeditor.errors import UserError
from faceeditor.files.images import (
    MOST_PIXELS,
    READABLE_SUFFIXES,
    read_image_srgb,
    read_image_srgba,
    write_exr,
    write_image,
    write_jpeg,
    write_png,
)
from faceeditor.files.marks import read_provenance
from faceeditor.files.provenance import Provenance

MARK = Provenance(composite=True, bundle_hash="ab" * 32, codes_hash="cd" * 32)
PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.sampled_from([3, 4])))


@pytest.fixture
def picture():
    """A smooth picture (40, 56, 3) whose corners all differ."""
    y, x = np.mgrid[:40, :56]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y * 2], -1).astype(np.uint8)


def close(got, wanted, most):
    assert got.shape == wanted.shape
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - wanted.astype(int)).max() <= most


def saved(path, image, **options):
    image.save(path, **options)
    return path


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", READABLE_SUFFIXES)
def test_every_promised_suffix_opens(tmp_path, picture, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(picture).save(path)
    close(read_image_srgb(path), picture, 60 if suffix == ".gif" else 12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, picture, orientation):
    stored_as = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored_as(picture))), exif=exif)
    close(read_image_srgb(path), picture, 0)


def test_grey(tmp_path, picture):
    path = saved(tmp_path / "a.png", Image.fromarray(picture[..., 0]))
    close(read_image_srgb(path), np.repeat(picture[..., :1], 3, axis=2), 0)


def test_bilevel(tmp_path, picture):
    black_or_white = picture[..., 0] > 100
    path = saved(tmp_path / "a.png", Image.fromarray(black_or_white))
    close(read_image_srgb(path), np.repeat(black_or_white[..., None] * np.uint8(255), 3, axis=2), 0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey(tmp_path, picture, suffix):
    deep = picture[..., 0].astype(np.uint16) * 257
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(deep))
    close(read_image_srgb(path), np.repeat(picture[..., :1], 3, axis=2), 0)


def test_sixteen_bit_colour(tmp_path, picture):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(56, 40, 16, picture.astype(">u2") * 257))
    close(read_image_srgb(path), picture, 1)


def test_floating_point_is_linear_light(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((4, 5), 0.2140, np.float32)))
    close(read_image_srgb(path), np.full((4, 5, 3), 127, np.uint8), 1)


def test_cmyk(tmp_path, picture):
    path = saved(tmp_path / "a.jpg", Image.fromarray(picture).convert("CMYK"), quality=98)
    close(read_image_srgb(path), picture, 12)


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (4, 3), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((2, 1), 1)
    path = saved(tmp_path / "a.png", image, transparency=1)
    assert read_image_srgb(path)[1, 2].tolist() == [255, 255, 255]
    assert read_image_srgb(path)[0, 0].tolist() == [255, 0, 0]
    assert read_image_srgba(path)[1, 2, 3] == 0


def test_alpha_is_kept_or_laid_over_white(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGBA", (2, 2), (0, 100, 200, 51)))
    assert read_image_srgba(path)[0, 0].tolist() == [0, 100, 200, 51]
    assert read_image_srgb(path)[0, 0].tolist() == [204, 224, 244]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    path = saved(tmp_path / f"a{suffix}", red, save_all=True, append_images=[blue])
    close(read_image_srgb(path), np.array(red), 3)


def test_lab(tmp_path):
    neutral = Image.new("LAB", (4, 4), (137, 128, 128))  # L* = 53.6
    path = saved(tmp_path / "a.tif", neutral)
    close(read_image_srgb(path), np.full((4, 4, 3), 128, np.uint8), 2)


def test_a_wide_gamut_profile_makes_colours_stronger(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (4, 4), (180, 80, 80)), icc_profile=wide_gamut())
    red, green, _ = read_image_srgb(path)[0, 0].astype(int)
    assert red > 185
    assert green < 75


def test_a_broken_profile_is_ignored(tmp_path, picture):
    path = saved(tmp_path / "a.png", Image.fromarray(picture), icc_profile=b"not a profile")
    close(read_image_srgb(path), picture, 0)


# Refusing -------------------------------------------------------------------------------------------------------------


def refused(path, *words):
    """The picture is refused with one sentence that names the file and has these words in it."""
    with pytest.raises(UserError) as caught:
        read_image_srgb(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence


def test_what_is_no_picture(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("This is not a picture.\n" * 50)
    refused(text, "not a picture", "PNG")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    refused(empty, "0 bytes")
    refused(tmp_path / "nothing.png", "no file")
    refused(tmp_path, "folder")


def test_postscript_is_never_run(tmp_path, picture):
    path = saved(tmp_path / "a.eps", Image.fromarray(picture))
    path.rename(tmp_path / "a.png")
    refused(tmp_path / "a.png", "not a picture")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(tmp_path, suffix, kept):
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match="damaged|not a picture"):
        read_image_srgb(path)


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_a_decompression_bomb(tmp_path, side):
    assert side * side > MOST_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side, 8, b""))
    refused(path, "million pixels")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path_factory, data):
    form = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]))
    stream = io.BytesIO()
    Image.fromarray(np.arange(900, dtype=np.uint8).reshape(15, 20, 3)).save(stream, form)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        assert read_image_srgb(path).shape[2] == 3


# Writing --------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(PICTURES)
def test_png_round_trip(tmp_path_factory, picture):
    path = tmp_path_factory.mktemp("round") / "a.png"
    write_png(path, picture, MARK)
    assert np.array_equal(read_image_srgba(path)[..., : picture.shape[2]], picture)
    assert read_provenance(path) == MARK


def test_png_is_tagged_srgb(tmp_path, picture):
    write_png(tmp_path / "a.png", picture, MARK)
    content = (tmp_path / "a.png").read_bytes()
    assert 0 < content.index(b"sRGB") < content.index(b"IDAT")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["srgb"] == 0
        assert b"trainedAlgorithmicMedia" not in image.tobytes()


def test_jpeg(tmp_path, picture):
    write_jpeg(tmp_path / "a.jpg", np.dstack([picture, picture[..., 0]]), MARK)
    close(read_image_srgb(tmp_path / "a.jpg"), picture, 6)
    assert read_provenance(tmp_path / "a.jpg") == MARK
    with Image.open(tmp_path / "a.jpg") as image:
        assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(image.info["icc_profile"]))


def test_exr_keeps_light_depth_and_normals(tmp_path):
    generator = np.random.default_rng(1)
    rgb = generator.uniform(0, 4, (9, 7, 3)).astype(np.float32)
    alpha = generator.uniform(0, 1, (9, 7)).astype(np.float32)
    depth = np.where(alpha > 0.5, 0.41234567, np.inf).astype(np.float32)
    normals = generator.uniform(-1, 1, (9, 7, 3)).astype(np.float32)
    write_exr(tmp_path / "a.exr", rgb, MARK, alpha=alpha, depth=depth, normals=normals)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        planes = {name: channel.pixels for name, channel in file.channels().items()}
    assert planes["Z"].dtype == np.float32
    assert np.array_equal(planes["Z"], depth)
    for i in range(3):
        assert planes["RGB"[i]].dtype == np.float16
        np.testing.assert_allclose(planes["RGB"[i]], rgb[..., i], rtol=1e-3)
        np.testing.assert_allclose(planes[f"N.{'XYZ'[i]}"], normals[..., i], atol=1e-3)
    np.testing.assert_allclose(planes["A"], alpha, atol=1e-3)
    assert read_provenance(tmp_path / "a.exr") == MARK


def test_write_image_goes_by_the_suffix(tmp_path, picture):
    write_image(tmp_path / "a.PNG", picture, MARK)
    write_image(tmp_path / "a.jpeg", picture, MARK)
    with Image.open(tmp_path / "a.PNG") as png, Image.open(tmp_path / "a.jpeg") as jpeg:
        assert (png.format, jpeg.format) == ("PNG", "JPEG")
    with pytest.raises(UserError, match=r"use \.png or \.jpg"):
        write_image(tmp_path / "a.xyz", picture, MARK)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.PNG", "a.jpeg"]


@pytest.mark.parametrize("write", [write_png, write_jpeg, write_exr])
def test_writing_into_a_missing_folder(tmp_path, picture, write):
    with pytest.raises(UserError, match="no folder"):
        write(tmp_path / "nowhere" / "a.png", picture, MARK)


# Files that Pillow does not write -------------------------------------------------------------------------------------


def png_of(width, height, depth, samples):
    """A PNG by hand: truecolour of ``depth`` bits; ``samples`` (H, W, 3) big-endian, or nothing for a header alone."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.tobytes() for row in samples) if len(samples) else b""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def wide_gamut():
    """The built-in sRGB profile with its primaries' columns exchanged for those of Display P3 (D50-adapted)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        tag, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if tag in columns:
            struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in columns[tag]))
    return bytes(profile)
