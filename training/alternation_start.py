"""The networks that the alternation of zero-shot attribute separation starts with (section 3.3)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.latents import Space
from faceeditor.files.atomic import write_bytes
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.attributes_codes import HEADS
from faceeditor.models.bundle import Bundle, find_bundles, load_model, misfit, read_bundle
from faceeditor.models.headnerf import HeadNerf
from faceeditor.models.headnerf_config import HeadNerfConfig
from training.alternation_config import Alternation
from training.guided_spaces import make_spaces
from training.imface_spaces import lengthened
from training.train_attributes import BODY

NOTE: Final = "began.json"
"""The file in a training's folder that tells what it began with."""


def waken(encoder: AttributeNetwork, scale: float) -> AttributeNetwork:
    """``encoder`` with components of codes that never changed in its first training free to move by ``scale``."""
    for head in HEADS:
        spread = encoder.get_buffer(f"{head}_scale")
        spread[spread == 0] = scale
    return encoder


def opened(where: str, architecture: str) -> Bundle:
    """The bundle of a name, or that in a folder. Raises ``UserError`` when it is none of this ``architecture``."""
    bundle = read_bundle(find_bundles().get(where, Path(where)))
    if bundle.architecture != architecture:
        raise UserError(f"{where} is a bundle of the kind {bundle.architecture}; give one of the kind {architecture}.")
    return bundle


def claim(work: Path, facts: Mapping[str, str]) -> None:
    """Notes in the folder ``work`` what a training begins with. Raises ``UserError`` when it began with something else:
    what was learned from there would be mixed.
    """
    note = work / NOTE
    if not note.is_file():
        work.mkdir(parents=True, exist_ok=True)
        write_bytes(note, json.dumps(dict(facts), indent=2).encode())
    elif json.loads(note.read_text(encoding="utf-8")) != facts:
        raise UserError(f"{work} holds a training that began with other networks or photos; choose another folder.")


def first_decoder(config: Alternation, bundle: Bundle | None) -> tuple[HeadNerf, dict[str, Space]]:
    """The decoder that the alternation starts with, that of the ``bundle`` if there is one, and its spaces. Raises
    ``UserError`` when the bundle's weights do not fit.
    """
    if bundle is None:
        studio = make_spaces(load_model(BODY), config.decoder.seed)
        model = HeadNerf(config.decoder_config)
        return model, {name: lengthened(studio[name], dims) for name, dims in model.config.dims.items()}
    try:
        model = HeadNerf(config.heard(HeadNerfConfig.from_json(bundle.configuration)))
        model.load_state_dict(narrowed(bundle.tensors, model.state_dict()))
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise misfit(bundle) from error
    return model, {name: bundle.spaces[name] for name in model.config.dims}


def narrowed(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` cut to the shapes of ``like``. Weights for the code of hair are the last columns wherever it is
    heard, so that what is left of a decoder is one without it.
    """
    return {name: tensors[name][tuple(slice(size) for size in own.shape)].to(own.dtype) for name, own in like.items()}
