"""What the commands share: the session they open, the options they have in common, how they answer."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from faceeditor.errors import UserError

if TYPE_CHECKING:
    from faceeditor.engine.jobs import Job
    from faceeditor.session import Session

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Model = Annotated[str | None, typer.Option(help="The model bundle; see 'faceeditor info'.")]
FaceIn = Annotated[Path, typer.Argument(help="A .face file.")]
Out = Annotated[Path, typer.Option(help="The file to write.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="Move a control first: expression.jawOpen=0.8, hair.style=NAME; repeatable."),
]
Background = Annotated[str, typer.Option(help="white, transparent, photo or a colour such as #336699.")]
Frames = Annotated[int, typer.Option(help="How many frames.")]
Fps = Annotated[float, typer.Option(help="Frames a second.")]
Size = Annotated[int, typer.Option(help="Side of the square picture in pixels.")]
Enhance = Annotated[bool, typer.Option("--enhance", help="Make pictures finer by the refiner, inside the head alone.")]
EnhanceSeed = Annotated[int, typer.Option(help="With --enhance: the same seed makes up the same detail.")]


@dataclass(frozen=True)
class Answer:
    """What a command found: ``facts`` for ``--json``, ``text`` for people."""

    text: str
    facts: dict[str, Any]

    def tell(self, as_json: bool) -> None:
        """Prints one or the other on stdout."""
        print(json.dumps(self.facts, allow_nan=False) if as_json else self.text)


@contextmanager
def opened(device: str = "auto", *, enhance: bool = False, enhance_seed: int = 0) -> "Iterator[Session]":
    """A session for one command; its notices go to stderr. Pictures are made finer only if the command says so."""
    from faceeditor.session import Session
    from faceeditor.settings import Settings

    settings = Settings.load()
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"{device} is not a device; use auto, cpu or cuda.")
    if enhance_seed < 0:
        raise UserError("A seed must not be negative.")
    settings.device = device  # type: ignore[assignment]
    session = Session(settings, autosave=False)
    session.notice.connect(lambda text: print(text, file=sys.stderr))
    try:
        session.set_enhance(enhance, enhance_seed)
        yield session
    finally:
        session.close()


def follow(session: "Session", job: "Job[T]") -> T:
    """Waits for a job; on a terminal, progress is shown on stderr."""
    if not sys.stderr.isatty():
        return session.wait(job)

    def show() -> None:
        left = "" if job.left is None else f", {job.left:.0f} s left"
        print(f"\r\x1b[K{job.label}: {job.progress:.0%} {job.message}{left}", end="", file=sys.stderr, flush=True)

    job.changed.connect(show)
    try:
        return session.wait(job)
    except KeyboardInterrupt:
        job.cancel()
        raise
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def face_path(path: Path) -> Path:
    """``path``, if a face can be saved there by its suffix."""
    if path.suffix.lower() != ".face":
        raise UserError(f"{path.name} does not end in .face; give the face file such a name.")
    return path
