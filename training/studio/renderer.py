"""Photographs heads off screen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import moderngl
import numpy as np
from numpy.typing import NDArray

from faceeditor.faces.camera import FAR, NEAR, Camera
from faceeditor.faces.layout import (
    BROW_COLOUR,
    BROW_STYLES,
    HAIR_COLOUR,
    HAIR_GLOSS,
    IRIS_WEIGHTS,
    LIGHT_SHAPE,
    SHEEN,
    SKIN_WEIGHTS,
)
from faceeditor.faces.layout import HAIR_STYLES as STYLE_WEIGHTS
from faceeditor.rendering.colour import linear_to_srgb, srgb_to_linear
from faceeditor.rendering.harmonics import key_light
from faceeditor.rendering.opengl import off_screen_context
from training.studio import shaders
from training.studio.assets import DETAIL_RANGE, HAIR_STYLES, Assets, HairStyle
from training.studio.factors import StudioFactors, tint_gain
from training.studio.gl import CornerMesh, layers_of, set_uniforms, texture_of
from training.studio.head import Floats, HeadModel
from training.studio.lids import mended_lids
from training.studio.occlusion import Openness
from training.studio.shot import Label, Shot, Truth
from training.studio.surface import VertexNormals

SAMPLES: Final = 2
"""Samples along each side of a pixel."""

BUST: Final = -0.15
"""Height in head space, metres, at which the bust is cut."""

WHITE: Final = (1.0, 1.0, 1.0)
TONGUE_LINEAR: Final = tuple(srgb_to_linear(np.array([170, 90, 90]) / 255).tolist())
TEETH_LINEAR: Final = tuple(srgb_to_linear(np.array([225, 220, 205]) / 255).tolist())
LASH_LINEAR: Final = (0.012, 0.009, 0.007)
HAIR_OPAQUE: Final = 0.4
"""Opacity from which a hair texel counts as hair in the truth."""
HIDDEN_BEHIND: Final = 0.006
"""Metres that a landmark may lie behind what is seen and still count as seen."""


@dataclass(frozen=True)
class Part:
    """Triangles that are drawn with one material."""

    name: str
    material: str
    label: Label
    tile: int


PARTS: Final = (
    Part("face", "skin", Label.FACE, 0),
    Part("head_and_neck", "skin", Label.HEAD, 1),
    Part("mouth_socket", "skin", Label.MOUTH, 1),
    Part("eye_socket_left", "skin", Label.EYES, 1),
    Part("eye_socket_right", "skin", Label.EYES, 1),
    Part("gums_and_tongue", "flat", Label.MOUTH, 2),
    Part("teeth", "flat", Label.TEETH, 3),
    Part("sclera_left", "eye", Label.EYES, 0),
    Part("sclera_right", "eye", Label.EYES, 0),
    Part("eyelashes_left", "lash", Label.LASHES, 6),
    Part("eyelashes_right", "lash", Label.LASHES, 6),
)
"""What is drawn of the head; its iris, fluid, blend and occlusion meshes need materials that the data do not have."""

MATERIALS: Final = {
    "skin": shaders.SKIN,
    "flat": shaders.FLAT,
    "eye": shaders.EYE,
    "lash": shaders.LASH,
    "hair": shaders.HAIR,
}


class Targets:
    """Frame buffers for one picture size."""

    def __init__(self, context: moderngl.Context, size: int) -> None:
        fine = (size * SAMPLES, size * SAMPLES)
        self.samples = context.texture(fine, 4, dtype="f2")
        self.depth = context.depth_texture(fine)
        self.fine = context.framebuffer([self.samples], self.depth)
        self.picture = context.framebuffer([context.renderbuffer((size, size), 4)])
        shape, place = (context.renderbuffer((size, size), 4, dtype="f4") for _ in range(2))
        self.truth = context.framebuffer([shape, place], context.depth_renderbuffer((size, size)))


def _roots(pictures_srgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Square roots of linear colour, which 8 bits hold well, with a full fourth channel; (..., 3) -> (..., 4)."""
    roots = np.rint(np.sqrt(srgb_to_linear(np.arange(256) / 255)) * 255).astype(np.uint8)[pictures_srgb]
    return np.concatenate([roots, np.full_like(roots[..., :1], 255)], axis=-1)


@dataclass(frozen=True, eq=False)
class _HairOnGpu:
    style: HairStyle
    mesh: CornerMesh
    strands: moderngl.Texture
    shaded: moderngl.VertexArray
    truth: moderngl.VertexArray


