"""The refiner: INFAMOUS-NeRF's second stage, a diffusion model that is shown a coarse picture (Hou et al., WACV 2024).

What is drawn from noise (Eq. 4) is the difference between a true picture and a coarse one, which stands beside the
noise in the network's input ("spatially concatenated", section 3.2). So a picture cannot drift away, and a few steps of
Song et al.'s "Denoising Diffusion Implicit Models" (2021, Eq. 12 without new noise) are enough.

Beyond the paper: the network is asked for what Karras et al. ("Elucidating the Design Space of Diffusion-Based
Generative Models", 2022, Eq. 7) ask for, from which Eq. 4's ε follows, because ε alone says little of a picture that is
nearly all noise; it sees of the noise only what could be a picture; sampling ends while there is still noise, for
detail that is made up is paid for in accuracy; and nothing changes outside the head.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.latents import Space
from faceeditor.models.bundle import Bundle, misfit
from faceeditor.models.contract import Frame, do_nothing
from faceeditor.models.refiner_layers import UNet
from faceeditor.rendering.colour import linear_to_srgb_torch, srgb_to_linear_torch

CHANNELS: Final = 3
TILE: Final = 384
"""Pixels of a tile's side, at most."""
OVERLAP: Final = 64
"""Pixels that neighbouring tiles share."""
MARGIN: Final = 16
"""Pixels around the head that the network sees too."""


@dataclass(frozen=True)
class RefinerConfig:
    """Sizes and sampling. ``widths`` of the U-Net's levels; ``gain``: what differences of sRGB values are multiplied by
    to be about as large as noise, and their standard deviation ``spread`` then; ``levels``: the shares ᾱ of signal that
    sampling passes, the noisiest first.
    """

    widths: tuple[int, ...] = (32, 64, 96)
    gain: float = 12.0
    spread: float = 0.6
    levels: tuple[float, ...] = (0.001, 0.1, 0.25, 0.45)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that a bundle holds."""
        lists = {name: tuple(stored[name]) for name in ("widths", "levels") if name in stored}
        return cls(**{**stored, **lists})

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)

    @property
    def step(self) -> int:
        """What sides of the network's pictures are multiples of."""
        return int(2 ** len(self.widths))


