"""Depth frames of studio heads, as a cheap depth camera takes them: one view, noise, and pixels without a depth."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import EXPRESSION
from faceeditor.faces.similarity import Similarity
from faceeditor.files.depth import Intrinsics
from faceeditor.rendering.raster import Scene
from training.imface_scans import HELD_OUT_SEED
from training.studio.assets import HAIR_STYLES
from training.studio.sampling import BALD, sample_expression, sample_identity
from training.triplane_carving import depth_picture
from training.triplane_scans import HeadMaker

Floats = NDArray[np.floating[Any]]

UNIT: Final = 1e-4
"""Metres that one step of a frame's numbers means: 0.1 mm, so that a 16-bit picture reaches 6.5 m."""
YAW, PITCH, DISTANCES = 20.0, 10.0, (0.7, 1.0)
"""How far cameras may be turned from straight ahead, degrees, and how far away they stand, metres."""
FIELD_OF_VIEW: Final = 30.0


@dataclass(frozen=True, eq=False)
class KnownHead:
    """A studio head: its mesh with ``vertices`` (V, 3) in head space and ``faces`` (F, 3), the first ``bare`` of which
    are no hair, and what it was made of.
    """

    vertices: Floats
    faces: NDArray[np.int64]
    bare: int
    identity: Floats
    expression: Floats
    style: str | None

    @classmethod
    def of(cls, maker: HeadMaker, number: int) -> "KnownHead":
        """The held-out head with this ``number``, with an expression."""
        random = np.random.default_rng([HELD_OUT_SEED, number])
        identity, expression = sample_identity(random), np.asarray(sample_expression(random))
        style = None if random.random() < BALD else str(random.choice(HAIR_STYLES))
        vertices, faces = maker.mesh(identity, expression, style)
        return cls(vertices, faces, len(maker.faces), identity, expression, style)

    def codes(self, maker: HeadMaker) -> dict[str, NDArray[np.float32]]:
        """The codes that a model of ``maker.config`` was trained to have for it."""
        expression = np.zeros(maker.config.expression_dims, np.float32)
        expression[: len(self.expression)] = self.expression[: len(expression)]
        return {"identity": maker.code(self.identity, self.style), EXPRESSION: expression}


@dataclass(frozen=True, eq=False)
class DepthFrame:
    """A depth picture (S, S) in metres, 0 where nothing is known, of a camera standing in head space."""

    depth: Floats
    camera: Camera

    @classmethod
    def of(cls, maker: HeadMaker, head: KnownHead, camera: Camera, size: int) -> "DepthFrame":
        """What ``camera`` sees of ``head``, without noise."""
        corners = np.asarray(head.vertices, np.float32)[head.faces]
        scene = Scene(corners, len(corners))
        depth = depth_picture(scene, camera, maker.rasteriser.visible(scene, camera, size, 1)[0])
        return cls(np.where(np.isfinite(depth), depth, 0.0), camera)

    def noisy(self, sigma: float, missing: float, random: np.random.Generator) -> "DepthFrame":
        """The same with noise of ``sigma`` metres, a share of ``missing`` pixels gone."""
        depth = self.depth + sigma * random.standard_normal(self.depth.shape)
        gone = (self.depth == 0) | (random.random(self.depth.shape) < missing)
        return DepthFrame(np.where(gone, 0.0, depth), self.camera)

    @property
    def intrinsics(self) -> Intrinsics:
        """The camera, the centre of the first pixel being 0."""
        matrix = self.camera.intrinsics(*self.depth.shape[::-1])
        return Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] - 0.5, matrix[1, 2] - 0.5, UNIT)

    @property
    def truth(self) -> Similarity:
        """From what the file's reader says, metres upright from the camera, to head space."""
        rotation = self.camera.rotation().T @ np.diag([1.0, -1.0, -1.0])
        return Similarity(1.0, rotation, self.camera.position())

    def write(self, folder: Path, name: str = "depth") -> tuple[Path, Path]:
        """Writes ``name``.png and ``name``.json, the picture in 16 bits and its camera; their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        picture, camera = folder / f"{name}.png", folder / f"{name}.json"
        Image.fromarray(np.rint(self.depth / UNIT).clip(0, 65535).astype(np.uint16)).save(picture)
        told = self.intrinsics
        camera.write_text(json.dumps({"fx": told.fx, "fy": told.fy, "cx": told.cx, "cy": told.cy, "unit": UNIT}))
        return picture, camera


def random_camera(random: np.random.Generator) -> Camera:
    """A camera before a face, as somebody holds it."""
    return Camera(
        yaw=float(random.uniform(-YAW, YAW)),
        pitch=float(random.uniform(-PITCH, PITCH)),
        roll=float(random.normal(0, 4)),
        distance=float(random.uniform(*DISTANCES)),
        field_of_view=FIELD_OF_VIEW,
    )


def held_out_frame(
    maker: HeadMaker, number: int, size: int = 384, sigma: float = 0.0003, missing: float = 0.1
) -> tuple[KnownHead, DepthFrame]:
    """The held-out head with this ``number`` and a frame with ``sigma`` metres of noise and ``missing`` pixels."""
    head = KnownHead.of(maker, number)
    random = np.random.default_rng([HELD_OUT_SEED, number, 1])
    return head, DepthFrame.of(maker, head, random_camera(random), size).noisy(sigma, missing, random)