class Studio:
    """Photographs heads. Holds one OpenGL context, so it belongs to the thread and process that made it."""

    def __init__(self, head: HeadModel, assets: Assets, openness: Openness | None = None) -> None:
        self.head = head
        self.assets = assets
        self._context = off_screen_context()
        self._targets: dict[int, Targets] = {}
        self._hair: dict[str, _HairOnGpu] = {}
        with self._context:
            self._load_programs()
            self._openness = (openness or Openness.of(self._context, head, assets)).with_lit_teeth(head)
            self._load_textures()
            self._load_head()

    @classmethod
    def open(cls, data_folder: Path | str) -> Self:
        """The studio over a data folder. Raises UserError when the data are not there."""
        return cls(HeadModel.load(data_folder), Assets(data_folder))

    def _load_programs(self) -> None:
        context = self._context
        self._programs = {
            name: context.program(vertex_shader=shaders.VERTEX, fragment_shader=body)
            for name, body in MATERIALS.items()
        }
        self._truth = context.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.TRUTH)
        self._resolve = context.program(vertex_shader=shaders.CORNERS, fragment_shader=shaders.RESOLVE)
        corners = context.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32))
        self._screen = context.vertex_array(self._resolve, [(corners, "2f", "position")])

    def _load_textures(self) -> None:
        context, assets = self._context, self.assets
        self._skins = {
            0: layers_of(context, _roots(mended_lids(self.head, assets.face_skins_srgb))),
            1: layers_of(context, _roots(assets.head_skins_srgb)),
        }
        self._brows = layers_of(context, assets.brows)
        self._no_brows = layers_of(context, np.zeros((len(assets.brows), 1, 1), np.uint8))
        self._irises = {side: layers_of(context, _roots(assets.irises_srgb(side))) for side in ("left", "right")}
        self._lashes = texture_of(context, assets.lashes)

    def _load_head(self) -> None:
        head = self.head
        tiles = np.zeros((len(head.uv), 2), np.float32)
        tiles[:, 0] = np.clip(np.ceil(head.uv[:, 0]) - 1, 0, None)
        self._mesh = CornerMesh(self._context, head.triangles, head.triangles_uv, head.uv - tiles)
        drawn = np.zeros(len(head.triangles), bool)
        self._shaded: dict[str, moderngl.VertexArray] = {}
        self._truths: dict[str, moderngl.VertexArray] = {}
        for part in PARTS:
            start, end = head.polygon_ranges[part.name]
            chosen = np.flatnonzero((head.triangle_polygon >= start) & (head.triangle_polygon < end))
            self._shaded[part.name] = self._mesh.array(self._programs[part.material], chosen)
            self._truths[part.name] = self._mesh.array(self._truth, chosen)
            drawn[chosen] = True
        self._normals = VertexNormals(head.triangles[drawn], len(head.neutral))

    def _hair_of(self, factors: StudioFactors) -> _HairOnGpu | None:
        weights = factors.hair[STYLE_WEIGHTS]
        if weights.max() < 0.5:
            return None
        name = HAIR_STYLES[int(weights.argmax())]
        if name not in self._hair:
            style = self.assets.hair(name)
            mesh = CornerMesh(self._context, style.faces, style.faces_uv, style.uv)
            self._hair[name] = _HairOnGpu(
                style,
                mesh,
                texture_of(self._context, style.texture),
                mesh.array(self._programs["hair"], slice(None)),
                mesh.array(self._truth, slice(None)),
            )
        return self._hair[name]

    def shoot(
        self,
        factors: StudioFactors,
        size: int = 256,
        background: NDArray[np.uint8] | tuple[float, float, float] = WHITE,
        *,
        truth: bool = False,
    ) -> Shot:
        """The picture (size, size) of ``factors``.

        ``background`` is a linear colour, or an sRGB picture (h, w, 3) that is stretched to fill. With ``truth`` the
        shot has :class:`Truth` as well, which takes longer.
        """
        with self._context:  # another part of the program may have made its own context current
            return self._shoot(factors, size, background, truth)

    def _shoot(
        self,
        factors: StudioFactors,
        size: int,
        background: NDArray[np.uint8] | tuple[float, float, float],
        truth: bool,
    ) -> Shot:
        hair = self._hair_of(factors)
        vertices = self._pose(factors, hair)
        if size not in self._targets:
            self._targets[size] = Targets(self._context, size)
        targets = self._targets[size]
        self._set_scene(factors, size)
        self._draw(factors, hair, targets.fine)
        picture = self._develop(targets, size, background)
        landmarks = vertices[self.head.landmark_vertices(factors.camera.yaw)]
        pixels = factors.camera.project(landmarks.astype(np.float64), size, size).astype(np.float32)
        return Shot(
            picture_srgb=picture[..., :3],
            coverage=np.asarray(picture[..., 3] / 255, np.float32),
            landmarks=pixels,
            landmarks_head=landmarks,
            visible=self._visible(targets, factors.camera, landmarks, pixels),
            factors=factors,
            truth=self._draw_truth(factors, hair, targets.truth, size) if truth else None,
        )

    def _pose(self, factors: StudioFactors, hair: _HairOnGpu | None) -> Floats:
        """Put the head's and the hair's vertices in place; gives the head's."""
        vertices = self.head.vertices(factors.identity, factors.expression)
        openness = self._openness.of_head(factors.expression, factors.hair[STYLE_WEIGHTS])
        self._mesh.update(vertices, self._normals(vertices), openness)
        if hair is not None:
            style = hair.style
            moved = style.follow(vertices - self.head.neutral)
            hair.mesh.update(moved, style.normals, self._openness.hair[style.name])
        return vertices

    def _set_scene(self, factors: StudioFactors, size: int) -> None:
        camera = factors.camera
        direction, colour = key_light(factors.light)
        for program in (*self._programs.values(), self._truth):
            set_uniforms(
                program,
                projection=camera.projection(size, size).T,
                camera_position=camera.position(),
                harmonics=factors.light.reshape(LIGHT_SHAPE),
                key_direction=direction,
                key_colour=colour,
                bust=BUST,
            )
        self._set_skin(factors)
        set_uniforms(self._programs["lash"], albedo=LASH_LINEAR)
        hair = factors.hair
        set_uniforms(
            self._programs["hair"],
            hair_colour=hair[HAIR_COLOUR],
            gloss=float(hair[HAIR_GLOSS]),
            detail_range=DETAIL_RANGE,
        )

    def _set_skin(self, factors: StudioFactors) -> None:
        skin = factors.skin
        program = self._programs["skin"]
        _set_mix(program, "skin", skin[SKIN_WEIGHTS])
        _set_mix(program, "brow", skin[BROW_STYLES])
        _set_mix(self._programs["eye"], "iris", skin[IRIS_WEIGHTS])
        set_uniforms(program, brow_colour=skin[BROW_COLOUR], tint=tint_gain(skin), sheen=float(skin[SHEEN]))

    def _draw(self, factors: StudioFactors, hair: _HairOnGpu | None, target: moderngl.Framebuffer) -> None:
        context = self._context
        target.use()
        target.clear(0.0, 0.0, 0.0, 0.0)
        context.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
        context.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        self._cull(factors.camera)
        for part in PARTS:
            if part.material != "lash":
                self._bind(part)
                self._shaded[part.name].render()
        context.disable(moderngl.CULL_FACE)
        if hair is not None:
            hair.strands.use(0)
            set_uniforms(self._programs["hair"], strands=0)
            hair.shaded.render()
        target.depth_mask = False
        for part in PARTS:
            if part.material == "lash":
                self._bind(part)
                self._shaded[part.name].render()
        target.depth_mask = True
        context.disable(moderngl.BLEND)

    def _cull(self, camera: Camera) -> None:
        """Leave out what turns its back, unless the camera looks into the cut bust from below."""
        if camera.position()[1] > BUST:
            self._context.enable(moderngl.CULL_FACE)

    def _bind(self, part: Part) -> None:
        """Bind the part's textures and set what only this part has."""
        program = self._programs[part.material]
        if part.material == "skin":
            self._skins[part.tile].use(0)
            (self._brows if part.tile == 0 else self._no_brows).use(1)
            set_uniforms(program, skins=0, brows=1)
        elif part.material == "eye":
            self._irises[part.name.removeprefix("sclera_")].use(0)
            set_uniforms(program, irises=0)
        elif part.material == "lash":
            self._lashes.use(0)
            set_uniforms(program, opacity=0)
        else:
            set_uniforms(program, albedo=TEETH_LINEAR if part.label == Label.TEETH else TONGUE_LINEAR, wetness=0.5)

    def _develop(
        self, targets: Targets, size: int, background: NDArray[np.uint8] | tuple[float, float, float]
    ) -> NDArray[np.uint8]:
        """The picture with coverage as the fourth channel (size, size, 4), top row first."""
        if isinstance(background, tuple):
            background = np.rint(linear_to_srgb(np.array(background)) * 255).astype(np.uint8).reshape(1, 1, 3)
        behind = self._context.texture(
            background.shape[1::-1], 3, np.ascontiguousarray(background).tobytes(), alignment=1
        )
        behind.repeat_x = behind.repeat_y = False
        targets.picture.use()
        self._context.disable(moderngl.DEPTH_TEST)
        targets.samples.use(0)
        behind.use(1)
        set_uniforms(self._resolve, samples=0, background=1, size=(size, size))
        self._screen.render()
        behind.release()
        return np.frombuffer(targets.picture.read(components=4), np.uint8).reshape(size, size, 4)

    def _visible(self, targets: Targets, camera: Camera, points: Floats, pixels: Floats) -> NDArray[np.bool_]:
        """Which ``points`` (n, 3) at ``pixels`` (n, 2) lie in the picture and are not behind something."""
        width, height = targets.depth.size
        found = np.frombuffer(targets.depth.read(), np.float32).reshape(height, width)
        columns = np.floor(pixels[:, 0] * SAMPLES).astype(int)
        rows = height - 1 - np.floor(pixels[:, 1] * SAMPLES).astype(int)
        inside = (columns >= 1) & (columns < width - 1) & (rows >= 1) & (rows < height - 1)
        columns, rows = np.clip(columns, 1, width - 2), np.clip(rows, 1, height - 2)
        around = [found[rows + down, columns + right] for down in (-1, 0, 1) for right in (-1, 0, 1)]
        seen = _camera_depth(np.max(around, axis=0))
        extrinsics = camera.extrinsics()
        depth = points @ extrinsics[2, :3] + extrinsics[2, 3]
        return np.asarray(inside & (depth <= seen + HIDDEN_BEHIND))

    def _draw_truth(
        self, factors: StudioFactors, hair: _HairOnGpu | None, target: moderngl.Framebuffer, size: int
    ) -> Truth:
        context = self._context
        target.use()
        target.clear(0.0, 0.0, 0.0, 0.0)
        context.enable(moderngl.DEPTH_TEST)
        set_uniforms(self._truth, forward=factors.camera.rotation()[2], hair_label=float(Label.HAIR))
        set_uniforms(self._truth, opacity=0, opacity_channel=1, opacity_needed=0.0)
        self._cull(factors.camera)
        for part in PARTS:
            if part.label != Label.LASHES:
                set_uniforms(self._truth, label=float(part.label), tile=float(part.tile))
                self._truths[part.name].render()
        context.disable(moderngl.CULL_FACE)
        if hair is not None:
            hair.strands.use(0)
            set_uniforms(self._truth, label=float(Label.HAIR), tile=0.0, opacity_needed=HAIR_OPAQUE)
            hair.truth.render()
        shape, place = (
            np.frombuffer(target.read(components=4, attachment=index, dtype="f4"), np.float32).reshape(size, size, 4)[
                ::-1
            ]
            for index in range(2)
        )
        labels = np.rint(place[..., 2]).astype(np.uint8)
        return Truth(
            depth=np.where(labels > 0, shape[..., 3], np.float32(np.inf)),
            normals=shape[..., :3].copy(),
            uv=place[..., :2].copy(),
            labels=labels,
            openness=place[..., 3].copy(),
        )


def _set_mix(program: moderngl.Program, name: str, weights: Floats) -> None:
    """Give the shader the layers that are mixed, their number, indices and weights."""
    used = np.flatnonzero(weights)
    indices, shares = np.zeros(len(weights), np.int32), np.zeros(len(weights), np.float32)
    indices[: len(used)], shares[: len(used)] = used, weights[used]
    set_uniforms(program, **{f"{name}_count": len(used), f"{name}_index": indices.tolist(), f"{name}_weight": shares})


def _camera_depth(found: Floats) -> Floats:
    """Metres along the camera's axis of OpenGL depths in [0, 1]; inf where nothing was drawn."""
    metres = 2 * FAR * NEAR / (FAR + NEAR - (2 * found - 1) * (FAR - NEAR))
    return np.where(found < 1, metres, np.inf).astype(np.float32)
