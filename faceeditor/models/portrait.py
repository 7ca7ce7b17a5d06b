"""The portrait network: one square picture of a head in, landmarks, masks of head and hair, hair style and pose out.

An encoder of residual blocks (He et al., "Deep Residual Learning", 2015) with a feature pyramid over it (Lin et al.,
2017). Landmarks are the expectation of heat maps at a quarter of the resolution (Sun et al., "Integral Human Pose
Regression", 2018), blended with a direct regression for points that the picture does not show, then moved by what the
finest features around each of them say, so that lids and lips are met, and at last by what all of them together say of
each: a linear map, which knows what faces look like. The rotation is read from six numbers (Zhou
et al., "On the Continuity of Rotation Representations in Neural Networks", 2019).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces import landmarks as points
from faceeditor.faces.latents import Space
from faceeditor.faces.layout import HAIR_STYLES
from faceeditor.models.bundle import Bundle, misfit
from faceeditor.models.pyramid import Pyramid, convolution, doubled, expectation, stages

GRID: Final = 4
"""Cells along each side in which the coarsest features are averaged for what concerns the whole picture."""

STYLES: Final = 1 + HAIR_STYLES.stop - HAIR_STYLES.start
"""Hair styles that are told apart: bald, then those of the hair code in its order."""

NEARBY: Final = 5
"""Samples along each side of the square around a landmark in which the finest features are looked at."""

APART: Final = 0.02
"""Distance of those samples, a fraction of the picture."""


@dataclass(frozen=True)
class PortraitConfig:
    """The network's sizes: input ``size`` in pixels (a multiple of 32), channels of the five encoder stages and of the
    pyramid, residual blocks a stage and width of the head that sees the whole picture.
    """

    size: int = 192
    widths: tuple[int, ...] = (24, 32, 64, 128, 192)
    pyramid: int = 48
    blocks: int = 2
    summary: int = 384


class PortraitOutput(NamedTuple):
    """What the network says of a batch. Positions are fractions of the picture, (0, 0) its top left corner.

    ``landmarks`` (B, 68, 2); ``heat`` (B, 68, S/4, S/4) unnormalised log maps; ``spread`` (B, 68) expected error as a
    fraction of the picture; ``mask`` (B, 2, S/2, S/2) logits of the whole head and of its hair; ``style`` (B, STYLES)
    logits of the hair style; ``rotation`` (B, 3, 3) head space to OpenCV camera axes; ``presence`` (B,) logit of there
    being a head.
    """

    landmarks: Tensor
    heat: Tensor
    spread: Tensor
    mask: Tensor
    style: Tensor
    rotation: Tensor
    presence: Tensor


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read from N square pictures of S pixels, as plain arrays.

    ``landmarks`` (N, 68, 2) pixels; ``spread`` (N, 68) expected error in pixels; ``mask`` of the head and ``hair`` (N,
    S', S') in [0, 1] at half the network's resolution; ``style`` (N, STYLES) probabilities of the hair styles;
    ``rotation`` (N, 3, 3) head space to camera; ``presence`` (N,) probability of a head.
    """

    landmarks: NDArray[np.float64]
    spread: NDArray[np.float64]
    mask: NDArray[np.float32]
    hair: NDArray[np.float32]
    style: NDArray[np.float64]
    rotation: NDArray[np.float64]
    presence: NDArray[np.float64]

    def one(self, index: int) -> Self:
        """What was read from the picture ``index``, as of one picture."""
        part = slice(index, index + 1)
        return type(self)(**{field.name: getattr(self, field.name)[part] for field in fields(self)})


def rotation_from_six(six: Tensor) -> Tensor:
    """Rotations (..., 3, 3) of six numbers (..., 6): two rows, made orthonormal; the third is their cross product."""
    first = functional.normalize(six[..., :3], dim=-1)
    second = functional.normalize(six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.cross(first, second, dim=-1)], dim=-2)


