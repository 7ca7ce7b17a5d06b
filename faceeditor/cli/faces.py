"""Commands that make, change and show faces."""

import json as json_module
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from faceeditor.cli.common import (
    Answer,
    Assignments,
    Background,
    Device,
    Enhance,
    EnhanceSeed,
    FaceIn,
    Fps,
    Frames,
    Json,
    Model,
    Out,
    Size,
    face_path,
    follow,
    opened,
)
from faceeditor.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from faceeditor.engine.jobs import Job
    from faceeditor.faces.performance import Performance
    from faceeditor.files.depth import Intrinsics
    from faceeditor.session import Session

RANDOM_SPACES: Final = ("identity", "skin", "hair")
"""What ``random`` draws, where the model has it, unless told otherwise: a person, with a neutral expression and light.
"""


def fit(
    source: Annotated[
        Path, typer.Argument(help="A picture with a face in it, a .face made from one, or a 3D scan of a face.")
    ],
    out: Out,
    model: Model = None,
    quality: Annotated[
        str, typer.Option(help="draft, standard or best; for a photo also glance, at once.")
    ] = "standard",
    face: Annotated[
        int | None, typer.Option(help="Which of several faces in a photo, counted from the left; 1 is the first.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="The face's box in photo pixels: left,top,right,bottom.")] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file of corrected landmarks: 68 [x, y] in photo pixels; for a scan 5 [x, y, z] in its axes, "
            "right and left outer eye corner, nose tip, right and left mouth corner."
        ),
    ] = None,
    intrinsics: Annotated[
        Path | None, typer.Option(help="For a depth picture: a JSON file with fx, fy, cx, cy and unit.")
    ] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Make a face from a photo or from a 3D scan, or fit a face to its photo anew; what was edited since stays."""
    from faceeditor.engine.photos import Photo
    from faceeditor.faces.scan import SCAN_SUFFIXES
    from faceeditor.files.project import SUFFIX

    face_path(out)
    known = source.suffix.lower() == SUFFIX
    is_scan = intrinsics is not None or source.suffix.lower() in SCAN_SUFFIXES
    corners = None if box is None else _box(box)
    points = None if landmarks is None else _points(landmarks, (5, 3) if is_scan else (68, 2))
    if face is not None and (is_scan or known):
        raise UserError("Only photos can show several faces; leave --face out.")
    if model is not None and known:
        raise UserError("A face keeps its model when it is fitted anew; leave --model out.")
    with opened(device) as session:
        began = time.monotonic()
        if is_scan:
            camera = _intrinsics(intrinsics)
            job = session.fit_scan(source, quality=quality, model=model, marked=points, intrinsics=camera)
        elif known:
            job = session.refine(session.open(source), quality=quality, box=corners, landmarks=points)
        else:
            photo = Photo(source, corners, points, face)
            job = session.fit_photo(photo, quality=quality, model=model)
        face_id = follow(session, job)
        session.save(face_id, out)
        seconds = time.monotonic() - began
        made = session.document[face_id]
    figures = dict(made.origin.figures)
    placed = {} if made.origin.placement is None else made.origin.placement.document()
    facts = {"out": str(out), "model": made.model, **figures, **placed, "seconds": seconds}
    told = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in figures.items() if name != "seconds")
    Answer(f"Fitted {source.name} in {seconds:.1f} s ({told}): {out}", facts).tell(json)


def random(
    seed: Annotated[int, typer.Option(help="The same seed gives the same face.")],
    out: Out,
    model: Model = None,
    spaces: Annotated[
        str | None,
        typer.Option(
            help="Spaces to draw, separated by commas, or 'all'; a person if not given: identity, skin, hair."
        ),
    ] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Make a random face."""
    face_path(out)
    if seed < 0:
        raise UserError("A seed must not be negative.")
    with opened(device) as session:
        face_id = session.new(model)
        known = session.spaces(session.document[face_id].model)
        usual = [name for name in RANDOM_SPACES if name in known]
        session.randomise(face_id, known if spaces == "all" else spaces.split(",") if spaces else usual, seed)
        session.rename(face_id, out.stem)
        session.save(face_id, out)
        name = session.document[face_id].model
    Answer(f"Random face {seed}: {out}", {"out": str(out), "model": name, "seed": seed}).tell(json)


def edit(
    face: FaceIn,
    out: Out,
    set_: Assignments = None,
    reset: Annotated[
        list[str] | None,
        typer.Option(help="A control, a space or 'all', back to the model's neutral first; repeatable."),
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Exchange left and right last.")] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Change a face: reset controls, set others, mirror; the changed face is written to --out."""
    face_path(out)
    with opened(device) as session:
        face_id = session.open(face)
        for what in reset or ():
            session.reset(face_id, what, to="neutral")
        _assign(session, face_id, set_)
        if mirror:
            session.mirror(face_id)
        changed = sorted(session.changed(face_id))
        session.save(face_id, out)
    Answer(f"Changed {', '.join(changed) or 'nothing'}: {out}", {"out": str(out), "changed": changed}).tell(json)


def render(
    face: FaceIn,
    out: Out,
    size: Size = 512,
    yaw: Annotated[float | None, typer.Option(help="Degrees; > 0 shows the subject's left side.")] = None,
    pitch: Annotated[float | None, typer.Option(help="Degrees; > 0 looks down from above.")] = None,
    roll: Annotated[float | None, typer.Option(help="Degrees; > 0 turns the camera clockwise.")] = None,
    fov: Annotated[float | None, typer.Option(help="Vertical field of view in degrees, 1 to 120.")] = None,
    background: Background = "white",
    set_: Assignments = None,
    enhance: Enhance = False,
    enhance_seed: EnhanceSeed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Draw a face to a .png, .jpg or .exr file."""
    from faceeditor.engine.exports import PICTURE_SUFFIXES, require_size, require_suffix
    from faceeditor.engine.requests import background_of

    require_suffix(out, PICTURE_SUFFIXES, "picture")
    require_size(size)
    if fov is not None and not 1 <= fov <= 120:
        raise UserError("The field of view must lie between 1 and 120 degrees.")
    asked = {"yaw": yaw, "pitch": pitch, "roll": roll, "field_of_view": fov}
    with opened(device, enhance=enhance, enhance_seed=enhance_seed) as session:
        face_id = _open(session, face, set_)
        shown = session.document[face_id]
        camera = shown.camera.replace(**{name: value for name, value in asked.items() if value is not None})
        behind = background_of(background, shown.origin.photo_srgb)
        began = time.monotonic()
        follow(session, session.export_picture(face_id, out, size, camera=camera, background=behind))
        facts = {"out": str(out), "size": size, "seconds": time.monotonic() - began, **_mark(session, face_id)}
    Answer(f"Drew {face.name}: {out}", facts).tell(json)


def mesh(
    face: FaceIn,
    out: Annotated[Path | None, typer.Option(help="The .glb, .obj, .ply or .stl file to write.")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="16 to 512: the field's own surface in so many cells, for surface models.")
    ] = None,
    expressions: Annotated[
        Path | None, typer.Option(help="A folder to write an .obj of every ARKit expression to.")
    ] = None,
    set_: Assignments = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Write a face's surface: .glb with texture and ARKit morphs, .obj, .ply or .stl; or a folder of expressions."""
    if out is None and expressions is None:
        raise UserError("Say where to write the surface: give --out FILE or --expressions FOLDER.")
    with opened(device) as session:
        face_id = _open(session, face, set_)
        facts: dict[str, Any] = {}
        began = time.monotonic()
        if out is not None:
            follow(session, session.export_mesh(face_id, out, resolution=resolution))
            facts |= {"out": str(out), "resolution": resolution}
        if expressions is not None:
            written = follow(session, session.export_expressions(face_id, expressions))
            facts |= {"expressions": str(expressions), "files": [path.name for path in written]}
        facts |= {"seconds": time.monotonic() - began, **_mark(session, face_id)}
    Answer(f"Wrote the surface of {face.name}: {out or expressions}", facts).tell(json)


def transfer(
    what: Annotated[
        str,
        typer.Option(
            help="shape (or identity), expression, skin, light, hair, pose, detail, texture; several as hair,pose=0.5."
        ),
    ],
    source: Annotated[Path, typer.Option("--from", help="The .face file that gives.")],
    target: Annotated[Path, typer.Option("--to", help="The .face file that takes; it is not changed.")],
    out: Out,
    amount: Annotated[float, typer.Option(help="0 nothing, 1 all, for parts without an amount of their own.")] = 1.0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Give a part of one face to another."""
    face_path(out)
    with opened(device) as session:
        giver, taker = session.open(source), session.open(target)
        session.transfer(what, giver, taker, amount)
        session.rename(taker, out.stem)
        session.save(taker, out)
    facts = {"out": str(out), "what": what, "amount": amount}
    Answer(f"{what.capitalize()} of {source.name} given to {target.name}: {out}", facts).tell(json)


def interpolate(
    first: FaceIn,
    second: FaceIn,
    out: Out,
    frames: Frames = 60,
    fps: Fps = 30,
    size: Size = 512,
    background: Background = "white",
    at: Annotated[float | None, typer.Option(help="Write the one face this far along (0..1) to a .face file.")] = None,
    enhance: Enhance = False,
    enhance_seed: EnhanceSeed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Record the way from one face to another to a .mp4 or .gif file, or with --at write a face between them."""
    if at is not None:
        _between(first, second, out, at, device).tell(json)
        return
    from faceeditor.engine.requests import background_of

    with opened(device, enhance=enhance, enhance_seed=enhance_seed) as session:
        ends = session.open(first), session.open(second)
        behind = background_of(background, session.document[ends[0]].origin.photo_srgb)
        job = session.export_interpolation(*ends, out, frames=frames, fps=fps, size=size, background=behind)
        follow(session, job)
        facts = {"out": str(out), "frames": frames, "fps": fps, "seconds": job.elapsed, **_mark(session, ends[0])}
    Answer(f"Recorded {frames} frames: {out}", facts).tell(json)


def _between(first: Path, second: Path, out: Path, amount: float, device: str) -> Answer:
    face_path(out)
    with opened(device) as session:
        face_id = session.blend(session.open(first), session.open(second), amount)
        session.rename(face_id, out.stem)
        session.save(face_id, out)
    return Answer(f"{amount:.0%} from {first.name} to {second.name}: {out}", {"out": str(out), "at": amount})


def turntable(
    face: FaceIn,
    out: Out,
    frames: Frames = 90,
    fps: Fps = 30,
    size: Size = 512,
    background: Background = "white",
    set_: Assignments = None,
    enhance: Enhance = False,
    enhance_seed: EnhanceSeed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Record the camera swinging around a face to a .mp4 or .gif file."""
    from faceeditor.engine.requests import background_of

    with opened(device, enhance=enhance, enhance_seed=enhance_seed) as session:
        face_id = _open(session, face, set_)
        behind = background_of(background, session.document[face_id].origin.photo_srgb)
        job = session.export_turntable(face_id, out, frames=frames, fps=fps, size=size, background=behind)
        follow(session, job)
        facts = {"out": str(out), "frames": frames, "fps": fps, "seconds": job.elapsed, **_mark(session, face_id)}
    Answer(f"Recorded {frames} frames: {out}", facts).tell(json)


def drive(
    video: Annotated[Path, typer.Argument(help="A video with a face in it; or 'camera', 'camera:1' and so on.")],
    face: FaceIn,
    out: Out,
    pose: Annotated[bool, typer.Option("--pose", help="Turn the head as in the video, too.")] = False,
    smoothing: Annotated[
        float | None, typer.Option(help="Seconds to smooth over, 0 for none; 0.28 if not given.")
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(help="A .csv file to write the weights and angles of every frame to.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to watch a camera, from 0.5.")] = 5.0,
    size: Size = 512,
    background: Background = "white",
    set_: Assignments = None,
    enhance: Enhance = False,
    enhance_seed: EnhanceSeed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Give the expressions of a video to a face, frame by frame, and record it to a .mp4 or .gif file."""
    from faceeditor.engine.exports import FILM_SUFFIXES, require_size, require_suffix
    from faceeditor.engine.requests import background_of
    from faceeditor.faces.performance import SMOOTHING, require_smoothing
    from faceeditor.files.curves import require_curves, write_curves

    over = SMOOTHING if smoothing is None else smoothing
    require_suffix(out, FILM_SUFFIXES, "video")
    require_size(size)
    require_smoothing(over)
    if curves is not None:
        require_curves(curves)
    with opened(device, enhance=enhance, enhance_seed=enhance_seed) as session:
        face_id = _open(session, face, set_)
        behind = background_of(background, session.document[face_id].origin.photo_srgb)
        began = time.monotonic()
        performance = follow(session, _watched(session, video, seconds)).smoothed(over)
        follow(session, session.export_driven(face_id, performance, out, pose=pose, size=size, background=behind))
        if curves is not None:
            write_curves(curves, performance)
        facts = {
            "out": str(out),
            "frames": len(performance),
            "frames_without_face": int((~performance.seen).sum()),
            "fps": performance.fps,
            "seconds": time.monotonic() - began,
            **_mark(session, face_id),
        }
    Answer(f"{face.name} driven by {len(performance)} frames of {video.name}: {out}", facts).tell(json)


def _watched(session: "Session", video: Path, seconds: float) -> "Job[Performance]":
    """A camera by its name, unless a file has that name."""
    kind, _, number = str(video).partition(":")
    if kind != "camera" or video.exists() or (number and not number.isdecimal()):
        return session.watch_video(video)
    if not 0.5 <= seconds <= 3600:
        raise UserError("A camera is watched between half a second and an hour.")
    return session.watch_camera(int(number or 0), seconds=seconds)


def _open(session: "Session", path: Path, assignments: list[str] | None) -> str:
    face_id = session.open(path)
    _assign(session, face_id, assignments)
    return face_id


def _assign(session: "Session", face_id: str, assignments: list[str] | None) -> None:
    for assignment in assignments or ():
        session.assign(face_id, assignment)


def _mark(session: "Session", face_id: str) -> dict[str, Any]:
    face = session.document[face_id]
    return {"model": face.model, "provenance": session.provenance(face).extras()}


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"'{text}' is not a box; give left,top,right,bottom in pixels.") from None
    return left, top, right, bottom


def _intrinsics(path: Path | None) -> "Intrinsics | None":
    from faceeditor.files.depth import read_intrinsics

    return None if path is None else read_intrinsics(path)


def _points(path: Path, shape: tuple[int, int]) -> "NDArray[np.float64]":
    import numpy as np

    from faceeditor.files.atomic import require_file

    try:
        return np.array(json_module.loads(require_file(path).read_bytes()), np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} does not hold {shape[0]} landmarks of {shape[1]} numbers each ({error}).") from error


COMMANDS: Final = (fit, random, edit, render, mesh, transfer, interpolate, turntable, drive)
