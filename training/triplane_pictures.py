"""Pictures of a tri-plane head: samples, ways between people and between expressions, and fits beside their frames.

``python -m training.triplane_pictures --out FOLDER`` writes ``heads.jpg`` and ``head_fits.jpg``; with ``--ablation`` it
writes ``head_ablation.jpg`` alone.
"""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Code, Codes, interpolate
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.triplane import TriplaneHead
from training.evaluate_triplane import Noise, Trial, heads, load_head
from training.triplane_frames import DepthFrame
from training.triplane_scans import HeadMaker, studio_maker

Picture = NDArray[np.uint8]

SIZE: Final = 220
GREY: Final = (0.6, 0.6, 0.6)
AHEAD: Final = Camera(yaw=20, pitch=5, distance=0.75)
BESIDE: Final = AHEAD.replace(yaw=-60)
SAMPLED, STEPS = 8, 8
"""Heads in a row of samples, pictures of a way."""
SMILE: Final = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6}
SHOUT: Final = {"jawOpen": 0.9, "browInnerUpLeft": 0.8, "browInnerUpRight": 0.8}


def shown(model: TriplaneHead, codes: Codes, camera: Camera = AHEAD) -> Picture:
    """A head as the program draws it."""
    return model.render(codes, camera, SIZE).over(GREY)


def samples(model: TriplaneHead, seeds: range) -> list[list[Picture]]:
    """Heads from N(mean, covariance) (section 6.1.3), from two sides."""
    people = [model.spaces[IDENTITY].random(np.random.default_rng(seed)) for seed in seeds]
    return [
        [shown(model, {IDENTITY: one, EXPRESSION: expression(model)}, camera) for one in people]
        for camera in (AHEAD, BESIDE)
    ]


def way(model: TriplaneHead, first: Codes, second: Codes) -> list[Picture]:
    """Eq. 6.1: from ``first`` to ``second``."""
    return [shown(model, interpolate(first, second, float(share))) for share in np.linspace(0, 1, STEPS)]


def expression(model: TriplaneHead, weights: dict[str, float] | None = None) -> Code:
    """The expression code with these ``weights`` of components."""
    code = np.zeros_like(model.spaces[EXPRESSION].mean)
    for name, weight in (weights or {}).items():
        code[EXPRESSION_COMPONENTS.index(name)] = weight
    return code


def fits(trial: Trial, maker: HeadMaker, count: int) -> list[list[Picture]]:
    """A row for each held-out head: its frame, the fit from two sides, and the true head from there."""
    rows = []
    for head, frame in heads(maker, count, Noise(), 1):
        codes = trial.codes(frame)[0]
        true = head.head.codes(maker)
        rows.append(
            [depths(frame)] + [shown(trial.model, one, camera) for camera in (AHEAD, BESIDE) for one in (codes, true)]
        )
    return rows


def ablated(models: list[TriplaneHead], maker: HeadMaker, count: int) -> list[list[Picture]]:
    """Two rows for each held-out head: what every one of ``models`` makes of its true codes, from two sides."""
    people = [head.head.codes(maker) for head, _ in heads(maker, count, Noise(), 1)]
    return [[shown(model, codes, camera) for model in models] for codes in people for camera in (AHEAD, BESIDE)]


def depths(frame: DepthFrame) -> Picture:
    """A frame, near points bright."""
    step = max(1, round(len(frame.depth) / SIZE))
    known = frame.depth[::step, ::step][:SIZE, :SIZE]
    near, far = np.percentile(known[known > 0], [1, 99])
    grey = np.where(known > 0, 60 + 195 * np.clip((far - known) / (far - near), 0, 1), 0).astype(np.uint8)
    picture = Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    return np.repeat(np.asarray(picture)[..., None], 3, axis=2)


def sheet(rows: list[list[Picture]]) -> Image.Image:
    """Rows of pictures, one below the other."""
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows]))


def main(
    out: Annotated[Path, typer.Option(help="the folder of the pictures")],
    bundle: Annotated[str, typer.Option(help="name or folder of the bundle")] = "triplane-studio",
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    hair: Annotated[Path, typer.Option(help="folder of the shells of hair, made if missing")] = Path("runs/heads"),
    count: Annotated[int, typer.Option(help="held-out heads")] = 4,
    ablation: Annotated[list[str] | None, typer.Option(help="a bundle of an ablation; may be repeated")] = None,
) -> None:
    """Draw what a tri-plane head does."""
    out.mkdir(parents=True, exist_ok=True)
    if ablation:
        models = [load_head(one) for one in ablation]
        sheet(ablated(models, studio_maker(data, hair), count)).save(out / "head_ablation.jpg", quality=88)
        return
    model = load_head(bundle)
    people = [model.spaces[IDENTITY].random(np.random.default_rng(seed)) for seed in (1, 2)]
    still, smile, shout = (expression(model, weights) for weights in ({}, SMILE, SHOUT))
    first, second = ({IDENTITY: one, EXPRESSION: still} for one in people)
    ways = [way(model, first, second), way(model, {**first, EXPRESSION: smile}, {**first, EXPRESSION: shout})]
    sheet([*samples(model, range(10, 10 + SAMPLED)), *ways]).save(out / "heads.jpg", quality=88)
    sheet(fits(Trial(model), studio_maker(data, hair), count)).save(out / "head_fits.jpg", quality=88)


if __name__ == "__main__":
    typer.run(main)
