"""Which models can be fitted to scans, and how: the one place that knows. A new kind of model is one entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
import trimesh

from faceeditor.errors import UserError
from faceeditor.faces.latents import Codes
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.front_surface import FrontSurface, NoSurface
from faceeditor.fitting.head_fit import FLOOR, fit_head
from faceeditor.fitting.progress import FitProgress
from faceeditor.fitting.scan_fit import fit_scan, front_of
from faceeditor.fitting.scan_placing import Placement
from faceeditor.models.imface import ImFace
from faceeditor.models.template import Template
from faceeditor.models.triplane import TriplaneHead

OnStep = Callable[[FitProgress, Codes | None], None]


@dataclass(frozen=True, eq=False)
class Found:
    """What a fit found: the ``codes``, the ``similarity`` from the scan to head space, and ``figures`` that only this
    kind of fit knows.
    """

    codes: Codes
    similarity: Similarity
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ScanFitter:
    """How a kind of model is fitted; ``whole`` says that it has more than a front, of which a scan shows only that."""

    fit: Callable[[Scan, Placement, Any, Template, str, OnStep], Found]
    whole: bool

    def front(self, scan: Scan, placed: Similarity, model: Any) -> FrontSurface:
        """The front of a scan that can be compared with a fit, in the model's unit. Raises ``UserError``."""
        vertices, faces = scan.vertices, scan.faces
        if self.whole:
            above = placed.to_head(vertices)[:, 1] > FLOOR
            vertices, faces = (vertices[above], None) if faces is None else (vertices, faces[above[faces].all(1)])
        return front_of(vertices, faces, placed, model.config)

    def comparable(self, surface: trimesh.Trimesh) -> trimesh.Trimesh:
        """What of a fitted ``surface``, in the model's unit, can be compared with a scan's front."""
        if not self.whole:
            return surface
        try:
            front = FrontSurface.of(np.asarray(surface.vertices), np.asarray(surface.faces))
        except NoSurface:
            return surface
        return trimesh.Trimesh(front.vertices, front.faces[~front.bridge], process=False)


def fitter_of(model: object) -> ScanFitter:
    """How ``model`` is fitted. Raises ``UserError`` for one that cannot be."""
    for kind, fitter in FITTERS.items():
        if isinstance(model, kind):
            return fitter
    name = getattr(model, "name", "This model")
    raise UserError(f"{name} cannot be fitted to scans; choose a model with the capability 'surface'.")


def _front(scan: Scan, placement: Placement, model: ImFace, template: Template, quality: str, on_step: OnStep) -> Found:
    with torch.enable_grad():
        found = fit_scan(scan.vertices, scan.faces, placement, model, template, quality=quality, on_step=on_step)
    return Found(found.codes, found.similarity)


def _head(
    scan: Scan, placement: Placement, model: TriplaneHead, template: Template, quality: str, on_step: OnStep
) -> Found:
    found = fit_head(scan, placement, model, quality=quality, on_step=on_step)
    return Found(found.codes, found.similarity, {"traced_back_percent": 100 * found.roots.share})


FITTERS: Final[Mapping[type, ScanFitter]] = {
    ImFace: ScanFitter(_front, whole=False),
    TriplaneHead: ScanFitter(_head, whole=True),
}
