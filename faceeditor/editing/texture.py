"""Textures of faces: baked from a scan's colours into the template's atlas, and mixed between faces.

All faces have the same texture places, so a texture that was baked for one fits every other.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from faceeditor.editing.correspondence import Partner, ScanSurface
from faceeditor.errors import UserError
from faceeditor.faces.mesh import Mesh
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.atlas import Atlas, filled, sampled
from faceeditor.rendering.colour import linear_to_srgb8, srgb8_to_linear

Linear = NDArray[np.float32]
Picture = NDArray[np.uint8]

SIZE: Final = 1024
REACH: Final = (0.002, 0.005)
"""Metres from the face up to which the scan's colour counts in full, and from where it counts nothing."""
AGREEMENT: Final = (0.5, 0.1)
"""The same for the cosine between the normals of face and scan."""
SOFT: Final = 1 / 64
"""Share of the texture's side over which seen skin fades into filled skin."""
BAKED: Final = ("skin", "eyesocketLeft", "eyesocketRight", "eyeLeft", "eyeRight")
"""Parts that a scan shows; the others get a colour of their own."""
INSIDE_LINEAR: Final = {
    "mouth": (0.20, 0.06, 0.05),
    "gums": (0.36, 0.12, 0.11),
    "tongue": (0.40, 0.13, 0.12),
    "teethUpper": (0.68, 0.62, 0.50),
    "teethLower": (0.68, 0.62, 0.50),
}
EYE_LINEAR: Final = (0.55, 0.50, 0.47)
"""Of an eyeball that no scan shows."""


def bake_texture(scan: Scan, placement: Similarity, mesh: Mesh, size: int = SIZE) -> Picture:
    """The colours of ``scan`` as a texture (T, T, 3) uint8 sRGB, row 0 at v = 1, of ``mesh``, a face fitted to it.

    ``placement`` brings the scan to head space. Where the scan shows nothing near, the mirrored side lends its colour,
    and where that lacks too, the skin around goes on. Raises ``UserError`` for a scan without colours, or one that
    lies elsewhere.
    """
    if mesh.uv is None or mesh.normals is None:
        raise ValueError("the mesh has no texture places or no normals")
    atlas = Atlas.over(mesh.faces, mesh.uv, size)
    texels, weight = _seen(scan, placement, mesh, atlas)
    values = np.moveaxis(_scattered(atlas, texels), -1, 0)
    share = _scattered(atlas, weight[:, None])[..., 0]
    if not (share > 0.5).any():
        raise UserError("The scan has no colours near this face; place the scan again, or use one with colours.")
    return linear_to_srgb8(np.moveaxis(_painted(mesh, atlas, _completed(values, share)), 0, -1))


def _seen(scan: Scan, placement: Similarity, mesh: Mesh, atlas: Atlas) -> tuple[Linear, Linear]:
    """The scan's linear colours (N, 3) at the texels of ``atlas``, and how much each counts (N,)."""
    assert mesh.normals is not None
    points, normals = (atlas.carried(values).astype(np.float64) for values in (mesh.vertices, mesh.normals))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    shown = np.flatnonzero(_of_parts(mesh, atlas, BAKED))
    margin = REACH[1]
    surface = ScanSurface.of(scan, placement, points.min(axis=0) - margin, points.max(axis=0) + margin)
    partner = surface.partners(points[shown], normals[shown], REACH[1])
    weight = _between(partner.distance, *REACH)
    if surface.normals.any():
        weight *= _between(-partner.agreement, *(-limit for limit in AGREEMENT))
    colours, found = np.zeros((len(points), 3), np.float32), np.zeros(len(points), np.float32)
    colours[shown], found[shown] = _colours(scan, partner), weight
    return colours, found


def _colours(scan: Scan, partner: Partner) -> Linear:
    """Linear colours (N, 3) of the scan at the found points. Raises ``UserError`` where it has none."""
    if scan.texture_srgb is not None and scan.uv is not None:
        return _textured(scan.texture_srgb, partner, scan.uv)
    if scan.colours_srgb is None:
        raise UserError("The scan has no colours, neither a texture nor colours of its points; use another one.")
    return partner.carried(srgb8_to_linear(scan.colours_srgb)).astype(np.float32)


