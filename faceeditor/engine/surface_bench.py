"""How fast this machine makes surfaces: a dragged slider, and the extraction of a face, or of a head, beside the dense
grid.
"""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from faceeditor.engine.jobs import Steps
from faceeditor.faces.latents import Codes
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.contract import MeshModel, Quality
from faceeditor.models.extraction import Extraction, face_extraction
from faceeditor.models.imface import ImFace
from faceeditor.models.triplane import TriplaneHead
from faceeditor.rendering.isosurface import CHUNK, Isosurface, Points

RESOLUTION: Final = 256
SHARE: Final = 1 / 32
"""Part of the dense grid's chunks that are timed, drawn at random; all of them would take minutes."""
DRAGGED: Final = "jawOpen"
MOVES: Final = 24
PEOPLE: Final = 5
"""People drawn at random whose meshes are timed, after one that warms up."""
EXTRACTED: Final = 11
"""People whose surfaces are extracted, as many as there are hair styles and none: their sizes differ by 2.6."""
MESHED: Final = 128
"""Cells of their meshes."""
WARM: Final = 4
STEP: Final = 0.04
"""How far the slider goes between two surfaces: all the way in two and a half seconds at ten a second."""


def surfaces(model: ImFace, step: Steps) -> dict[str, float]:
    """The figures of ``model`` for its mean face.

    ``surface.drag_fps`` are the fixed-topology meshes a second, of ``surface.vertices`` vertices, while ``jawOpen`` is
    dragged; ``extraction.seconds_256`` is the sparse extraction at 256 cells, with the measuring of its bound and the
    meshing; ``extraction.imface_vs_dense`` how many times longer the dense grid of the same network takes.
    ``extraction.dense_seconds_256_from_sampled_chunks`` is that dense time, *estimated* in the same run: a random 1/32
    of the grid's chunks, timed, times 32; its meshing is not counted.
    """
    codes = {name: space.mean for name, space in model.spaces.items()}
    codes[EXPRESSION] = np.zeros_like(codes[EXPRESSION])
    fps, vertices = _drag(model, codes, step)
    task = face_extraction(model, codes)
    sparse, found = _extracted(task)
    step(0.5)
    dense = _dense(task, step)
    return {
        "surface.drag_fps": fps,
        "surface.vertices": float(vertices),
        "extraction.seconds_256": sparse,
        "extraction.evaluations_256": float(found.evaluations),
        "extraction.lipschitz": task.lipschitz,
        "extraction.dense_seconds_256_from_sampled_chunks": dense,
        "extraction.imface_vs_dense": dense / sparse,
    }


def heads(model: TriplaneHead, step: Steps) -> dict[str, float]:
    """The same figures of whole heads of ``model``: ``head.drag_fps`` and ``head.vertices`` while ``jawOpen`` is
    dragged, ``head.identity_fps`` while an identity is, ``extraction.triplane_seconds_256`` and ``..._vs_dense`` for
    the one of several people at rest who takes the median time, for hair makes surfaces of very different sizes;
    ``extraction.triplane_128_s`` is the median time from the code of a person drawn at random to the posed mesh at 128
    cells, with normals and texture places, and with planes where their hair was not seen of late.
    """
    random, still = np.random.default_rng(0), np.zeros_like(model.spaces[EXPRESSION].mean)

    def person() -> Codes:
        return {IDENTITY: model.spaces[IDENTITY].random(random), EXPRESSION: still}

    fps, vertices = _drag(model, person(), step)
    someone, steps = person(), itertools.count(1)

    def dragged() -> None:
        face = someone[IDENTITY].copy()
        face[0] += STEP * next(steps)
        model.mesh({**someone, IDENTITY: face}, quality=Quality.MOVING)

    moving = _median_seconds(dragged, step)
    meshed = _median_seconds(lambda: model.extract(person(), MESHED), step)
    each = []
    for _ in range(EXTRACTED):
        task = model.mesher.extraction(person()[IDENTITY])
        each.append((*_extracted(task), task))
        step(0.05)
    sparse, found, task = sorted(each, key=lambda one: one[0])[EXTRACTED // 2]
    dense = _dense(task, step)
    return {
        "head.drag_fps": fps,
        "head.vertices": float(vertices),
        "head.identity_fps": 1 / moving,
        "extraction.triplane_seconds_256": sparse,
        "extraction.triplane_evaluations_256": float(found.evaluations),
        "extraction.triplane_lipschitz": task.lipschitz,
        "extraction.triplane_dense_seconds_256_from_sampled_chunks": dense,
        "extraction.triplane_vs_dense": dense / sparse,
        "extraction.triplane_128_s": meshed,
    }


def _extracted(task: Extraction) -> tuple[float, Isosurface]:
    """The seconds that the sparse surface takes, with the measuring of its bound, and the surface."""
    began = time.perf_counter()
    found = task.sparse(RESOLUTION)
    return time.perf_counter() - began, found


def _median_seconds(make: Callable[[], object], step: Steps) -> float:
    times = []
    for _ in range(1 + PEOPLE):
        began = time.perf_counter()
        make()
        times.append(time.perf_counter() - began)
        step(0.0)
    return statistics.median(times[1:])


def _drag(model: MeshModel, codes: Codes, step: Steps) -> tuple[float, int]:
    """Meshes a second and their vertices while the mouth of a face is opened again and again."""
    times, count = [], 0
    for index in range(WARM + MOVES):
        expression = codes[EXPRESSION].copy()
        expression[EXPRESSION_COMPONENTS.index(DRAGGED)] = STEP * index % 1.0
        began = time.perf_counter()
        count = len(model.mesh({**codes, EXPRESSION: expression}).vertices)
        times.append(time.perf_counter() - began)
        step(0.0)
    return 1 / statistics.median(times[WARM:]), count


def _dense(task: Extraction, step: Steps) -> float:
    """Seconds, extrapolated, that all corners of the grid take, in chunks of neighbours as a dense extraction asks."""
    corners = (RESOLUTION + 1) ** 3
    chunks = -(-corners // CHUNK)
    chosen = np.random.default_rng(0).choice(chunks, round(chunks * SHARE), replace=False)
    task.sdf(_corners(task, int(chosen[0])))
    spent = 0.0
    for number in chosen:
        points = _corners(task, int(number))
        began = time.perf_counter()
        task.sdf(points)
        spent += time.perf_counter() - began
        step(0.5)
    return spent * chunks / len(chosen)


def _corners(task: Extraction, chunk: int) -> Points:
    side = RESOLUTION + 1
    index = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, side**3))
    place = np.stack(np.unravel_index(index, (side,) * 3), axis=-1)
    low, high = np.array(task.low), np.array(task.high)
    return np.asarray(low + place * ((high - low).max() / RESOLUTION), np.float32)
