"""Packs what a training needs into one ignored folder, for a machine that has a GPU and nothing else of ours.

``python -m training.pack make`` fills ``carried/`` with the studio's data and the wheels that the other machine may
lack. There, beside the code, ``sh carried/train.sh train_guided large`` trains a configuration and leaves checkpoint
and bundle under ``$OUT`` (``carried/out`` when it is not set); run it again to go on. ``python -m training.pack take
FOLDER NAME`` brings a bundle back into resources/models.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from faceeditor.errors import UserError
from faceeditor.models.bundle import MANIFEST, read_bundle
from faceeditor.resources import resource_path

app = typer.Typer(no_args_is_help=True, add_completion=False)

LEFT_BEHIND: Final = ("photos", "scans")
"""Parts of the data that no training reads."""

WHEELS: Final = (
    "moderngl glcontext lightning lightning-utilities torchmetrics safetensors typer rich platformdirs psygnal "
    "pydantic pydantic-core annotated-types typing-inspection tensorboard trimesh pyyaml"
).split()
"""Packages that the trainings import beside torch, numpy, scipy, scikit-image and Pillow."""

SCRIPT: Final = """\
#!/bin/sh
# sh carried/train.sh MODULE CONFIGURATION [OPTIONS]: trains with what lies beside this script.
set -eu
here=$(dirname "$0")
out=${OUT:-$here/out}
site=$(mktemp -d)
python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" "$here"/wheels/*.whl
export PYTHONPATH="$here/..:$site" PYTHONUNBUFFERED=1
module=$1 name=$2
shift 2
mkdir -p "$out/run"
[ -f "$here/last.ckpt" ] && [ ! -f "$out/run/last.ckpt" ] && cp "$here/last.ckpt" "$out/run/"
python3 -m "training.$module" "$name" --work "$out/run" --data "$here/data" --out "$out/bundle" "$@"
"""


@app.command()
def make(
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="the folder to fill")] = Path("carried"),
    python: Annotated[str, typer.Option(help="Python of the other machine")] = "3.12",
    checkpoint: Annotated[Path | None, typer.Option(help="a checkpoint to go on from")] = None,
) -> None:
    """Fill the folder."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(data, out / "data", ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    platforms = [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    constraints = ["-c", "constraints.txt", "--python-version", python]
    subprocess.run([*download, *constraints, *platforms, "-d", str(out / "wheels"), *WHEELS], check=True)
    if checkpoint:
        shutil.copy(checkpoint, out / "last.ckpt")
    (out / "train.sh").write_text(SCRIPT, encoding="utf-8")
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {size / 2**20:.0f} MiB")


@app.command()
def take(
    folder: Annotated[Path, typer.Argument(help="the bundle that a training wrote")],
    name: Annotated[str, typer.Argument(help="the bundle's name in resources/models")],
) -> None:
    """Bring a trained bundle back; the model card that is there stays and must be brought up to date by hand."""
    try:
        read_bundle(folder)
    except UserError as error:
        raise typer.BadParameter(str(error)) from error
    target = resource_path("models", name)
    for old in target.glob("weights*.safetensors"):
        old.unlink()
    for file in folder.glob("weights*.safetensors"):
        shutil.copy(file, target / file.name)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (target / MANIFEST).write_text(json.dumps(manifest | {"name": name}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app()
