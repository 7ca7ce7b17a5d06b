"""Draws what a refiner does: ``python -m training.refiner_pictures --out docs/refiner.jpg``.

A row is a held-out studio head: a model's picture of the true codes, the same refined, and the studio's picture; then
the same three of its eyes and nose.
"""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from faceeditor.models.bundle import load_model
from faceeditor.models.contract import RadianceModel, Refiner
from training.evaluate import held_out
from training.evaluate_refiner import load_refiner
from training.studio.factors import StudioFactors
from training.studio.renderer import Studio

SIZE: Final = 256
CLOSE: Final = 96
"""Pixels a side of what is shown larger."""


def row(studio: Studio, model: RadianceModel, refiner: Refiner, factors: StudioFactors) -> NDArray[np.uint8]:
    """The pictures of one head, side by side."""
    frame = model.render(factors.codes, factors.camera, SIZE)
    shot = studio.shoot(factors, SIZE, truth=False)
    pictures = [frame.over(), refiner.refine(frame).over(), shot.picture_srgb]
    x, y = shot.landmarks[27:31].mean(0)
    left, top = (int(np.clip(middle - CLOSE / 2, 0, SIZE - CLOSE)) for middle in (x, y))
    parts = [one[top : top + CLOSE, left : left + CLOSE] for one in pictures]
    larger = [np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.NEAREST)) for one in parts]
    return np.concatenate([*pictures, *larger], axis=1)


def main(
    out: Annotated[Path, typer.Option(help="the picture that is written")] = Path("docs/refiner.jpg"),
    refiner: Annotated[str, typer.Option(help="name or folder of the refiner's bundle")] = "refiner-studio",
    models: Annotated[
        str, typer.Option(help="names of the bundles that draw, separated by commas")
    ] = "infamous-studio,headnerf-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="heads of each model")] = 2,
) -> None:
    """Draw them."""
    studio, network = Studio.open(data), load_refiner(refiner)
    rows = [
        row(studio, model, network, factors)
        for model in map(load_model, models.split(","))
        for factors in held_out(count)
    ]
    Image.fromarray(np.concatenate(rows)).save(out, quality=90)


if __name__ == "__main__":
    typer.run(main)
