"""The checkpoints that HeadNeRF's authors release, made a bundle of ours.

A checkpoint is a torch file ``{"para": ..., "net": state dict}``, a face's codes are ``{"code": {"shape_code": (1,
179), "appea_code": (1, 127)}}``. Both are read as numbers alone: torch refuses files that would run code. Every width
is read off the shapes; what the files do not tell is here.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceeditor.errors import UserError
from faceeditor.faces.latents import Direction, Space, as_code
from faceeditor.faces.layout import EXPRESSION, IDENTITY, LIGHT, SKIN
from faceeditor.files.atomic import require_file, write_bytes
from faceeditor.models.bundle import MANIFEST, write_bundle
from faceeditor.models.headnerf import HeadNerf
from faceeditor.models.headnerf_config import PAPER_DIMS, HeadNerfConfig
from faceeditor.models.headnerf_rays import Region

OCTAVES: Final = 10
SHAPE_CODE: Final = {space: PAPER_DIMS[space] for space in (IDENTITY, EXPRESSION)}
APPEARANCE_CODE: Final = {space: PAPER_DIMS[space] for space in (SKIN, LIGHT)}
LABELS: Final = {IDENTITY: "Identity", EXPRESSION: "Expression", SKIN: "Albedo", LIGHT: "Illumination"}
SEEN: Final = Region(centre=(0.0, 0.0, -0.5), radii=(1.75, 1.75, 3.0))
"""What the authors' cameras, 12 units before the origin with a field of view of 14 degrees, see of the slab between
their planes; beyond it nothing was ever learned."""
UNIT: Final = 0.1
ORIGIN: Final = (0.0, 0.02, 0.02)
"""Their space is that of their 3DMM: decimetres from the middle of the face, y up, z out of the face. Where that lies
in head space is known to a centimetre or two."""
PLAUSIBLE: Final = 1.5
"""How much longer than those of a normal distribution codes may be."""
VARIATIONS: Final = 8
"""Sliders of a space at most: the principal directions of the codes that came along."""

FIELD: Final = "fg_CD_predictor."
RENDERER: Final = "neural_render."
NAMES: Final = (
    (r"fg_CD_predictor\.FeaExt_module_(\d+)\.", r"field.layers.\1."),
    (r"fg_CD_predictor\.density_module\.", "field.density."),
    (r"fg_CD_predictor\.RGB_layer_0\.", "field.between."),
    (r"fg_CD_predictor\.RGB_layer_1\.", "field.coloured."),
    (r"fg_CD_predictor\.RGB_layer_2\.", "field.feature."),
    (r"neural_render\.bg_featmap", "background"),
    (r"neural_render\.feat_upsample_list\.(\d+)\.layer_1\.", r"renderer.upsamples.\1.first."),
    (r"neural_render\.feat_upsample_list\.(\d+)\.layer_2\.", r"renderer.upsamples.\1.second."),
    (r"neural_render\.feat_layers\.(\d+)\.", r"renderer.upsamples.\1.narrow."),
    (r"neural_render\.feat_2_rgb_list\.(\d+)\.", r"renderer.pictures.\1."),
)
"""How a tensor's name begins, theirs and ours."""
FIXED: Final = re.compile(r".*(blur_layer|rgb_upsample\.\d+)\.f")
"""The blur's kernel, which is no weight."""

CARD: Final = """# {name}

HeadNeRF (Hong et al., CVPR 2022) with the weights that its authors release, imported from `{source}`. Their licence
allows academic and other non-commercial use alone. Codes: {codes}. Pictures are right where the authors' photographs
were taken from: the front, turned to about half a profile.
"""


