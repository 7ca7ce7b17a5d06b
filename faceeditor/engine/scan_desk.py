"""Where 3D scans and depth pictures become faces."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from faceeditor.editing.document import Document, FaceId, new_id
from faceeditor.engine.engine import Engine
from faceeditor.engine.jobs import Deliver, Job, Steps
from faceeditor.faces.face import Face

if TYPE_CHECKING:
    from faceeditor.faces.scan import Scan
    from faceeditor.files.depth import Intrinsics
    from faceeditor.fitting.scan_placing import Placement

SCAN_MODEL: Final = "imface-studio"
"""The model that scans are fitted with unless another is named."""


class ScanDesk:
    """The verbs of scans over a document and an engine."""

    document: Document
    engine: Engine
    _deliver: Deliver

    def place_scan(
        self, path: Path, *, marked: NDArray[np.float64] | None = None, intrinsics: "Intrinsics | None" = None
    ) -> Job[tuple["Scan", "Placement"]]:
        """The scan and where its face is, for the artist to correct before :meth:`fit_scan`."""
        from faceeditor.engine import scans

        source = scans.Source(path, marked, intrinsics)
        return self.engine.submit(f"Look at {path.name}", lambda step: scans.place(self.engine.model, source, step))

    def fit_scan(
        self,
        path: Path,
        *,
        quality: str = "standard",
        model: str | None = None,
        marked: NDArray[np.float64] | None = None,
        intrinsics: "Intrinsics | None" = None,
    ) -> Job[FaceId]:
        """Makes a face from a 3D scan; the surface streams by the job as a face, which is added when it is done.

        ``marked`` (5, 3) are points that the artist marked, in the scan's own unit and axes: outer eye corners, nose
        tip, mouth corners, the subject's right before the left. A depth picture has ``intrinsics``.
        """
        from faceeditor.engine import scans

        name, source = model or SCAN_MODEL, scans.Source(path, marked, intrinsics)

        def work(step: Steps) -> FaceId:
            face = scans.fit(self.engine.model, source, name, quality, step)
            face_id = new_id()
            self._deliver(lambda: self._add_fitted(face, face_id))
            return face_id

        return self.engine.submit(f"Fit {path.name}", work)

    def _add_fitted(self, face: Face, face_id: FaceId) -> None:
        self.document.add(face, f"Fit {face.name}", face_id)
