"""Networks of coordinates and a code, and the features that three planes hold: what the tri-plane head is made of."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

SHARPNESS: Final = 100.0
"""β of the softplus between layers, a ReLU with a rounded corner."""
FARTHEST: Final = 20.0
"""Where β x is farther from 0, the corner is no longer seen in 32 bits."""
START_RADIUS: Final = 0.65
"""Of the sphere that a signed distance starts as, in the model's unit: about a head."""
SPHERE_POINTS, STIFF = 4096, 1e-5
AXES: Final = ((0, 1), (1, 2), (0, 2))
"""The coordinates that the planes XY, YZ and XZ see, column first."""
SMALL_START: Final = 0.01
LITTLE: Final = 0.3
"""How much of their usual start motions and what is no coordinate get."""
NORMS: Final[dict[str, Callable[[int], nn.Module]]] = {"batch": nn.BatchNorm2d, "none": lambda channels: nn.Identity()}


def _value(x: Tensor) -> Tensor:
    """Torch's own, kept from falling among numbers too small for a CPU to be quick with (measured: 43 ms a million,
    2 so).
    """
    return functional.softplus(x.clamp_min(-FARTHEST / SHARPNESS), SHARPNESS, FARTHEST)


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _value(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(SHARPNESS * x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(β x)) / β, the non-linearity of section 4.2.2."""
    if not torch.is_grad_enabled():
        return _value(x)
    result: Tensor = _Softplus.apply(x)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True, eq=False)
class BoundMLP:
    """A :class:`CodedMLP` whose code is known: ``weights`` act on what moves from point to point, ``biases`` (..., out)
    hold all that the code says. The input joins again before layer ``skip``.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    skip: int

    def __call__(self, x: Tensor) -> Tensor:
        """Values (..., N, outputs) of ``x`` (..., N, inputs), with the code's leading dimensions."""
        return self.last(self.hidden(x))

    def one(self, number: int) -> "BoundMLP":
        """The net of the code with this ``number`` in a batch."""
        weights = tuple(weight if weight.dim() == 2 else weight[number] for weight in self.weights)
        biases = tuple(bias if bias.dim() == 1 else bias[number] for bias in self.biases)
        return BoundMLP(weights, biases, self.skip)

    def hidden(self, x: Tensor) -> Tensor:
        """What the last layer sees (..., N, width)."""
        given = x
        for number, (weight, bias) in enumerate(zip(self.weights[:-1], self.biases[:-1], strict=True)):
            if number and number == self.skip:
                x = torch.cat([x, given], dim=-1)
            x = softplus(_linear(x, weight, bias))
        return x

    def last(self, hidden: Tensor) -> Tensor:
        """The last layer's values (..., N, outputs)."""
        return _linear(hidden, self.weights[-1], self.biases[-1])


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Values (..., N, out) of ``x`` (..., N, in); ``weight`` (..., out, in) and ``bias`` (..., out) may be a batch."""
    if weight.dim() == 2 and bias.dim() == 1:
        return functional.linear(x, weight, bias)
    return x @ weight.mT + bias[..., None, :]


class CodedMLP(nn.Module):
    """An MLP that sees ``inputs`` numbers of a point and a code of ``dims`` components (DeepSDF, Park et al., 2019).

    It has ``hidden`` layers of ``width``. Before layer ``skip`` point and code join again, and the layer before is so
    much narrower; 0 for nowhere.
    """

    def __init__(self, inputs: int, dims: int, outputs: int, width: int, hidden: int, skip: int = 0) -> None:
        super().__init__()
        if skip and width <= inputs + dims:
            raise ValueError("point and code can only join again in a layer that is wider than both")
        self.inputs, self.skip = inputs, skip
        widths = [inputs + dims, *[width] * hidden, outputs]
        layers = [nn.Linear(*ends) for ends in pairwise(widths)]
        if skip:
            layers[skip - 1] = nn.Linear(width, width - inputs - dims)
        self.layers = nn.ModuleList(layers)

    @property
    def linear(self) -> list[nn.Linear]:
        """The layers in their order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def bind(self, code: Tensor) -> BoundMLP:
        """The net of one ``code`` (..., dims), or of a batch; what depends on the code alone is computed here."""
        weights, biases = [], []
        for number, layer in enumerate(self.linear):
            weight: Tensor = layer.weight
            bias: Tensor = layer.bias
            if number == 0 or (self.skip and number == self.skip):
                seen = weight.shape[1] - code.shape[-1]
                bias = code @ weight[:, seen:].mT + bias
                weight = weight[:, :seen]
            weights.append(weight)
            biases.append(bias)
        return BoundMLP(tuple(weights), tuple(biases), self.skip)

    @torch.no_grad()
    def start_as_sphere(self, radius: float = START_RADIUS) -> None:
        """Weights with which the value is about the signed distance to a sphere around the origin, whatever the code
        says: the first three inputs are coordinates, all others start with little say. As in SAL (Atzmon and Lipman,
        "Sign Agnostic Learning of Shapes From Raw Data", 2020), but the last layer is the one of least squares, for
        few random units make no sphere on average.
        """
        *inner, last = self.linear
        for number, layer in enumerate(inner):
            layer.weight.normal_(0, math.sqrt(2 / layer.weight.shape[0]))
            layer.bias.zero_()
            if number == 0:
                layer.weight[:, 3:] *= LITTLE
            elif number == self.skip:
                layer.weight[:, -inner[0].in_features :] *= LITTLE
        points = torch.zeros(SPHERE_POINTS, self.inputs)
        points[:, :3] = 2 * torch.rand(SPHERE_POINTS, 3) - 1
        seen = self.bind(torch.zeros(inner[0].in_features - self.inputs)).hidden(points)
        table = functional.pad(seen, (0, 1), value=1.0)
        stiffness = STIFF * len(points) * torch.eye(table.shape[1])
        wanted = points[:, :3].norm(dim=-1) - radius
        found = torch.linalg.solve(table.T @ table + stiffness, table.T @ wanted)
        last.weight.copy_(found[None, :-1])
        last.bias.copy_(found[-1:])

    @torch.no_grad()
    def start_small(self) -> None:
        """A last layer that says little at first, as a motion should."""
        last = self.linear[-1]
        last.weight *= SMALL_START
        last.bias.zero_()


class PlaneGenerator(nn.Module):
    """Three feature planes from a code: DCGAN's generator (Radford et al., 2016) without its last tanh.

    It doubles a picture of ``first`` pixels a side, 4 in DCGAN, until ``resolution / scale``, with ``channels`` before
    the last layer and twice as many in each layer before; then the picture is enlarged ``scale`` times and a 3 x 3
    convolution follows (section 4.2.2). The thesis does not tell how many channels come before that: all
    ``3 * features``. Nor how it enlarges: between pixels, for repeated pixels show as steps on the surface.
    """

    def __init__(
        self,
        dims: int,
        features: int,
        resolution: int,
        channels: int,
        scale: int,
        norm: Literal["batch", "none"] = "batch",
        first: int = 4,
    ) -> None:
        super().__init__()
        doublings = round(math.log2(resolution / (first * scale)))
        if doublings < 1 or first * 2**doublings * scale != resolution:
            raise ValueError("planes are the first picture, doubled once or more often, times the scale")
        self.features, self.resolution, self.first = features, resolution, first
        widths = [channels * 2**power for power in reversed(range(doublings))]
        self.start = nn.Linear(dims, widths[0] * first * first)
        nn.init.uniform_(self.start.bias)
        layers: list[nn.Module] = [nn.Unflatten(-1, (first, first, widths[0])), _ChannelsFirst()]
        layers += [NORMS[norm](widths[0]), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm == "none"), NORMS[norm](after), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(widths[-1], 3 * features, 4, 2, 1))
        if scale > 1:
            layers.append(nn.Upsample(scale_factor=scale, mode="bilinear"))
            layers.append(nn.Conv2d(3 * features, 3 * features, 3, padding=1))
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def take(self, narrower: "PlaneGenerator") -> None:
        """The planes of a generator that differs in nothing but having as many or fewer channels: those that are new
        here are not heard at first (Chen et al., "Net2Net", 2016).
        """
        places = self.first * self.first
        for mine, theirs in zip(self.start.parameters(), narrower.start.parameters(), strict=True):
            known = theirs.reshape(places, -1, *theirs.shape[1:])
            mine.view(places, -1, *theirs.shape[1:])[:, : known.shape[1]] = known
        for mine, theirs in zip(self.layers.parameters(), narrower.layers.parameters(), strict=True):
            if mine.dim() > 1:
                mine[len(theirs) :] = 0
            mine[tuple(slice(size) for size in theirs.shape)] = theirs

    def forward(self, code: Tensor) -> Tensor:
        """Planes (..., 3, features, resolution, resolution) of codes (..., dims)."""
        planes: Tensor = self.layers(self.start(code.reshape(-1, code.shape[-1])))
        return planes.reshape(*code.shape[:-1], 3, self.features, self.resolution, self.resolution)


