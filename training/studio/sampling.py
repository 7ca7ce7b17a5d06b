"""Draws plausible heads, faces pulled, skins, hair, lights and cameras. Everything comes from the generator given."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import BROW_STYLES, DIMS, IDENTITY, mirror_name
from faceeditor.faces.layout import EXPRESSION_COMPONENTS as COMPONENTS
from faceeditor.rendering.harmonics import ambient, directional, irradiance
from training.studio.assets import HAIR_STYLES, IRISES, SKINS
from training.studio.factors import StudioFactors, expression_code, hair_code, skin_code

Colour = tuple[float, float, float]

IDENTITY_SPREAD: Final = 0.8
"""Standard deviation of the identity components: wider draws begin to show artefacts."""

BALD: Final = 0.08
CURLS_UP_TO: Final = 0.12
HEAD_HEIGHT: Final = 0.24
"""Metres from chin to crown with some hair, which is what fills the frame."""

DARK_SKINS: Final = tuple(index for index, name in enumerate(SKINS) if "dark" in name)
LIGHT_SKINS: Final = tuple(index for index, name in enumerate(SKINS) if "light" in name)

HAIR_COLOURS: Final[dict[str, Colour]] = {
    "black": (0.010, 0.008, 0.007),
    "dark brown": (0.030, 0.018, 0.011),
    "brown": (0.070, 0.040, 0.022),
    "light brown": (0.140, 0.085, 0.045),
    "dark blond": (0.240, 0.160, 0.085),
    "blond": (0.400, 0.280, 0.150),
    "platinum": (0.620, 0.530, 0.400),
    "auburn": (0.090, 0.030, 0.015),
    "red": (0.170, 0.055, 0.020),
    "grey": (0.250, 0.240, 0.230),
    "white": (0.600, 0.590, 0.570),
}
"""Linear mid-tones of natural hair."""

COMMON: Final = (0.22, 0.18, 0.16, 0.10, 0.08, 0.07, 0.04, 0.04, 0.03, 0.05, 0.03)
COMMON_ON_DARK: Final = (0.62, 0.20, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.05, 0.02)
"""How often each of ``HAIR_COLOURS`` is drawn, on light and on dark skin."""

IRIS_SHARES: Final = (0.12, 0.03, 0.02, 0.14, 0.40, 0.01, 0.04, 0.08, 0.13, 0.01, 0.05)
"""How often each of ``IRISES`` is drawn; ``darkbrown`` is the common brown."""

NATURAL: Final[tuple[dict[str, tuple[float, float]], ...]] = (
    {"mouthSmile": (0.3, 1.0), "cheekSquint": (0.0, 0.7), "eyeSquint": (0.0, 0.5), "mouthDimple": (0.0, 0.4)},
    {"mouthSmile": (0.4, 1.0), "mouthUpperUp": (0.0, 0.4), "jawOpen": (0.05, 0.4), "cheekSquint": (0.2, 0.9)},
    {"browInnerUp": (0.4, 1.0), "mouthFrown": (0.3, 0.9), "mouthShrugLower": (0.0, 0.5), "eyeSquint": (0.0, 0.3)},
    {"browDown": (0.4, 1.0), "noseSneer": (0.1, 0.7), "eyeSquint": (0.1, 0.6), "mouthPress": (0.0, 0.7)},
    {"browInnerUp": (0.4, 1.0), "browOuterUp": (0.4, 1.0), "eyeWide": (0.3, 1.0), "jawOpen": (0.1, 0.7)},
    {"noseSneer": (0.4, 1.0), "mouthUpperUp": (0.3, 0.9), "browDown": (0.2, 0.8), "mouthShrugUpper": (0.0, 0.4)},
    {"mouthPucker": (0.4, 1.0), "mouthFunnel": (0.0, 0.4), "cheekSquint": (0.0, 0.3)},
    {"cheekPuff": (0.4, 1.0), "mouthPress": (0.0, 0.6), "eyeWide": (0.0, 0.4)},
    {"jawOpen": (0.05, 0.5), "mouthFunnel": (0.0, 0.7), "mouthLowerDown": (0.0, 0.4), "browOuterUp": (0.0, 0.3)},
    {"jawOpen": (0.05, 0.35), "mouthStretch": (0.0, 0.6), "mouthUpperUp": (0.0, 0.5), "mouthLowerDown": (0.0, 0.6)},
    {"jawOpen": (0.1, 0.5), "mouthClose": (0.1, 0.5), "mouthRollLower": (0.0, 0.5), "mouthRollUpper": (0.0, 0.4)},
    {"jawOpen": (0.4, 1.0), "mouthStretch": (0.0, 0.4), "eyeSquint": (0.0, 0.6), "browDown": (0.0, 0.6)},
    {"jawForward": (0.2, 0.9), "mouthShrugLower": (0.0, 0.8), "browDown": (0.0, 0.6)},
)
"""Movements that go together, with the range of each; names without a side move on both."""


def sample_factors(rng: np.random.Generator, identity: Code | None = None) -> StudioFactors:
    """One head and its picture's circumstances; ``identity`` (100,) replaces the drawn one."""
    drawn = sample_identity(rng)
    dark = bool(rng.random() < 0.4)
    colour = sample_hair_colour(rng, dark)
    return StudioFactors(
        identity=drawn if identity is None else identity,
        expression=sample_expression(rng),
        skin=sample_skin(rng, dark, colour),
        light=sample_light(rng),
        hair=sample_hair(rng, colour),
        camera=sample_camera(rng),
    )


