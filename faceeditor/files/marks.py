"""Reads the synthetic-media mark back out of any file that the program exports."""

import json
import struct
from pathlib import Path
from typing import Final

import OpenEXR

from faceeditor.errors import UserError
from faceeditor.files.atomic import require_file
from faceeditor.files.images import open_picture
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import GIF_XMP, GIF_XMP_TRAILER, XMP_BOX

_PICTURES: Final = (".png", ".jpg", ".jpeg")
_TEXT_BYTES: Final = 1 << 16


def read_provenance(path: Path | str) -> Provenance | None:
    """The mark of an exported picture, video or mesh; ``None`` when the file carries none of ours.

    Raises ``UserError`` when the file is missing, empty or so damaged that its mark cannot be looked for.
    """
    file = require_file(path)
    suffix = file.suffix.lower()
    try:
        if suffix in _PICTURES:
            return _from_picture(file)
        if suffix == ".exr":
            with OpenEXR.File(str(file), header_only=True) as exr:
                return Provenance.from_xmp(str(exr.header().get("xmp", "")))
        if suffix in (".glb", ".gltf"):
            return _from_gltf(file)
        if suffix == ".mp4":
            return _from_mp4(file)
        if suffix == ".gif":
            return _from_gif(file)
        with file.open("rb") as stream:
            return Provenance.from_text(stream.read(_TEXT_BYTES).decode("ascii", "replace"))
    except (OSError, ValueError, RuntimeError, AttributeError, struct.error) as error:
        raise UserError(f"{file} is damaged or not what its suffix {suffix} says; open another copy of it.") from error


def _from_picture(file: Path) -> Provenance | None:
    with open_picture(file) as image:
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return Provenance.from_xmp(packet)


def _from_gif(file: Path) -> Provenance | None:
    packet = file.read_bytes().partition(GIF_XMP)[2].partition(GIF_XMP_TRAILER)[0]
    return Provenance.from_xmp(packet)


def _from_gltf(file: Path) -> Provenance | None:
    content = file.read_bytes()
    if content[:4] == b"glTF":
        length = struct.unpack_from("<I", content, 12)[0]
        content = content[20 : 20 + length]
    return Provenance.from_extras(json.loads(content).get("asset", {}).get("extras", {}))


def _from_mp4(file: Path) -> Provenance | None:
    """Looks through the top-level boxes (ISO 14496-12, section 4.2) for the one with XMP."""
    with file.open("rb") as stream:
        while len(head := stream.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            rest = (struct.unpack(">Q", stream.read(8))[0] - 16) if size == 1 else size - 8
            if size == 0 or rest < 0:
                return None
            after = stream.tell() + rest
            if kind == b"uuid" and stream.read(16) == XMP_BOX:
                return Provenance.from_xmp(stream.read(rest - 16))
            stream.seek(after)
    return None
