"""What a model can do. Panels, commands and tests ask for these capabilities, never for a model's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes, Space
from faceeditor.faces.mesh import Mesh
from faceeditor.rendering.colour import linear_to_srgb8

Refinement = Mapping[str, NDArray[Any]]


def do_nothing() -> None:
    """What is called between steps where nobody waits."""


class Quality(StrEnum):
    """The time a frame may take: ``MOVING`` while a slider or the camera moves, ``FULL`` at rest and for export."""

    MOVING = "moving"
    FULL = "full"


@dataclass(frozen=True, eq=False)
class Frame:
    """A drawn picture: ``rgb_linear`` (H, W, 3) float32 premultiplied by ``alpha`` (H, W); ``depth`` (H, W) metres
    along the camera's axis, infinite where nothing is.
    """

    rgb_linear: NDArray[np.float32]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]

    def over(
        self, background_linear: NDArray[np.float32] | tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 sRGB over a linear colour or picture."""
        behind = np.asarray(background_linear, np.float32)
        return linear_to_srgb8(self.rgb_linear + (1.0 - self.alpha[..., None]) * behind)

    def rgba_srgb(self) -> NDArray[np.uint8]:
        """The picture (H, W, 4) uint8 with straight alpha, for PNG export without a background."""
        straight = self.rgb_linear / np.maximum(self.alpha, 1e-4)[..., None]
        return np.concatenate(
            [linear_to_srgb8(straight), np.rint(self.alpha[..., None] * 255).astype(np.uint8)], axis=-1
        )


@runtime_checkable
class Model(Protocol):
    """What every model tells about itself."""

    name: str
    spaces: Mapping[str, Space]


@runtime_checkable
class RadianceModel(Model, Protocol):
    """Draws a face along rays."""

    def render(
        self,
        codes: Codes,
        camera: Camera,
        size: int,
        quality: Quality = Quality.FULL,
        refinement: Refinement | None = None,
    ) -> Frame:
        """The square picture of ``size`` pixels. What depends on the codes alone is cached between calls."""
        ...


@runtime_checkable
class MeshModel(Model, Protocol):
    """Gives a mesh of a face, whose topology is the same for all expressions of a person."""

    def mesh(
        self,
        codes: Codes,
        refinement: Refinement | None = None,
        *,
        morphs: bool = False,
        textured: bool = False,
        quality: Quality = Quality.FULL,
    ) -> Mesh:
        """The mesh in head space with normals and texture places, with ARKit-named ``morphs``, offsets from the
        person's neutral face, and a texture if asked for. A mesh that is slow to make may be coarser while ``MOVING``.
        """
        ...


@runtime_checkable
class FittableModel(RadianceModel, Protocol):
    """Draws with gradients, for fitting."""

    def landmarks(self, codes: Mapping[str, torch.Tensor], yaw: float = 0.0) -> torch.Tensor:
        """The 68 landmarks (68, 3) in head space metres, the jaw line as seen from ``yaw`` degrees, with gradients.

        ``codes`` are tensors (dims,), one for each space.
        """
        ...

    def draw(
        self,
        codes: Mapping[str, torch.Tensor],
        camera: Camera,
        size: int,
        *,
        rays_a_side: int = 1,
        refinement: Mapping[str, torch.Tensor] | None = None,
    ) -> "Drawing":
        """The picture with gradients to ``codes`` (dims,) and ``refinement``; ``rays_a_side`` squared rays a pixel."""
        ...

    def surface(
        self, codes: Mapping[str, torch.Tensor], refinement: Mapping[str, torch.Tensor] | None = None
    ) -> "Surface":
        """The points that the face is made of, with gradients to ``codes`` (dims,) and ``refinement``."""
        ...


@runtime_checkable
class OwnCodesModel(FittableModel, Protocol):
    """Draws faces with moves of codes of their own, beyond what sliders show: refinements that a fit learns."""

    @property
    def own_dims(self) -> Mapping[str, int]:
        """Components of these codes, by the name of the refinement."""
        ...


