"""Draws what a trained HeadNeRF has learned: ``python -m training.headnerf_pictures --out docs/headnerf.jpg``.

A column is a held-out studio head: the studio's picture, the model's from the same codes, the same head turned to both
sides, laughing, and in even light.
"""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from faceeditor.editing.controls import set_slider
from faceeditor.faces.face import Face
from faceeditor.faces.layout import LIGHT
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import RadianceModel
from training.evaluate import held_out
from training.studio.factors import StudioFactors, neutral_light
from training.studio.renderer import Studio

SIZE: Final = 256
TURNS: Final = (-50.0, 50.0)
LAUGH: Final = {"expression.mouthSmileLeft": 0.8, "expression.mouthSmileRight": 0.8, "expression.jawOpen": 0.35}


def column(studio: Studio, model: RadianceModel, factors: StudioFactors) -> NDArray[np.uint8]:
    """The pictures of one head, one below the other."""
    face = Face("", model.name, dict(factors.codes), factors.camera)
    laughing = face
    for key, amount in LAUGH.items():
        laughing = set_slider(laughing, model.spaces, key, amount)
    faces = [
        face,
        *(face.replace(camera=face.camera.replace(yaw=yaw)) for yaw in TURNS),
        laughing,
        face.with_code(LIGHT, neutral_light()),
    ]
    drawn = [model.render(one.codes, one.camera, SIZE).over() for one in faces]
    return np.concatenate([studio.shoot(factors, SIZE).picture_srgb, *drawn])


def main(
    out: Annotated[Path, typer.Option(help="the picture that is written")] = Path("docs/headnerf.jpg"),
    model: Annotated[str, typer.Option(help="name of the bundle")] = "headnerf-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="heads")] = 8,
) -> None:
    """Draw them."""
    studio, network = Studio.open(data), load_model(model)
    columns = [column(studio, network, factors) for factors in held_out(count)]
    Image.fromarray(np.concatenate(columns, axis=1)).save(out, quality=88)


if __name__ == "__main__":
    typer.run(main)
