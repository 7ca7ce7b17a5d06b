"""Where the program's own files and the user's files lie. Nothing else in the program works this out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

HOME_VARIABLE = "FACEEDITOR_HOME"
"""Environment variable: one folder for everything of the user's (portable installations and tests)."""

_PACKAGE = Path(__file__).resolve().parent


def resource_path(*parts: str) -> Path:
    """A file or folder under resources/, for example ``resource_path("models", "guided-studio")``.

    In an installed wheel the folder lies inside the package, in a checkout beside it.
    The path need not exist: a caller lists or opens it and reports what is missing.
    """
    inside = _PACKAGE / "_resources"
    root = inside if inside.is_dir() else _PACKAGE.parent / "resources"
    return root.joinpath(*parts)


def has_screen() -> bool:
    """Whether a window can be shown: on Linux a display server is named, or Qt was given a platform of its own."""
    return sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    )


def user_data_dir() -> Path:
    """The user's own bundles and recovery files; not created here."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "data" if home else Path(platformdirs.user_data_dir("FaceEditor", appauthor=False))


def user_config_dir() -> Path:
    """The user's settings; not created here."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "config" if home else Path(platformdirs.user_config_dir("FaceEditor", appauthor=False))
