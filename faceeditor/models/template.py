"""The template: our head mesh, its shape decoder, and the hair cards that follow it.

The shape decoder is linear, ``vertices = mean + identity @ identity_basis + expression @ expression_basis``, in the
studio coordinates of :mod:`faceeditor.faces.layout`. The texture atlas is its own mirror image: flipping a texture's
columns mirrors it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

import torch
from torch.nn import functional

from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.models.bundle import Bundle

CONTOUR_YAW: Final = 20.0
"""Degrees of yaw beyond which the far jaw landmarks slide to the visible contour (Multi-PIE convention)."""

NANOMETRES: Final = 1e-9
MODE_STEPS: Final = 32000
UV_STEPS: Final = 65536
"""How bundles store numbers for which float16 is too coarse: positions as whole nanometres, a mode's offsets as whole
steps of 1 / 32000 of its largest one, texture places as whole steps of 1 / 65536."""


class HairRange(NamedTuple):
    """Where a style lies in the lists of hair vertices and hair faces; ends are exclusive."""

    vertex_start: int
    vertex_end: int
    face_start: int
    face_end: int

    @property
    def vertices(self) -> slice:
        """The style's hair vertices."""
        return slice(self.vertex_start, self.vertex_end)

    @property
    def faces(self) -> slice:
        """The style's hair faces."""
        return slice(self.face_start, self.face_end)


