"""The studio coordinates: Apple's 51 names over 53 components, and slices that do not overlap."""

import pytest

from faceeditor.faces import layout
from faceeditor.faces.layout import ARKIT, DIMS, EXPRESSION_COMPONENTS, mirror_name

APPLE = set(
    """
    eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft eyeWideLeft
    eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight eyeSquintRight eyeWideRight
    jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel mouthPucker mouthLeft mouthRight
    mouthSmileLeft mouthSmileRight mouthFrownLeft mouthFrownRight mouthDimpleLeft mouthDimpleRight
    mouthStretchLeft mouthStretchRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper
    mouthPressLeft mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft mouthUpperUpRight
    browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft cheekSquintRight
    noseSneerLeft noseSneerRight tongueOut
    """.split()
)
"""The locations of ARFaceAnchor.BlendShapeLocation, from Apple's documentation."""


def test_the_names_are_apples_but_for_the_tongue():
    assert set(ARKIT) == APPLE - {"tongueOut"}
    assert len(ARKIT) == 51


def test_every_component_is_driven_by_exactly_one_name():
    driven = [component for components in ARKIT.values() for component in components]
    assert sorted(driven) == sorted(EXPRESSION_COMPONENTS)
    assert len(EXPRESSION_COMPONENTS) == 53 <= DIMS[layout.EXPRESSION]


@pytest.mark.parametrize("names", [ARKIT, EXPRESSION_COMPONENTS], ids=["names", "components"])
def test_every_name_has_its_other_side(names):
    for name in names:
        assert mirror_name(name) in names
        assert mirror_name(mirror_name(name)) == name
    sided = {name for name in names if name.endswith(("Left", "Right"))}
    assert all(mirror_name(name) != name for name in sided)
    assert all(mirror_name(name) == name for name in set(names) - sided)


def test_both_sides_are_a_left_and_a_right():
    for left, right in layout.BOTH_SIDES.values():
        assert mirror_name(left) == right


@pytest.mark.parametrize(
    ("space", "parts"),
    [
        (layout.SKIN, (layout.SKIN_WEIGHTS, layout.SKIN_TINT, layout.BROW_STYLES, layout.BROW_COLOUR,
                       layout.IRIS_WEIGHTS, layout.SHEEN)),
        (layout.HAIR, (layout.HAIR_STYLES, layout.HAIR_COLOUR, layout.HAIR_GLOSS)),
    ],
)  # fmt: skip
def test_parts_follow_each_other_and_fit(space, parts):
    places = [list(range(part.start, part.stop)) if isinstance(part, slice) else [part] for part in parts]
    flat = [place for part in places for place in part]
    assert flat == list(range(len(flat)))
    assert len(flat) <= DIMS[space]


def test_the_light_is_nine_colours():
    rows, colours = layout.LIGHT_SHAPE
    assert rows * colours == DIMS[layout.LIGHT]
