"""What bundles are at hand, told from their manifests alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faceeditor.errors import UserError
from faceeditor.models.bundle import find_bundles, read_manifest

SERVES: Final = "serves"
"""The fact of a refiner's training that lists whom it serves."""


@dataclass(frozen=True)
class ModelInfo:
    """A bundle at hand, before its weights are read; ``error`` is a sentence when it cannot be used. ``serves``, of a
    refiner, names the bundles whose pictures it was measured to make better; none stands for any.
    """

    name: str
    architecture: str = ""
    spaces: tuple[str, ...] = ()
    hash: str = ""
    serves: tuple[str, ...] = ()
    error: str = ""


def catalogue() -> tuple[ModelInfo, ...]:
    """All bundles that this program can find, by name; damaged ones with the reason."""
    return tuple(_info(name, folder) for name, folder in sorted(find_bundles().items()))


def _info(name: str, folder: Path) -> ModelInfo:
    try:
        manifest = read_manifest(folder)
        spaces = tuple(entry["name"] for entry in manifest["spaces"])
        serves = tuple(manifest["training"].get(SERVES, ()))
        return ModelInfo(name, manifest["architecture"], spaces, manifest["hash"], serves)
    except UserError as error:
        return ModelInfo(name, error=str(error))
    except (KeyError, TypeError):
        return ModelInfo(name, error=f"The model bundle {name} is damaged; install it again.")
