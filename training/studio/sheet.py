"""Contact sheets of the studio: pictures side by side, to be looked at."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import ARKIT
from training.studio.assets import BROWS, HAIR_STYLES, IRISES, SKINS
from training.studio.factors import StudioFactors, expression_code, hair_code, neutral_light, skin_code
from training.studio.renderer import Studio
from training.studio.sampling import HAIR_COLOURS, sample_factors, sample_identity, sample_light

Cell = tuple[str, StudioFactors]

FRONT: Final = Camera(pitch=3, distance=0.75)
THREE_QUARTER: Final = Camera(yaw=35, pitch=5, distance=0.8)


def _random(seed: int) -> list[Cell]:
    return [("", sample_factors(np.random.default_rng([seed, index]))) for index in range(40)]


def _identities(seed: int) -> list[Cell]:
    rng = np.random.default_rng(seed)
    turned = [FRONT, THREE_QUARTER]
    identities = [sample_identity(rng) for _ in range(16)]
    return [("", StudioFactors(identity=code, camera=camera)) for code in identities for camera in turned]


def _expressions(seed: int) -> list[Cell]:
    close = FRONT.replace(distance=0.62)
    cells: list[Cell] = [("neutral", StudioFactors(camera=close))]
    for name, components in ARKIT.items():
        weights = dict.fromkeys(components, 1.0)
        cells.append((name, StudioFactors(expression=expression_code(**weights), camera=close)))
    return cells


def _skins(seed: int) -> list[Cell]:
    return [
        (
            name.replace("skinned", ""),
            StudioFactors(skin=skin_code({index: 1.0}, brow=index % 12), camera=THREE_QUARTER),
        )
        for index, name in enumerate(SKINS)
    ]


def _tints(seed: int) -> list[Cell]:
    cells: list[Cell] = []
    for skin in (0, 4, 16):
        for axis, name in enumerate(("lightness", "warmth", "redness")):
            for value in (-0.25, 0.25) if axis == 0 else (-0.1, 0.1):
                tint = tuple(value if place == axis else 0.0 for place in range(3))
                code = skin_code({skin: 1.0}, tint=tint)  # type: ignore[arg-type]
                cells.append((f"{name} {value:+}", StudioFactors(skin=code, camera=FRONT)))
        shiny = [(sheen, skin_code({skin: 1.0}, sheen=sheen)) for sheen in (0.0, 1.0)]
        cells += [(f"sheen {sheen:.0f}", StudioFactors(skin=code, camera=FRONT)) for sheen, code in shiny]
    return cells


def _hair(seed: int) -> list[Cell]:
    wanted = ("black", "dark brown", "red", "light brown", "blond", "platinum", "grey", "white")
    cameras = (FRONT, THREE_QUARTER, FRONT.replace(yaw=-80.0, distance=0.85))
    return [
        (f"{style}, {name}", StudioFactors(hair=hair_code(index, HAIR_COLOURS[name]), camera=cameras[place % 3]))
        for index, style in enumerate(HAIR_STYLES)
        for place, name in enumerate(wanted)
    ]


def _eyes(seed: int) -> list[Cell]:
    near = Camera(pitch=0, distance=0.35, pan=(0.0, 0.02))
    skins = [(name, skin_code({16: 1.0}, iris=index, brow=index)) for index, name in enumerate(IRISES)]
    skins.append((BROWS[-1], skin_code({16: 1.0}, brow=len(BROWS) - 1)))
    return [(name, StudioFactors(skin=skin, camera=near)) for name, skin in skins]


def _lights(seed: int) -> list[Cell]:
    rng = np.random.default_rng(seed)
    lights = [neutral_light(), *(sample_light(rng) for _ in range(23))]
    skins = [skin_code({4: 1.0}), skin_code({13: 1.0})]
    return [("", StudioFactors(light=light, skin=skins[k % 2], camera=FRONT)) for k, light in enumerate(lights)]


def _poses(seed: int) -> list[Cell]:
    hair = hair_code(6, HAIR_COLOURS["brown"])
    return [
        (f"{yaw:+d} {pitch:+d}", StudioFactors(hair=hair, camera=Camera(yaw=yaw, pitch=pitch, distance=0.8)))
        for pitch in (40, 0, -40)
        for yaw in (-90, -60, -30, 0, 30, 60, 90)
    ]


def _mouths(seed: int) -> list[Cell]:
    near = Camera(pitch=0, distance=0.4, pan=(0.0, -0.045))
    moves: Sequence[dict[str, float]] = (
        {"jawOpen": 0.3}, {"jawOpen": 1.0}, {"mouthSmileLeft": 1, "mouthSmileRight": 1, "jawOpen": 0.2},
        {"jawOpen": 0.8, "mouthClose": 0.8}, {"mouthFunnel": 1.0, "jawOpen": 0.3},
        {"mouthUpperUpLeft": 1, "mouthUpperUpRight": 1, "mouthLowerDownLeft": 1, "mouthLowerDownRight": 1},
    )  # fmt: skip
    return [
        ("", StudioFactors(expression=expression_code(**move), camera=near.replace(yaw=yaw)))
        for yaw in (0.0, 40.0)
        for move in moves
    ]


SHEETS: Final[dict[str, tuple[Callable[[int], list[Cell]], int]]] = {
    "random": (_random, 8),
    "identities": (_identities, 8),
    "expressions": (_expressions, 9),
    "skins": (_skins, 7),
    "tints": (_tints, 8),
    "hair": (_hair, 8),
    "eyes": (_eyes, 4),
    "mouths": (_mouths, 6),
    "lights": (_lights, 8),
    "poses": (_poses, 7),
}
"""The sheets by name: what is on them, and how many stand side by side."""


def sheet(studio: Studio, cells: list[Cell], columns: int, size: int) -> NDArray[np.uint8]:
    """The pictures of ``cells`` with their names, ``size`` pixels each, (rows * size, columns * size, 3) sRGB."""
    rows = -(-len(cells) // columns)
    whole = Image.new("RGB", (columns * size, rows * size), "white")
    for place, (name, factors) in enumerate(cells):
        picture = Image.fromarray(studio.shoot(factors, size).picture_srgb)
        ImageDraw.Draw(picture).text((4, 2), name, fill=(60, 60, 60))
        whole.paste(picture, (place % columns * size, place // columns * size))
    return np.asarray(whole)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m training.studio.sheet --sheet hair --out hair.jpg``."""
    parser = argparse.ArgumentParser(description="Draw a contact sheet of the studio.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the studio's data folder")
    parser.add_argument("--sheet", choices=sorted(SHEETS), default="random")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write, .png or .jpg")
    parser.add_argument("--size", type=int, default=192, help="pixels along each side of one picture")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    make, columns = SHEETS[options.sheet]
    picture = sheet(Studio.open(options.data), make(options.seed), columns, options.size)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(options.out, quality=88)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
