"""Measures tri-plane heads as section 5.3 of the thesis does: fits to one depth frame of heads never trained on.

``python -m training.evaluate triplane`` prints the tables.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from faceeditor.engine.scans import Source, place
from faceeditor.errors import UserError
from faceeditor.faces.latents import Codes
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.head_fit import FLOOR
from faceeditor.fitting.scan_fitters import fitter_of
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.triplane import TriplaneHead
from training.head_measures import SAMPLES, Surface, compare
from training.triplane_carving import Carving
from training.triplane_frames import DepthFrame, KnownHead, held_out_frame
from training.triplane_scans import HeadMaker

EDGE: Final = 0.97
"""The share of the ball's radius within which heads are compared: some pony tails reach out of it."""
FIRST: Final = 4
"""The number of the first held-out head that is measured: fits were tuned on those before."""
RESOLUTION: Final = 256
PIXELS: Final = 384
PROBES: Final = 500_000
"""Points that tell which triangles are on the outer surface."""
STRAY, SPACE_POINTS = 0.01, 20_000
"""Metres off the head, outside, where nothing should be, and random points in the ball that tell whether there is."""
THESIS: Final = {"chamfer_l1_mm": 0.820, "normal_consistency": 0.948, "fscore_1mm": 0.989}
"""Table 6.1, whole heads, on NPHM's scans: other data than ours."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Noise:
    """Of a depth frame: ``sigma`` metres, a share of ``missing`` pixels."""

    sigma: float = 0.0003
    missing: float = 0.1


NOISES: Final[Mapping[str, Noise]] = {
    **{f"sigma {1000 * sigma:g} mm": Noise(sigma) for sigma in (0.0, 0.0005, 0.001, 0.002)},
    **{f"{100 * missing:g} % missing": Noise(missing=missing) for missing in (0.1, 0.3, 0.5)},
}
"""The noise study."""
USUAL: Final = "usual"
"""What fits are made to where no study is asked for."""
KNOWN: Final = "true codes"
"""What stands for the noise of figures without a fit."""


@dataclass(frozen=True)
class Row:
    """What was measured of one head: the figures of a ``bundle`` with the codes of the truth (``source`` is
    :data:`KNOWN`) or of its fit to a frame with the noise of that name; none where no fit was found.
    """

    head: int
    bundle: str
    source: str
    figures: Figures | None


@dataclass(frozen=True, eq=False)
class TrueHead:
    """A studio head that was never trained on, with ``samples`` points of its outer surface."""

    maker: HeadMaker
    head: KnownHead
    samples: int

    @cached_property
    def surface(self) -> tuple[Surface, NDArray[np.bool_]]:
        """Points of what can be seen from somewhere, and which of them are in the face."""
        head = self.head
        facial = np.append(self.maker.facial, np.zeros(len(head.faces) - head.bare, bool))
        drawn, face = self.outer(head.vertices, head.faces)
        return drawn, facial[face]

    @cached_property
    def space(self) -> NDArray[np.float64]:
        """Random points (N, 3) of the ball outside the head, well off its surface."""
        ball, random = self.maker.ball, np.random.default_rng(0)
        ways = random.standard_normal((SPACE_POINTS, 3))
        reach = EDGE * ball.radius * random.random((SPACE_POINTS, 1)) ** (1 / 3)
        points: NDArray[np.float64] = ball.centre + reach * ways / np.linalg.norm(ways, axis=1, keepdims=True)
        apart = cKDTree(self.surface[0].points).query(points, workers=-1)[0] > STRAY
        chosen: NDArray[np.float64] = points[apart & self.carving.outside(points) & (points[:, 1] > FLOOR)]
        return chosen

    @cached_property
    def carving(self) -> Carving:
        """What can be seen of the head, and what of the space around it."""
        maker = self.maker
        return Carving.of(self.head.vertices, self.head.faces, maker.ball, maker.rasteriser, size=PIXELS)

    def outer(self, vertices: NDArray[Any], faces: NDArray[np.integer]) -> tuple[Surface, NDArray[np.int64]]:
        """Points of a mesh in head space that a scanner all around it sees, as of the thesis' scans, where the model
        knows heads, and the triangles (N,) that they lie in.
        """
        maker = self.maker
        carving = Carving.of(vertices, faces, maker.ball, maker.rasteriser, size=PIXELS)
        probes, face = Surface.with_faces(vertices, faces, PROBES)
        seen = carving.visible(probes.points, probes.normals)
        shown = np.bincount(face[seen], minlength=len(faces)) * 2 > np.bincount(face, minlength=len(faces))
        kept = np.flatnonzero(shown)
        drawn, row = Surface.with_faces(vertices, faces[kept], self.samples)
        known = np.linalg.norm(drawn.points - maker.ball.centre, axis=1) < EDGE * maker.ball.radius
        known &= drawn.points[:, 1] > FLOOR  # no frame tells where a neck was cut off
        return drawn.where(known), kept[row[known]]

    def compared(self, vertices: NDArray[Any], faces: NDArray[np.integer]) -> Figures:
        """Section 5.3 for a mesh in head space, of the head and of the face alone."""
        true, facial = self.surface
        found, _ = self.outer(vertices, faces)
        in_face = facial[cKDTree(true.points).query(found.points, workers=-1)[1]]
        face = compare(found.where(in_face), true.where(facial))
        return {**compare(found, true), **{f"face_{name}": value for name, value in face.items()}}


@dataclass(frozen=True, eq=False)
class Trial:
    """Fits of ``model`` as the program makes them from files, with ``quality``."""

    model: TriplaneHead
    quality: str = "standard"

    def codes(self, frame: DepthFrame) -> tuple[Codes, Similarity, Figures]:
        """The codes of a fit to ``frame``, the similarity from its reader's space to head space, what the fit tells."""
        with TemporaryDirectory() as folder:
            picture, _ = frame.write(Path(folder))
            scan, placement = place(load_model, Source(picture, intrinsics=frame.intrinsics), lambda *told: None)
        template = load_model("template-studio")
        fit = fitter_of(self.model).fit
        found = fit(scan, placement, self.model, template, self.quality, lambda *told: None)
        return found.codes, found.similarity, dict(found.figures)

    def fitted(self, head: TrueHead, frame: DepthFrame) -> Figures:
        """The figures of a fit to ``frame``."""
        began = time.monotonic()
        codes, similarity, told = self.codes(frame)
        seconds = time.monotonic() - began
        vertices, faces = self._mesh(codes)
        vertices = frame.truth.to_head(similarity.inverse().to_head(vertices))
        return {**head.compared(vertices, faces), **told, "seconds": seconds}

    def known(self, head: TrueHead) -> Figures:
        """The figures with the codes that the head was made of; ``stray_percent`` of the space outside the head, well
        off its surface, is inside of what the model makes.
        """
        codes = head.head.codes(head.maker)
        stray = 100 * float((self.model.sdf(head.space, codes) < 0).mean())
        return {**head.compared(*self._mesh(codes)), "stray_percent": stray}

    def _mesh(self, codes: Codes) -> tuple[NDArray[Any], NDArray[np.integer]]:
        mesh = self.model.extract(codes, RESOLUTION)
        return mesh.vertices.astype(np.float64), mesh.faces