def sample_identity(rng: np.random.Generator) -> Code:
    """An identity code (100,)."""
    return as_code(rng.normal(0, IDENTITY_SPREAD, DIMS[IDENTITY]))


def sample_expression(rng: np.random.Generator) -> Code:
    """An expression code (64,): neutral, one movement, a few, or movements that go together; with a gaze."""
    kind = rng.choice(["neutral", "single", "few", "natural"], p=[0.12, 0.23, 0.2, 0.45])
    weights: dict[str, float] = {}
    if kind == "single":
        _pull(weights, rng, str(rng.choice(_bases())), rng.uniform(0.25, 1.0))
    elif kind == "few":
        for base in rng.choice(_bases(), rng.integers(2, 6), replace=False):
            _pull(weights, rng, str(base), rng.uniform(0.1, 0.8))
    elif kind == "natural":
        for base, (low, high) in NATURAL[rng.integers(len(NATURAL))].items():
            _pull(weights, rng, base, rng.uniform(low, high))
    if rng.random() < 0.65:
        _look(weights, rng.normal(0, 0.3), rng.normal(0, 0.25))
    if rng.random() < 0.15:
        closed = 1.0 if rng.random() < 0.4 else rng.uniform(0.1, 0.9)
        _pull(weights, rng, "eyeBlink", closed)
    return expression_code(**_agree(weights, rng))


def _bases() -> list[str]:
    """The movements without their sides, in the order of the components."""
    return list(dict.fromkeys(_base(name) for name in COMPONENTS if not name.startswith("eyeLook")))


def _base(name: str) -> str:
    """``mouthSmileLeft`` -> ``mouthSmile``; jawLeft and mouthLeft are movements of their own."""
    if mirror_name(name) == name or name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return name.removesuffix("Left").removesuffix("Right")


def _pull(weights: dict[str, float], rng: np.random.Generator, base: str, weight: float) -> None:
    """Add a movement; one with two sides mostly moves alike on both."""
    if base in COMPONENTS:
        weights[base] = weight
        return
    tied = rng.random() < 0.78
    ratio = rng.uniform(0.85, 1.0) if tied else rng.choice([0.0, rng.uniform(0, 0.8)])
    first, second = rng.permutation(["Left", "Right"])
    weights[base + str(first)] = weight
    weights[base + str(second)] = weight * float(ratio)


def _look(weights: dict[str, float], across: float, up: float) -> None:
    """Turn both eyes: ``across`` > 0 to the subject's left."""
    across, up = float(np.clip(across, -1, 1)), float(np.clip(up, -1, 1))
    side, other = ("Left", "Right") if across > 0 else ("Right", "Left")
    weights[f"eyeLookOut{side}"] = weights[f"eyeLookIn{other}"] = abs(across)
    for eye in ("Left", "Right"):
        weights[f"eyeLookUp{eye}" if up > 0 else f"eyeLookDown{eye}"] = abs(up)


