"""What the guided head's surfaces look like: textures from codes, and the light they send back."""

import math
from dataclasses import dataclass, fields

import torch
from torch import nn
from torch.nn import functional

from faceeditor.faces.layout import (
    BROW_COLOUR,
    BROW_STYLES,
    EXPRESSION_COMPONENTS,
    HAIR_COLOUR,
    HAIR_GLOSS,
    HAIR_STYLES,
    IRIS_WEIGHTS,
    SHEEN,
    SKIN_TINT,
    SKIN_WEIGHTS,
    TINT_AXES,
)
from faceeditor.models.layers import key_light, mlp, reflected
from faceeditor.models.proxy import Sheet

Window = tuple[int, int, int, int]
"""Top, bottom, left and right texel of a part of the atlas, half open."""

SKULL = (0.0, 0.045, 0.0)
"""The middle of the skull in head space, from which directions of hair are counted."""

HAIR_SHINE = 0.03
"""Strength of the highlight on glossy hair."""

UNDER_RESTYLED = 0.25
"""How open at least is what lies under hair that a refinement has moved: it may come to light."""

BROUGHT_BACK = 0.85
"""How much of the light that concave walls keep out comes back from them, per bounce and albedo."""


def components(part: slice) -> int:
    """How many components of a code a slice names."""
    return int(part.stop - part.start)


@dataclass(frozen=True)
class AppearanceConfig:
    """Sizes. ``atlas``: texels a side of the head's textures; ``sheet``: where card textures lie; ``features``:
    learned channels of a sample; ``hidden``: width of the residual's MLP; ``vertices``: render vertices of the head;
    ``strands``: vertices of all hair styles together; ``brow_window`` and ``eye_windows``: where brows and irises lie
    in the atlas.
    """

    atlas: int
    sheet: Sheet
    features: int
    hidden: int
    vertices: int
    strands: int
    brow_window: Window
    eye_windows: tuple[Window, ...]


