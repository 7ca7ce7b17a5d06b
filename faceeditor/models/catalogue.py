"""What bundles are at hand, told from their manifests alone."""

from dataclasses import dataclass
from pathlib import Path

from faceeditor.errors import UserError
from faceeditor.models.bundle import find_bundles, read_manifest


@dataclass(frozen=True)
class ModelInfo:
    """A bundle at hand, before its weights are read; ``error`` is a sentence when it cannot be used."""

    name: str
    architecture: str = ""
    spaces: tuple[str, ...] = ()
    hash: str = ""
    error: str = ""


def catalogue() -> tuple[ModelInfo, ...]:
    """All bundles that this program can find, by name; damaged ones with the reason."""
    return tuple(_info(name, folder) for name, folder in sorted(find_bundles().items()))


def _info(name: str, folder: Path) -> ModelInfo:
    try:
        manifest = read_manifest(folder)
        spaces = tuple(entry["name"] for entry in manifest["spaces"])
        return ModelInfo(name, manifest["architecture"], spaces, manifest["hash"])
    except UserError as error:
        return ModelInfo(name, error=str(error))
    except (KeyError, TypeError):
        return ModelInfo(name, error=f"The model bundle {name} is damaged; install it again.")