class _Closer(nn.Module):
    """Looks at ``features`` around positions and says how far each landmark is off; one small network a landmark."""

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(points.COUNT, NEARBY**2 * inside, width) / (NEARBY * inside**0.5))
        self.middle = nn.Parameter(torch.zeros(points.COUNT, width))
        self.last = nn.Parameter(torch.zeros(points.COUNT, width, 2))

    def forward(self, features: Tensor, places: Tensor) -> Tensor:
        """Moves (B, 68, 2) of ``places`` (B, 68, 2), fractions, by what ``features`` (B, C, H, W) show around them."""
        along = (torch.arange(NEARBY, device=places.device) - NEARBY // 2) * APART
        around = torch.stack(torch.meshgrid(along, along, indexing="xy"), dim=-1).reshape(1, 1, -1, 2)
        where = (places.detach()[:, :, None] + around) * 2 - 1
        seen = functional.grid_sample(features, where, mode="bilinear", padding_mode="border", align_corners=False)
        seen = seen.permute(0, 2, 3, 1).flatten(2)
        hidden = functional.relu(torch.einsum("bnk,nkh->bnh", seen, self.first) + self.middle)
        return torch.einsum("bnh,nhc->bnc", hidden, self.last)


class PortraitNetwork(nn.Module):
    """Reads a portrait. ``forward`` is for training; :meth:`read` takes and gives plain arrays."""

    mean_landmarks: Tensor
    """(68, 3) landmarks of the mean head, head space metres."""

    def __init__(self, config: PortraitConfig, name: str = "portrait") -> None:
        super().__init__()
        self.config = config
        self.name = name
        self.spaces: Mapping[str, Space] = {}
        widths = config.widths
        self.stem = convolution(3, widths[0], 2)
        self.stages = stages(widths, [config.blocks] * (len(widths) - 1))
        self.pyramid = Pyramid(widths[1:], config.pyramid)
        self.heat = nn.Conv2d(config.pyramid, points.COUNT, 1)
        self.fine = convolution(config.pyramid + widths[0], 24)
        self.mask = nn.Conv2d(24, 2, 3, 1, 1)
        self.closer = _Closer(24, 24)
        self.likely = nn.Linear(2 * points.COUNT, 2 * points.COUNT)
        nn.init.zeros_(self.likely.weight)
        nn.init.zeros_(self.likely.bias)
        seen = GRID**2 * widths[-1] + config.pyramid + 2 * points.COUNT
        self.summary = nn.Sequential(
            nn.Linear(seen, config.summary), nn.ReLU(), nn.Linear(config.summary, config.summary), nn.ReLU()
        )
        self.sizes = {
            "points": 2 * points.COUNT,
            "gate": points.COUNT,
            "spread": points.COUNT,
            "six": 6,
            "presence": 1,
        }
        self.answers = nn.Linear(config.summary, sum(self.sizes.values()))
        self.style = nn.Linear(config.summary, STYLES)
        self.register_buffer("mean_landmarks", torch.zeros(points.COUNT, 3))

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The network of a bundle, ready to read on ``device``. Raises ``UserError`` when its weights do not fit."""
        try:
            facts = dict(bundle.configuration)
            network = cls(PortraitConfig(**{**facts, "widths": tuple(facts["widths"])}), bundle.name)
            network.load_state_dict({key: value.float() for key, value in bundle.tensors.items()})
        except (KeyError, TypeError, RuntimeError) as error:
            raise misfit(bundle) from error
        return network.channels_last().to(device).eval()

    def channels_last(self) -> Self:
        """This network with its weights laid out as CPUs and tensor cores like them, in place."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def configuration(self) -> dict[str, Any]:
        """What the bundle stores to build this network again."""
        return asdict(self.config)

    def forward(self, pictures: Tensor) -> PortraitOutput:
        """``pictures`` (B, 3, S, S) sRGB in [0, 1], S as configured or another multiple of 32."""
        first = self.stem(pictures * 2 - 1)
        features: list[Tensor] = []
        for stage in self.stages:
            features.append(stage(features[-1] if features else first))
        together = self.pyramid(features)
        heat = self.heat(together).float()
        fine = self.fine(torch.cat([doubled(together), first], dim=1))
        seen = expectation(heat)
        coarse = functional.adaptive_avg_pool2d(features[-1].float(), GRID).flatten(1)
        pooled = torch.cat([coarse, together.float().mean((2, 3))], dim=1)
        with torch.autocast(pooled.device.type, enabled=False):
            summary = self.summary(torch.cat([pooled, (seen.detach() - 0.5).flatten(1)], dim=1))
            parts = torch.split(self.answers(summary), list(self.sizes.values()), 1)
            style = self.style(summary)
        answers = dict(zip(self.sizes, parts, strict=True))
        regressed = 0.5 + answers["points"].reshape(-1, points.COUNT, 2)
        gate = torch.sigmoid(answers["gate"] + 2)[..., None]
        landmarks = gate * seen + (1 - gate) * regressed
        with torch.autocast(pooled.device.type, enabled=False):
            landmarks = landmarks + self.closer(fine.float(), landmarks)
            landmarks = landmarks + self.likely(landmarks.flatten(1) - 0.5).unflatten(1, (points.COUNT, 2))
        return PortraitOutput(
            landmarks=landmarks,
            heat=heat,
            spread=torch.exp(answers["spread"].clamp(-4, 4)) * 0.01,
            mask=self.mask(fine).float(),
            style=style,
            rotation=rotation_from_six(answers["six"] + answers["six"].new_tensor([1.0, 0, 0, 0, -1, 0])),
            presence=answers["presence"][:, 0],
        )

    @property
    def landmarks_3d(self) -> NDArray[np.float64]:
        """(68, 3) landmarks of the mean head, head space metres."""
        return self.mean_landmarks.double().cpu().numpy()

    @torch.inference_mode()
    def read(self, crops_srgb: NDArray[np.uint8], *, thorough: bool = False) -> Reading:
        """Reads ``crops_srgb`` (N, S, S, 3): each and its mirror image, averaged; if ``thorough``, also slightly turned
        and zoomed. Raises ``ValueError`` for pictures that are not square.
        """
        if crops_srgb.ndim != 4 or crops_srgb.shape[1] != crops_srgb.shape[2]:
            raise ValueError(f"expected square pictures (N, S, S, 3), not {crops_srgb.shape}")
        pictures = torch.from_numpy(np.ascontiguousarray(crops_srgb)).to(self.heat.weight.device)
        pictures = pictures.permute(0, 3, 1, 2) / 255
        size = self.config.size
        if pictures.shape[-1] != size:
            pictures = functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
        views = [self._view(pictures, *view) for view in (VIEWS if thorough else VIEWS[:1])]
        scale = crops_srgb.shape[1]
        masks = torch.sigmoid(_mean([said.mask for said in views])).cpu().numpy()
        return Reading(
            landmarks=_mean([said.landmarks for said in views]).double().cpu().numpy() * scale,
            spread=_mean([said.spread for said in views]).double().cpu().numpy() * scale,
            mask=masks[:, 0],
            hair=masks[:, 1],
            style=_mean([said.style for said in views]).double().softmax(-1).cpu().numpy(),
            rotation=_nearest_rotation(_mean([said.rotation for said in views])).cpu().numpy(),
            presence=torch.sigmoid(_mean([said.presence for said in views])).double().cpu().numpy(),
        )

    def _view(self, pictures: Tensor, degrees: float, zoom: float) -> PortraitOutput:
        """What is said of ``pictures`` seen turned and zoomed, mirrored and not, told of the pictures themselves."""
        changed = _turned(pictures, degrees, zoom).contiguous(memory_format=torch.channels_last)
        said, flipped = self(changed), unmirrored(self(changed.flip(-1)))
        both = PortraitOutput(
            landmarks=_mean([said.landmarks, flipped.landmarks]),
            heat=said.heat,
            spread=_mean([said.spread, flipped.spread]),
            mask=_mean([said.mask, flipped.mask]),
            style=_mean([said.style, flipped.style]),
            rotation=said.rotation + flipped.rotation,
            presence=_mean([said.presence, flipped.presence]),
        )
        return _unturned(both, degrees, zoom)


VIEWS: Final = ((0.0, 1.0), (7.0, 1.07), (-7.0, 1.07), (0.0, 0.92))
"""Turns in degrees and zooms under which a picture is read thoroughly."""


def _linear(degrees: float, zoom: float, like: Tensor) -> Tensor:
    """The matrix (2, 2) that turns clockwise on the screen and zooms."""
    cos, sin = zoom * np.cos(np.radians(degrees)), zoom * np.sin(np.radians(degrees))
    return like.new_tensor([[cos, -sin], [sin, cos]])


def _turned(pictures: Tensor, degrees: float, zoom: float) -> Tensor:
    """``pictures`` (B, C, S, S) turned and zoomed about their middle, the edges going on."""
    if degrees == 0 and zoom == 1:
        return pictures
    inverse = torch.linalg.inv(_linear(degrees, zoom, pictures))
    theta = torch.cat([inverse, inverse.new_zeros(2, 1)], dim=1).expand(len(pictures), -1, -1)
    where = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, where, mode="bilinear", padding_mode="border", align_corners=False)


