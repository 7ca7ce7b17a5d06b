"""Files in the layout of HeadNeRF's authors, with random weights."""

from itertools import pairwise
from pathlib import Path

import torch

FIELD, RENDERER = "fg_CD_predictor", "neural_render"


def state_of(doublings=2, side=4, width=16, features=32, seed=0):
    """A state dict with all names and shapes of a released one, of these sizes."""
    seen, shape, appearance = 63, 179, 127
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def convolution(name, into, out):
        state[f"{name}.weight"] = torch.randn(out, into, 1, 1, generator=generator) / into**0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(out, generator=generator)

    for number in range(8):
        into = {0: seen + shape, 5: seen + shape + width}.get(number, width)
        convolution(f"{FIELD}.FeaExt_module_{number}", into, width)
    convolution(f"{FIELD}.density_module", width, 1)
    convolution(f"{FIELD}.RGB_layer_0", width, width)
    convolution(f"{FIELD}.RGB_layer_1", width + appearance, width // 2)
    convolution(f"{FIELD}.RGB_layer_2", width // 2, features)
    state[f"{RENDERER}.bg_featmap"] = torch.randn(1, features, side, side, generator=generator)
    channels = [features, *(max(features >> number, 32) for number in range(1, doublings + 1))]
    kernel = torch.tensor([1.0, 2.0, 1.0])
    for number, (before, after) in enumerate(pairwise(channels)):
        convolution(f"{RENDERER}.feat_upsample_list.{number}.layer_1", before, 2 * before)
        convolution(f"{RENDERER}.feat_upsample_list.{number}.layer_2", 2 * before, 4 * before)
        state[f"{RENDERER}.feat_upsample_list.{number}.blur_layer.f"] = kernel
        convolution(f"{RENDERER}.feat_layers.{number}", before, after)
    state[f"{RENDERER}.rgb_upsample.1.f"] = kernel
    for number, count in enumerate(channels):
        convolution(f"{RENDERER}.feat_2_rgb_list.{number}", count, 3)
    return state


def checkpoint(path: Path, state=None) -> Path:
    """A checkpoint file at ``path``, which is given back."""
    para = {"featmap_size": 4, "featmap_nc": 32, "pred_img_size": 16}
    torch.save({"para": para, "net": state_of() if state is None else state}, path)
    return path


def code_files(folder: Path, count: int, seed=1) -> Path:
    """A new ``folder`` with so many files of codes, which is given back."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        codes = {
            "shape_code": torch.randn(1, 179, generator=generator),
            "appea_code": torch.randn(1, 127, generator=generator),
        }
        torch.save({"code": {"bg_code": None, **codes}}, folder / f"S{number:03d}.pth")
    return folder