class DiffusionRefiner(nn.Module):
    """Makes coarse pictures of heads finer. Capability: refining."""

    name: str = ""
    spaces: Mapping[str, Space] = MappingProxyType({})

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        self.network = UNet(2 * CHANNELS + 1, CHANNELS, config.widths)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The refiner of a bundle, frozen, on ``device``. Raises ``UserError`` when its weights do not fit."""
        try:
            model = cls(RefinerConfig.from_json(bundle.configuration))
            model.load_state_dict({name: value.float() for name, value in bundle.tensors.items()})
        except (TypeError, RuntimeError) as error:
            raise misfit(bundle) from error
        model.name, model.spaces = bundle.name, bundle.spaces
        placed = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed.eval().requires_grad_(False)  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.network.leave.weight.device

    def forward(self, noisy: Tensor, coarse: Tensor, alpha: Tensor, kept: Tensor) -> Tensor:
        """The clean differences x_0 (batch, 3, H, W) that are expected behind ``noisy`` ones x_t (batch, 3, H, W), of
        which shares ᾱ (batch,) are ``kept``, beside the ``coarse`` picture over white, sRGB in [0, 1], and its
        ``alpha`` (batch, 1, H, W). Eq. 4's ε is what is left of x_t.
        """
        known = self.config.spread**2
        share = kept.sqrt() * known / (kept * known + 1 - kept)
        guess = share[:, None, None, None] * noisy
        found = self.network(torch.cat([guess, 2 * coarse - 1, 2 * alpha - 1], dim=1), kept.sqrt())
        clean: Tensor = guess + self.doubt(kept)[:, None, None, None] * found
        return clean

    def doubt(self, kept: Tensor) -> Tensor:
        """Standard deviation (batch,) of x_0 where shares ᾱ (batch,) of it are ``kept`` and nothing else is known."""
        return self.config.spread * ((1 - kept) / (kept * self.config.spread**2 + 1 - kept)).sqrt()

    def sample(self, coarse: Tensor, alpha: Tensor, noise: Tensor, breathe: Callable[[], None] = do_nothing) -> Tensor:
        """Differences (1, 3, H, W) of sRGB values to add to a ``coarse`` picture (1, 3, H, W) with ``alpha`` (1, 1, H,
        W), drawn from ``noise`` (1, 3, H, W). H and W are multiples of ``config.step``; ``breathe`` is called at every
        tile of every step.
        """
        x = noise
        for now, then in pairwise((*self.config.levels, 1.0)):
            clean = self._in_tiles(x, coarse, alpha, now, breathe)
            drawn = (x - now**0.5 * clean) / (1 - now) ** 0.5
            x = then**0.5 * clean + (1 - then) ** 0.5 * drawn
        return x / self.config.gain

    def _in_tiles(self, x: Tensor, coarse: Tensor, alpha: Tensor, kept: float, breathe: Callable[[], None]) -> Tensor:
        """What :meth:`forward` expects of a picture of any size, tile by tile."""
        share = torch.tensor([kept], device=x.device)

        def expected(part: Tensor) -> Tensor:
            breathe()
            clean: Tensor = self(*torch.split(part, [CHANNELS, CHANNELS, 1], dim=1), share)
            return clean

        return in_tiles(torch.cat([x, coarse, alpha], dim=1), expected, self.config.step)

    @torch.inference_mode()
    def refine(self, frame: Frame, seed: int = 0, breathe: Callable[[], None] = do_nothing) -> Frame:
        """See :meth:`faceeditor.models.contract.Refiner.refine`."""
        noise = np.random.default_rng(seed).standard_normal((CHANNELS, *frame.alpha.shape), np.float32)
        rows, columns = _around(frame.alpha, MARGIN)
        if not rows.stop:
            return frame
        rgb = self._tensor(frame.rgb_linear[rows, columns]).permute(2, 0, 1)[None]
        alpha = self._tensor(frame.alpha[rows, columns])[None, None]
        over_white = (rgb + 1 - alpha).clamp(0, 1)
        coarse = linear_to_srgb_torch(over_white)
        difference = self._difference(coarse, alpha.clamp(0, 1), self._tensor(noise[:, rows, columns])[None], breathe)
        change = srgb_to_linear_torch((coarse + difference).clamp(0, 1)) - over_white
        finer = torch.where(alpha > 0, (rgb + alpha * change).clamp_min(0), rgb)
        picture = frame.rgb_linear.copy()
        picture[rows, columns] = finer[0].permute(1, 2, 0).cpu().numpy()
        return Frame(picture, frame.alpha, frame.depth)

    def _difference(self, coarse: Tensor, alpha: Tensor, noise: Tensor, breathe: Callable[[], None]) -> Tensor:
        """:meth:`sample` of pictures of any size, (1, 3, H, W)."""
        height, width = coarse.shape[-2:]
        around = (0, -width % self.config.step, 0, -height % self.config.step)
        padded = functional.pad(coarse, around, value=1.0), functional.pad(alpha, around), functional.pad(noise, around)
        return self.sample(*padded, breathe)[..., :height, :width]

    def _tensor(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)


def in_tiles(
    picture: Tensor, make: Callable[[Tensor], Tensor], step: int, tile: int = TILE, overlap: int = OVERLAP
) -> Tensor:
    """What ``make`` says of a ``picture`` (1, C, H, W) that it sees in tiles of at most ``tile`` pixels a side, faded
    into each other over the ``overlap``. All are multiples of ``step``.
    """
    height, width = picture.shape[-2:]
    tops, lefts = (_starts(side, tile, overlap, step) for side in (height, width))
    if len(tops) * len(lefts) == 1:
        return make(picture)
    total: Tensor | None = None
    weights = picture.new_zeros(1, 1, height, width)
    for top in tops:
        for left in lefts:
            place = (..., slice(top, min(top + tile, height)), slice(left, min(left + tile, width)))
            made = make(picture[place])
            total = made.new_zeros(*made.shape[:2], height, width) if total is None else total
            weight = _fade(made.shape[-2], overlap, picture)[:, None] * _fade(made.shape[-1], overlap, picture)
            total[place] += weight * made
            weights[place] += weight
    assert total is not None
    return total / weights


def _starts(side: int, tile: int, overlap: int, step: int) -> list[int]:
    """Where tiles begin along a ``side``: as few as will do, evenly spread."""
    if side <= tile:
        return [0]
    count = -(-(side - overlap) // (tile - overlap))
    last = (side - tile) // step * step + (step if (side - tile) % step else 0)
    return [round(number * last / (count - 1) / step) * step for number in range(count)]


def _fade(length: int, overlap: int, like: Tensor) -> Tensor:
    """Weights (length,) that fall off over the ``overlap`` at both ends, nowhere to nothing."""
    middle = torch.arange(length, device=like.device) + 0.5
    return (torch.minimum(middle, length - middle) / overlap).clamp(max=1)


def _around(alpha: np.ndarray[Any, Any], margin: int) -> tuple[slice, slice]:
    """Rows and columns of what ``alpha`` (H, W) covers, ``margin`` wider; empty where it covers nothing."""
    ends = []
    for axis, side in ((1, alpha.shape[0]), (0, alpha.shape[1])):
        found = np.flatnonzero((alpha > 0).any(axis=axis))
        ends.append(slice(max(found[0] - margin, 0), min(found[-1] + 1 + margin, side)) if len(found) else slice(0, 0))
    return ends[0], ends[1]
