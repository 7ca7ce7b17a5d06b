"""Set up, run and check FaceEditor on a bare machine: ``python3 dev.py setup|run|test|lint|format|bench``.

Standard library only; the Makefile calls it, and on Windows it is called directly. It makes the virtual environment
``.venv`` beside itself when that is missing or pyproject.toml or constraints.txt changed, so that every word works at
once in a fresh clone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
FACEEDITOR = BIN / "faceeditor"
STAMP = VENV / "faceeditor-setup"
OLDEST_PYTHON = (3, 11)
GLTF_VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
"""Khronos' checker of glTF files; the tests of exported meshes ask it where node and npm are."""
VALIDATOR_STAMP = VENV / "faceeditor-gltf-validator"
NO_TESTS = 5
"""What pytest says when no test was chosen."""

WINDOW_PACKAGES = (
    "libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0 "
    "libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
).split()
"""Debian packages the window and off-screen drawing need (the Mesa software driver comes with libgl1)."""
TEST_PACKAGES = ["xvfb", "xauth"]

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one word; returns the exit code."""
    words = {"setup": setup, "run": run, "test": test, "lint": lint, "format": tidy, "bench": bench}
    parser = argparse.ArgumentParser(description="Set up, run and check FaceEditor.")
    parser.add_argument("word", choices=words)
    parser.add_argument("--cpu", action="store_true", help="install the CPU build of torch (much smaller on Linux)")
    options, rest = parser.parse_known_args(arguments)
    if sys.version_info < OLDEST_PYTHON:
        return complain(
            "FaceEditor needs Python {}.{} or newer; this is {}.".format(*OLDEST_PYTHON, sys.version.split()[0])
        )
    try:
        install(needed_packages(options.word), options.cpu)
        words[options.word](rest)
    except subprocess.CalledProcessError as error:
        return complain(f"'{' '.join(map(str, error.cmd[:6]))}' failed with exit code {error.returncode}.")
    except SetupError as error:
        return complain(str(error))
    return 0


class SetupError(Exception):
    """The machine lacks something; the message says what to type."""


# The words ------------------------------------------------------------------------------------------------------------


def setup(_: Sequence[str]) -> None:
    """Nothing beyond what every word does first."""
    print(f"Ready: {PYTHON}")


def run(rest: Sequence[str]) -> None:
    """Open the window; without a screen draw the sample face into a picture."""
    if has_screen():
        call(FACEEDITOR, "gui", *rest)
        return
    sample = min((ROOT / "resources" / "samples").glob("*.face"))
    picture = ROOT / "out" / "sample-face.png"
    picture.parent.mkdir(exist_ok=True)
    print("There is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set), so the window cannot open.")
    call(FACEEDITOR, "render", sample, "--out", picture, *rest)
    print(f"The sample face was drawn into {picture}")


def test(rest: Sequence[str]) -> None:
    """All checks, then every test: most of them two at a time, those that measure time or own the screen alone."""
    lint([])
    install_validator()
    pytest: list[str | Path] = [*with_screen(), PYTHON, "-m", "pytest"]
    halves = (("-n", "2", "-m", "not alone"), ("-m", "alone"))
    codes = [call(*pytest, *chosen, *rest, fine=(NO_TESTS,)) for chosen in halves]
    if set(codes) == {NO_TESTS}:
        raise SetupError("No test was chosen; look at the names after 'test'.")


def lint(_: Sequence[str]) -> None:
    """Style, types and floors."""
    call(PYTHON, "-m", "ruff", "check", ".")
    call(PYTHON, "-m", "ruff", "format", "--check", ".")
    call(PYTHON, "-m", "mypy")
    call(BIN / "lint-imports")


def tidy(_: Sequence[str]) -> None:
    """Mend what ruff can mend by itself."""
    call(PYTHON, "-m", "ruff", "check", "--fix", ".")
    call(PYTHON, "-m", "ruff", "format", ".")


def bench(rest: Sequence[str]) -> None:
    """Speed: the program's own benchmark, then the parts' (never a part of ``test``)."""
    call(FACEEDITOR, "bench", "--json")
    call(*with_screen(), PYTHON, "-m", "pytest", "benchmarks", "--benchmark-enable", *rest)


# Setting up -----------------------------------------------------------------------------------------------------------


def install(packages: Sequence[str], cpu: bool) -> None:
    """System packages, virtual environment, pinned libraries; each only when it is missing or out of date."""
    install_packages(packages)
    pins = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    wanted = hashlib.sha256(pins + sys.version.encode()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    if not STAMP.exists():
        call(sys.executable, "-m", "venv", VENV)
    index = ["--extra-index-url", TORCH_CPU_INDEX] if cpu else []
    call(PYTHON, "-m", "pip", "install", "-q", "-e", ".[dev,training]", "-c", "constraints.txt", *index)
    STAMP.write_text(wanted)


def install_validator() -> None:
    """Khronos' glTF validator, once, into the virtual environment. Without npm or a network its tests ask nothing."""
    npm = shutil.which("npm")
    if VALIDATOR_STAMP.exists() and VALIDATOR_STAMP.read_text() == GLTF_VALIDATOR:
        return
    if npm is None:
        print("npm is not here, so exported meshes are not checked by Khronos' validator as well.")
        return
    command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(VENV), GLTF_VALIDATOR]
    try:
        failed = subprocess.run(command, capture_output=True, timeout=120).returncode
    except subprocess.TimeoutExpired:
        failed = 1
    if failed:
        print("npm could not install Khronos' glTF validator, so exported meshes are not checked by it as well.")
    else:
        VALIDATOR_STAMP.write_text(GLTF_VALIDATOR)


