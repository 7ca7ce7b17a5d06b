"""Draws what the program makes of people with INFAMOUS-NeRF: ``python -m training.infamous_pictures --out docs``.

``infamous_fits.jpg`` has a row for each held-out studio head: the studio's picture, the fit to it, the fitted face from
both sides, and with sliders elsewhere. ``infamous_swaps.jpg`` has a row for each face that takes: itself, and with the
appearance, the shape and the expression of the next one. All faces are fits, made, edited and given by the session.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from faceeditor.faces.face import Face
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import RadianceModel
from faceeditor.session import Session
from faceeditor.settings import Settings
from training.infamous_people import GROUPS, VIEWS, PeopleOptions
from training.studio.renderer import Studio

Picture = NDArray[np.uint8]

SIZE: Final = 256
TURNS: Final = (-40.0, 40.0)
LAUGH: Final = {"expression.mouthSmileLeft": 0.8, "expression.mouthSmileRight": 0.8, "expression.jawOpen": 0.4}
WINK: Final = {"expression.eyeBlinkLeft": 1.0, "expression.browInnerUp": 0.8}
GIVEN: Final = {"appearance": "skin,hair", "shape": "shape", "expression": "expression"}
"""What a swap is called, and the parts that it gives."""
FRONTAL: Final = 35.0
"""Degrees from which heads are turned too far to be shown."""
SEEN: Final = 0.9
"""The share of a face's landmarks that must not be hidden by its hair."""


def shown(studio: Studio, count: int) -> list[Picture]:
    """Pictures of so many held-out people who look about this way, whole and with the face free."""
    options = PeopleOptions(size=2 * SIZE, held_out=True)
    found: list[Picture] = []
    for number in itertools.count(0, GROUPS * VIEWS):
        camera = options.factors(number).camera
        if max(abs(camera.yaw), abs(camera.pitch)) < FRONTAL:
            shot = options.shoot(studio, number)
            if shot.visible.mean() > SEEN and not shot.coverage[0].any():
                found.append(shot.picture_srgb)
        if len(found) == count:
            break
    return found


def fits(session: Session, pictures: Sequence[Picture], model: str, quality: str) -> Iterator[str]:
    """Fitted faces of the document."""
    with TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures):
            path = Path(folder) / f"{number}.png"
            Image.fromarray(picture).save(path)
            yield session.wait(session.fit_photo(path, model=model, quality=quality))


def edited(session: Session, face_id: str, sliders: dict[str, float]) -> Face:
    """The face with sliders elsewhere; the document's stays as it is."""
    changed = session.duplicate(face_id)
    for key, amount in sliders.items():
        session.set_slider(changed, key, amount)
    return session.document[changed]


def given(session: Session, what: str, source: str, target: str) -> Face:
    """The target with parts of the source; the document's stays as it is."""
    changed = session.duplicate(target)
    session.transfer(what, source, changed)
    return session.document[changed]


def drawn(model: RadianceModel, face: Face) -> Picture:
    """The face over white."""
    return model.render(face.codes, face.camera, SIZE, refinement=face.refinement or None).over()


def fit_row(session: Session, model: RadianceModel, picture: Picture, face_id: str) -> Picture:
    """The pictures of one fit, side by side."""
    face = session.document[face_id]
    faces = [
        face,
        *(face.replace(camera=face.camera.replace(yaw=yaw)) for yaw in TURNS),
        edited(session, face_id, LAUGH),
        edited(session, face_id, WINK),
    ]
    small = np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BOX))
    return np.concatenate([small, *(drawn(model, one) for one in faces)], axis=1)


def swap_row(session: Session, model: RadianceModel, source: str, target: str) -> Picture:
    """The pictures of what one face takes of another, side by side."""
    faces = [session.document[target], *(given(session, what, source, target) for what in GIVEN.values())]
    return np.concatenate([drawn(model, one) for one in faces], axis=1)


def main(
    out: Annotated[Path, typer.Option(help="the folder of the pictures")] = Path("docs"),
    model: Annotated[str, typer.Option(help="name of the bundle")] = "infamous-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="people")] = 3,
    quality: Annotated[str, typer.Option(help="of the fits")] = "standard",
) -> None:
    """Fit, edit, give and draw."""
    pictures, network = shown(Studio.open(data), count), load_model(model)
    session = Session(Settings(), autosave=False)
    try:
        people = list(fits(session, pictures, model, quality))
        rows = [fit_row(session, network, *one) for one in zip(pictures, people, strict=True)]
        swaps = [swap_row(session, network, people[number - 1], people[number]) for number in range(count)]
    finally:
        session.close()
    for name, several in (("infamous_fits", rows), ("infamous_swaps", swaps)):
        Image.fromarray(np.concatenate(several)).save(out / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    typer.run(main)
