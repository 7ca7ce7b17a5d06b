"""The studio coordinates: sizes, slices and names of the codes that the guided head and the studio share.

Every size of a code is written here and nowhere else. A code is a flat float32 vector; unused trailing components stay
zero so that later encoders and decoders can share the vectors (zero-shot attribute separation, section 3: texture 80,
illumination 27, hair 16).
"""

from typing import Final

IDENTITY: Final = "identity"
EXPRESSION: Final = "expression"
SKIN: Final = "skin"
LIGHT: Final = "light"
HAIR: Final = "hair"

DIMS: Final[dict[str, int]] = {IDENTITY: 100, EXPRESSION: 64, SKIN: 80, LIGHT: 27, HAIR: 16}
"""Components of every space, in the order in which spaces are listed to the user."""

EXPRESSION_COMPONENTS: Final[tuple[str, ...]] = tuple(
    """
    browDownLeft browDownRight browInnerUpLeft browInnerUpRight browOuterUpLeft browOuterUpRight
    cheekPuffLeft cheekPuffRight cheekSquintLeft cheekSquintRight eyeBlinkLeft eyeBlinkRight
    eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight
    eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
    jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
    mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight
    mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight
    """.split()
)
"""The 53 used components of the expression code, each a weight in [0, 1]."""

BOTH_SIDES: Final[dict[str, tuple[str, str]]] = {
    "browInnerUp": ("browInnerUpLeft", "browInnerUpRight"),
    "cheekPuff": ("cheekPuffLeft", "cheekPuffRight"),
}
"""ARKit names that stand for a pair of our components."""


def _arkit() -> dict[str, tuple[str, ...]]:
    """ARKit name -> the components it sets, in the order of the components."""
    pair_of = {side: name for name, sides in BOTH_SIDES.items() for side in sides}
    names = dict.fromkeys(pair_of.get(component, component) for component in EXPRESSION_COMPONENTS)
    return {name: BOTH_SIDES.get(name, (name,)) for name in names}


ARKIT: Final[dict[str, tuple[str, ...]]] = _arkit()
"""The 51 ARKit blendshape names (all but tongueOut) and the components of the expression code that each one drives."""

SKIN_WEIGHTS: Final = slice(0, 20)
SKIN_TINT: Final = slice(20, 23)
BROW_STYLES: Final = slice(23, 35)
BROW_COLOUR: Final = slice(35, 38)
IRIS_WEIGHTS: Final = slice(38, 49)
SHEEN: Final = 49

TINT_AXES: Final = ((1.0, 1.0, 1.0), (0.5, 0.0, -0.7), (0.45, -0.3, -0.15))
"""Log gain of linear R, G, B for one unit of the skin tint's lightness, warmth and redness."""

LIGHT_SHAPE: Final = (9, 3)
"""The light code is nine real spherical harmonics times linear R, G, B, flattened."""

HAIR_STYLES: Final = slice(0, 10)
HAIR_COLOUR: Final = slice(10, 13)
HAIR_GLOSS: Final = 13


def mirror_name(name: str) -> str:
    """The same movement on the other side: ``mouthSmileLeft`` -> ``mouthSmileRight``, ``jawOpen`` -> itself."""
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    if name.endswith("Right"):
        return name.removesuffix("Right") + "Left"
    return name
