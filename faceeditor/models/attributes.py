"""The attribute encoder: one picture of a head in, its shape, expression, texture, light, hair and pose out.

The encoder E of zero-shot attribute separation (section 3.1): seven prediction heads, of which each gives one code.
Here they share a backbone, which also finds the 68 landmarks, because codes of shape are told by where things are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Space
from faceeditor.models.attributes_codes import (
    EXP,
    HEADS,
    OPTIONS,
    ROT,
    SHAPE,
    TRAN,
    camera_of,
    decided,
    shares,
    with_part,
)
from faceeditor.models.bundle import Bundle, misfit
from faceeditor.models.layers import mlp
from faceeditor.models.pyramid import Pyramid, convolution, expectation, stages

GLANCE_CELLS: Final = 8
"""Cells along each side of the coarse picture whose colours the heads see as they are."""
GRID: Final = 4
"""Cells along each side in which the last features are averaged."""


@dataclass(frozen=True)
class AttributeConfig:
    """The encoder's sizes: input ``size`` in pixels (a multiple of 32), channels of stem and stages (``widths``), with
    so many residual ``blocks`` of bottleneck ``squeeze`` a stage, channels of the feature ``pyramid`` and of the
    ``grid`` that the heads see, and the ``hidden`` width of the heads. The ``local`` heads also see the pyramid's
    features where the landmarks were found: how lids and lips stand is told there.
    """

    size: int = 128
    widths: tuple[int, ...] = (24, 32, 64, 128, 192)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    squeeze: int = 1
    pyramid: int = 48
    grid: int = 96
    hidden: int = 256
    local: tuple[str, ...] = ()

    @classmethod
    def paper(cls) -> Self:
        """A backbone of ResNet50's size."""
        return cls(224, (64, 256, 512, 1024, 2048), (3, 4, 6, 3), 4, 256, 512, 1024, (EXP, SHAPE))


class Attributes(NamedTuple):
    """What is said of a batch. ``codes`` (B, dims) by head, with shares of options, rotation in degrees (yaw, pitch,
    roll as :class:`Camera` means them) and translation as ``middle`` x, y (where the point is seen that cameras turn
    around, from the picture's middle in fractions of it) and logarithm of the focal length over the distance;
    ``logits`` of the options by name, without that of none, which is zero; ``landmarks`` (B, 68, 2) fractions of the
    picture with their ``heat`` (B, 68, S/4, S/4), unnormalised log maps.
    """

    codes: dict[str, Tensor]
    logits: dict[str, Tensor]
    landmarks: Tensor
    heat: Tensor


