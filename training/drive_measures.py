"""How well ``drive`` takes expressions from videos of studio people who were never trained on.

``python -m training.drive_measures --people 4``; each film shows another held-out person making random faces, with the
head moving a little, over a random backdrop. Its weights are known for every frame.
"""

import json
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from faceeditor.editing.driving import driven
from faceeditor.engine.driving import watch
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.performance import SMOOTHING, Performance
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import write_video
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import RadianceModel
from training.evaluate import held_out
from training.studio.backdrops import sample_backdrop
from training.studio.factors import StudioFactors
from training.studio.renderer import Studio
from training.studio.sampling import sample_expression

Floats = NDArray[np.float64]

FPS: Final = 25.0
HOLD: Final = 0.5
"""Seconds from one drawn expression to the next."""
SWAY: Final = (12.0, 6.0, 4.0)
"""Degrees of yaw, pitch and roll within which the head moves."""
STRONGEST: Final = 10
MODEL: Final = "guided-studio"
PICTURE: Final = 192
"""Pixels of the pictures of the driven face that are compared."""


def smooth(keys: Floats, frames: int) -> Floats:
    """Curves (frames, C) through ``keys`` (K, C) that overshoot nowhere (Fritsch and Butland, 1984)."""
    return np.asarray(PchipInterpolator(np.linspace(0, frames - 1, len(keys)), keys)(np.arange(frames)))


def acting(rng: np.random.Generator, seconds: float, start: Camera) -> Performance:
    """Random expressions as the studio draws them, one after the other, and a head that moves around ``start``."""
    frames, keys = round(seconds * FPS), round(seconds / HOLD) + 1
    expressions = smooth(np.stack([sample_expression(rng) for _ in range(keys)]), frames).clip(0, 1)
    sway = smooth(rng.uniform(-1, 1, (keys // 2 + 1, 3)) * SWAY, frames)
    poses = sway + np.array([start.yaw / 3, start.pitch / 3, 0.0])
    return Performance(FPS, expressions.astype(np.float32), poses, np.ones(frames, bool))


def film(studio: Studio, person: StudioFactors, acted: Performance, behind: NDArray[np.uint8], path: Path) -> None:
    """Photographs ``person`` acting, as large as ``behind``, into a video."""
    size = len(behind)
    with write_video(path, (size, size), acted.fps, Provenance()) as add:
        for expression, (yaw, pitch, roll) in zip(acted.expressions, acted.poses, strict=True):
            camera = person.camera.replace(yaw=float(yaw), pitch=float(pitch), roll=float(roll))
            shown = StudioFactors.from_codes({**person.codes, "expression": as_code(expression)}, camera)
            add(studio.shoot(shown, size, behind).picture_srgb)


def compare(told: Performance, true: Performance) -> dict[str, Any]:
    """Correlations of the weights that change most in truth, and errors of the pose in degrees."""
    spread = true.expressions.std(0)
    strongest = np.argsort(-spread)[:STRONGEST]
    each = {
        EXPRESSION_COMPONENTS[index]: correlation(told.expressions[:, index], true.expressions[:, index])
        for index in strongest
    }
    away = np.abs(told.poses - true.poses).mean(0)
    return {
        "correlation": float(np.mean(list(each.values()))),
        "of_each": {name: round(value, 3) for name, value in each.items()},
        "mean_error": float(np.abs(told.expressions - true.expressions)[:, strongest].mean()),
        **dict(zip(("yaw_degrees", "pitch_degrees", "roll_degrees"), away.tolist(), strict=True)),
    }


def correlation(told: NDArray[np.floating[Any]], true: NDArray[np.floating[Any]]) -> float:
    """Pearson's; zero for what never changes."""
    a, b = told - told.mean(), true - true.mean()
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9))


def steadiness(model: RadianceModel, face: Face, told: Performance, true: Performance) -> dict[str, float]:
    """How much the driven ``face`` changes from frame to frame at most: its identity code, and its picture (mean
    absolute difference of 8-bit values) beside that of the face with the true weights.
    """
    found = {}
    for name, acted in (("driven", told), ("true", true)):
        faces = [driven(face, model.spaces, acted, frame) for frame in range(len(acted))]
        codes = np.stack([one.codes[IDENTITY] for one in faces])
        pictures = np.stack([model.render(one.codes, one.camera, PICTURE).over() for one in faces]).astype(np.int16)
        found[f"{name}_identity_jump"] = float(np.abs(np.diff(codes, axis=0)).max())
        found[f"{name}_picture_jump"] = float(np.abs(np.diff(pictures, axis=0)).mean((1, 2, 3)).max())
    return found


def main(
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    people: Annotated[int, typer.Option(help="held-out people, a film of each")] = 4,
    seconds: Annotated[float, typer.Option(help="of every film")] = 5.0,
    size: Annotated[int, typer.Option(help="pixels of every film")] = 384,
    smoothing: Annotated[float, typer.Option(help="as drive takes it")] = SMOOTHING,
    films: Annotated[Path | None, typer.Option(help="keep the films in this folder, and use those there")] = None,
) -> None:
    """Measure driving by videos."""
    try:
        studio, model = Studio.open(data), load_model(MODEL)
    except UserError as error:
        raise SystemExit(str(error)) from None
    rows: list[dict[str, Any]] = []
    factors = held_out(people + 1)
    with TemporaryDirectory() as made:
        for number, (person, other) in enumerate(pairwise(factors)):
            rng = np.random.default_rng([number, int(seconds * FPS)])
            acted, behind = acting(rng, seconds, person.camera), sample_backdrop(rng, size)
            path = (films or Path(made)) / f"{number}.mp4"
            if not path.is_file():
                film(studio, person, acted, behind, path)
            told = watch(load_model, path, lambda *said, **more: None).smoothed(smoothing)
            face = Face("driven", MODEL, other.codes)
            rows.append({"frames_without_face": int((~told.seen).sum()), **compare(told, acted)})
            rows[-1] |= steadiness(model, face, told, acted)
            print(json.dumps({name: _short(value) for name, value in rows[-1].items()}), flush=True)
    numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
    means = {name: _short(float(np.mean([row[name] for row in rows]))) for name in numbers}
    print(json.dumps({"people": people, "seconds": seconds, "smoothing": smoothing, "means": means}, indent=1))


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    typer.run(main)