def needed_packages(word: str) -> list[str]:
    """The Debian packages that this word needs."""
    venv = [] if importlib.util.find_spec("ensurepip") else ["python3-venv"]
    return [*venv, *WINDOW_PACKAGES, *(TEST_PACKAGES if word in ("setup", "test", "bench") else [])]


def install_packages(wanted: Sequence[str]) -> None:
    """Install the missing ones where that is allowed, else say what to type; elsewhere than on Debian do nothing."""
    if not (shutil.which("dpkg-query") and shutil.which("apt-get")):
        return
    missing = [name for name in wanted if not is_installed(name)]
    if not missing:
        return
    apt = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and not may_sudo():
        raise SetupError(f"Some system packages are missing. Type this, then try again:\n  sudo {' '.join(apt)}")
    call(*sudo, "apt-get", "update", "-q")
    call(*sudo, *apt)


def is_installed(package: str) -> bool:
    """Whether dpkg has the package, also under the name with 64-bit time that newer systems give it."""
    for name in (package, package + "t64"):
        answer = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", name], capture_output=True, text=True)
        if answer.stdout == "install ok installed":
            return True
    return False


def may_sudo() -> bool:
    """Whether sudo works without asking for a password."""
    return bool(shutil.which("sudo")) and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0


# Small things ---------------------------------------------------------------------------------------------------------


def has_screen() -> bool:
    """Whether a window can open; macOS and Windows always have a screen."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def with_screen() -> list[str]:
    """What to put before a command that opens windows: nothing where there is a screen, else a virtual one."""
    if has_screen():
        return []
    if not shutil.which("xvfb-run"):
        raise SetupError(
            "The tests open windows and there is no screen: install xvfb-run (package xvfb) and try again."
        )
    return ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24"]


def call(*command: str | Path, fine: Sequence[int] = ()) -> int:
    """Run a command in the project's folder and show what it says; exit codes other than 0 and ``fine`` are errors."""
    print("$", *(str(part) for part in command), flush=True)
    done = subprocess.run([str(part) for part in command], cwd=ROOT)
    if done.returncode not in (0, *fine):
        done.check_returncode()
    return done.returncode


def complain(message: str) -> int:
    """One message on stderr; returns the exit code of a failure."""
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
