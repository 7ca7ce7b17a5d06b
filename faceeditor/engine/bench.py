"""How fast this machine draws: through the very engine that the window uses, beside a dense network in the same run."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import skimage.data
import torch
from PIL import Image

from faceeditor.editing.controls import neutral
from faceeditor.engine import photos
from faceeditor.engine.dense_reference import DenseReference
from faceeditor.engine.engine import Engine
from faceeditor.engine.exports import ENCODER, name_of
from faceeditor.engine.jobs import NO_STEPS, Steps, Work
from faceeditor.engine.photos import Photo
from faceeditor.engine.requests import Drawn, DrawRequest, Pace
from faceeditor.engine.surface_bench import heads, surfaces
from faceeditor.faces.face import Face
from faceeditor.faces.latents import Space, in_studio_coordinates
from faceeditor.faces.layout import EXPRESSION
from faceeditor.models.catalogue import catalogue
from faceeditor.models.contract import Quality, RadianceModel

FACE, HEAD = "imface", "triplane"
"""The architectures whose surfaces are measured."""
SIZE: Final = 256
FULL_SIZE: Final = 512
DRAG_SECONDS: Final = 3.0
DRAG_HZ: Final = 60.0
FRAMES: Final = 24
DENSE_FRAMES: Final = 3
PHOTO_SIZE: Final = 3000
GLANCES: Final = 3


def measure(name: str, threads: int | None = None, device: str = "auto") -> dict[str, Any]:
    """The figures of ``faceeditor bench`` for the model ``name``; medians, after warming up.

    ``frame.codes_ms`` and ``frame.camera_ms`` are coarse frames of 256 pixels after a code changed and after only the
    camera moved; ``frame.full_ms`` is a full-quality frame of 512 pixels after a code changed; ``frame.drag_fps``
    counts the 256-pixel frames that reach the owner while a slider is dragged through the engine;
    ``frame.ratio_to_dense_paper`` is how many times longer than ``frame.codes_ms`` a dense network of HeadNeRF's size
    takes for one frame of 256 pixels. Where an encoder is at hand, ``glance.encoder_ms`` is its one forward pass, and
    ``glance.first_picture_ms`` the time from a photo of nine million pixels in a file to the first picture of a face
    that can be edited. Where models of surfaces are at hand, the figures of
    :func:`faceeditor.engine.surface_bench.surfaces` and :func:`faceeditor.engine.surface_bench.heads` follow, and
    ``extraction.triplane_vs_imface``: how many times longer a face takes to extract at 256 cells than a whole head.
    """
    inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
    engine = Engine(inbox.put, device=device, threads=threads, pace=Pace((SIZE,)))
    try:
        spaces = engine.load(name).result().spaces
        generator = np.random.default_rng(1)
        codes = {space.name: space.random(generator) for space in spaces.values()}
        face = Face("bench", name, {**codes, EXPRESSION: neutral(spaces[EXPRESSION])})
        figures = engine.submit("Measure", lambda step: _frames(engine.model(name), face, spaces, step)).result()
        figures["frame.drag_fps"] = _drag(engine, inbox, face, spaces)
        dense = engine.submit("Measure the dense network", lambda step: _dense()).result()
        return {
            **figures,
            **_glance(engine, inbox, name),
            **_surface(engine),
            "frame.dense_paper_ms": dense,
            "frame.ratio_to_dense_paper": dense / figures["frame.codes_ms"],
            "model": name,
            "device": engine.device,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "machine": f"{platform.system()} {platform.machine()}",
        }
    finally:
        engine.close()


def _glance(engine: Engine, inbox: "SimpleQueue[Callable[[], None]]", name: str) -> dict[str, float]:
    encoder = name_of(ENCODER)
    spaces = engine.load(name).result().spaces
    if encoder is None or not in_studio_coordinates(spaces):
        return {}
    person = np.array(skimage.data.astronaut())  # type: ignore[no-untyped-call]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        Image.fromarray(person).resize((PHOTO_SIZE, PHOTO_SIZE)).save(path)
        seconds = [_first_picture(engine, inbox, path, name) for _ in range(GLANCES + 1)]

    def encoding(step: Steps) -> float:
        return _median_ms(lambda _: engine.model(encoder).encode(person[None]), FRAMES, step)

    return {
        "glance.encoder_ms": engine.submit("Measure the encoder", encoding).result(),
        "glance.first_picture_ms": statistics.median(seconds[1:]) * 1000,
    }


def _first_picture(engine: Engine, inbox: "SimpleQueue[Callable[[], None]]", path: Path, name: str) -> float:
    """Seconds from the photo at ``path`` to the coarse picture of the face that it tells."""
    arrived: list[Drawn] = []

    def take(drawn: Drawn) -> None:
        arrived.append(drawn)

    engine.drawn.connect(take)
    began = time.perf_counter()
    face, _ = engine.submit("Glance", lambda step: photos.glance(engine.model, Photo(path), name, step)).result()
    engine.draw(DrawRequest.of(face, target="glance", size=FULL_SIZE))
    while not any(drawn.request.codes is face.codes for drawn in arrived):
        inbox.get()()
    seconds = time.perf_counter() - began
    engine.forget("glance")
    engine.drawn.disconnect(take)
    return seconds


def _surface(engine: Engine) -> dict[str, Any]:
    """What the first models of faces and of heads at hand do, and how many times faster a head is extracted than a
    face; nothing where there are none.
    """
    figures: dict[str, Any] = {}
    for architecture, measured in ((FACE, surfaces), (HEAD, heads)):
        name = next((info.name for info in catalogue() if info.architecture == architecture and not info.error), None)
        if name is not None:
            figures |= engine.submit("Measure surfaces", _measuring(engine, name, measured)).result()
            figures["surface.model" if architecture == FACE else "head.model"] = name
    if {"extraction.seconds_256", "extraction.triplane_seconds_256"} <= figures.keys():
        ratio = figures["extraction.seconds_256"] / figures["extraction.triplane_seconds_256"]
        figures["extraction.triplane_vs_imface"] = ratio
    return figures


def _measuring(engine: Engine, name: str, measured: Callable[..., dict[str, float]]) -> Work[dict[str, float]]:
    return lambda step: measured(engine.model(name), step)


def _edited(face: Face, spaces: Mapping[str, Space], amount: float) -> Face:
    """``face`` with its first expression slider at ``amount``."""
    space = spaces[EXPRESSION]
    return face.with_code(EXPRESSION, space.moved(face.codes[EXPRESSION], space.directions[0], amount))


def _frames(model: RadianceModel, face: Face, spaces: Mapping[str, Space], step: Steps) -> dict[str, float]:
    amounts = np.linspace(0, 1, FRAMES)

    def codes(index: int) -> None:
        model.render(_edited(face, spaces, amounts[index]).codes, face.camera, SIZE, Quality.MOVING)

    def camera(index: int) -> None:
        model.render(face.codes, face.camera.replace(yaw=float(40 * amounts[index] - 20)), SIZE, Quality.MOVING)

    def full(index: int) -> None:
        model.render(_edited(face, spaces, amounts[index]).codes, face.camera, FULL_SIZE, Quality.FULL)

    with torch.no_grad():
        return {
            "frame.codes_ms": _median_ms(codes, FRAMES, step),
            "frame.camera_ms": _median_ms(camera, FRAMES, step),
            "frame.full_ms": _median_ms(full, FRAMES // 3, step),
        }


def _median_ms(draw: Callable[[int], object], count: int, step: Steps) -> float:
    times = []
    for index in range(count):
        began = time.perf_counter()
        draw(index)
        times.append(time.perf_counter() - began)
        step(0.0)
    return statistics.median(times[min(3, count // 2) :]) * 1000


def _drag(engine: Engine, inbox: "SimpleQueue[Callable[[], None]]", face: Face, spaces: Mapping[str, Space]) -> float:
    """Frames a second that arrive while a slider moves faster than anything can be drawn."""
    arrived: list[float] = []

    def take(drawn: Drawn) -> None:
        arrived.append(time.perf_counter())

    engine.drawn.connect(take)
    began = time.perf_counter()
    moves = 0
    while (now := time.perf_counter()) - began < DRAG_SECONDS:
        while moves / DRAG_HZ <= now - began:
            moves += 1
            shown = _edited(face, spaces, 0.5 - 0.5 * np.cos(moves / 20))
            engine.draw(DrawRequest.of(shown, target="viewport", size=SIZE, moving=True))
        try:
            inbox.get(timeout=0.002)()
        except Empty:
            continue
    engine.drawn.disconnect(take)
    settled = [moment for moment in arrived if moment > began + 0.5]
    return len(settled) / (DRAG_SECONDS - 0.5)


def _dense() -> float:
    network = DenseReference().eval()
    return _median_ms(lambda index: network(), DENSE_FRAMES + 1, NO_STEPS)