class AttributeNetwork(nn.Module):
    """Capability: attributes. ``forward`` is for training; :meth:`encode` takes and gives plain arrays."""

    spaces: Mapping[str, Space] = MappingProxyType({})

    def __init__(self, config: AttributeConfig, name: str = "attributes") -> None:
        super().__init__()
        self.config, self.name = config, name
        widths = config.widths
        self.stem = convolution(3, widths[0], 2)
        self.stages = stages(widths, config.blocks, config.squeeze)
        self.pyramid = Pyramid(widths[1:], config.pyramid)
        self.heat = nn.Conv2d(config.pyramid, points.COUNT, 1)
        self.grid = convolution(widths[-1], config.grid, reach=1)
        seen = GRID**2 * config.grid + config.pyramid + 2 * points.COUNT + 3 * GLANCE_CELLS**2
        self.heads = nn.ModuleDict(
            {name: mlp(seen, config.hidden, config.hidden, dims, zero_last=True) for name, dims in HEADS.items()}
        )
        near = points.COUNT * config.pyramid
        self.local = nn.ModuleDict(
            {name: mlp(near, config.hidden, config.hidden, HEADS[name], zero_last=True) for name in config.local}
        )
        for name, dims in HEADS.items():
            self.register_buffer(f"{name}_mean", torch.zeros(dims))
            self.register_buffer(f"{name}_scale", torch.zeros(dims))

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The network of a bundle, ready to encode on ``device``. Raises ``UserError`` when its weights do not fit."""
        try:
            facts = dict(bundle.configuration)
            lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
            network = cls(AttributeConfig(**{**facts, **lists}), bundle.name)
            tensors = {name: v.float() if v.is_floating_point() else v for name, v in bundle.tensors.items()}
            network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise misfit(bundle) from error
        return network.channels_last().to(device).eval().requires_grad_(False)

    def channels_last(self) -> Self:
        """This network with its weights laid out as CPUs and tensor cores like them, in place."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def configuration(self) -> dict[str, Any]:
        """What the bundle stores to build this network again."""
        return asdict(self.config)

    def calibrate(self, codes: Mapping[str, Tensor]) -> None:
        """Makes the mean of ``codes`` (N, dims) by head what an ignorant head says, and their spread its unit.

        A component that never changes, or that no code reaches, will keep its mean; raise its scale to have it used.
        """
        for name, known in codes.items():
            dims = known.shape[1]
            self.get_buffer(f"{name}_mean")[:dims] = known.mean(0)
            self.get_buffer(f"{name}_scale")[:dims] = known.std(0)

    def forward(self, pictures: Tensor) -> Attributes:
        """``pictures`` (B, 3, S, S) sRGB in [0, 1], S as configured or another multiple of 32."""
        features = [self.stem(pictures * 2 - 1)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        together = self.pyramid(features[1:])
        heat = self.heat(together).float()
        found = expectation(heat)
        coarse = functional.adaptive_avg_pool2d(self.grid(features[-1]).float(), GRID).flatten(1)
        colours = functional.adaptive_avg_pool2d(pictures.float(), GLANCE_CELLS).flatten(1) * 2 - 1
        with torch.autocast(pictures.device.type, enabled=False):
            places = (found.detach() - 0.5).flatten(1) * 4
            seen = torch.cat([coarse, together.float().mean((2, 3)), places, colours], dim=1)
            raw = {name: head(seen) for name, head in self.heads.items()}
            near = sampled(together.float(), found.detach()).flatten(1)
            raw |= {name: raw[name] + head(near) for name, head in self.local.items()}
        return Attributes(*self._codes(raw), found, heat)

    def _codes(self, raw: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Codes by head and logits by options of what the heads say."""
        codes = {
            name: self.get_buffer(f"{name}_mean") + self.get_buffer(f"{name}_scale") * said
            for name, said in raw.items()
        }
        logits = {}
        for name, one in OPTIONS.items():
            logits[name] = raw[one.head][:, one.part]
            codes[one.head] = with_part(codes[one.head], one.part, shares(logits[name], none=one.none))
        return codes, logits

    @torch.inference_mode()
    def encode(
        self, crops_srgb: NDArray[np.uint8], field_of_view: float = Camera().field_of_view
    ) -> tuple[dict[str, NDArray[np.float32]], list[Camera]]:
        """See :meth:`faceeditor.models.contract.AttributeEncoder.encode`."""
        if crops_srgb.ndim != 4 or crops_srgb.shape[1] != crops_srgb.shape[2]:
            raise ValueError(f"expected square pictures (N, S, S, 3), not {crops_srgb.shape}")
        pictures = torch.from_numpy(np.ascontiguousarray(crops_srgb)).to(self.heat.weight.device)
        pictures = pictures.permute(0, 3, 1, 2) / 255
        size = self.config.size
        if pictures.shape[-1] != size:
            pictures = functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
        said = self(pictures.contiguous(memory_format=torch.channels_last))
        rotations, translations = (said.codes[name].double().cpu().numpy() for name in (ROT, TRAN))
        pose = zip(rotations, translations, strict=True)
        return decided(said.codes), [camera_of(*both, field_of_view) for both in pose]


def sampled(features: Tensor, places: Tensor) -> Tensor:
    """``features`` (B, C, H, W) at ``places`` (B, N, 2), fractions of the picture: (B, N, C)."""
    found = functional.grid_sample(features, places[:, :, None] * 2 - 1, padding_mode="border", align_corners=False)
    return found[..., 0].transpose(1, 2)
