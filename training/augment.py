"""Makes studio shots look like photos: placement, backgrounds, clothes, beards, glasses, things in front, bad cameras.

Everything works on whole batches of tensors (B, C, S, S) in [0, 1] sRGB, on any device. All positions in this file are
fractions of a picture, (0, 0) its top left corner. The randomness comes from torch's generator of the CPU.
"""

import io
import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from faceeditor.faces import landmarks as points


@dataclass(frozen=True)
class AugmentConfig:
    """How wild it gets. Chances are per picture; angles are degrees; shifts and sizes fractions of the picture.

    ``coarse`` is the share of pictures placed as the first guess of a face box may place them, the others are placed
    as a second look does; ``lost`` the share placed so badly that they should not pass for a head; ``empty`` the share
    without a head.
    """

    coarse: float = 0.2
    lost: float = 0.04
    empty: float = 0.04
    turn: tuple[float, float] = (7.0, 22.0)
    zoom: tuple[float, float] = (0.07, 0.18)
    shift: tuple[float, float] = (0.025, 0.09)
    volume: float = 0.35
    torso: float = 0.85
    beard: float = 0.15
    glasses: float = 0.15
    make_up: float = 0.2
    cover: float = 0.2
    light: float = 0.4
    plain: float = 0.55
    grey: float = 0.1
    coarse_pixels: float = 0.25
    shake: float = 0.08
    noise: float = 0.5
    jpeg: float = 0.4
    border: float = 0.12


class Sample(NamedTuple):
    """A batch for training: ``pictures`` (B, 3, S, S); ``mask`` (B, 2, S/2, S/2) of head and hair; ``landmarks`` (B,
    68, 2) fractions; ``turn`` (B, 2, 2) how placing turned the picture plane; ``present`` (B,) bool, whether there is a
    head.
    """

    pictures: Tensor
    mask: Tensor
    landmarks: Tensor
    turn: Tensor
    present: Tensor


