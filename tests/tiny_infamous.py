"""A real, tiny INFAMOUS-NeRF on the shipped template, untrained, and codes of people for it."""

from dataclasses import replace

import numpy as np
import torch

from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import DIMS, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.models.bundle import load_model
from faceeditor.models.infamous import Infamous
from faceeditor.models.infamous_config import InfamousConfig
from faceeditor.models.proxy import Proxy, Sheet
from faceeditor.rendering.harmonics import ambient, directional

TINY = InfamousConfig(
    theta=6, alpha=5, beta=4, epsilon=64, colour=8, shape=6, hidden=3, sheet=Sheet(rows=3, columns=4, tile=4)
)


def model_of(seed=0, **changes):
    torch.manual_seed(seed)
    config = replace(TINY, **changes)
    model = Infamous(config, Proxy(load_model("template-studio"), config.sheet))
    model.name = "tiny"
    model.opacity.fill_(200)
    model.show_opacity()
    return model.eval()


def codes_of(seed=0, style=None):
    random = np.random.default_rng(seed)
    codes = {name: np.zeros(dims, np.float32) for name, dims in DIMS.items()}
    codes[IDENTITY] += random.normal(0, 0.7, DIMS[IDENTITY]).astype(np.float32)
    codes[SKIN][3] = 1
    codes[LIGHT] += (ambient(np.full(3, 0.6)) + directional(np.array([0.3, 0.5, 0.81]), np.full(3, 0.5))).reshape(-1)
    if style is not None:
        codes[HAIR][style] = 1
    return {name: as_code(code) for name, code in codes.items()}
