"""What jobs do on the inference thread: pictures, meshes and films to files, photos to faces."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from faceeditor.editing.transfer import blend
from faceeditor.engine.engine import able
from faceeditor.engine.jobs import Steps
from faceeditor.engine.requests import Background, Enhancement, compose
from faceeditor.errors import UserError
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Code
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.faces.mesh import Mesh
from faceeditor.files.images import write_exr, write_image
from faceeditor.files.meshes import write_mesh
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import write_video
from faceeditor.models.catalogue import catalogue
from faceeditor.models.contract import Frame, RadianceModel, Refiner, SurfaceModel

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".exr")
MESH_SUFFIXES: Final = (".glb", ".obj", ".ply", ".stl")
FILM_SUFFIXES: Final = (".mp4", ".gif")
QUALITIES: Final = ("draft", "standard", "best")
SMALLEST, LARGEST = 16, 4096

READER: Final = "portrait"
"""The architecture of the bundle that finds heads in photos."""
ENCODER: Final = "attributes"
"""The architecture of the bundle that tells a face at one glance."""
REFINER: Final = "refiner"
"""The architecture of the bundle that makes pictures finer."""
NO_REFINER: Final = "No refiner is installed, so pictures cannot be enhanced; put one into the models folder."


def unserved(model: str) -> str:
    """What is said where pictures of a ``model`` stay as they are, whatever was asked for."""
    return f"No refiner that is installed makes pictures of {model} better, so they are not enhanced."


Finish = Callable[[Frame], Frame]
"""What is done with a drawn picture before it is written."""

SWING: Final = 60.0
"""Degrees to either side that a turntable shows: models are trained on the front half."""


def finisher(models: Callable[[str], Any], enhancement: Enhancement | None, step: Steps) -> Finish:
    """What makes pictures finer, with one of the ``models`` by name; or leaves them as they are."""
    if enhancement is None:
        return lambda frame: frame
    refiner: Refiner = able(models(enhancement.refiner), "refining")
    return lambda frame: refiner.refine(frame, enhancement.seed, lambda: step(0.0))


def picture(
    model: Any,
    face: Face,
    path: Path,
    size: int,
    background: Background,
    mark: Provenance,
    step: Steps,
    finish: Finish,
) -> Path:
    """Draws ``face`` through its own camera; .exr keeps linear light, coverage and depth. Returns ``path``."""
    require_suffix(path, PICTURE_SUFFIXES, "picture")
    require_size(size)
    step(0.0, "Drawing")
    frame = finish(_frame(model, face, size))
    step(0.8, "Writing")
    if path.suffix.lower() == ".exr":
        write_exr(path, frame.rgb_linear, mark, alpha=frame.alpha, depth=frame.depth)
    else:
        write_image(path, compose(frame, background), mark)
    return path


def mesh(model: Any, face: Face, path: Path, mark: Provenance, step: Steps, resolution: int | None = None) -> Path:
    """Writes the surface of ``face``, for .glb with its texture and morphs. Returns ``path``.

    With a ``resolution`` it is the field's own surface, as fine as that many cells along its box, without morphs.
    """
    require_suffix(path, MESH_SUFFIXES, "mesh")
    step(0.0, "Building the surface")
    whole, textured = path.suffix.lower() == ".glb", path.suffix.lower() in (".glb", ".obj")
    with torch.no_grad():
        if resolution is None:
            surface = able(model, "mesh").mesh(face.codes, face.refinement, morphs=whole, textured=textured)
        else:
            surface = _extracted(model, face, resolution, textured, step)
    step(0.8, "Writing")
    write_mesh(path, surface, mark)
    return path


def _extracted(model: Any, face: Face, resolution: int, textured: bool, step: Steps) -> Mesh:
    surface: SurfaceModel = able(model, "surface")

    def breathe() -> None:
        step(0.1, "Extracting the surface")

    return surface.extract(face.codes, resolution, face.refinement, textured=textured, breathe=breathe)


def expressions(model: Any, face: Face, folder: Path, mark: Provenance, step: Steps) -> list[Path]:
    """Writes an .obj of the person's neutral face and one for each ARKit expression, all with the same vertices in the
    same order; the texture lies beside the neutral one. Returns their paths.
    """
    names = ["neutral", *ARKIT]
    paths = [folder / f"{name}.obj" for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    for index, (name, path) in enumerate(zip(names, paths, strict=True)):
        step(index / len(names), f"{name}: {index + 1} of {len(names)}")
        codes = {**face.codes, EXPRESSION: _named_expression(face.codes[EXPRESSION], ARKIT.get(name, ()))}
        with torch.no_grad():
            surface = able(model, "mesh").mesh(codes, face.refinement, textured=index == 0)
        write_mesh(path, surface, mark)
    return paths


def _named_expression(code: Code, parts: Sequence[str]) -> Code:
    named = np.zeros_like(code)
    named[[EXPRESSION_COMPONENTS.index(part) for part in parts]] = 1
    return named


def turntable(face: Face, frames: int) -> list[Face]:
    """``face`` seen from all around the front half, there and back, so that the film loops."""
    _require_frames(frames)
    angles = SWING * np.sin(np.arange(frames) * 2 * np.pi / frames)
    camera = face.camera.replace(yaw=0.0, pan=(0.0, 0.0))
    return [face.replace(camera=camera.replace(yaw=float(angle))) for angle in angles]


def interpolation(first: Face, second: Face, frames: int) -> list[Face]:
    """The faces from ``first`` to ``second``, both included."""
    _require_frames(frames)
    return [blend(first, second, float(amount)) for amount in np.linspace(0, 1, frames)]


def film(
    model: Any,
    faces: Sequence[Face],
    path: Path,
    fps: float,
    size: int,
    background: Background,
    mark: Provenance,
    step: Steps,
    finish: Finish,
) -> Path:
    """Draws ``faces`` one after the other into a film. Returns ``path``; nothing is left behind after Cancel."""
    require_suffix(path, FILM_SUFFIXES, "video")
    require_size(size)
    if not 1 <= fps <= 240:
        raise UserError("A film needs between 1 and 240 frames a second.")
    if background is None:
        raise UserError("A film cannot be transparent; choose another background.")
    with write_video(path, (size, size), fps, mark) as add:
        for index, face in enumerate(faces):
            step(index / len(faces), f"Frame {index + 1} of {len(faces)}")
            add(compose(finish(_frame(model, face, size)), background))
    return path


def require_quality(quality: str, qualities: Sequence[str] = QUALITIES) -> None:
    """Raises ``UserError`` unless ``quality`` is one of ``qualities``."""
    if quality not in qualities:
        raise UserError(f"{quality} is not a quality; choose {', '.join(qualities)}.")


def require_suffix(path: Path, suffixes: Sequence[str], what: str) -> None:
    """Raises ``UserError`` unless ``path`` ends in one of ``suffixes``."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{path.name} does not end like a {what}; use one of {', '.join(suffixes)}.")