@dataclass(frozen=True, eq=False)
class Template:
    """The template's tables, all on one device. V shape vertices, R render vertices, F faces, H hair vertices.

    The shape decoder moves *shape vertices*. *Render vertices* are shape vertices split where the texture has a seam:
    ``vertices[:, render_vertex]`` gives their positions, and ``faces`` index them, so that one list of faces serves
    OpenGL, torch and exports. ``shape_faces`` are the same faces by shape vertices.

    ``mean`` (V, 3) metres in head space; ``basis`` (153, V, 3): 100 identity modes of one standard deviation, then the
    expression components; ``render_vertex`` (R,); ``uv`` (R, 2) in the atlas, v up; ``card_uv`` (R, 2) the lashes'
    place in the lash picture, 0 elsewhere; ``faces`` (F, 3) counter-clockwise from outside, sorted by part; ``parts``
    name -> half-open range of faces, the see-through lashes last. ``mirror`` (V,) and ``render_mirror`` (R,) are the
    mirror image's vertex order: ``V[:, mirror] * (-1, 1, 1)`` is the mirrored head; ``identity_signs`` (100,) and
    ``expression_mirror`` (53,) mirror the codes. ``landmark_vertices`` (68,), ``jaw_left`` and ``jaw_right`` (8,) are
    shape vertices.

    Hair: ``hair_rest`` and unit ``hair_normals`` (H, 3) on the mean head, ``hair_uv`` (H, 2) in the style's own
    picture, ``hair_faces`` (., 3) counted from the first hair vertex of all, ``hair_bind`` and ``hair_weights`` (H, 8)
    the shape vertices each hair vertex hangs on; ``styles`` name -> :class:`HairRange`, in the order of the hair code.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    render_vertex: torch.Tensor
    uv: torch.Tensor
    card_uv: torch.Tensor
    faces: torch.Tensor
    mirror: torch.Tensor
    render_mirror: torch.Tensor
    identity_signs: torch.Tensor
    expression_mirror: torch.Tensor
    landmark_vertices: torch.Tensor
    jaw_left: torch.Tensor
    jaw_right: torch.Tensor
    hair_rest: torch.Tensor
    hair_normals: torch.Tensor
    hair_uv: torch.Tensor
    hair_faces: torch.Tensor
    hair_bind: torch.Tensor
    hair_weights: torch.Tensor
    parts: Mapping[str, tuple[int, int]]
    styles: Mapping[str, HairRange]

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: torch.device) -> Self:
        """The template of a bundle that was read."""
        stored = {name: tensor.to(device) for name, tensor in bundle.tensors.items()}
        metres = stored.pop("basis_micrometres").float() * 1e-6
        hair_weights = stored.pop("hair_weights").float()
        return cls(
            mean=stored.pop("mean_nanometres").double().mul(NANOMETRES).float(),
            basis=stored.pop("basis_steps").float() * metres[:, None, None],
            hair_rest=stored.pop("hair_rest_nanometres").double().mul(NANOMETRES).float(),
            hair_normals=functional.normalize(stored.pop("hair_normals").float(), dim=-1),
            hair_weights=hair_weights / hair_weights.sum(1, keepdim=True),
            identity_signs=stored.pop("identity_signs").float(),
            parts={name: (start, end) for name, (start, end) in bundle.configuration["parts"].items()},
            styles={name: HairRange(*limits) for name, limits in bundle.configuration["styles"].items()},
            **{name: stored.pop(f"{name}_steps").float() / UV_STEPS for name in ("uv", "card_uv", "hair_uv")},
            **{name: tensor.long() for name, tensor in stored.items()},
        )

    def stored(self) -> dict[str, torch.Tensor]:
        """The tensors of the bundle that :meth:`from_bundle` reads back; what they round is below a micrometre."""
        micrometres = (self.basis.abs().amax(dim=(1, 2)) * 1e6 / MODE_STEPS).clamp_min(1e-3).half()
        metres = micrometres.double()[:, None, None] * 1e-6
        whole = {
            name: getattr(self, name).int()
            for name in (
                *("render_vertex", "faces", "mirror", "render_mirror", "identity_signs", "expression_mirror"),
                *("landmark_vertices", "jaw_left", "jaw_right", "hair_faces", "hair_bind"),
            )
        }
        return {
            "mean_nanometres": (self.mean.double() / NANOMETRES).round().int(),
            "basis_steps": (self.basis.double() / metres).round().to(torch.int16),
            "basis_micrometres": micrometres,
            **{
                f"{name}_steps": (getattr(self, name) * UV_STEPS).round().int() for name in ("uv", "card_uv", "hair_uv")
            },
            "hair_rest_nanometres": (self.hair_rest.double() / NANOMETRES).round().int(),
            "hair_normals": self.hair_normals.half(),
            "hair_weights": self.hair_weights.half(),
            **whole,
        }

    def configuration(self) -> dict[str, Any]:
        """The part of the bundle's description that :meth:`from_bundle` reads back."""
        return {
            "parts": {name: list(limits) for name, limits in self.parts.items()},
            "styles": {name: list(limits) for name, limits in self.styles.items()},
        }

    def to(self, device: torch.device | str) -> Self:
        """The same template on another device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)

    @property
    def shape_faces(self) -> torch.Tensor:
        """Faces (F, 3) by shape vertices."""
        return self.render_vertex[self.faces]

    @property
    def cards_from(self) -> int:
        """The first face that is a see-through card (the lashes); all faces before it are opaque."""
        return self.parts["lashesLeft"][0]

    @property
    def identity_basis(self) -> torch.Tensor:
        """Vertex offsets (100, V, 3) per identity component."""
        return self.basis[: len(self.identity_signs)]

    @property
    def expression_basis(self) -> torch.Tensor:
        """Vertex offsets (53, V, 3) per expression component."""
        return self.basis[len(self.identity_signs) :]

    def vertices(self, identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        """Shape vertices (B, V, 3) in metres of identity codes (B, 100) and expression codes (B, 53 or more)."""
        used = expression[:, : len(EXPRESSION_COMPONENTS)]
        weights = torch.cat([identity[:, : len(self.identity_signs)], used], dim=1)
        return self.mean + (weights @ self.basis.flatten(1)).reshape(-1, *self.mean.shape)

    def normals(self, vertices: torch.Tensor) -> torch.Tensor:
        """Unit normals (B, V, 3), area-weighted and smooth over seams, of shape ``vertices`` (B, V, 3)."""
        return vertex_normals(vertices, self.shape_faces)

    def landmarks(self, vertices: torch.Tensor, yaw: float = 0.0) -> torch.Tensor:
        """The 68 landmarks (B, 68, 3) of ``vertices`` (B, V, 3), as a camera at ``yaw`` degrees sees the jaw line."""
        chosen = self.landmark_vertices.clone()
        if yaw > CONTOUR_YAW:
            chosen[0:8] = self.jaw_right
        elif yaw < -CONTOUR_YAW:
            chosen[9:17] = self.jaw_left
        return vertices[:, chosen]

    def hair_vertices(self, vertices: torch.Tensor, style: int) -> torch.Tensor:
        """Hair vertices (B, h, 3) of a style, 0 to 9 as in the hair code, on heads with shape ``vertices`` (B,
        V, 3)."""
        at = list(self.styles.values())[style].vertices
        bind, weights = self.hair_bind[at], self.hair_weights[at]
        moved = (vertices - self.mean).index_select(1, bind.reshape(-1)).reshape(len(vertices), *bind.shape, 3)
        return self.hair_rest[at] + (moved * weights[..., None]).sum(-2)

    def hair_style_faces(self, style: int) -> torch.Tensor:
        """Faces (f, 3) of a style, counted from the style's own first vertex; seen from both sides."""
        limits = list(self.styles.values())[style]
        return self.hair_faces[limits.faces] - limits.vertex_start


def vertex_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Unit area-weighted normals (B, V, 3) of ``vertices`` (B, V, 3) with triangles ``faces`` (F, 3).
    Differentiable."""
    batch, count, _ = vertices.shape
    first = torch.arange(batch, device=faces.device)[:, None, None] * count
    index = (faces + first).reshape(-1, 3)
    flat = vertices.reshape(-1, 3)
    a, b, c = flat.index_select(0, index.reshape(-1)).reshape(-1, 3, 3).unbind(1)
    across = torch.linalg.cross(b - a, c - a)
    summed = torch.zeros_like(flat).index_add(0, index.reshape(-1), across.repeat_interleave(3, dim=0))
    return functional.normalize(summed, dim=-1, eps=1e-20).reshape(vertices.shape)
