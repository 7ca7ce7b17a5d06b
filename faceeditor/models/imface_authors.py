"""The authors' first ImFace (Zheng et al., CVPR 2022), built from the weights that they release.

It is :class:`faceeditor.models.imface.ImFace` without the detail stage: the same chain and the same blend fields, with
one sine MLP for all five landmarks. Every width is read off the tensors.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.latents import Space, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.blend_field import BlendConfig
from faceeditor.models.imface import FACE, ImFace, ImFaceConfig

FREQUENCY: Final = 30.0
"""ω of the authors' sine layers, which their weights do not tell."""

NAMES: Final = {
    "deform_net": "expression",
    "reference_net": "identity",
    "template_net": "template",
    "landmarks": "landmark_net.layers",
    "id_landmarks": "neutral_landmark_net.layers",
}
"""What a tensor's name begins with, theirs and ours."""


def load_authors(path: Path | str) -> ImFace:
    """The model of a released checkpoint, ``pth/envs_last.pth``. Raises ``UserError`` when it holds no ImFace."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["decoder"]
        model = from_authors(state)
    except Exception as error:  # a file of anybody's: whatever torch stumbles over, it is not this checkpoint
        raise UserError(f"{path} is not a checkpoint of ImFace; choose the authors' envs_last.pth.") from error
    model.name = Path(path).stem
    return model


def from_authors(state: Mapping[str, Tensor]) -> ImFace:
    """The model of the authors' state dict, frozen. Raises ``KeyError``, ``ValueError`` or ``RuntimeError`` when a
    tensor is missing or does not fit the others.
    """
    model = ImFace(configuration(state))
    model.load_state_dict(renamed(state))
    model.name = "imface-authors"
    model.spaces = {
        IDENTITY: _space(IDENTITY, state["id_embedding.weight"]),
        EXPRESSION: _space(EXPRESSION, state["exp_embedding.weight"]),
    }
    return model.eval().requires_grad_(False)


def configuration(state: Mapping[str, Tensor]) -> ImFaceConfig:
    """The sizes of the authors' model, read off the shapes of its tensors."""
    motion = len(state[_layers(state, "deform_net")[-1] + ".weight"]) // len(FACE)
    warps: dict[int, Literal["se3", "translation"]] = {3: "translation", 6: "se3"}
    if motion not in warps:
        raise ValueError(f"a warp of {motion} numbers is not known")
    return ImFaceConfig(
        identity_dims=state["id_embedding.weight"].shape[1],
        expression_dims=state["exp_embedding.weight"].shape[1],
        expression=_sizes(state, "deform_net"),
        identity=_sizes(state, "reference_net"),
        template=_sizes(state, "template_net"),
        detail=None,
        warp=warps[motion],
        landmark_width=len(state["landmarks.0.weight"]),
    )


def _layers(state: Mapping[str, Tensor], block: str) -> list[str]:
    """The names of a sine MLP's layers, first to last."""
    start = f"{block}.mini_nets.mini_net.net.net."
    count = sum(name.startswith(start) and name.endswith(".weight") for name in state)
    return [f"{start}{number}.0" for number in range(count)]


def _sizes(state: Mapping[str, Tensor], block: str) -> BlendConfig:
    layers = _layers(state, block)
    width, inside = state[layers[0] + ".weight"].shape
    octaves, rest = divmod(inside // len(FACE) - 3, 6)
    if rest:
        raise ValueError(f"{inside} inputs are not five encoded positions")
    first = f"{block}.mini_nets.mini_hypernet.nets.0.net."
    hyper = sorted(name for name in state if name.startswith(first) and name.endswith(".weight"))
    return BlendConfig(
        width=width,
        hidden=len(layers) - 2,
        frequency=FREQUENCY,
        octaves=octaves,
        separate=False,
        fusion=len(state[f"{block}.fusion.weights.0.weight"]),
        hyper=tuple(len(state[name]) for name in hyper[:-1]),
    )


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' weights by our names, without the tables of codes and without what hyper nets overwrite."""
    rest = state["template_landmarks"]
    ours = {"template_landmarks": rest if len(rest) == len(FACE) else rest[list(FACE)]}
    for theirs, block in NAMES.items():
        inside = {name.removeprefix(theirs + "."): name for name in state if name.startswith(theirs + ".")}
        hyper = any(part.startswith("mini_nets.mini_hypernet.") for part in inside)
        for part, name in inside.items():
            found = _ours(part, hyper)
            if found is not None:
                # One network for all landmarks: a group of one.
                ours[f"{block}.{found}"] = state[name][None] if found.startswith("nets.") else state[name]
    return ours


def _ours(part: str, hyper: bool) -> str | None:
    """Our name of a tensor inside a block, ``None`` for one that is not used."""
    if match := re.fullmatch(r"mini_nets\.mini_hypernet\.nets\.(\d+)\.net\.(\d+)\.(?:0\.)?(\w+)", part):
        head, layer, kind = match.groups()
        # Between two of our layers lies an activation.
        return f"nets.heads.{head}.{2 * int(layer)}.{kind}"
    if match := re.fullmatch(r"mini_nets\.mini_net\.net\.net\.(\d+)\.0\.(\w+)", part):
        layer, kind = match.groups()
        return None if hyper else f"nets.{'weights' if kind == 'weight' else 'biases'}.{layer}"
    return part.replace("fusion.weights.", "fusion.")


def _space(name: str, codes: Tensor) -> Space:
    """The space of a table of training codes (count, dims)."""
    table = codes.detach().float().cpu().numpy()
    centred = table - table.mean(0)
    return Space(
        name=name,
        label=name.capitalize(),
        mean=as_code(table.mean(0)),
        scale=as_code(table.std(0)),
        low=as_code(table.min(0)),
        high=as_code(table.max(0)),
        factor=np.asarray(centred.T / np.sqrt(max(len(table) - 1, 1)), np.float32),
        examples=table,
        gaussian=True,
    )
