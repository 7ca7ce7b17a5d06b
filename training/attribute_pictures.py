"""What HeadNeRF draws of the codes that the attribute encoder's heads say, with gradients to all of them."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from faceeditor.faces.camera import TARGET, Camera
from faceeditor.faces.layout import DIMS, HAIR
from faceeditor.models.attributes_codes import HEADS, ROT, SPACES, TRAN
from faceeditor.models.headnerf import HeadNerf, Picture
from faceeditor.models.headnerf_config import HeadNerfConfig
from faceeditor.models.headnerf_rays import Rays, posed_rays
from training.attributes_losses import rotations

SPACE_OF: Final = {head: space for space, head in SPACES.items()}
CAMERA: Final = Camera()
"""All but its place: the encoder's heads know nothing of the angle that a picture shows."""


def heard(config: HeadNerfConfig) -> tuple[str, ...]:
    """The heads whose codes change what a decoder draws: those of the spaces that it has, and the pose's."""
    return tuple(head for head in HEADS if head in (ROT, TRAN) or config.dims.get(SPACE_OF[head]))


def by_space(codes: Mapping[str, Tensor], config: HeadNerfConfig) -> dict[str, Tensor]:
    """The decoder's codes (B, dims) of ``codes`` (B, dims) by head: their first components. A decoder without a code of
    hair is told of bald heads, whose template it corrects.
    """
    found = {space: codes[head][:, : config.dims[space]] for space, head in SPACES.items() if config.dims.get(space)}
    count = len(codes[ROT])
    return found if HAIR in found else {**found, HAIR: codes[ROT].new_zeros(count, DIMS[HAIR])}


def sights(codes: Mapping[str, Tensor], config: HeadNerfConfig, cells: int) -> Rays:
    """The rays of maps with ``cells`` a side, through the cameras that z_rot and z_tran (B, 3) are: those of
    :func:`faceeditor.models.attributes_codes.camera_of`.
    """
    turned, moved = rotations(codes[ROT]), codes[TRAN]
    size = moved[:, 2:].exp()
    before = torch.cat([moved[:, :2], torch.full_like(size, CAMERA.focal)], dim=1) / size
    target = torch.tensor(TARGET, dtype=before.dtype, device=before.device)
    position = target - (before[:, None] @ turned)[:, 0]
    return posed_rays(turned, position, CAMERA, cells, config.unit, config.origin)


def draw(
    decoder: HeadNerf, codes: Mapping[str, Tensor], cells: int, *, jitter: bool = False, short: bool = False
) -> Picture:
    """D(z): pictures of ``codes`` (B, dims) by head, drawn by way of maps with ``cells`` a side; in ``short`` numbers,
    of 16 bits, if wanted.
    """
    rays = sights(codes, decoder.config, cells)
    with torch.autocast(decoder.device.type, torch.bfloat16, enabled=short):
        return decoder(by_space(codes, decoder.config), rays, jitter=jitter)  # type: ignore[no-any-return]
