"""Bundles: one trained model on disk, and the registry of those that this program can find."""

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from faceeditor.errors import UserError
from faceeditor.faces.latents import Choice, Direction, Space, as_code
from faceeditor.files.atomic import atomic_folder
from faceeditor.resources import resource_path, user_data_dir

FORMAT: Final = 1
WEIGHTS: Final = "weights*.safetensors"
MANIFEST: Final = "bundle.json"
LARGEST_FILE: Final = 15 << 20
"""Bytes of tensors that one weight file holds at most."""

ARCHITECTURES: Final[dict[str, str]] = {
    "template": "faceeditor.models.template:Template",
    "guided": "faceeditor.models.guided:GuidedHead",
    "portrait": "faceeditor.models.portrait:PortraitNetwork",
    "imface": "faceeditor.models.imface:ImFace",
    "triplane": "faceeditor.models.triplane:TriplaneHead",
    "headnerf": "faceeditor.models.headnerf:HeadNerf",
    "infamous": "faceeditor.models.infamous:Infamous",
    "refiner": "faceeditor.models.refiner:DiffusionRefiner",
    "attributes": "faceeditor.models.attributes:AttributeNetwork",
}
"""Architecture name -> ``module:class``; the class has ``from_bundle(bundle, device)``. Imported only when asked for.
"""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read and whose hash was checked.

    ``configuration`` is what the architecture is built from, ``tensors`` its weights, ``spaces`` its latent spaces,
    ``training`` facts for the model card, ``content_hash`` the SHA-256 over all weight files.
    """

    name: str
    architecture: str
    configuration: Mapping[str, Any]
    training: Mapping[str, Any]
    spaces: Mapping[str, Space]
    tensors: Mapping[str, torch.Tensor]
    content_hash: str


def misfit(bundle: Bundle) -> UserError:
    """What to raise when an architecture cannot be built from a bundle that is whole."""
    return UserError(f"The model bundle {bundle.name} does not fit this version of the program; update both.")


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob(WEIGHTS)):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The bundle's description, without its weights. Raises ``UserError`` when it cannot be one of ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"The model bundle {folder.name} has no readable {MANIFEST}; install the bundle again."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(
            f"The model bundle {folder.name} is of a format this version does not know; update the program."
        )
    if str(manifest.get("architecture")) not in ARCHITECTURES:
        raise UserError(
            f"The model bundle {folder.name} is of an unknown kind, {manifest.get('architecture')!r}; "
            "update the program."
        )
    if not isinstance(manifest.get("training"), dict):
        raise UserError(f"The model bundle {folder.name} is damaged: it has no training facts; install it again.")
    return manifest


def read_bundle(folder: Path) -> Bundle:
    """Reads and checks a bundle. Raises ``UserError`` for a damaged or unknown one."""
    manifest = read_manifest(folder)
    if _hash(folder) != manifest.get("hash"):
        raise UserError(
            f"The model bundle {folder.name} is damaged: its weights do not match its hash; install it again."
        )
    tensors: dict[str, torch.Tensor] = {}
    try:
        for file in sorted(folder.glob(WEIGHTS)):
            tensors |= load_file(file)
        tensors = _joined(tensors)
        spaces = {entry["name"]: _space(entry, tensors) for entry in manifest["spaces"]}
        return Bundle(
            name=manifest["name"],
            architecture=manifest["architecture"],
            configuration=manifest["configuration"],
            training=manifest["training"],
            spaces=spaces,
            tensors={key: value for key, value in tensors.items() if not key.startswith("spaces/")},
            content_hash=manifest["hash"],
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"The model bundle {folder.name} is damaged ({error}); install it again.") from error


def write_bundle(
    folder: Path,
    *,
    architecture: str,
    configuration: Mapping[str, Any],
    training: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    spaces: Mapping[str, Space] | None = None,
) -> None:
    """Writes a bundle; floating tensors are stored as float16, in as many files as ``LARGEST_FILE`` asks for.

    An old bundle of that name stays whole until the new one is; its model card and pictures are kept. Raises
    ``UserError`` when the disk is full or the folder may not be written to.
    """
    described = [_describe(space) for space in (spaces or {}).values()]
    everything = {
        **tensors,
        **{key: value for space in (spaces or {}).values() for key, value in _arrays(space).items()},
    }
    stored = {key: _stored(value) for key, value in everything.items()}
    manifest = {
        "format": FORMAT,
        "name": folder.name,
        "architecture": architecture,
        "configuration": dict(configuration),
        "training": dict(training),
        "units": "head space, metres",
        "spaces": described,
    }
    with atomic_folder(folder, without=(WEIGHTS, MANIFEST)) as beside:
        for number, shard in enumerate(_shards(_split(stored))):
            save_file(shard, beside / f"weights{number or ''}.safetensors")
        manifest["hash"] = _hash(beside)
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _stored(value: torch.Tensor) -> torch.Tensor:
    value = value.detach().cpu()
    return (value.half() if value.is_floating_point() else value).contiguous()


def _split(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, those that no file could hold cut along their first dimension as ``name#0``, ``name#1``, ..."""
    pieces: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        rows = max(LARGEST_FILE * len(value) // value.nbytes, 1) if value.nbytes > LARGEST_FILE else 0
        parts = torch.split(value, rows) if rows else (value,)
        pieces |= {f"{key}#{i}" if rows else key: part.contiguous() for i, part in enumerate(parts)}
    return pieces


def _joined(pieces: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Undoes :func:`_split`."""
    parts: dict[str, dict[int, torch.Tensor]] = {}
    for key, value in pieces.items():
        name, _, number = key.partition("#")
        parts.setdefault(name, {})[int(number or 0)] = value
    return {
        name: torch.cat([numbered[i] for i in sorted(numbered)]) if len(numbered) > 1 else next(iter(numbered.values()))
        for name, numbered in parts.items()
    }


def _shards(tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The tensors in lists that each fit into one file, largest first."""
    shards: list[dict[str, torch.Tensor]] = []
    for key, value in sorted(tensors.items(), key=lambda item: -item[1].nbytes):
        fitting = (shard for shard in shards if sum(t.nbytes for t in shard.values()) + value.nbytes <= LARGEST_FILE)
        home = next(fitting, None)
        if home is None:
            shards.append(home := {})
        home[key] = value
    return shards


_SPACE_ARRAYS: Final = ("mean", "scale", "low", "high", "factor", "examples")


def _arrays(space: Space) -> dict[str, torch.Tensor]:
    arrays = {f"spaces/{space.name}/{key}": getattr(space, key) for key in _SPACE_ARRAYS}
    for part in ("vector", "reader"):
        stacked = [getattr(direction, part) for direction in space.directions]
        arrays[f"spaces/{space.name}/{part}s"] = np.stack(stacked) if stacked else np.zeros((0, space.dims), np.float32)
    return {key: torch.from_numpy(np.array(value, np.float32)) for key, value in arrays.items()}


def _describe(space: Space) -> dict[str, Any]:
    return {
        "name": space.name,
        "label": space.label,
        "gaussian": space.gaussian,
        "norm_limit": space.norm_limit,
        "components": list(space.components),
        "directions": [
            {"name": d.name, "low": d.low, "high": d.high, "group": d.group, "label": d.label} for d in space.directions
        ],
        "choices": [
            {
                "name": c.name,
                "start": c.start,
                "options": list(c.options),
                "none": c.none,
                "group": c.group,
                "label": c.label,
            }
            for c in space.choices
        ],
    }


def _space(entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Space:
    name = entry["name"]

    def array(key: str) -> Any:
        return tensors[f"spaces/{name}/{key}"].float().numpy()

    directions = tuple(
        Direction(space=name, vector=as_code(vector), reader=as_code(reader), **facts)
        for facts, vector, reader in zip(entry["directions"], array("vectors"), array("readers"), strict=True)
    )
    choices = tuple(Choice(space=name, **{**facts, "options": tuple(facts["options"])}) for facts in entry["choices"])
    return Space(
        name=name,
        label=entry["label"],
        gaussian=entry["gaussian"],
        norm_limit=entry["norm_limit"],
        components=tuple(entry["components"]),
        directions=directions,
        choices=choices,
        **{key: as_code(array(key)) for key in ("mean", "scale", "low", "high")},
        factor=array("factor"),
        examples=array("examples"),
    )


def find_bundles() -> dict[str, Path]:
    """Name -> folder of every bundle in the user's data folder and the shipped resources; the user's own win."""
    found: dict[str, Path] = {}
    for root in (user_data_dir() / "models", resource_path("models")):
        for manifest in sorted(root.glob(f"[!.]*/{MANIFEST}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def load_model(name: str, device: torch.device | str = "cpu") -> Any:
    """The model of the bundle ``name``, on ``device``.

    Raises ``UserError`` when there is none, it is damaged, or it does not hold what its architecture asks for.
    """
    folders = find_bundles()
    if name not in folders:
        raise UserError(
            f"There is no model named {name}; the ones at hand are: {', '.join(sorted(folders)) or 'none'}."
        )
    bundle = read_bundle(folders[name])
    module, _, attribute = ARCHITECTURES[bundle.architecture].partition(":")
    architecture = getattr(importlib.import_module(module), attribute)
    try:
        return architecture.from_bundle(bundle, torch.device(device))
    except (KeyError, TypeError, ValueError) as error:
        raise misfit(bundle) from error
