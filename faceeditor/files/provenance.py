"""The mark on everything exported: that it is synthetic, by which program, from which model and codes.

Pictures and videos carry an XMP packet with IPTC's *Digital Source Type* (IPTC Photo Metadata Standard 2023, section
Extension Schema), glTF files the same facts in ``asset.extras``, text formats as one line of JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from xml.sax.saxutils import quoteattr

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from faceeditor import __version__
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Codes

SYNTHETIC: Final = "trainedAlgorithmicMedia"
COMPOSITE: Final = "compositeWithTrainedAlgorithmicMedia"

_SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES: Final = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "faceeditor": "urn:faceeditor:provenance:1/",
}
_LINE: Final = "faceeditor-provenance "
_FIELDS: Final = {
    "digitalSourceType": "Iptc4xmpExt:DigitalSourceType",
    "program": "xmp:CreatorTool",
    "bundleHash": "faceeditor:BundleHash",
    "codesHash": "faceeditor:CodesHash",
    "refinerHash": "faceeditor:RefinerHash",
}
"""Key in glTF extras and JSON -> name in XMP."""


@dataclass(frozen=True)
class Provenance:
    """What an export tells about itself; ``composite`` when a user's photo is part of it; ``refiner_hash`` that of the
    bundle that enhanced it, if one did.
    """

    composite: bool = False
    bundle_hash: str = ""
    codes_hash: str = ""
    program: str = f"FaceEditor {__version__}"
    refiner_hash: str = ""

    @classmethod
    def of(cls, face: Face, bundle_hash: str, *, photo_shown: bool = False, refiner_hash: str = "") -> Self:
        """The mark for an export of ``face``: composite when its photo is shown or its refinement came from one."""
        composite = photo_shown or bool(face.refinement)
        codes_hash = hash_codes(face.codes)
        return cls(composite, bundle_hash, codes_hash, refiner_hash=refiner_hash)

    def extras(self) -> dict[str, str]:
        """The facts by name, for glTF's ``asset.extras``."""
        return {
            "digitalSourceType": _SOURCE_TYPES + (COMPOSITE if self.composite else SYNTHETIC),
            "program": self.program,
            "bundleHash": self.bundle_hash,
            "codesHash": self.codes_hash,
            **({"refinerHash": self.refiner_hash} if self.refiner_hash else {}),
        }

    @classmethod
    def from_extras(cls, extras: Mapping[str, object]) -> Self | None:
        """The mark that :meth:`extras` wrote; ``None`` when these are not ours."""
        source = str(extras.get("digitalSourceType", ""))
        if not source.startswith(_SOURCE_TYPES):
            return None
        facts = {key: str(extras.get(key, "")) for key in _FIELDS}
        program = facts["program"]
        return cls(source.endswith(COMPOSITE), facts["bundleHash"], facts["codesHash"], program, facts["refinerHash"])

    def line(self) -> str:
        """The facts as one line of ASCII, for comments in text formats (OBJ, PLY, a video's comment)."""
        return _LINE + json.dumps(self.extras())

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """The mark that :meth:`line` wrote somewhere in ``text``; ``None`` when there is none."""
        _, found, rest = text.partition(_LINE)
        if not found:
            return None
        try:
            extras, _ = json.JSONDecoder().raw_decode(rest)
        except json.JSONDecodeError:
            return None
        return cls.from_extras(extras) if isinstance(extras, dict) else None

    def xmp(self) -> bytes:
        """The facts as an XMP packet (ISO 16684-1), UTF-8."""
        spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
        facts = "".join(f" {_FIELDS[key]}={quoteattr(value)}" for key, value in self.extras().items())
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
            f'<rdf:Description rdf:about=""{spaces}{facts}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
        ).encode()

    @classmethod
    def from_xmp(cls, packet: bytes | str) -> Self | None:
        """The mark that :meth:`xmp` wrote; ``None`` when the packet is not readable or says nothing of the kind."""
        text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
        try:
            root = ElementTree.fromstring(text[text.index("<x:xmpmeta") : text.rindex("</x:xmpmeta>") + 12])
        except (ValueError, ElementTree.ParseError, DefusedXmlException):
            return None
        facts = {name: value for node in root.iter(f"{{{_RDF}}}Description") for name, value in node.attrib.items()}
        return cls.from_extras({key: facts.get(_qualified(name), "") for key, name in _FIELDS.items()})


def hash_codes(codes: Codes) -> str:
    """SHA-256 over the codes, by space name; the same codes give the same hash in any order."""
    digest = hashlib.sha256()
    for name in sorted(codes):
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(codes[name], "<f4").tobytes())
    return digest.hexdigest()


def _qualified(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"
