"""Commands about the program and the machine it runs on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import faceeditor
from faceeditor.cli.common import Answer, Device, Json, Model, follow, opened
from faceeditor.errors import UserError
from faceeditor.resources import has_screen

if TYPE_CHECKING:
    from faceeditor.models.catalogue import ModelInfo
    from faceeditor.session import Session


def info(
    face: Annotated[Path | None, typer.Argument(help="A .face file to tell about as well.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Tell which models are at hand and what they can do."""
    facts: dict[str, Any] = {"version": faceeditor.__version__}
    with opened(device) as session:
        facts["models"] = [_model_facts(session, model) for model in session.models()]
        facts["device"] = session.device
        if face is not None:
            facts["face"] = _face_facts(face)
    lines = [f"FaceEditor {faceeditor.__version__} on {facts['device']}"]
    lines += [_model_line(model) for model in facts["models"]] or ["no models"]
    if face is not None:
        lines.append("; ".join(f"{name} {value}" for name, value in facts["face"].items()))
    Answer("\n".join(lines), facts).tell(json)


def bench(model: Model = None, device: Device = "auto", json: Json = False) -> None:
    """Measure how fast this machine draws."""
    from faceeditor.engine.bench import measure

    with opened(device) as session:
        figures = measure(model or session.settings.model, session.settings.threads, session.settings.device)
    lines = [
        f"{name}: {value:.1f}" if isinstance(value, float) else f"{name}: {value}" for name, value in figures.items()
    ]
    Answer("\n".join(lines), figures).tell(json)


def doctor(json: Json = False) -> None:
    """Check this installation and say how to mend what is wrong."""
    from faceeditor.engine.checkup import checkup

    findings = checkup()
    lines = [f"{'ok  ' if found.ok else 'BAD '} {found.what}: {found.told}" for found in findings]
    lines += [f"     {found.mend}" for found in findings if not found.ok]
    facts = {"ok": all(found.ok for found in findings), "checks": [vars(found) for found in findings]}
    Answer("\n".join(lines), facts).tell(json)
    if not facts["ok"]:
        raise typer.Exit(2)


def import_checkpoint(
    kind: Annotated[str, typer.Argument(help="Whose weights they are: headnerf.")],
    file: Annotated[Path, typer.Argument(help="The authors' checkpoint, such as model_Reso32.pth.")],
    out: Annotated[
        Path,
        typer.Option(
            help="The folder of the new bundle; in 'models' of the program's data folder it is found at once."
        ),
    ],
    codes: Annotated[Path | None, typer.Option(help="A folder of the authors' latent codes (.pth).")] = None,
    json: Json = False,
) -> None:
    """Make a model bundle of a checkpoint that a model's authors release."""
    from faceeditor.models.official import IMPORTERS
    from faceeditor.resources import user_data_dir

    if kind not in IMPORTERS:
        raise UserError(f"Checkpoints of {kind} cannot be imported; choose one of: {', '.join(sorted(IMPORTERS))}.")
    model = IMPORTERS[kind](file, out, codes)
    home = user_data_dir() / "models"
    at_hand = out.resolve().parent == home.resolve()
    facts = {"out": str(out), "model": out.name, "at_hand": at_hand, "size": model.config.size}
    advice = "" if at_hand else f"; to use it, move it to {home}"
    Answer(f"Imported {file.name}: {out}{advice}", facts).tell(json)


def gui(
    files: Annotated[list[Path] | None, typer.Argument(help="Faces to open and photos to fit.")] = None,
    screenshot: Annotated[Path | None, typer.Option(help="Write a picture of the window there and quit.")] = None,
) -> None:
    """Open the window."""
    if not has_screen():
        raise UserError("There is no screen here, so the window cannot open; use the other commands, see --help.")
    try:
        from faceeditor.gui.app import run
    except ImportError as error:
        raise UserError(f"The window cannot open ({error}); 'faceeditor doctor' says how to mend it.") from error
    raise typer.Exit(run(files or [], screenshot))


def _model_facts(session: "Session", model: "ModelInfo") -> dict[str, Any]:
    facts: dict[str, Any] = {"name": model.name, "architecture": model.architecture, "hash": model.hash}
    try:
        if model.error:
            raise UserError(model.error)
        loaded = follow(session, session.load(model.name))
    except UserError as error:
        return {**facts, "capabilities": [], "spaces": {}, "error": str(error)}
    spaces = {
        name: {
            "dims": space.dims,
            "directions": [direction.name for direction in space.directions],
            "choices": {choice.name: list(choice.options) for choice in space.choices},
        }
        for name, space in loaded.spaces.items()
    }
    return {**facts, "capabilities": list(loaded.capabilities), "spaces": spaces}


def _model_line(facts: dict[str, Any]) -> str:
    if "error" in facts:
        return f"{facts['name']}: {facts['error']}"
    spaces = ", ".join(f"{name} {space['dims']}" for name, space in facts["spaces"].items())
    return (
        f"{facts['name']} ({facts['architecture']}): {', '.join(facts['capabilities']) or '-'}; {spaces or 'no codes'}"
    )


def _face_facts(path: Path) -> dict[str, Any]:
    from faceeditor.files.project import read_face

    file = read_face(path)
    face = file.face
    return {
        "name": face.name,
        "model": face.model,
        "model_hash": file.model_hash,
        "origin": face.origin.kind,
        "source": face.origin.source,
        "figures": dict(face.origin.figures),
        "codes": {name: len(code) for name, code in face.codes.items()},
        "refinement": sorted(face.refinement),
        "notes": face.notes,
    }


COMMANDS: Final = (info, bench, doctor, import_checkpoint, gui)
