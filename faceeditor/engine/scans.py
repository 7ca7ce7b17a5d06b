"""What jobs do with scans on the inference thread: find the face, fit a surface model to it, measure the fit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import trimesh
from numpy.typing import NDArray

from faceeditor.editing.texture import bake_texture
from faceeditor.engine.exports import reader_name, require_quality
from faceeditor.engine.jobs import Steps
from faceeditor.engine.runtime import one_thread, preload
from faceeditor.faces.face import TEXTURE, Face, Origin
from faceeditor.faces.latents import Codes
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.models.face_mesh import TEMPLATE

if TYPE_CHECKING:
    from faceeditor.files.depth import Intrinsics
    from faceeditor.fitting.scan_placing import Placement

RESOLUTION: Final = {"draft": 64, "standard": 160, "best": 256}
"""Of the surface that is measured against the scan, cells a side."""
KEPT_POINTS: Final = 30_000
"""Points of the scan that a face keeps, for heat maps."""
PLACED, FITTED = 0.25, 0.85
"""Progress at which the face was found, and fitted."""


@dataclass(frozen=True, eq=False)
class Source:
    """The scan in the file at ``path``; a depth picture has ``intrinsics``. ``marked`` (5, 3) are the artist's points
    in the scan's own unit and axes, in the order of :data:`faceeditor.fitting.scan_placing.MARKED`.
    """

    path: Path
    marked: NDArray[np.floating] | None = None
    intrinsics: "Intrinsics | None" = None


@one_thread()
def place(model_of: Callable[[str], Any], source: Source, step: Steps) -> tuple[Scan, "Placement"]:
    """The scan and where its face is. Raises ``UserError`` for a file that is no scan of a face."""
    from faceeditor.files.scans import read_scan
    from faceeditor.fitting.scan_placing import place_by_points, place_scan

    step(0.0, "Reading the scan")
    scan = read_scan(source.path, source.intrinsics)
    step(0.03, "Finding the face")
    reader, template = model_of(reader_name()), model_of(TEMPLATE)
    if source.marked is None:
        return scan, place_scan(scan, reader, template, lambda: step(0.05))
    return scan, place_by_points(scan, source.marked, reader, template, lambda: step(0.05))


@one_thread()
def fit(model_of: Callable[[str], Any], source: Source, name: str, quality: str, step: Steps) -> Face:
    """Fits the model ``name`` to a scan; faces as they are now stream by ``step``. Raises ``UserError``."""
    from faceeditor.fitting.progress import FitProgress
    from faceeditor.fitting.scan_fitters import fitter_of

    require_quality(quality)
    Thread(target=preload, daemon=True).start()
    model = model_of(name)
    fitter = fitter_of(model)
    scan, placement = place(model_of, source, step)

    def on_step(progress: FitProgress, codes: Codes | None) -> None:
        face = None if codes is None else Face(source.path.stem, name, codes)
        step(PLACED + (FITTED - PLACED) * progress.fraction, progress.message, face)

    found = fitter.fit(scan, placement, model, model_of(TEMPLATE), quality, on_step)
    step(FITTED, "Measuring the fit")
    figures, points = measure(model, scan, found.similarity, found.codes, RESOLUTION[quality], step)
    figures |= found.figures
    origin = Origin("scan", source.path.name, figures=figures, placement=found.similarity, scan_points=points)
    face = Face(source.path.stem, name, found.codes, origin=origin)
    if scan.colours_srgb is None and scan.texture_srgb is None:
        return face
    step(0.95, "Baking the texture")
    texture = bake_texture(scan, found.similarity, model.mesh(found.codes))
    return face.replace(refinement={TEXTURE: texture})


def measure(
    model: Any, scan: Scan, placement: Similarity, codes: Codes, resolution: int, step: Steps
) -> tuple[dict[str, float], NDArray[np.float32]]:
    """The figures of a fit, and points of the scan's face in head space."""
    from faceeditor.fitting.scan_fitters import fitter_of
    from faceeditor.fitting.scan_measures import compare

    fitter = fitter_of(model)
    front = fitter.front(scan, placement, model)
    surface = model.extract(codes, resolution)
    step(0.9)
    origin, unit = np.array(model.config.origin), model.config.unit
    own = trimesh.Trimesh((surface.vertices - origin) / unit, surface.faces, process=False)
    figures = compare(front, fitter.comparable(own), unit)
    random = np.random.default_rng(0)
    points, _, _ = front.sample(KEPT_POINTS, random, np.asarray(~front.bridge, np.float64))
    return figures, (points * unit + origin).astype(np.float32)
