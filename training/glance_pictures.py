"""Draws what becomes of photos: at first sight, settled, refined, and edited after that.

``python -m training.glance_pictures --photos FOLDER --out docs/glance.jpg`` shows a photo a row: the photo; what the
encoder says; that, settled by least squares; the refining fit; with the jaw open; turned by 30 degrees to both sides;
in another light. It prints the figures of the glance and of the fit.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image

from faceeditor.editing.controls import set_slider
from faceeditor.errors import UserError
from faceeditor.faces.face import Face
from faceeditor.faces.layout import LIGHT
from faceeditor.files.images import read_image_srgb
from faceeditor.fitting.glance import at_first_sight, glance
from faceeditor.fitting.photo import fit_photo
from faceeditor.fitting.portrait import Portrait, analyse
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import AttributeEncoder, FittableModel
from training.studio.factors import neutral_light

SIZE: Final = 256
TURN: Final = 30.0
SUFFIXES: Final = (".jpg", ".jpeg", ".png")


def strip(
    portrait: Portrait, encoder: AttributeEncoder, model: FittableModel, quality: str
) -> tuple[list[NDArray[np.uint8]], dict[str, Mapping[str, float]]]:
    """The pictures of one row, and the figures of ``glance`` and ``refined``."""
    first, settled = at_first_sight(portrait, encoder, model), glance(portrait, encoder, model)
    with torch.enable_grad():
        refined = fit_photo(portrait, model, quality=quality)
    camera = refined.camera
    faces = [
        first,
        settled,
        refined,
        set_slider(refined, model.spaces, "expression.jawOpen", 0.6),
        refined.replace(camera=camera.replace(yaw=camera.yaw - TURN)),
        refined.replace(camera=camera.replace(yaw=camera.yaw + TURN)),
        refined.with_code(LIGHT, neutral_light()),
    ]
    photo = np.asarray(Image.fromarray(portrait.crop_srgb).resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    figures = {"glance": settled.origin.figures, "refined": refined.origin.figures}
    return [photo, *(drawn(model, face) for face in faces)], figures


def drawn(model: FittableModel, face: Face) -> NDArray[np.uint8]:
    """A picture of a row."""
    return model.render(face.codes, face.camera, SIZE, refinement=face.refinement or None).over()


def main(
    photos: Annotated[Path, typer.Option(help="a folder of photos")],
    out: Annotated[Path, typer.Option(help="the picture that is written")] = Path("docs/glance.jpg"),
    quality: Annotated[str, typer.Option(help="of the refining fit")] = "standard",
    encoder: Annotated[str, typer.Option(help="name of the encoder's bundle")] = "attributes-studio",
    model: Annotated[str, typer.Option(help="name of the bundle that draws")] = "guided-studio",
) -> None:
    """Draw what becomes of photos."""
    reader, eye, body = (load_model(name) for name in ("portrait-studio", encoder, model))
    rows: list[NDArray[np.uint8]] = []
    told: dict[str, Any] = {}
    try:
        for path in sorted(path for path in photos.iterdir() if path.suffix.lower() in SUFFIXES):
            pictures, figures = strip(analyse(read_image_srgb(path), reader), eye, body, quality)
            rows.append(np.concatenate(pictures, axis=1))
            told[path.stem] = {name: {key: round(v, 3) for key, v in row.items()} for name, row in figures.items()}
            print(json.dumps({path.stem: told[path.stem]}), flush=True)
    except UserError as error:
        raise SystemExit(str(error)) from None
    if not rows:
        raise SystemExit(f"There are no photos in {photos}; give a folder of .jpg or .png files.")
    Image.fromarray(np.concatenate(rows)).save(out, quality=85)


if __name__ == "__main__":
    typer.run(main)