def _agree(weights: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Take back what no face does at once: lids that close while the eye rolls up, lips that close without a jaw."""
    for side in ("Left", "Right"):
        closed = weights.get(f"eyeBlink{side}", 0.0)
        for name in (f"eyeLookUp{side}", f"eyeWide{side}"):
            if name in weights:
                weights[name] *= 1 - closed
        if closed:
            weights[f"eyeBlink{side}"] = closed * (1 - 0.5 * weights.get(f"eyeLookDown{side}", 0.0))
    if "mouthClose" in weights and rng.random() < 0.92:
        weights["jawOpen"] = max(weights.get("jawOpen", 0.0), weights["mouthClose"])
    return weights


def sample_hair_colour(rng: np.random.Generator, dark: bool) -> Colour:
    """A natural linear mid-tone, between two neighbouring shades."""
    shares = np.array(COMMON_ON_DARK if dark and rng.random() < 0.85 else COMMON)
    base = np.array(list(HAIR_COLOURS.values())[rng.choice(len(shares), p=shares / shares.sum())])
    tone = base * np.exp(rng.normal(0, 0.18) + rng.normal(0, 0.04, 3))
    red, green, blue = np.clip(tone, 0.004, 0.75)
    return float(red), float(green), float(blue)


def sample_hair(rng: np.random.Generator, colour: Colour) -> Code:
    """A hair code (16,): one style, or bald. Tight curls, whose scalp shows its paint when light, are dark."""
    styles = [index for index, name in enumerate(HAIR_STYLES) if max(colour) < CURLS_UP_TO or "afro" not in name]
    style = None if rng.random() < BALD else int(rng.choice(styles))
    return hair_code(style, colour, float(rng.uniform(0.1, 0.9)))


def sample_skin(rng: np.random.Generator, dark: bool, hair_colour: Colour) -> Code:
    """A skin code (80,): one skin or a mix of two or three, small tints, brows about the colour of the hair."""
    weights = np.zeros(len(SKINS), np.float32)
    own, other = (DARK_SKINS, LIGHT_SKINS) if dark else (LIGHT_SKINS, DARK_SKINS)
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.35, 0.25]))
    chosen = rng.choice(own, count, replace=False)
    if count > 1 and rng.random() < 0.4:
        chosen[-1] = rng.choice(other)
    weights[chosen] = rng.dirichlet(np.full(count, 1.2))
    brow_darkness = rng.uniform(0.35, 0.8)
    return skin_code(
        weights,
        tint=(
            float(rng.normal(0, 0.12)),
            float(rng.normal(0, 0.05)),
            float(np.clip(rng.normal(0.01, 0.05), -0.06, 0.14)),
        ),
        brow=int(rng.integers(BROW_STYLES.stop - BROW_STYLES.start)),
        brow_colour=tuple(min(0.35, brow_darkness * value) for value in hair_colour),  # type: ignore[arg-type]
        iris=_sample_iris(rng, float(weights[list(DARK_SKINS)].sum())),
        sheen=float(rng.beta(2.0, 2.5)),
    )


def _sample_iris(rng: np.random.Generator, darkness: float) -> int:
    shares = np.array(IRIS_SHARES)
    if rng.random() < 0.75 * darkness:
        shares = np.array([1.0 if name in ("darkbrown", "hazel", "brown") else 0.0 for name in IRISES])
    return int(rng.choice(len(shares), p=shares / shares.sum()))


def kelvin(temperature: float) -> NDArray[np.float64]:
    """Linear RGB (3,) of a black body, green 1; a smooth fit good to a few per cent from 2500 to 12000 K.

    Daylight white, 6500 K, is (1, 1, 1); the logarithms of red and blue are quadratic in the mired shift.
    """
    mired = 1e6 / temperature - 1e6 / 6500
    return np.exp([2.9e-3 * mired - 1.2e-6 * mired**2, 0.0, -4.9e-3 * mired - 3.5e-6 * mired**2])


def sample_light(rng: np.random.Generator) -> Code:
    """A light code (27,): ambience brighter from above, a soft key mostly from the front, sometimes a rim or fill."""
    balance = kelvin(rng.uniform(4500, 7500)) ** 0.35
    table = float(np.exp(rng.normal(-0.45, 0.4))) * ambient(kelvin(rng.uniform(4000, 9500)) ** 0.5)
    table += directional(_towards(rng.normal(0, 20), rng.uniform(50, 90)), rng.uniform(0.0, 0.5) * np.ones(3))
    turn = np.clip(rng.normal(0, 55), -120, 120)
    key = directional(_towards(turn, rng.uniform(-5, 65)), kelvin(rng.uniform(3200, 8000)) ** 0.5)
    table += float(np.exp(rng.normal(0.0, 0.6))) * key
    if rng.random() < 0.3:
        rim = _towards(np.sign(-turn) * rng.uniform(100, 160), rng.uniform(0, 50))
        table += rng.uniform(0.1, 0.5) * directional(rim, kelvin(rng.uniform(3200, 9000)) ** 0.5)
    table /= balance.astype(np.float32)
    level = irradiance(table.ravel(), FACE_NORMALS) @ np.array([0.2126, 0.7152, 0.0722])
    exposure = float(np.exp(rng.normal(0.0, 0.18))) / float(0.5 * level.mean() + 0.5 * level.max())
    return as_code((table * exposure).ravel())


def _towards(turn: float, elevation: float) -> NDArray[np.float64]:
    """Unit head-space direction (3,) at ``turn`` degrees to the subject's left and ``elevation`` degrees up."""
    side, up = np.radians([turn, elevation])
    return np.array([np.sin(side) * np.cos(up), np.sin(up), np.cos(side) * np.cos(up)])


FACE_NORMALS: Final = np.stack([_towards(turn, up) for turn in (-60, -30, 0, 30, 60) for up in (-20, 0, 30)])
"""Directions that a face's surface looks in, (15, 3): what the exposure is measured on."""


def sample_camera(rng: np.random.Generator) -> Camera:
    """A camera over the whole front half, denser near the front; the head fills 55 to 85 % of the frame."""
    near_front = rng.random() < 0.6
    yaw = rng.normal(0, 22) if near_front else rng.uniform(-90, 90)
    pitch = rng.normal(0, 10) if rng.random() < 0.7 else rng.uniform(-40, 40)
    field = float(np.exp(rng.uniform(np.log(12), np.log(45))))
    frame = HEAD_HEIGHT / rng.uniform(0.55, 0.85)
    return Camera(
        yaw=float(np.clip(yaw, -90, 90)),
        pitch=float(np.clip(pitch, -40, 40)),
        roll=float(np.clip(rng.normal(0, 5), -20, 20)),
        distance=float(frame / (2 * np.tan(np.radians(field) / 2))),
        field_of_view=field,
        pan=(float(rng.normal(0, 0.008)), float(rng.normal(0.005, 0.008))),
    )