@runtime_checkable
class SurfaceModel(Model, Protocol):
    """Tells how far points are from a face, and where on the template they belong. All in head space and metres.

    ``detail`` scales the fine detail of a face: 0 is none, 1 is its own. What depends on the codes alone is cached
    between calls.
    """

    @property
    def extent(self) -> float:
        """Side of the box that the field is known in, metres."""
        ...

    def sdf(self, points: NDArray[Any], codes: Codes, detail: float = 1.0) -> NDArray[np.float32]:
        """Signed distances (N,) of ``points`` (N, 3), negative behind the surface."""
        ...

    def to_template(self, points: NDArray[Any], codes: Codes, detail: float = 1.0) -> NDArray[np.float32]:
        """The points (N, 3) of the template face that ``points`` (N, 3) correspond to."""
        ...

    def landmarks(self, codes: Codes) -> NDArray[np.float32]:
        """The landmarks (k, 3) that the model is built around."""
        ...

    def extract(
        self,
        codes: Codes,
        resolution: int,
        refinement: Refinement | None = None,
        *,
        textured: bool = False,
        breathe: Callable[[], None] = do_nothing,
    ) -> Mesh:
        """The field's own surface in head space, with ``resolution`` cells along the box that it is known in.

        ``breathe`` is called now and then and may raise to stop. Raises ``UserError`` for a resolution that is none.
        """
        ...


@runtime_checkable
class AttributeEncoder(Model, Protocol):
    """Tells from pictures of heads what they show: the codes that draw them again, and where the camera stood."""

    def encode(
        self, crops_srgb: NDArray[np.uint8], field_of_view: float = Camera().field_of_view
    ) -> tuple[dict[str, NDArray[np.float32]], list[Camera]]:
        """The studio's coordinates (N, dims) by space and the cameras of ``crops_srgb`` (N, S, S, 3), which show heads
        where :func:`faceeditor.fitting.alignment.upright` brings them. A picture hardly tells how many degrees it
        shows, so ``field_of_view`` is believed. Raises ``ValueError`` for pictures that are not square.
        """
        ...


@runtime_checkable
class Refiner(Model, Protocol):
    """Makes drawn pictures finer, whatever model has drawn them."""

    def refine(self, frame: Frame, seed: int = 0, breathe: Callable[[], None] = do_nothing) -> Frame:
        """The picture of ``frame`` with what it lacks, of which some is made up: the same by the same ``seed``.
        Coverage and depth stay, and so does every pixel that shows nothing of a head. ``breathe`` is called between
        steps and may raise to stop.
        """
        ...


@dataclass(frozen=True, eq=False)
class Surface:
    """Points of a face in head space, with gradients.

    ``head`` (R, 3) are the vertices of the model's mesh and ``faces`` (F, 3) join them; ``uv`` (R, 2) in [0, 1] with
    v up is where they lie in the atlas, ``parts`` names ranges of faces. ``shape`` (R,) tells which of the vertices
    that ``offsets`` move each one follows, of ``shape_count``. ``strands`` (N, 3) are points of the hair shown,
    numbers ``strand`` (N,) among the ``strand_count`` of all styles.
    """

    head: torch.Tensor
    faces: torch.Tensor
    uv: torch.Tensor
    parts: Mapping[str, tuple[int, int]]
    shape: torch.Tensor
    shape_count: int
    strands: torch.Tensor
    strand: torch.Tensor
    strand_count: int


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture with gradients: ``rgb_linear`` (3, H, W) premultiplied, ``alpha`` (H, W), ``depth`` (H, W)."""

    rgb_linear: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor

    def frame(self) -> Frame:
        """The same as arrays."""
        return Frame(
            rgb_linear=self.rgb_linear.permute(1, 2, 0).contiguous().cpu().numpy(),
            alpha=self.alpha.contiguous().cpu().numpy(),
            depth=self.depth.contiguous().cpu().numpy(),
        )


CAPABILITIES: dict[str, type] = {
    "radiance": RadianceModel,
    "mesh": MeshModel,
    "fitting": FittableModel,
    "surface": SurfaceModel,
    "attributes": AttributeEncoder,
    "refining": Refiner,
}
"""The names that ``faceeditor info`` prints."""


def capabilities(model: object) -> tuple[str, ...]:
    """Which capabilities ``model`` has."""
    return tuple(name for name, protocol in CAPABILITIES.items() if isinstance(model, protocol))
