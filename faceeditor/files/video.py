"""Videos in and out, through the ffmpeg that imageio-ffmpeg brings along."""

import errno
import os
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.files.atomic import atomic_write, require_file
from faceeditor.files.provenance import Provenance

Picture = NDArray[np.uint8]

XMP_BOX: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The identifier of the top-level box that holds XMP in an MP4 file (XMP specification part 3)."""
GIF_XMP: Final = b"\x21\xff\x0bXMP DataXMP"
"""The head of the application extension that holds XMP in a GIF file (XMP specification part 3)."""
GIF_XMP_TRAILER: Final = bytes([1, *range(255, -1, -1), 0])

_TO_BT709: Final = ",".join(
    [
        "pad=ceil(iw/2)*2:ceil(ih/2)*2",
        "scale=out_color_matrix=bt709:out_range=tv",
        "format=yuv420p",
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv",
    ]
)
_MP4: Final = [*"-c:v libx264 -preset medium -crf 18 -movflags +faststart -vf".split(), _TO_BT709]
_GIF: Final = ["-vf", "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1", "-loop", "0"]
_FILE_TOO_LARGE: Final = getattr(signal, "SIGXFSZ", 0)
"""The signal by which POSIX stops a program that writes more than it may."""
_ENCODERS: Final = {".mp4": _MP4, ".gif": _GIF}

READABLE: Final = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".ts", ".wmv", ".flv", ".ogv")
_PAUSE_S: Final = 0.01
"""Seconds between two looks whether a camera has a new frame."""

# Only containers that hold the pictures themselves, never lists of other files or addresses.
_SAFE_INPUT: Final = [
    *["-protocol_whitelist", "file,pipe"],
    *["-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,ogg,mpeg,mpegts,asf,flv"],
]


@contextmanager
def write_video(
    path: Path | str, size: tuple[int, int], fps: float, provenance: Provenance
) -> Iterator[Callable[[Picture], None]]:
    """Gives a function that takes one frame (H, W, 3) uint8 sRGB at a time; on leaving, the video lies at ``path``.

    ``size`` is (width, height); ``path`` ends in .mp4 (H.264, yuv420p, BT.709; an odd size grows by one black pixel) or
    .gif. Nothing is left behind after a failure or when the block is left by an exception (Cancel).
    Raises ``UserError`` for another suffix, a full disk or an unwritable folder.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _ENCODERS:
        raise UserError(f"{path} has no suffix a video can be saved with; use .mp4 or .gif.")
    with atomic_write(path) as beside:
        with _encoder(beside, size, fps, [*_ENCODERS[suffix], "-metadata", f"comment={provenance.line()}"]) as add:
            yield add
        _mark(beside, provenance)


@dataclass(frozen=True)
class VideoFacts:
    """What a video says about itself: ``size`` (width, height) as shown, frames a second, seconds."""

    size: tuple[int, int]
    fps: float
    duration: float


def read_video_facts(path: Path | str) -> VideoFacts:
    """The facts of a video. Raises ``UserError`` when it is missing, empty or no video."""
    frames = _decoder(path)
    meta = next(frames)
    frames.close()
    return VideoFacts(tuple(meta["size"]), float(meta["fps"]), float(meta["duration"]))


def read_frames(path: Path | str) -> Generator[Picture]:
    """Every frame (H, W, 3) uint8 sRGB, upright, one at a time. Raises like :func:`read_video_facts`."""
    frames = _decoder(path)
    width, height = next(frames)["size"]
    try:
        for frame in frames:
            yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)
    finally:
        frames.close()


def read_camera(number: int = 0) -> Generator[Picture | None]:
    """What a camera of this machine sees, the newest frame (H, W, 3) uint8 sRGB whenever one is asked for, ``None``
    while there is no new one. Raises ``UserError`` when there is no such camera.
    """
    import imageio.v2 as imageio  # slow to import

    try:
        camera = imageio.get_reader(f"<video{number}>")
    except (IndexError, OSError, RuntimeError) as error:
        raise UserError(f"There is no working camera {number} on this machine; connect one, or use a video.") from error
    with closing(camera):
        while True:
            frame: Any = camera.get_next_data()
            if frame.meta["new"]:
                yield np.asarray(frame)
            else:
                time.sleep(_PAUSE_S)
                yield None


def _decoder(path: Path | str) -> Any:
    """imageio-ffmpeg's generator, advanced to just before its first item: the facts, then the frames as bytes."""
    file = require_file(path)

    def items() -> Iterator[Any]:
        reader = imageio_ffmpeg.read_frames(str(file), pix_fmt="rgb24", input_params=_SAFE_INPUT)
        try:
            yield from reader
        except (OSError, RuntimeError, StopIteration, KeyError) as error:
            raise UserError(f"{file} is not a video that can be read whole; use MP4, MOV, WebM or GIF.") from error
        finally:
            reader.close()

    return items()


@contextmanager
def _encoder(path: Path, size: tuple[int, int], fps: float, options: list[str]) -> Iterator[Callable[[Picture], None]]:
    width, height = size
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -".split()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *"-y -v error".split(), *source, "-an", *options, str(path)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints)
        assert process.stdin is not None
        pipe = process.stdin

        def add(frame: Picture) -> None:
            if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                raise ValueError(f"a frame of {frame.shape} {frame.dtype} in a video of {(height, width, 3)} uint8")
            try:
                pipe.write(frame.tobytes())
            except BrokenPipeError:
                _raise_encoder_error(process, path, complaints)

        try:
            yield add
            with suppress(BrokenPipeError):
                pipe.close()
            if process.wait() != 0:
                _raise_encoder_error(process, path, complaints)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _raise_encoder_error(process: "subprocess.Popen[bytes]", path: Path, complaints: Any) -> None:
    """Tells what ffmpeg said; the words of a full disk are understood by ``atomic_write``."""
    process.wait()
    complaints.seek(0)
    said = complaints.read().decode("utf-8", "replace").strip()
    if process.returncode == -_FILE_TOO_LARGE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    raise RuntimeError(f"ffmpeg stopped with exit code {process.returncode} while writing {path.suffix}: {said}")


def _mark(path: Path, provenance: Provenance) -> None:
    packet = provenance.xmp()
    if path.suffix.lower() == ".mp4":
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + XMP_BOX + packet)
        return
    gif = path.read_bytes()
    head = 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 0x80 else 0)
    path.write_bytes(b"GIF89a" + gif[6:head] + GIF_XMP + packet + GIF_XMP_TRAILER + gif[head:])