class _ChannelsFirst(nn.Module):
    """Pictures (B, H, W, C) as (B, C, H, W), without moving anything."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.movedim(-1, 1)


def as_rows(planes: Tensor) -> Tensor:
    """Planes (..., 3, C, R, R) with the features of a cell side by side: (..., R R 3, C). What a generator makes lies
    so in memory already.
    """
    return planes.movedim((-2, -1), (-4, -3)).flatten(-4, -2).contiguous()


def as_planes(rows: Tensor) -> Tensor:
    """What :func:`as_rows` was made of: (..., R R 3, C) as (..., 3, C, R, R)."""
    resolution = math.isqrt(rows.shape[-2] // 3)
    cells = rows.reshape(*rows.shape[:-2], resolution, resolution, 3, rows.shape[-1])
    return cells.movedim((-4, -3), (-2, -1))


def sample_planes(rows: Tensor, points: Tensor) -> Tensor:
    """Features (..., N, C) of ``points`` (..., N, 3), the sum of what the three planes hold there (section 4.2.2).

    ``rows`` (..., R R 3, C) are planes over [-1, 1]; between cells they are interpolated bilinearly, outside they
    go on as at the border.
    """
    sample = _written_out if torch.is_grad_enabled() else _by_torch
    found = sample(rows.reshape(-1, *rows.shape[-2:]), points.reshape(-1, *points.shape[-2:]))
    return found.reshape(*points.shape[:-1], -1)


def _by_torch(rows: Tensor, points: Tensor) -> Tensor:
    """Features (B, N, C) where nothing asks for gradients."""
    pictures = as_planes(rows).flatten(0, 1)
    held = points.clamp(-1, 1)
    places = torch.stack([held[..., list(axes)] for axes in AXES], dim=1).flatten(0, 1)
    found = functional.grid_sample(pictures, places[:, None], align_corners=True)
    return found.reshape(len(rows), 3, rows.shape[-1], -1).sum(1).mT


def _written_out(rows: Tensor, points: Tensor) -> Tensor:
    """Features (B, N, C) by hand, because torch's own interpolation cannot be differentiated twice."""
    resolution = math.isqrt(rows.shape[-2] // 3)
    place = (points[..., AXES] + 1).mul(0.5 * (resolution - 1)).clamp(0, resolution - 1)
    corner = place.detach().floor().clamp(max=resolution - 2)
    right, down = (place - corner).unbind(-1)
    weights = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], dim=-1)
    column, row = corner.long().unbind(-1)
    plane = torch.arange(3, device=points.device)
    steps = 3 * torch.tensor([0, 1, resolution, resolution + 1], device=points.device)
    index = (plane + 3 * (row * resolution + column))[..., None] + steps
    first = rows.shape[1] * torch.arange(len(rows), device=points.device)[:, None, None]
    held = functional.embedding(index.flatten(-2) + first, rows.flatten(0, 1))
    return (weights.flatten(-2)[..., None] * held).sum(-2)