@dataclass(frozen=True, eq=False)
class Look:
    """Textures of one face: ``head`` (1, C, A, A) holds linear albedo, then the material maps and the learned features;
    ``cards`` (1, C, H, W) opacity, luminance and features; ``hair_gain`` (3, H, W) a per-face factor's logarithm on
    the colour of hair, over the directions of :func:`around_skull`. ``block`` (3,)
    is the inside of the cut bust; ``hair_colour`` (3,), ``gloss`` and ``sheen`` come from the codes.
    """

    head: torch.Tensor
    cards: torch.Tensor
    hair_gain: torch.Tensor | None
    block: torch.Tensor
    hair_colour: torch.Tensor
    gloss: torch.Tensor
    sheen: torch.Tensor


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples on rays: texture coordinates (N, 2) in [0, 1] with v up, unit normals and unit directions to the eye
    (N, 3).

    ``openness`` (N, 1) is how open the place lies to the sky, ``place`` (N, 3) where it is in head space, ``lash``
    (N, 1) one on lashes and zero on hair.
    """

    uv: torch.Tensor
    normal: torch.Tensor
    to_eye: torch.Tensor
    openness: torch.Tensor
    place: torch.Tensor
    lash: torch.Tensor

    def take(self, chosen: slice) -> "Samples":
        """Some of the samples."""
        return Samples(*(getattr(self, part.name)[chosen] for part in fields(self)))


class Appearance(nn.Module):
    """Textures in the template's coordinates and a small residual.

    Albedo is a sum over learned skins, times the tint; brows are laid over it and irises put in. Material maps tell
    how open a place lies to the sky, how much it blurs light (R, G, B), and how strong its skin sheen and its wet
    highlight are and how sharp the latter is. Cards (hair, lashes) carry an opacity and a luminance that the hair
    colour tints.
    """

    MATERIAL = 7
    """Material maps: softness of red, green and blue; sheen, wetness, sharpness (a tenth of its logarithm to base
    2); and how far the tint reaches."""

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        self.config = config
        side, sheet = config.atlas, config.sheet
        top, bottom, left, right = config.brow_window
        self.skins = nn.Parameter(torch.full((components(SKIN_WEIGHTS), 3, side, side), 0.4))
        self.brows = nn.Parameter(torch.zeros(components(BROW_STYLES), 1, bottom - top, right - left))
        self.irises = nn.ParameterList(
            nn.Parameter(torch.full((components(IRIS_WEIGHTS), 3, end - start, right - left), 0.5))
            for start, end, left, right in config.eye_windows
        )
        self.block = nn.Parameter(torch.full((components(SKIN_WEIGHTS), 3), 0.2))
        self.material = nn.Parameter(torch.ones(1, self.MATERIAL, side, side))
        self.head_openness = nn.Parameter(torch.ones(config.vertices))
        self.opened = nn.Parameter(torch.zeros(len(EXPRESSION_COMPONENTS), config.vertices))
        self.hair_cover = nn.Parameter(torch.ones(components(HAIR_STYLES), config.vertices))
        self.features = nn.Parameter(torch.zeros(1, config.features, side, side))
        size = (sheet.rows * sheet.tile, sheet.columns * sheet.tile)
        self.cards = nn.Parameter(torch.zeros(1, 2 + config.features, *size))
        self.lash_colour = nn.Parameter(torch.full((3,), 0.01))
        self.strand_openness = nn.Parameter(torch.ones(config.strands))
        self.residual = mlp(config.features + 8, config.hidden, config.hidden, 6, zero_last=True)

    def look(
        self,
        skin: torch.Tensor,
        hair: torch.Tensor,
        albedo_gain: torch.Tensor | None = None,
        hair_gain: torch.Tensor | None = None,
    ) -> Look:
        """The textures of a face with codes ``skin`` (80,) and ``hair`` (16,).

        ``albedo_gain`` (3, T, T) and ``hair_gain`` (3, H, W) are per-face refinements: logarithms of factors on the
        head's albedo, in its atlas, and on the colour of hair, over the directions of :func:`around_skull`.
        """
        albedo = torch.tensordot(skin[SKIN_WEIGHTS], self.skins, dims=1)
        albedo = albedo * (1 + self.material[0, -1:] * (tint_gain(skin[SKIN_TINT])[:, None, None] - 1))
        albedo = self._with_irises(self._with_brows(albedo, skin), skin)
        if albedo_gain is not None:
            side = albedo.shape[-2:]
            albedo = albedo * functional.interpolate(albedo_gain[None], size=side, mode="bilinear")[0].exp()
        textures = [albedo.clamp(0.0, 1.5)[None], self.material, self.features]
        return Look(
            head=torch.cat(textures, dim=1),
            cards=self.cards,
            hair_gain=hair_gain,
            block=(skin[SKIN_WEIGHTS] @ self.block) * tint_gain(skin[SKIN_TINT]),
            hair_colour=hair[HAIR_COLOUR],
            gloss=hair[HAIR_GLOSS],
            sheen=skin[SHEEN],
        )

    def openness(self, expression: torch.Tensor, hair: torch.Tensor, restyled: bool) -> torch.Tensor:
        """How open the head's render vertices (R,) lie to the sky, for codes ``expression`` (64,) and ``hair`` (16,).

        Expressions open and close folds early in their movement; hair covers what lies under it, less so when it is
        ``restyled``.
        """
        weights = expression[: len(self.opened)].clamp(0, 1)
        added = (1 - (1 - weights) ** 2) @ self.opened
        cover = 1 + hair[HAIR_STYLES] @ (self.hair_cover - 1)
        return (self.head_openness + added).clamp(0, 1) * cover.clamp(UNDER_RESTYLED if restyled else 0, 1)

    def _with_brows(self, albedo: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
        top, bottom, left, right = self.config.brow_window
        alpha = torch.tensordot(skin[BROW_STYLES], self.brows, dims=1).clamp(0, 1)
        under = albedo[:, top:bottom, left:right]
        return _pasted(albedo, under + alpha * (skin[BROW_COLOUR, None, None] - under), self.config.brow_window)

    def _with_irises(self, albedo: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
        for textures, window in zip(self.irises, self.config.eye_windows, strict=True):
            albedo = _pasted(albedo, torch.tensordot(skin[IRIS_WEIGHTS], textures, dims=1), window)
        return albedo

    def shade_head(
        self, look: Look, samples: Samples, light: torch.Tensor, outside: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Linear colour (N, 3) and features (N, F) of samples on the head.

        Where a ray meets it not from ``outside`` (N,) it sees the inside of the cut bust, a solid block.
        """
        texels = sample(look.head, samples.uv)
        albedo, softness, shine, features = torch.split(texels, [3, 3, 4, self.config.features], dim=-1)
        sheen, wetness, sharpness, _ = shine.unbind(-1)
        openness = samples.openness
        towards, key = key_light(light)
        skin_lobes = 0.75 * lobe(samples, towards, 9.0) + 0.5 * lobe(samples, towards, 38.0)
        wet_lobe = lobe(samples, towards, torch.exp2(10 * sharpness))
        strength = (sheen * look.sheen * skin_lobes + wetness * wet_lobe) * openness[:, 0] ** 2 * fresnel(samples)
        lit = self._lit(albedo, openness, softness, strength[:, None] * key, features, samples, light)
        block = look.block * reflected(light, light.new_tensor([[0.0, -1.0, 0.0]]))
        return torch.where(outside[:, None], lit, block), features

    def shade_cards(
        self, look: Look, samples: Samples, light: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Linear colour (N, 3), opacity (N,) and features (N, F) of samples on hair and lashes."""
        texels = sample(look.cards, samples.uv)
        opaque, luminance, features = torch.split(texels, [1, 1, self.config.features], dim=-1)
        luminance, lash = luminance.clamp_min(0), samples.lash
        towards, key = key_light(light)
        colour = look.hair_colour
        shine = 0.5 + 0.6 * (colour / (colour.max() + 1e-3) - 0.5)
        lit_strand = luminance * samples.openness**2 * (1 - lash)
        strength = look.gloss * HAIR_SHINE * lobe(samples, towards, 14.0)[:, None] * lit_strand
        dyed = colour if look.hair_gain is None else colour * _dye(look.hair_gain, samples.place)
        albedo = luminance * dyed * (1 - lash) + self.lash_colour * lash
        highlight = strength * shine * key
        lit = self._lit(albedo, samples.openness, 0.6 + 0.4 * lash, highlight, features, samples, light)
        return lit, opaque[:, 0], features

    def _lit(
        self,
        albedo: torch.Tensor,
        openness: torch.Tensor,
        softness: torch.Tensor,
        highlight: torch.Tensor,
        features: torch.Tensor,
        samples: Samples,
        light: torch.Tensor,
    ) -> torch.Tensor:
        """Albedo times reflected light times openness with its bounces, the highlight, and the learned residual."""
        matt = reflected(light, samples.normal, softness)
        base = albedo * matt * openness / (1 - BROUGHT_BACK * albedo.clamp(0, 1) * (1 - openness)) + highlight
        facing = (samples.normal * samples.to_eye).sum(-1, keepdim=True)
        change = self.residual(torch.cat([features, samples.normal, facing, openness, matt], dim=-1))
        lit: torch.Tensor = base * (1 + change[:, :3]) + 0.1 * change[:, 3:] * matt
        return lit.clamp_min(0)


def lobe(samples: Samples, towards: torch.Tensor, sharpness: torch.Tensor | float) -> torch.Tensor:
    """Brightness (N,) of a highlight about the half vector (Blinn 1977), brighter as it gets sharper."""
    half_way = functional.normalize(samples.to_eye + towards, dim=-1)
    along = ((samples.normal @ towards + 0.1) / 0.5).clamp(0, 1)
    lit_side = along * along * (3 - 2 * along)
    return torch.as_tensor(
        lit_side * (sharpness + 8) / 8 * (samples.normal * half_way).sum(-1).clamp_min(1e-4) ** sharpness
    )


def fresnel(samples: Samples, head_on: float = 0.04) -> torch.Tensor:
    """Share (N,) of light that a surface mirrors, growing towards grazing angles (Schlick 1994), tamed for skin."""
    facing = (samples.normal * samples.to_eye).sum(-1).clamp(0, 1)
    return head_on + (1 - head_on) * 0.6 * (1 - facing) ** 5


def around_skull(places: torch.Tensor) -> torch.Tensor:
    """Coordinates (N, 2) in [0, 1] of ``places`` (N, 3) on a map of all directions from the middle of the skull: the
    face in the middle, up at the top, the subject's left side right of the middle.
    """
    away = functional.normalize(places - places.new_tensor(SKULL), dim=-1)
    across = torch.atan2(away[:, 0], away[:, 2]) / (2 * math.pi) + 0.5
    return torch.stack([across, 0.5 + torch.asin(away[:, 1].clamp(-1, 1)) / math.pi], dim=-1)


def _dye(hair_gain: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Factors (N, 3) on the colour of hair at ``places`` (N, 3)."""
    return sample(hair_gain[None], around_skull(places)).exp()


def tint_gain(tint: torch.Tensor) -> torch.Tensor:
    """Factors (3,) on linear R, G, B of a tint (lightness, warmth, redness)."""
    return (tint @ tint.new_tensor(TINT_AXES)).exp()


def _pasted(picture: torch.Tensor, part: torch.Tensor, window: Window) -> torch.Tensor:
    """``picture`` (C, H, W) with ``part`` in the place of ``window``, with gradients."""
    top, bottom, left, right = window
    middle = torch.cat([picture[:, top:bottom, :left], part, picture[:, top:bottom, right:]], dim=2)
    return torch.cat([picture[:, :top], middle, picture[:, bottom:]], dim=1)


def sample(textures: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Texels (N, C) of ``textures`` (1, C, H, W), row 0 at v = 1, at ``uv`` (N, 2), bilinear."""
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], dim=-1)
    return functional.grid_sample(textures, grid[None, None], align_corners=False, padding_mode="border")[0, :, 0].T
