"""The mark comes back from every form in which it is written, and only from those."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.files.provenance import Provenance, hash_codes

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20).filter(
    lambda text: not {"\ufffe", "\uffff"} & set(text)
)
HASH = st.text("0123456789abcdef", min_size=64, max_size=64)
MARKS = st.builds(
    Provenance,
    composite=st.booleans(),
    bundle_hash=HASH,
    codes_hash=HASH,
    program=TEXT,
    refiner_hash=st.just("") | HASH,
)


@given(MARKS)
def test_every_form_gives_the_mark_back(mark):
    assert Provenance.from_extras(mark.extras()) == mark
    assert Provenance.from_xmp(mark.xmp()) == mark
    assert Provenance.from_text(f"# a comment\n# {mark.line()}\nv 0 0 0\n") == mark
    assert mark.line().isascii()
    assert "\n" not in mark.line()


def test_the_terms_are_those_of_iptc():
    synthetic, composite = Provenance().xmp().decode(), Provenance(composite=True).xmp().decode()
    root = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    assert f'Iptc4xmpExt:DigitalSourceType="{root}trainedAlgorithmicMedia"' in synthetic
    assert f'Iptc4xmpExt:DigitalSourceType="{root}compositeWithTrainedAlgorithmicMedia"' in composite


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'


@pytest.mark.parametrize("packet", [b"", b"<x:xmpmeta", b"<x:xmpmeta></x:xmpmeta>", b"\xff\xfe", BOMB])
def test_other_packets_give_none(packet):
    assert Provenance.from_xmp(packet) is None


def test_a_mark_of_a_face():
    codes = {"identity": as_code([1, 2]), "skin": as_code([3])}
    face = Face("A", "guided", codes)
    assert Provenance.of(face, "b").composite is False
    assert Provenance.of(face, "b", photo_shown=True).composite
    assert Provenance.of(face.replace(refinement={"texture": np.ones(3, np.float32)}), "b").composite
    assert Provenance.of(face, "b").codes_hash == hash_codes(dict(reversed(codes.items())))
    assert hash_codes(codes) != hash_codes({**codes, "skin": as_code([4])})