def require_size(size: int) -> None:
    """Raises ``UserError`` unless pictures of ``size`` pixels can be drawn."""
    if not SMALLEST <= size <= LARGEST:
        raise UserError(f"A picture's size must lie between {SMALLEST} and {LARGEST} pixels.")


def name_of(architecture: str) -> str | None:
    """The name of the first usable bundle of an ``architecture``."""
    return next((info.name for info in catalogue() if info.architecture == architecture and not info.error), None)


def refiner_of(model: str) -> str | None:
    """The name of the first usable refiner that makes pictures of a ``model`` better."""
    able_to = (info for info in catalogue() if info.architecture == REFINER and not info.error)
    return next((info.name for info in able_to if not info.serves or model in info.serves), None)


def reader_name() -> str:
    """The name of the bundle that finds heads in photos."""
    found = name_of(READER)
    if found is None:
        raise UserError("The model that finds faces in photos is missing; install the program again.")
    return found


def _require_frames(frames: int) -> None:
    if not 2 <= frames <= 10_000:
        raise UserError("A film needs between 2 and 10000 frames.")


def _frame(model: Any, face: Face, size: int) -> Frame:
    with torch.no_grad():
        radiance: RadianceModel = able(model, "radiance")
        return radiance.render(face.codes, face.camera, size, refinement=face.refinement)
