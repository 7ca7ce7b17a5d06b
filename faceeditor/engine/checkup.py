"""What ``faceeditor doctor`` looks at: each part the program stands on, and how to mend it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import imageio_ffmpeg
import torch

from faceeditor.engine.runtime import available_cores, cuda_available
from faceeditor.errors import UserError
from faceeditor.models.bundle import find_bundles, read_bundle
from faceeditor.rendering.raster_gl import GLRasteriser
from faceeditor.resources import has_screen, user_config_dir, user_data_dir

REINSTALL: Final = "Install the program again: python3 dev.py setup"


@dataclass(frozen=True)
class Finding:
    """One part: whether it is well, what was found, and what to do if it is not."""

    what: str
    ok: bool
    told: str
    mend: str = ""


def checkup() -> list[Finding]:
    """Looks at everything; never raises."""
    checks: list[tuple[str, Callable[[], str], str]] = [
        ("Python", lambda: sys.version.split()[0], REINSTALL),
        ("torch", _torch, REINSTALL),
        ("off-screen drawing", _drawing, "On Debian or Ubuntu: sudo apt install libgl1 libegl1"),
        ("window", _window, "On Debian or Ubuntu: sudo apt install libxcb-cursor0 libxkbcommon-x11-0 libdbus-1-3"),
        ("ffmpeg", _ffmpeg, REINSTALL),
        ("settings folder", lambda: _writable(user_config_dir()), "Make the folder writable for you."),
        ("data folder", lambda: _writable(user_data_dir()), "Make the folder writable for you."),
    ]
    findings = [_found(what, look, mend) for what, look, mend in checks]
    folders = find_bundles()
    if not folders:
        findings.append(Finding("models", False, "there is none", REINSTALL))
    for name, folder in sorted(folders.items()):
        mend = f"Install the bundle again, or delete {folder}."
        findings.append(_found(f"model {name}", lambda where=folder: _bundle(where), mend))  # type: ignore[misc]
    return findings


def _found(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, True, look())
    except Exception as error:  # a checkup tells of whatever is broken
        return Finding(what, False, " ".join(str(error).split()) or type(error).__name__, mend)


def _torch() -> str:
    gpu = torch.cuda.get_device_name() if cuda_available() else "no CUDA GPU, the CPU is used"
    return f"{torch.__version__}, {available_cores()} cores, {gpu}"


def _drawing() -> str:
    rasteriser = GLRasteriser()
    try:
        return str(rasteriser.renderer)
    finally:
        rasteriser.release()


def _window() -> str:
    try:
        qt = version("PySide6-Essentials")
    except PackageNotFoundError as error:
        raise UserError("PySide6 is not installed") from error
    return f"Qt {qt}" + ("" if has_screen() else "; no screen here, so only the commands work")


def _ffmpeg() -> str:
    said = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], capture_output=True, check=True, timeout=20)
    return said.stdout.decode(errors="replace").partition("Copyright")[0].strip()


def _writable(folder: Path) -> str:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        raise UserError(f"{existing} cannot be written to")
    return str(folder)


def _bundle(folder: Path) -> str:
    bundle = read_bundle(folder)
    return f"{bundle.architecture}, hash {bundle.content_hash[:12]}"