def import_headnerf(checkpoint: Path, out: Path, codes: Path | None = None) -> HeadNerf:
    """Writes the bundle ``out`` of a released ``checkpoint``; the folder ``codes`` holds released codes, from which
    means, covariances and sliders come. Gives the model.

    Raises ``UserError`` for files that are no such thing, would run code or do not fit, and for a folder that holds
    something else.
    """
    if out.exists() and not (out.is_dir() and ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise UserError(f"{out} exists and is not a model bundle; choose a new folder.")
    model = read_headnerf(checkpoint)
    tables = None if codes is None else read_codes(codes)
    model.name, model.spaces = out.name, _spaces(tables)
    known = 0 if tables is None else len(tables[IDENTITY])
    facts = {"source": checkpoint.name, "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(), "codes": known}
    write_bundle(
        out,
        architecture="headnerf",
        configuration=model.config.to_json(),
        training=facts,
        tensors=model.state_dict(),
        spaces=model.spaces,
    )
    told = f"{known} of the authors' faces" if known else "none came along, so that a normal distribution stands in"
    write_bytes(out / "README.md", CARD.format(name=out.name, source=checkpoint.name, codes=told).encode())
    return model


def read_headnerf(path: Path) -> HeadNerf:
    """The model of a released checkpoint, without spaces. Raises ``UserError`` when the file holds none."""
    state = _numbers(path, "checkpoint of HeadNeRF", "model_Reso32.pth", "net")
    try:
        return from_authors(state)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _refused(path, "checkpoint of HeadNeRF", "model_Reso32.pth", str(error)) from error


def from_authors(state: Mapping[str, Tensor]) -> HeadNerf:
    """The model of the authors' state dict, frozen. Raises ``KeyError``, ``RuntimeError``, ``TypeError`` or
    ``ValueError`` when a tensor is missing, superfluous or does not fit the others.
    """
    model = HeadNerf(configuration(state))
    model.load_state_dict(renamed(state, model.config))
    model.name = "headnerf-authors"
    return model.eval().requires_grad_(False)


def configuration(state: Mapping[str, Tensor]) -> HeadNerfConfig:
    """The sizes of the authors' model, read off the shapes of its tensors."""
    layers = [state[f"{FIELD}FeaExt_module_{number}.weight"] for number in range(_count(state, "FeaExt_module_"))]
    width = len(layers[0])
    _require("shape code", layers[0].shape[1] - (3 + 6 * OCTAVES), SHAPE_CODE)
    _require("appearance code", state[f"{FIELD}RGB_layer_1.weight"].shape[1] - width, APPEARANCE_CODE)
    (skip,) = (number for number, layer in enumerate(layers) if number and layer.shape[1] != width)
    _, features, side, _ = state[f"{RENDERER}bg_featmap"].shape
    doublings = _count(state, "feat_layers.")
    return HeadNerfConfig(
        octaves=OCTAVES,
        width=width,
        hidden=len(layers),
        skip=skip,
        features=features,
        narrowest=len(state[f"{RENDERER}feat_layers.{doublings - 1}.weight"]),
        map=side,
        size=side << doublings,
        placement="planes",
        region=SEEN,
        density="relu",
        background=True,
        unit=UNIT,
        origin=ORIGIN,
    )


def _count(state: Mapping[str, Tensor], part: str) -> int:
    """How many layers there are whose names go on with a number after ``part``."""
    numbers = {match[1] for name in state if (match := re.search(re.escape(part) + r"(\d+)\.", name))}
    return len(numbers)


def _require(what: str, dims: int, wanted: Mapping[str, int]) -> None:
    if dims != sum(wanted.values()):
        raise ValueError(f"its {what} has {dims} numbers, not {sum(wanted.values())}")


def renamed(state: Mapping[str, Tensor], config: HeadNerfConfig) -> dict[str, Tensor]:
    """The authors' weights by our names, their columns in our order: points first, the code last."""
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if FIXED.fullmatch(name):
            continue
        found = next((re.sub(theirs, our, name) for theirs, our in NAMES if re.match(theirs, name)), name)
        ours[found] = tensor[..., 0, 0] if found.startswith("field.") and tensor.dim() == 4 else tensor
    encoded = 3 + 6 * config.octaves
    waves = torch.arange(encoded - 3).reshape(config.octaves, 2, 3).transpose(0, 1).flatten() + 3
    seen, code = torch.cat([torch.arange(3), waves]), encoded + torch.arange(sum(SHAPE_CODE.values()))
    before = encoded + len(code) + torch.arange(config.width)
    for number, columns in ((0, [seen, code]), (config.skip, [seen, before, code])):
        name = f"field.layers.{number}.weight"
        ours[name] = ours[name][:, torch.cat(columns)]
    return ours


def read_codes(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The codes (count, dims) of every space from the .pth files of ``folder``. Raises ``UserError`` when one of them
    is something else, or there are none.
    """
    files = sorted(folder.glob("*.pth")) if folder.is_dir() else []
    if not files:
        raise UserError(f"{folder} has no latent codes of HeadNeRF in it; choose a folder with their .pth files.")
    rows = [_code(file) for file in files]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _code(path: Path) -> dict[str, NDArray[np.float32]]:
    stored = _numbers(path, "latent code of HeadNeRF", "a .pth file of their samples", "code")
    parts: dict[str, NDArray[np.float32]] = {}
    for key, wanted in (("shape_code", SHAPE_CODE), ("appea_code", APPEARANCE_CODE)):
        code = stored.get(key)
        if code is None or code.numel() != sum(wanted.values()):
            raise _refused(path, "latent code of HeadNeRF", "a .pth file of their samples", f"{key} does not fit")
        pieces = torch.split(code.detach().float().flatten(), list(wanted.values()))
        parts |= {name: piece.numpy() for name, piece in zip(wanted, pieces, strict=True)}
    return parts


def _numbers(path: Path, what: str, like: str, entry: str) -> dict[str, Tensor]:
    """The named finite tensors under ``entry`` of a torch file that holds nothing but numbers."""
    require_file(path)
    try:
        with warnings.catch_warnings():
            # What torch wonders about is either read or refused.
            warnings.simplefilter("ignore")
            held: Any = torch.load(path, map_location="cpu", weights_only=True)[entry]
        tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
        if not all(value.is_floating_point() and value.isfinite().all() for value in tensors.values()):
            raise ValueError("not all of its numbers are finite")
    except ValueError as error:
        raise _refused(path, what, like, str(error)) from error
    except Exception as error:  # a file of anybody's: whatever torch stumbles over, it is not what was asked for
        raise _refused(path, what, like, "it is damaged, or holds more than numbers") from error
    return tensors


def _refused(path: Path, what: str, like: str, why: str) -> UserError:
    told = " ".join(why.split())
    return UserError(f"{path} is not a {what} ({told[:160]}); choose the authors' file, such as {like}.")


def _spaces(tables: Mapping[str, NDArray[np.float32]] | None) -> dict[str, Space]:
    return {name: _space(name, dims, None if tables is None else tables[name]) for name, dims in PAPER_DIMS.items()}


def _space(name: str, dims: int, table: NDArray[np.float32] | None) -> Space:
    """The space of a ``table`` (count, dims) of codes; of a normal distribution around the one, or around zero, where
    there are too few.
    """
    rows = np.zeros((1, dims), np.float32) if table is None else table
    mean = rows.mean(0)
    many = len(rows) > 1
    factor = (rows - mean).T / np.sqrt(len(rows) - 1) if many else np.eye(dims)
    spread = np.sqrt(np.square(factor).sum(1))
    low, high = (rows.min(0), rows.max(0)) if many else (mean - 3, mean + 3)
    return Space(
        name=name,
        label=LABELS[name],
        mean=as_code(mean),
        scale=as_code(spread),
        low=as_code(low),
        high=as_code(high),
        factor=np.asarray(factor, np.float32),
        examples=rows,
        gaussian=True,
        norm_limit=PLAUSIBLE * float(np.sqrt(dims)),
        directions=_variations(name, factor) if many else (),
    )


def _variations(space: str, factor: NDArray[np.floating[Any]]) -> tuple[Direction, ...]:
    """Sliders along the principal directions of a covariance ``factor factor^T``, in standard deviations."""
    axes, spreads, _ = np.linalg.svd(factor, full_matrices=False)
    kept = [number for number in range(min(VARIATIONS, len(spreads))) if spreads[number] > 1e-4 * max(spreads[0], 1e-6)]
    return tuple(
        Direction(
            name=f"variation{number + 1}",
            space=space,
            vector=as_code(axes[:, number] * spreads[number]),
            reader=as_code(axes[:, number] / spreads[number]),
            low=-3.0,
            high=3.0,
            group=LABELS[space],
            label=f"Variation {number + 1}",
        )
        for number in kept
    )


IMPORTERS: Final = {"headnerf": import_headnerf}
"""Whose checkpoints can be imported, and what does it."""