def _uniform(count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(count)


def _chance(count: int, probability: float) -> Tensor:
    return torch.rand(count) < probability


def _like_picture(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values.reshape(-1, 1, 1, 1)


def _pixels(size: int) -> Tensor:
    """Pixel centres (S, S, 2) as fractions."""
    centres = (torch.arange(size) + 0.5) / size
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)


class Augment:
    """Turns shots into training pictures of ``size`` pixels, over a pool of ``backgrounds`` (P, 3, H, W) uint8."""

    def __init__(self, size: int, backgrounds: Tensor, config: AugmentConfig | None = None) -> None:
        self.size = size
        self.pool = backgrounds
        self.config = config or AugmentConfig()
        self.grid = _pixels(size)

    def __call__(self, shots: Tensor, landmarks: Tensor, upright: Tensor) -> Sample:
        """``shots`` (B, 5, H, H) uint8, ``landmarks`` (B, 68, 2) and ``upright`` (B, 3, 3) as
        :class:`~training.portrait_shots.Shots` has them.
        """
        count = len(shots)
        place = self._place(count)
        transform = place @ upright
        found = _moved(transform, landmarks)
        placed = self._warp(shots.float() / 255, transform, self._flattened(found))
        colour, covers = placed[:, :3], placed[:, 3:]
        shown = ~_chance(count, self.config.empty)
        present = shown & _is_framed(place)
        covers = covers * _like_picture(shown)
        colour = colour * _like_picture(shown)
        colour = self._face_paint(colour, covers[:, :1] - covers[:, 1:], found)
        back = self.patches(count)
        pictures, mask = self._dress(colour, covers, back, torch.linalg.inv(place))
        pictures, mask = self._cover(pictures, mask)
        pictures = self._light(pictures)
        pictures = self._camera(pictures)
        pictures, mask = self._border(pictures, mask)
        half = functional.avg_pool2d(mask, 2)
        turn = transform[:, :2, :2] / torch.linalg.det(transform[:, :2, :2]).sqrt()[:, None, None]
        return Sample(pictures.clamp(0, 1), half, found, turn, present)

    def patches(self, count: int) -> Tensor:
        """Random pieces (count, 3, S, S) of the pool, mirrored and tinted; small pools are enlarged."""
        size, wide = self.size, self.pool.shape[-1]
        chosen = self.pool[torch.randint(len(self.pool), (count,))]
        if wide < size:
            chosen = functional.interpolate(chosen, (size, size), mode="bilinear")
        free = max(wide - size, 0) + 1
        corners = torch.randint(free, (count, 2)).tolist()
        pieces = [piece[:, y : y + size, x : x + size] for piece, (x, y) in zip(chosen, corners, strict=True)]
        patch = torch.stack([piece.flip(-1) if i % 2 else piece for i, piece in enumerate(pieces)]).float() / 255
        return patch * (1 + 0.2 * torch.randn(count, 3, 1, 1)) + 0.08 * torch.randn(count, 3, 1, 1)

    def _place(self, count: int) -> Tensor:
        """Similarities (count, 3, 3) of the default placement to a jittered one."""
        c = self.config
        coarse = _chance(count, c.coarse).long()
        angle = torch.deg2rad(torch.randn(count) * torch.tensor(c.turn)[coarse]).clamp(-1.05, 1.05)
        zoom = torch.exp((torch.randn(count) * torch.tensor(c.zoom)[coarse]).clamp(-0.55, 0.5))
        shift = (torch.randn(count, 2) * torch.tensor(c.shift)[coarse][:, None]).clamp(-0.25, 0.25)
        lost = _chance(count, c.lost)
        zoom = torch.where(lost, torch.exp(torch.randn(count) * 0.8), zoom)
        shift = torch.where(lost[:, None], torch.randn(count, 2) * 0.5, shift)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(count, 2, 2)
        place = torch.eye(3).repeat(count, 1, 1)
        place[:, :2, :2] = zoom[:, None, None] * turn
        place[:, :2, 2] = 0.5 + shift - (place[:, :2, :2] @ torch.tensor([0.5, 0.5]))
        return place

    def _flattened(self, found: Tensor) -> Tensor:
        """Where (B, S, S, 2) each pixel looks so that hair has another volume; what lies near the face stays."""
        count = len(found)
        away = self.grid - found.mean(1)[:, None, None]
        far = away.norm(dim=-1) / points_distance(found).clamp_min(0.02)[:, None, None]
        angle = torch.atan2(away[..., 1], away[..., 0])
        size = _chance(count, self.config.volume) * _uniform(count, -0.15, 0.35)
        wave = 1.0 + sum(
            (0.3 * torch.randn(count) / order)[:, None, None]
            * torch.cos(order * angle + _uniform(count, 0, 2 * math.pi)[:, None, None])
            for order in (1, 2, 3, 5, 9)
        )
        beyond = ((far - 1.15) / 0.6).clamp(0, 1) * (1.2 - away[..., 1] * 4).clamp(0, 1)
        share: Tensor = (size[:, None, None] * wave * beyond).clamp(-0.25, 0.4)
        return self.grid - away * share[..., None]

    def _warp(self, shots: Tensor, transform: Tensor, places: Tensor) -> Tensor:
        """The shots under ``transform``, looked up at ``places`` (B, S, S, 2)."""
        where = _moved(torch.linalg.inv(transform), places.flatten(1, 2)).reshape(places.shape) * 2 - 1
        return functional.grid_sample(shots, where, mode="bilinear", padding_mode="zeros", align_corners=False)

    # The face ---------------------------------------------------------------------------------------------------------

    def _face_paint(self, colour: Tensor, alpha: Tensor, found: Tensor) -> Tensor:
        """Beards, lipstick and glasses, which the studio's heads do not wear."""
        c, count = self.config, len(colour)
        extent = points_distance(found)
        for chance, paint in ((c.beard, self._beard), (c.make_up, self._lips), (c.glasses, self._glasses)):
            chosen = _chance(count, chance).nonzero()[:, 0]
            if len(chosen):
                share, tint = paint(found[chosen], extent[chosen])
                share = share * alpha[chosen]
                colour = colour.index_copy(0, chosen, colour[chosen] * (1 - share) + tint * share)
        return colour

    def _blobs(self, centres: Tensor, radius: Tensor) -> Tensor:
        """The soft union (B, 1, S, S) of discs around ``centres`` (B, N, 2) of ``radius`` (B,)."""
        size = self.size // 2
        away = (_pixels(size)[None, None] - centres[:, :, None, None]).square().sum(-1)
        near = torch.exp(-0.5 * away / radius.reshape(-1, 1, 1, 1).square()).amax(1, keepdim=True)
        return functional.interpolate(near, (self.size, self.size), mode="bilinear")

    def _beard(self, found: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """Hair or stubble along the jaw, on the chin and, mostly, over the lip."""
        count = len(found)
        jaw, mouth = found[:, 2:15], found[:, points.OUTER_LIPS]
        chin = (found[:, 6:11] + mouth[:, [6, 7, 8, 9, 10]]) / 2
        cheek = jaw * 0.8 + mouth.mean(1, keepdim=True) * 0.2
        lip = (found[:, 31:36] + mouth[:, [1, 2, 3, 4, 5]]) / 2
        lip = torch.where(_chance(count, 0.8)[:, None, None], lip, chin)
        kinds = torch.stack([torch.cat([cheek, chin, lip], 1), torch.cat([chin[:, [2] * 13], chin, lip], 1)])
        centres = kinds[(_chance(count, 0.35)).long(), torch.arange(count)]
        area = ((self._blobs(centres, extent * _uniform(count, 0.1, 0.16)) - 0.45) * 4).clamp(0, 1)
        lips = self._blobs(found[:, points.INNER_LIPS], extent * 0.06)
        hairs = torch.rand(count, 1, self.size, self.size) * 0.7 + 0.3
        strength = _like_picture(_uniform(count, 0.15, 0.9))
        tone = _like_picture(_uniform(count, 0.03, 0.35) + (_chance(count, 0.2) * 0.4))
        tint = tone * torch.tensor([1.15, 1.0, 0.85]).reshape(1, 3, 1, 1)
        return area * (1 - lips) * hairs * strength, tint

    def _lips(self, found: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """Lipstick."""
        count = len(found)
        centres = torch.cat([found[:, points.OUTER_LIPS], found[:, [61, 62, 63]], found[:, [65, 66, 67]]], 1)
        centres = torch.cat(
            [centres[:, :12] * 0.7 + found[:, [60, 61, 61, 62, 63, 63, 64, 65, 65, 66, 67, 67]] * 0.3], 1
        )
        area = self._blobs(centres, extent * 0.035)
        tint = torch.stack([_uniform(count, 0.35, 0.9), _uniform(count, 0.05, 0.4), _uniform(count, 0.1, 0.45)], 1)
        return area * _like_picture(_uniform(count, 0.2, 0.7)), tint[..., None, None]

    def _glasses(self, found: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """Rims around both eyes, a bridge and temples; sometimes dark or shining lenses."""
        count = len(found)
        eyes = torch.stack([found[:, points.RIGHT_EYE].mean(1), found[:, points.LEFT_EYE].mean(1)], 1)
        corners = found[:, [points.RIGHT_EYE_CORNER, points.LEFT_EYE_CORNER]]
        across = functional.normalize(corners[:, 1] - corners[:, 0], dim=-1)
        down = torch.stack([-across[:, 1], across[:, 0]], -1)
        offset = self.grid[None, None] - (eyes + 0.03 * extent[:, None, None] * down[:, None])[:, :, None, None]
        widths = extent[:, None] * 0.26 * (corners - eyes).norm(dim=-1) / (corners - eyes).norm(dim=-1).amax(1, True)
        x = (offset * across[:, None, None, None]).sum(-1) / widths.clamp_min(0.01)[..., None, None]
        y = (offset * down[:, None, None, None]).sum(-1) / (extent * _uniform(count, 0.14, 0.24))[:, None, None, None]
        power = _uniform(count, 2, 5)[:, None, None, None]
        far = (x.abs().pow(power) + y.abs().pow(power)).pow(1 / power).amin(1, keepdim=True)
        thick = _like_picture(_uniform(count, 0.04, 0.16))
        rim = (1.5 - (far - 1).abs() / thick).clamp(0, 1)
        middle = (offset.mean(1) * down[:, None, None]).sum(-1) / extent[:, None, None]
        bar = (1.5 - middle.abs() / 0.02).clamp(0, 1)[:, None] * (far > 1) * (far < 1.6)
        lens = (far < 1) * _like_picture(
            torch.where(_chance(count, 0.25), _uniform(count, 0.2, 0.95), torch.zeros(count))
        )
        tint = _like_picture(_uniform(count, 0, 0.5) + _chance(count, 0.15) * 0.4) + 0.05 * torch.randn(count, 3, 1, 1)
        return torch.maximum(torch.maximum(rim, bar) * 0.95, lens), tint

    # The scene --------------------------------------------------------------------------------------------------------

    def _dress(self, colour: Tensor, covers: Tensor, back: Tensor, unplace: Tensor) -> tuple[Tensor, Tensor]:
        """Puts the head before a background, with clothes before or behind the neck; ``covers`` (B, 2, S, S) of head
        and hair.
        """
        count = len(colour)
        torso = self._torso(count, unplace)
        worn = _like_picture(_chance(count, self.config.torso))
        front = _like_picture(_chance(count, 0.75))
        cloth = self.patches(count)
        cloth = torch.where(
            _like_picture(_chance(count, 0.6)), cloth * 0.25 + cloth.mean((2, 3), keepdim=True) * 0.75, cloth
        )
        behind = torso * worn * ~front
        before = torso * worn * front
        scene = back * (1 - behind) + cloth * behind
        scene = scene * (1 - covers[:, :1]) + colour
        return scene * (1 - before) + cloth * before, covers * (1 - before)

    def _torso(self, count: int, unplace: Tensor) -> Tensor:
        """Shoulders and a neckline (count, 1, S, S), drawn under the chin of the default placement."""
        where = _moved(unplace, self.grid.reshape(1, -1, 2).expand(count, -1, -1)).reshape(
            count, self.size, self.size, 2
        )
        u = (where[..., 0] - 0.5 - (0.03 * torch.randn(count))[:, None, None]).abs()
        neck = _uniform(count, 0.08, 0.2)[:, None, None]
        top = _uniform(count, 0.86, 0.98)[:, None, None]
        slope = _uniform(count, 0.1, 0.8)[:, None, None]
        depth = _uniform(count, 0.0, 0.22)[:, None, None]
        line = top + slope * (u - neck).clamp_min(0) + depth * (1 - (u / neck).square()).clamp_min(0)
        return ((where[..., 1] - line) * self.size * 0.5 + 0.5).clamp(0, 1)[:, None]

    def _cover(self, pictures: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Hands, hats, cups and whatever else hides a part of the head."""
        for chance in (self.config.cover, self.config.cover / 3):
            chosen = _chance(len(pictures), chance).nonzero()[:, 0]
            if not len(chosen):
                continue
            count = len(chosen)
            shape = self._blot(count)
            cloth = self.patches(count)
            skin = pictures[chosen, :, self.size // 2 - 4 : self.size // 2 + 4, self.size // 2 - 4 : self.size // 2 + 4]
            skin = skin.mean((2, 3), keepdim=True) * (0.85 + 0.3 * cloth.mean(1, keepdim=True))
            cloth = torch.where(_like_picture(_chance(count, 0.4)), skin, cloth)
            pictures = pictures.index_copy(0, chosen, pictures[chosen] * (1 - shape) + cloth * shape)
            mask = mask.index_copy(0, chosen, mask[chosen] * (1 - shape))
        return pictures, mask

    def _blot(self, count: int) -> Tensor:
        """Random lumpy, often long shapes (count, 1, S, S)."""
        angle = _uniform(count, 0, 2 * math.pi)
        middle = 0.5 + (torch.rand(count, 2) - 0.5) * 0.9
        offset = self.grid[None] - middle[:, None, None]
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        x = (offset[..., 0] * cos + offset[..., 1] * sin) / _uniform(count, 1, 3.5)[:, None, None]
        y = offset[..., 1] * cos - offset[..., 0] * sin
        theta, far = torch.atan2(y, x), torch.hypot(x, y)
        edge = _uniform(count, 0.03, 0.14)[:, None, None]
        wave = torch.ones_like(theta)
        for order in (2, 3, 5, 8):
            wave = wave + (0.35 / order * torch.randn(count))[:, None, None] * torch.cos(
                order * theta + _uniform(count, 0, 6.28)[:, None, None]
            )
        soft = _uniform(count, 0.2, 1.0)[:, None, None] * self.size
        return ((edge * wave - far) * soft + 0.5).clamp(0, 1)[:, None]

    def _light(self, pictures: Tensor) -> Tensor:
        """Uneven light, colour casts, contrast, gamma and grey film."""
        c, count = self.config, len(pictures)
        plain = _chance(count, c.plain)
        wild = _like_picture((~plain).float())
        shade = torch.randn(count, 1, 3, 3) * 0.3 * wild * _like_picture(_chance(count, c.light))
        shade = functional.interpolate(shade, (self.size, self.size), mode="bicubic", align_corners=True)
        gains = torch.exp(0.2 * torch.randn(count, 1, 1, 1) * wild + 0.1 * torch.randn(count, 3, 1, 1) * wild)
        pictures = (pictures * torch.exp(shade) * gains).clamp(1e-4, 1)
        pictures = pictures.pow(torch.exp(0.25 * torch.randn(count, 1, 1, 1) * wild))
        mean = pictures.mean((1, 2, 3), keepdim=True)
        pictures = mean + (pictures - mean) * (1 + 0.25 * torch.randn(count, 1, 1, 1) * wild).clamp(0.4, 1.6)
        grey = pictures.mean(1, keepdim=True)
        faded = 1 + 0.3 * torch.randn(count, 1, 1, 1)
        faded = torch.where(_like_picture(_chance(count, c.grey)), torch.zeros_like(faded), faded)
        return grey + (pictures - grey) * (1 + (faded - 1) * wild)

    def _camera(self, pictures: Tensor) -> Tensor:
        """Low resolution, shake, noise and JPEG, picture by picture: few have all of them."""
        c = self.config
        return torch.stack([self._one_camera(picture, c) for picture in pictures])

    def _one_camera(self, picture: Tensor, c: AugmentConfig) -> Tensor:
        def dice(chance: float) -> bool:
            return bool(torch.rand(()) < chance)

        if dice(c.coarse_pixels):
            side = int(self.size * float(_uniform(1, 0.2, 0.8)))
            small = functional.interpolate(picture[None], (side, side), mode="bilinear", antialias=True)
            kind = "bicubic" if dice(0.7) else "nearest"
            picture = functional.interpolate(small, (self.size, self.size), mode=kind)[0]
        if dice(c.shake):
            step = torch.randn(2) * 0.8
            moves = [(step * i).round().int().tolist() for i in range(-3, 4)]
            picture = torch.stack([picture.roll((down, along), (1, 2)) for down, along in moves]).mean(0)
        if dice(c.noise):
            strength = float(_uniform(1, 0.0, 0.06))
            if dice(0.3):
                rough = torch.randn(3, self.size // 3, self.size // 3) * strength
                picture = picture + functional.interpolate(rough[None], picture.shape[-2:], mode="bilinear")[0]
            else:
                picture = picture + torch.randn_like(picture) * strength
        return _compressed(picture, int(_uniform(1, 12, 85))) if dice(c.jpeg) else picture

    def _border(self, pictures: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Photos that end inside the crop: their edge goes on, as :func:`faceeditor.fitting.alignment.warp` has it."""
        for i in _chance(len(pictures), self.config.border).nonzero()[:, 0].tolist():
            low = [int(self.size * max(0.0, float(_uniform(1, -0.3, 0.25)))) for _ in range(2)]
            high = [self.size - 1 - int(self.size * max(0.0, float(_uniform(1, -0.3, 0.25)))) for _ in range(2)]
            rows, columns = (torch.arange(self.size).clamp(a, b) for a, b in zip(low, high, strict=True))
            pictures[i] = pictures[i][:, rows][:, :, columns]
            mask[i] = mask[i][:, rows][:, :, columns]
        return pictures, mask


def _is_framed(place: Tensor) -> Tensor:
    """(B,) whether the head is in the frame and of about the right size after ``place`` (B, 3, 3)."""
    zoom: Tensor = torch.linalg.det(place[:, :2, :2]).sqrt()
    middle = _moved(place, torch.full((len(place), 1, 2), 0.5))[:, 0]
    central: Tensor = ((middle - 0.5).abs() < 0.32).all(-1)
    return central & (zoom > 0.5) & (zoom < 2.0)


def _compressed(picture: Tensor, quality: int) -> Tensor:
    """``picture`` (3, S, S) after JPEG at ``quality``."""
    file = io.BytesIO()
    Image.fromarray((picture.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1).float() / 255


def _moved(transform: Tensor, positions: Tensor) -> Tensor:
    """``positions`` (B, N, 2) under ``transform`` (B, 3, 3)."""
    return positions @ transform[:, :2, :2].transpose(1, 2) + transform[:, None, :2, 2]


def points_distance(found: Tensor) -> Tensor:
    """How large the faces are, (B,): the larger of eye corner distance and brow-to-chin height, in their units."""
    across = (found[:, points.LEFT_EYE_CORNER] - found[:, points.RIGHT_EYE_CORNER]).norm(dim=-1)
    high = (found[:, 27] - found[:, points.CHIN]).norm(dim=-1)
    return torch.maximum(across, 0.75 * high)


MIRROR: Final = torch.from_numpy(points.MIRROR.copy())
"""The landmark order of the mirror image."""