def _unturned(output: PortraitOutput, degrees: float, zoom: float) -> PortraitOutput:
    """What was said of pictures turned and zoomed, told of the originals; ``heat`` stays as it is."""
    back = torch.linalg.inv(_linear(degrees, zoom, output.landmarks))
    roll = torch.eye(3).to(output.rotation)
    roll[:2, :2] = back * zoom
    return output._replace(
        landmarks=(output.landmarks - 0.5) @ back.T + 0.5,
        spread=output.spread / zoom,
        mask=_turned(output.mask, -degrees, 1 / zoom),
        rotation=roll @ output.rotation,
    )


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean(0)


def _nearest_rotation(matrices: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrices.double())
    result: Tensor = left @ right
    return result


MIRROR_ROTATION: Final = torch.tensor([[1.0, -1, -1], [-1, 1, 1], [-1, 1, 1]])
"""Element-wise factor that turns a rotation into that of the mirrored picture: ``diag(-1,1,1) R diag(-1,1,1)``."""


def unmirrored(output: PortraitOutput) -> PortraitOutput:
    """What was said of mirrored pictures, told of the originals."""
    order = torch.from_numpy(points.MIRROR.copy()).to(output.heat.device)
    flip = output.landmarks.new_tensor([-1.0, 1.0])
    return output._replace(
        landmarks=(output.landmarks[:, order] * flip + output.landmarks.new_tensor([1.0, 0.0])),
        heat=output.heat[:, order].flip(-1),
        spread=output.spread[:, order],
        mask=output.mask.flip(-1),
        rotation=output.rotation * MIRROR_ROTATION.to(output.rotation),
    )
