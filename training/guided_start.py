"""What a guided head knows before training: the studio's pictures laid into the template's texture coordinates.

Codes are initialised from the known truth as HeadNeRF initialises its own from a 3DMM (section 3.2); here the
textures are too. Training then learns what a texture cannot say: filtering, occlusion, highlights, outlines.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch.nn import functional

from faceeditor.models.appearance import AppearanceConfig, Window
from faceeditor.models.guided import GuidedConfig, GuidedHead
from faceeditor.models.proxy import Proxy, Sheet
from faceeditor.models.template import Template
from faceeditor.rendering.colour import srgb8_to_linear
from faceeditor.rendering.opengl import off_screen_context
from training.studio.assets import DETAIL_RANGE, HAIR_STYLES, Assets
from training.studio.head import HeadModel
from training.studio.occlusion import Openness
from training.studio.renderer import LASH_LINEAR, TEETH_LINEAR, TONGUE_LINEAR
from training.template.bake import StudioMap, studio_map
from training.template.half import PARTS
from training.template.mesh import build_mesh

Floats = NDArray[np.float32]

FINER: Final = 2
"""Textures are read this much finer than they are stored, and averaged."""
LASH_OPACITY: Final = 0.8
INSIDE: Final = 0.6
BROW_OPACITY: Final = 0.9
WET: Final = {
    "eye": (0.6, 350.0),
    "teethUpper": (0.5, 60.0),
    "teethLower": (0.5, 60.0),
    "gums": (0.5, 60.0),
    "tongue": (0.5, 60.0),
}
"""Strength and sharpness of the wet highlight, by part."""
FLAT: Final = {"teethUpper": TEETH_LINEAR, "teethLower": TEETH_LINEAR, "gums": TONGUE_LINEAR, "tongue": TONGUE_LINEAR}
SKIN_PARTS: Final = ("skin", "mouth", "eyesocket")


class Start:
    """Reads the studio's data folder and lays it out for an atlas of ``atlas`` texels and card tiles of ``tile``
    texels.
    """

    def __init__(self, data: str, atlas: int, tile: int) -> None:
        self.head = HeadModel.load(data)
        self.assets = Assets(data)
        self.atlas, self.tile = atlas, tile
        self.mesh = build_mesh(self.head)
        self.map: StudioMap = studio_map(self.head, self.mesh, atlas * FINER)
        self.sheet = Sheet(rows=3, columns=4, tile=tile)

    def model(self, template: Template, features: int, hidden: int, finish: int) -> GuidedHead:
        """An untrained guided head with the studio's textures in it."""
        brows = self._brows()
        config = GuidedConfig(
            appearance=AppearanceConfig(
                atlas=self.atlas,
                sheet=self.sheet,
                features=features,
                hidden=hidden,
                vertices=len(template.render_vertex),
                strands=len(template.hair_rest),
                brow_window=bounds(np.any(brows > 0, axis=0)),
                eye_windows=self._eye_windows(),
            ),
            finish=finish,
        )
        model = GuidedHead(config, Proxy(template, self.sheet))
        self._fill(model, template, brows)
        model.show_opacity()
        return model

    @torch.no_grad()
    def _fill(self, model: GuidedHead, template: Template, brows: Floats) -> None:
        appearance = model.appearance
        appearance.skins.copy_(torch.from_numpy(self._skins()))
        top, bottom, left, right = appearance.config.brow_window
        appearance.block.copy_(torch.from_numpy(self._blocks()))
        appearance.brows.copy_(BROW_OPACITY * torch.from_numpy(brows[:, None, top:bottom, left:right]))
        for side, parameter, (top, bottom, left, right) in zip(
            ("right", "left"), appearance.irises, appearance.config.eye_windows, strict=True
        ):
            parameter.copy_(torch.from_numpy(self._irises(side)[:, :, top:bottom, left:right]))
        appearance.material.copy_(torch.from_numpy(self._material())[None])
        self._fill_openness(model, template)
        appearance.cards[0, :2] = torch.from_numpy(self._cards())
        appearance.lash_colour.copy_(torch.tensor(LASH_LINEAR))

    @torch.no_grad()
    def _fill_openness(self, model: GuidedHead, template: Template) -> None:
        """What the studio measured of the sky that vertices see; the template's vertices are some of the studio's."""
        context = off_screen_context()
        with context:
            measured = Openness.of(context, self.head, self.assets).with_lit_teeth(self.head)
        source = self.mesh.source[template.render_vertex.numpy()]
        appearance = model.appearance
        own, added = measured.head[source], measured.expressions[:, source]
        eyes = np.concatenate([template.faces[slice(*template.parts[f"eye{side}"])] for side in ("Left", "Right")])
        own, added = _brightened(own, added, np.unique(eyes))
        appearance.head_openness.copy_(torch.from_numpy(own))
        appearance.opened.copy_(torch.from_numpy(added))
        appearance.hair_cover.copy_(torch.from_numpy(measured.under_hair[:, source]))
        for name, limits in template.styles.items():
            style = self.assets.hair(name)
            _, nearest = cKDTree(style.vertices).query(template.hair_rest[limits.vertices].numpy())
            appearance.strand_openness[limits.vertices] = torch.from_numpy(measured.hair[name][nearest])

    def _part(self, *names: str) -> NDArray[np.bool_]:
        """Which texels of the fine map belong to parts."""
        return np.isin(self.map.part, [PARTS.index(name) for name in names])

    def _stored(self, fine: Floats) -> Floats:
        """A fine map (..., 2A, 2A) with row 0 at v = 0, averaged over what is known, as (..., A, A) with row 0 at v =
        1.
        """
        known = (self.map.part >= 0).astype(np.float32)

        def pooled(values: Floats) -> Floats:
            shape = (*values.shape[:-2], self.atlas, FINER, self.atlas, FINER)
            return np.asarray(values.reshape(shape).mean((-3, -1)), np.float32)

        return np.ascontiguousarray((pooled(fine * known) / np.maximum(pooled(known), 1e-6))[..., ::-1, :])

    def _read(self, picture: Floats, chosen: NDArray[np.bool_]) -> Floats:
        """Bilinear texels (count, ...) of ``picture`` (h, w, ...), row 0 at v = 0, where the chosen texels of the map
        lie.
        """
        uv = self.map.uv[chosen]
        height, width = picture.shape[:2]
        x = np.clip((uv[:, 0] - np.floor(uv[:, 0])) * width - 0.5, 0, width - 1.001)
        y = np.clip(uv[:, 1] * height - 0.5, 0, height - 1.001)
        column, row = x.astype(int), y.astype(int)
        tail = (slice(None),) + (None,) * (picture.ndim - 2)
        right, down = (x - column)[tail], (y - row)[tail]
        top = picture[row, column] * (1 - right) + picture[row, column + 1] * right
        below = picture[row + 1, column] * (1 - right) + picture[row + 1, column + 1] * right
        return np.asarray(top * (1 - down) + below * down, np.float32)

    def _skins(self) -> Floats:
        """Linear albedo (20, 3, A, A) of everything but irises."""
        side = self.atlas * FINER
        tile = np.floor(self.map.uv[..., 0]).astype(int)
        skin = self._part(*SKIN_PARTS)
        out = []
        for face, back in zip(self.assets.face_skins_srgb, self.assets.head_skins_srgb, strict=True):
            fine = np.full((side, side, 3), 0.3, np.float32)
            for number, picture in enumerate((face, back)):
                chosen = skin & (tile == number)
                fine[chosen] = self._read(srgb8_to_linear(picture), chosen)
            for part, colour in FLAT.items():
                fine[self._part(part)] = colour
            out.append(self._stored(fine.transpose(2, 0, 1)))
        return np.stack(out)

    def _blocks(self) -> Floats:
        """Linear colour (20, 3) of the inside of the cut bust: a darkened neck."""
        side = self.assets.head_skins_srgb.shape[1]
        rows, columns = slice(int(0.03 * side), int(0.09 * side)), slice(int(0.47 * side), int(0.53 * side))
        neck = srgb8_to_linear(self.assets.head_skins_srgb[:, rows, columns])
        return np.asarray(INSIDE * neck.mean((1, 2)), np.float32)

    def _brows(self) -> Floats:
        """Opacity (12, A, A) of the brow styles."""
        chosen = self._part("skin") & (np.floor(self.map.uv[..., 0]) == 0)
        fine = np.zeros((len(self.assets.brows), *chosen.shape), np.float32)
        for number, brow in enumerate(self.assets.brows):
            fine[number, chosen] = self._read(brow.astype(np.float32) / 255, chosen)
        return self._stored(fine)

    def _eye_windows(self) -> tuple[Window, Window]:
        """Where the right and the left eyeball lie in the atlas."""
        eye = self._stored(self._part("eye").astype(np.float32)) > 0
        middle = np.arange(self.atlas) < self.atlas // 2
        return bounds(eye & middle), bounds(eye & ~middle)

    def _irises(self, side: str) -> Floats:
        """Linear colour (11, 3, A, A) of one eyeball's pictures."""
        half = np.arange(self.atlas * FINER) < self.atlas * FINER // 2
        chosen = self._part("eye") & (half if side == "right" else ~half)
        out = []
        for picture in self.assets.irises_srgb(side):
            fine = np.full((*chosen.shape, 3), 0.5, np.float32)
            fine[chosen] = self._read(srgb8_to_linear(picture), chosen)
            out.append(self._stored(fine.transpose(2, 0, 1)))
        return np.stack(out)

    def _material(self) -> Floats:
        """The material maps (7, A, A)."""
        skin = self._part(*SKIN_PARTS)
        fine = np.zeros((7, *skin.shape), np.float32)
        fine[:3] = 1.0
        fine[:3, skin] = np.array([0.55, 0.85, 1.0], np.float32)[:, None]
        fine[:3, self._part("eye")] = 0.7
        fine[3, skin] = fine[6, skin] = 1.0
        fine[5] = 0.5
        for part, (strength, sharpness) in WET.items():
            fine[4, self._part(part)] = strength
            fine[5, self._part(part)] = np.log2(sharpness) / 10
        return self._stored(fine)

    def _cards(self) -> Floats:
        """Opacity and luminance (2, H, W) of the card sheet, row 0 at the top."""
        sheet = np.zeros((2, self.sheet.rows * self.tile, self.sheet.columns * self.tile), np.float32)
        pictures = [np.stack([self.assets.lashes * np.float32(LASH_OPACITY), np.zeros_like(self.assets.lashes)], -1)]
        for name in HAIR_STYLES:
            brightness, opacity = np.moveaxis(self.assets.hair(name).texture.astype(np.float32), -1, 0)
            pictures.append(np.stack([opacity, brightness * DETAIL_RANGE], -1))
        for number, picture in enumerate(pictures):
            row, column = divmod(number, self.sheet.columns)
            at = (slice(row * self.tile, (row + 1) * self.tile), slice(column * self.tile, (column + 1) * self.tile))
            sheet[(slice(None), *at)] = self._tile(np.asarray(picture / 255, np.float32))
        return sheet

    def _tile(self, picture: Floats) -> Floats:
        """A picture (h, w, 2) of opacity and luminance, row 0 at v = 0, as a tile (2, t, t), row 0 at v = 1."""
        opacity, luminance = torch.from_numpy(np.moveaxis(picture, -1, 0)[:, ::-1].copy())[:, None, None]
        size = (self.tile, self.tile)
        weight = opacity + 1e-3
        luminance = functional.interpolate(luminance * weight, size=size, mode="area") / functional.interpolate(
            weight, size=size, mode="area"
        )
        return torch.cat([functional.interpolate(opacity, size=size, mode="area"), luminance])[:, 0].numpy()


def _brightened(own: Floats, added: Floats, eyes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Openness (R,) and what expressions add (53, R), with that of ``eyes`` turned to its root: balls light their
    rims.
    """
    own, added = own.copy(), added.copy()
    opened = np.sqrt(np.clip(own[eyes] + added[:, eyes], 0, 1))
    own[eyes] = np.sqrt(own[eyes])
    added[:, eyes] = opened - own[eyes]
    return own, added


def bounds(mask: NDArray[np.bool_]) -> Window:
    """Top, bottom, left and right (half open) of the true part of ``mask`` (H, W)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