def load_head(bundle: str) -> TriplaneHead:
    """The tri-plane head with this name, or in this folder. Raises ``UserError`` when it is another model."""
    folder = Path(bundle)
    model = (
        TriplaneHead.from_bundle(read_bundle(folder), torch.device("cpu")) if folder.is_dir() else load_model(bundle)
    )
    if not isinstance(model, TriplaneHead):
        raise UserError(f"{bundle} is no tri-plane head; name one.")
    return model


def noises(names: list[str]) -> dict[str, Noise]:
    """The levels of the noise study with these names; what is usual without any. Raises ``UserError``."""
    known = {USUAL: Noise(), **NOISES}
    chosen = list(NOISES) if names == ["all"] else names or [USUAL]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no level of noise; choose {', '.join(known)} or all.")
    return {name: known[name] for name in chosen}


def heads(maker: HeadMaker, count: int, noise: Noise, samples: int) -> Iterator[tuple[TrueHead, DepthFrame]]:
    """``count`` held-out heads with a frame of each."""
    for number in range(FIRST, FIRST + count):
        head, frame = held_out_frame(maker, number, PIXELS, noise.sigma, noise.missing)
        yield TrueHead(maker, head, samples), frame


def study(
    trials: Mapping[str, Trial], noises: Mapping[str, Noise], maker: HeadMaker, count: int, samples: int = SAMPLES
) -> Iterator[Row]:
    """Figures of ``count`` heads: of every trial with the true codes, and of its fits with each of ``noises``."""
    for number in range(FIRST, FIRST + count):
        true = TrueHead(maker, KnownHead.of(maker, number), samples)
        frames = {
            name: held_out_frame(maker, number, PIXELS, one.sigma, one.missing)[1] for name, one in noises.items()
        }
        for bundle, trial in trials.items():
            yield Row(number, bundle, KNOWN, _if_any(partial(trial.known, true)))
            for name, frame in frames.items():
                yield Row(number, bundle, name, _if_any(partial(trial.fitted, true, frame)))


def _if_any(measure: Callable[[], Figures]) -> Figures | None:
    try:
        return measure()
    except UserError as error:
        print(error)
        return None


def means(rows: Iterable[Row]) -> dict[str, dict[str, Figures]]:
    """The mean of every figure by bundle and by what was fitted to; ``lost`` counts heads that no fit was found of."""
    found: dict[str, dict[str, list[Figures | None]]] = {}
    for row in rows:
        found.setdefault(row.bundle, {}).setdefault(row.source, []).append(row.figures)
    return {bundle: {source: _mean(all_) for source, all_ in sources.items()} for bundle, sources in found.items()}


def _mean(figures: list[Figures | None]) -> Figures:
    fitted = [one for one in figures if one is not None]
    names = fitted[0] if fitted else ()
    return {"lost": len(figures) - len(fitted)} | {
        name: round(float(np.mean([one[name] for one in fitted])), 4) for name in names
    }
