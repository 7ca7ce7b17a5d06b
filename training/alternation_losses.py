"""What the alternation of zero-shot attribute separation minimises (Zhang et al., section 3.2): Eq. 3 to 7 for the
decoder and the codes of pictures, Eq. 8 to 11 for the encoder.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.models.attributes import AttributeNetwork, Attributes
from faceeditor.models.attributes_codes import SHAPE
from faceeditor.models.headnerf import Picture
from training.perceptual import Perceptual
from training.train_headnerf import over_white

SHORTEST: Final = 1e-6
"""The length from which a code has a direction."""

Codes = Mapping[str, Tensor]
"""Codes (B, dims) by head."""


@dataclass(frozen=True)
class CodeWeights:
    """How differences of codes count: ``heads`` are the weights of Eq. 7 and 9 to 11 by head, 1 for those not named,
    for the paper gives no figures. ``straight`` weighs what the paper has not: the squared difference, in the squared
    length that codes of that head usually have. Cosines do not see how long codes are, and so leave open, for example,
    how bright a light is.
    """

    heads: Mapping[str, float] = field(default_factory=dict)
    straight: float = 0.0


class CodeDistance(nn.Module):
    """The sum over ``heads`` of Eq. 7, 9, 10 and 11. ``encoder`` tells how long codes usually are."""

    def __init__(self, weights: CodeWeights, heads: Sequence[str], encoder: AttributeNetwork) -> None:
        super().__init__()
        self.weights = {head: weights.heads.get(head, 1.0) for head in heads}
        self.straight = weights.straight
        for head in heads:
            parts = (encoder.get_buffer(f"{head}_{what}") for what in ("mean", "scale"))
            length = torch.stack([part.square().sum() for part in parts]).sum()
            self.register_buffer(f"{head}_length", length.clamp_min(SHORTEST).clone())

    def forward(self, first: Codes, second: Codes) -> Tensor:
        """Of ``first`` to ``second``, the mean over the batch, ()."""
        return torch.stack([self._of(head, first[head], second[head]) for head in self.weights]).sum()

    def _of(self, head: str, first: Tensor, second: Tensor) -> Tensor:
        unlike = 1 - functional.cosine_similarity(first, second, dim=-1, eps=SHORTEST)
        if self.straight:
            off = (first - second).square().sum(-1) / self.get_buffer(f"{head}_length")
            unlike = unlike + self.straight * off
        return self.weights[head] * unlike.mean()


def pixel_loss(drawn: Tensor, true: Tensor, head: Tensor) -> Tensor:
    """L_pix (Eq. 4) of pictures (B, 3, S, S) and masks M (B, 1, S, S): the mean difference inside the masks, ()."""
    return (head * (drawn - true)).abs().sum() / (3 * head.sum()).clamp_min(1)


def perceptual_loss(seen: Perceptual, drawn: Tensor, true: Tensor) -> Tensor:
    """L_perc (Eq. 5), (): the mean differences of activations, summed over layers. The paper's are VGG19's;
    :class:`Perceptual` tells what stands for them.
    """
    with torch.no_grad():
        wanted = seen.seen(true)
    terms = [functional.l1_loss(one, other) for one, other in zip(seen.seen(drawn), wanted, strict=True)]
    return torch.stack(terms).sum()


class Recogniser(nn.Module):
    """f of Eq. 6. The paper's is a network trained to recognise faces; there is none here, so that the code of shape of
    the first encoder, which never changes, stands for it, without its mean.
    """

    def __init__(self, encoder: AttributeNetwork) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        """The embedding (B, dims) of ``pictures`` (B, 3, S, S)."""
        return said(self.encoder, pictures, self.encoder.config.size)[SHAPE] - self.encoder.get_buffer(f"{SHAPE}_mean")

    def loss(self, drawn: Tensor, true: Tensor) -> Tensor:
        """L_id (Eq. 6), ()."""
        with torch.no_grad():
            wanted = self(true)
        return (1 - functional.cosine_similarity(self(drawn), wanted, dim=-1, eps=SHORTEST)).mean()


def said(encoder: Callable[[Tensor], Attributes], pictures: Tensor, size: int) -> dict[str, Tensor]:
    """E(I): the codes (B, dims) by head of ``pictures`` (B, 3, S, S), which the encoder sees at ``size`` pixels."""
    if pictures.shape[-1] != size:
        pictures = functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
    return encoder(pictures.contiguous(memory_format=torch.channels_last)).codes


@dataclass(frozen=True)
class DecoderWeights:
    """Of the terms of Eq. 3, 1 each as it is printed, and of what the paper has not: ``outline``, the difference of the
    opacity from the mask, for photos that show heads with all of the bust that the decoder draws.
    """

    pix: float = 1.0
    perc: float = 1.0
    id: float = 1.0
    reg: float = 1.0
    outline: float = 0.0


class DecoderLoss(nn.Module):
    """Eq. 3."""

    def __init__(self, weights: DecoderWeights, distance: CodeDistance, recogniser: Recogniser) -> None:
        super().__init__()
        self.weights, self.distance, self.recogniser = weights, distance, recogniser
        self.perceptual = Perceptual.best() if weights.perc else None

    def forward(self, drawn: Picture, true: Tensor, head: Tensor, codes: Codes, start: Codes) -> dict[str, Tensor]:
        """The weighted ``total`` and each term of it, of pictures (B, 3, S, S) over white and masks (B, 1, S, S);
        ``codes`` are z and ``start`` z^0.
        """
        shown, weights = over_white(drawn), self.weights
        terms = {"pix": pixel_loss(shown, true, head), "reg": self.distance(codes, start)}
        if self.perceptual is not None:
            terms["perc"] = perceptual_loss(self.perceptual, shown, true)
        if weights.id:
            terms["id"] = self.recogniser.loss(shown, true)
        if weights.outline:
            terms["outline"] = (drawn.alpha - head).abs().mean()
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}


@dataclass(frozen=True)
class EncoderWeights:
    """Of the terms of Eq. 8."""

    cod: float = 1.0
    cyc: float = 1.0
    dis: float = 1.0


class EncoderLoss(nn.Module):
    """Eq. 8. ``paint`` is D, whose weights do not change: pictures (B, 3, S, S) over white of codes by head; the
    encoder sees them at ``size`` pixels.
    """

    def __init__(
        self, weights: EncoderWeights, distance: CodeDistance, paint: Callable[[Codes], Tensor], size: int
    ) -> None:
        super().__init__()
        self.weights, self.distance, self.paint, self.size = weights, distance, paint, size

    def forward(
        self, encoder: Callable[[Tensor], Attributes], pictures: Tensor, labels: Codes, attribute: str
    ) -> dict[str, Tensor]:
        """The weighted ``total`` and each term of it, of an even number of ``pictures`` (B, 3, S, S); ``labels`` are
        z^D, and ``attribute`` is that which L_dis exchanges.
        """
        told, weights = said(encoder, pictures, self.size), self.weights
        terms = {"cod": self.distance(told, labels)}
        if weights.cyc:
            terms["cyc"] = self.returned(encoder, told)
        if weights.dis:
            terms["dis"] = self.returned(encoder, swapped(told, attribute))
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}

    def returned(self, encoder: Callable[[Tensor], Attributes], codes: Codes) -> Tensor:
        """How far E(D(z)) is from z, (). Of what the encoder said of pictures that is L_cyc (Eq. 10); of codes that
        were :func:`swapped`, L_dis (Eq. 11), whose two sums compare with the one code that came and those that stayed.
        """
        unlike: Tensor = self.distance(codes, said(encoder, self.paint(codes), self.size))
        return unlike


def swapped(codes: Codes, attribute: str) -> dict[str, Tensor]:
    """The ẑ of Eq. 11, both ways at once: the first and the second half of a batch of even size, pair by pair, with
    each other's code of ``attribute``.
    """
    half = len(next(iter(codes.values()))) // 2
    return {head: code.roll(half, 0) if head == attribute else code for head, code in codes.items()}