def _textured(texture_srgb: Picture, partner: Partner, uv: NDArray[np.float64]) -> Linear:
    corner = uv[partner.vertices] - np.floor(uv[partner.vertices].min(axis=1, keepdims=True))
    place = np.einsum("nk,nkc->nc", partner.weights, corner) % 1.0
    picture = srgb8_to_linear(_as_coarse(texture_srgb, corner[np.isfinite(partner.distance)]))
    height, width = picture.shape[:2]
    return sampled(picture, np.stack([place[:, 0] * width, (1 - place[:, 1]) * height], axis=-1))


def _as_coarse(texture_srgb: Picture, corners: NDArray[np.float64]) -> Picture:
    """The texture, shrunk until the triangles met (N, 3, 2) show about one of its pixels for each of the N texels."""
    if not len(corners):
        return texture_srgb
    faces = np.unique(corners.reshape(-1, 6), axis=0).reshape(-1, 3, 2)
    a, b = faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0]
    pixels = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() * texture_srgb.shape[0] * texture_srgb.shape[1]
    step = int(np.sqrt(pixels / len(corners)))
    return np.asarray(Image.fromarray(texture_srgb).reduce(step)) if step > 1 else texture_srgb


def _completed(values: Linear, share: Linear) -> Linear:
    """Colours (3, T, T) everywhere from ``values`` (3, T, T) that count by ``share`` (T, T)."""
    size = len(share)
    inward = distance_transform_edt(share > 0) / (SOFT * size)
    seen = (share * np.clip(inward, 0, 1)).astype(np.float32)
    there, twin = values[..., ::-1], seen[:, ::-1]
    tone = _tone(values, seen) / np.maximum(_tone(there, twin), 1e-3)
    lent = there * np.clip(tone, 0.5, 2.0)
    joint = seen + (1 - seen) * twin
    known = (seen * values + (1 - seen) * twin * lent) / np.maximum(joint, 1e-6)
    return filled(known, joint)


def _tone(values: Linear, share: Linear) -> Linear:
    """The colour (3, T, T) of the skin at large, continued over all texels: light falls differently on both sides."""
    step = len(share) // 16
    blocks = (16, step, 16, step)
    weight = share.reshape(blocks).mean((1, 3))
    mean = (values * share).reshape(3, *blocks).mean((2, 4)) / (weight + 1e-6)
    coarse = filled(mean.astype(np.float32), np.minimum(weight * 2, 1).astype(np.float32))
    return np.stack(
        [np.asarray(Image.fromarray(plane).resize(share.shape, Image.Resampling.BICUBIC)) for plane in coarse]
    )


def _painted(mesh: Mesh, atlas: Atlas, texture: Linear) -> Linear:
    """``texture`` (3, T, T) with the colours of what lies inside the mouth."""
    flat = texture.reshape(3, -1).copy()
    for name, colour in INSIDE_LINEAR.items():
        flat[:, atlas.texel[_of_parts(mesh, atlas, (name,))]] = np.array(colour, np.float32)[:, None]
    return flat.reshape(texture.shape)


def _of_parts(mesh: Mesh, atlas: Atlas, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which texels of ``atlas`` (N,) lie on parts called ``names``; on any where the mesh has no parts."""
    if not mesh.parts:
        return np.ones(len(atlas.texel), bool)
    ranges = [mesh.parts[name] for name in names if name in mesh.parts]
    within = [(atlas.face >= start) & (atlas.face < end) for start, end in ranges]
    return np.asarray(np.any(within, axis=0))


def _scattered(atlas: Atlas, values: Linear) -> Linear:
    return np.moveaxis(atlas.picture(values), 0, -1)


def _between(values: NDArray[Any], full: float, none: float) -> Linear:
    """1 up to ``full``, 0 from ``none`` on, and smooth."""
    along = np.clip((none - values) / (none - full), 0, 1)
    return np.asarray(along * along * (3 - 2 * along), np.float32)
