"""How fast this machine makes surfaces: a dragged slider, and the extraction of a face beside the dense grid."""

import statistics
import time
from typing import Final

import numpy as np

from faceeditor.engine.jobs import Steps
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.models.extraction import Extraction, face_extraction
from faceeditor.models.imface import CHUNK, ImFace
from faceeditor.rendering.isosurface import Points

RESOLUTION: Final = 256
SHARE: Final = 1 / 32
"""Part of the dense grid's chunks that are timed, drawn at random; all of them would take minutes."""
DRAGGED: Final = "jawOpen"
MOVES: Final = 24
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
    began = time.perf_counter()
    task = face_extraction(model, codes)
    found = task.sparse(RESOLUTION)
    sparse = time.perf_counter() - began
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


def _drag(model: ImFace, codes: dict[str, np.ndarray], step: Steps) -> tuple[float, int]:
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
