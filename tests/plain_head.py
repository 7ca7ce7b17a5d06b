"""A tri-plane head that is about a sphere and takes no time to train: for tests of what is done with one."""

from dataclasses import replace

import numpy as np
import torch

from faceeditor.faces.latents import Choice, Direction, Space, as_code
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import write_bundle
from faceeditor.models.triplane import TriplaneConfig, TriplaneHead
from faceeditor.models.triplane_deformation import DeformationConfig

NAME = "plainhead"
DIMS = {IDENTITY: 6, EXPRESSION: 64}
BLEND = TriplaneConfig(
    identity_dims=DIMS[IDENTITY],
    expression_dims=DIMS[EXPRESSION],
    planes=16,
    features=4,
    channels=4,
    scale=1,
    width=64,
    norm="none",
    warp=6,
    warp_kept=20,
    warp_dims=6,
    deformation=DeformationConfig(kind="blend", width=16, hidden=2, skip=0, octaves=2),
)
KINDS = {"blend": BLEND, "deepsdf": replace(BLEND, deformation=DeformationConfig(width=96, hidden=3, skip=2))}
STRENGTH = {"blend": 1000, "deepsdf": 45}
"""With which motions are millimetres."""
STYLES = ("curls", "bob")


def plain_head(kind="blend"):
    """A head whose mouth is a little open at rest; its codes are the identity's first components, then the hair's."""
    torch.manual_seed(0)
    model = TriplaneHead(KINDS[kind]).eval().requires_grad_(False)
    model.deformation.net.layers[-1].weight *= STRENGTH[kind]
    model.deformation.rest[EXPRESSION_COMPONENTS.index("jawOpen")] = 0.25
    model.name, model.spaces = NAME, {name: _space(name) for name in DIMS}
    return model


def codes_of(**weights):
    """The mean person with the named components of the expression."""
    code = np.zeros(DIMS[EXPRESSION], np.float32)
    for name, weight in weights.items():
        code[EXPRESSION_COMPONENTS.index(name)] = weight
    return {IDENTITY: np.zeros(DIMS[IDENTITY], np.float32), EXPRESSION: code}


def _space(name):
    dims = DIMS[name]
    axes = np.eye(dims, dtype=np.float32)
    directions = [Direction("size", name, as_code(axes[0]), as_code(axes[0]), -2.0, 2.0, "Head", "Size")]
    if name == EXPRESSION:
        vectors = {
            key: axes[[EXPRESSION_COMPONENTS.index(part) for part in parts]].sum(0) for key, parts in ARKIT.items()
        }
        directions = [
            Direction(key, name, as_code(vector), as_code(vector / vector.sum()), 0.0, 1.0, "Face", key)
            for key, vector in vectors.items()
        ]
    mean = np.zeros(dims, np.float32)
    mean[4:] = 0.4 if name == IDENTITY else 0
    return Space(
        name=name,
        label=name.title(),
        mean=as_code(mean),
        scale=as_code(np.ones(dims)),
        low=as_code(np.full(dims, -2)),
        high=as_code(np.full(dims, 2)),
        factor=axes,
        examples=np.zeros((2, dims), np.float32),
        gaussian=name == IDENTITY,
        directions=tuple(directions),
        choices=(Choice("style", name, 4, STYLES, "bald", "Hair", "Style"),) if name == IDENTITY else (),
    )


def install_head(folder):
    """Writes the head as a bundle under ``folder``/models."""
    model = plain_head()
    write_bundle(
        folder / "models" / NAME,
        architecture="triplane",
        configuration=model.config.to_json(),
        training={},
        tensors=dict(model.state_dict()),
        spaces=model.spaces,
    )
