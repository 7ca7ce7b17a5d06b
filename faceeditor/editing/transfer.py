"""Giving a part of one face to another: a code, its detail, its texture or the pose, by any amount."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceeditor.editing.controls import Spaces
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import DETAIL_AMOUNT, TEXTURE, Face, Origin
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import LIGHT, LIGHT_SHAPE, mirror_name
from faceeditor.rendering.colour import linear_to_srgb8, srgb8_to_linear

Part = Literal["identity", "expression", "skin", "light", "hair", "pose", "detail", "texture"]
TRANSFERS: Final[tuple[Part, ...]] = get_args(Part)
"""What can be transferred; all but ``pose`` and ``texture`` are spaces of the model."""

ALIASES: Final[dict[str, Part]] = {"shape": "identity"}
"""Other words for parts."""

TRAVELS: Final = {"skin": None, "detail": (DETAIL_AMOUNT,), "texture": (TEXTURE,)}
"""Which of a face's refinements go with a part: all of them with the skin of a model that has one."""

Arrays = Mapping[str, NDArray[Any]]


def transfer(what: str, source: Face, target: Face, amount: float = 1.0) -> Face:
    """``target`` with ``what`` taken ``amount`` of the way from it to ``source`` (0 nothing, 1 all of it).

    Per-face refinements travel with the part they belong to (:data:`TRAVELS`) and stay with the target otherwise. A
    texture fits every face of models that follow the template.
    Raises ``UserError`` for a part that does not exist, faces whose models do not share it, or a texture that the
    source has not.
    """
    what = ALIASES.get(what, what)
    if what not in TRANSFERS:
        raise UserError(f"{what} cannot be transferred; choose one of: {', '.join((*TRANSFERS, *ALIASES))}.")
    _require_finite(amount)
    if what == "pose":
        return target.replace(camera=_between_poses(target.camera, source.camera, amount))
    if what == "texture":
        if TEXTURE not in source.refinement:
            raise UserError(f"{source.name} has no texture of its own; choose a face made from a coloured scan.")
        return target.replace(refinement=_refined(what, target, source, amount))
    mine, theirs = _shared(what, target, source)
    changed = target.with_code(what, _between(mine, theirs, amount))
    return changed.replace(refinement=_refined(what, target, source, amount)) if what in TRAVELS else changed


def parts_of(what: str, amount: float = 1.0) -> tuple[tuple[str, float], ...]:
    """What a text such as ``hair,pose=0.5`` means: parts, each with its own amount or else ``amount``. Raises
    ``UserError`` for an amount that is no number.
    """
    return tuple(_part(text, amount) for text in what.split(","))


def _part(text: str, amount: float) -> tuple[str, float]:
    name, equals, own = (word.strip() for word in text.partition("="))
    try:
        return name, float(own) if equals else amount
    except ValueError:
        raise UserError(f"{name} needs an amount such as 0.5, not '{own}'.") from None


def can_give(what: Part, source: Face, target: Face) -> bool:
    """Whether :func:`transfer` gives something of ``source`` to ``target``."""
    if what == "pose":
        return True
    if what == "texture":
        return TEXTURE in source.refinement and source.codes.keys() == target.codes.keys()
    mine, theirs = target.codes.get(what), source.codes.get(what)
    return mine is not None and theirs is not None and source.model == target.model


def _refined(what: str, target: Face, source: Face, amount: float) -> Arrays:
    """The target's refinement with what travels with a part mixed with the source's."""
    names = TRAVELS[what] or tuple(target.refinement.keys() | source.refinement.keys())
    mine, theirs = (
        {name: face.refinement[name] for name in names if name in face.refinement} for face in (target, source)
    )
    kept = {name: value for name, value in target.refinement.items() if name not in names}
    return {**kept, **_between_arrays(mine, theirs, amount)}


def blend(first: Face, second: Face, amount: float, name: str = "") -> Face:
    """The face ``amount`` of the way from ``first`` to ``second`` in everything, camera and refinement included."""
    _require_finite(amount)
    for space in first.codes.keys() | second.codes.keys():
        _shared(space, first, second)
    a, b = first.camera, second.camera
    camera = _between_poses(a, b, amount).replace(
        distance=_mix(a.distance, b.distance, amount),
        field_of_view=_mix(a.field_of_view, b.field_of_view, amount),
        pan=(_mix(a.pan[0], b.pan[0], amount), _mix(a.pan[1], b.pan[1], amount)),
        centre=(_mix(a.centre[0], b.centre[0], amount), _mix(a.centre[1], b.centre[1], amount)),
    )
    return first.replace(
        name=name or f"{first.name} - {second.name}",
        codes={space: _between(code, second.codes[space], amount) for space, code in first.codes.items()},
        camera=camera,
        origin=Origin("interpolation", f"{amount:.0%} from {first.name} to {second.name}"),
        refinement=_between_arrays(first.refinement, second.refinement, amount),
    )


def mixed_srgb(first: NDArray[np.uint8], second: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """The picture ``amount`` of the way from ``first`` to ``second`` in linear light, in the size of ``first``."""
    if amount == 0:
        return first
    if first.shape != second.shape:
        size = (first.shape[1], first.shape[0])
        second = np.asarray(Image.fromarray(second).resize(size, Image.Resampling.LANCZOS))
    if amount == 1:
        return second
    light = (1 - amount) * srgb8_to_linear(first) + amount * srgb8_to_linear(second)
    return linear_to_srgb8(light.astype(np.float32))


def mirror(face: Face, spaces: Spaces) -> Face:
    """``face`` with the left and right of its expression, light and pose exchanged."""
    for name, space in spaces.items():
        if name == LIGHT and _LAMP in {direction.name for direction in space.directions}:
            face = face.with_code(name, face.codes[name].reshape(LIGHT_SHAPE) * _MIRROR_HARMONICS[:, None])
            continue
        code = face.codes[name]
        by_name = {direction.name: direction for direction in space.directions}
        for direction in space.directions:
            twin = by_name.get(mirror_name(direction.name))
            if twin is not None and twin is not direction:
                change = space.value(face.codes[name], twin) - space.value(face.codes[name], direction)
                code = as_code(code + np.float32(change) * direction.vector)
        face = face.with_code(name, code)
    camera = face.camera
    return face.replace(camera=camera.replace(yaw=-camera.yaw, roll=-camera.roll))


_LAMP: Final = "lampLeft"
"""The slider that only lights made of harmonics have; others mean nothing but to their own model."""
_MIRROR_HARMONICS: Final = np.array([1, 1, 1, -1, -1, 1, 1, -1, 1], np.float32)
"""Signs of the harmonics (1, y, z, x, xy, yz, 3z2-1, xz, x2-y2) when x becomes -x."""


def _require_finite(amount: float) -> None:
    if not np.isfinite(amount):
        raise UserError("The amount must be a finite number, such as 0.5.")


def _shared(space: str, first: Face, second: Face) -> tuple[Code, Code]:
    mine, theirs = first.codes.get(space), second.codes.get(space)
    if mine is None or theirs is None or mine.shape != theirs.shape or first.model != second.model:
        raise UserError(
            f"{first.name} ({first.model}) and {second.name} ({second.model}) do not share the space {space}; "
            "use faces of the same model."
        )
    return mine, theirs


def _between(first: Code, second: Code, amount: float) -> Code:
    """Exactly ``first`` at 0 and ``second`` at 1."""
    return as_code(np.float32(1 - amount) * first + np.float32(amount) * second)


def _mix(first: float, second: float, amount: float) -> float:
    return (1 - amount) * first + amount * second


def _between_poses(first: Camera, second: Camera, amount: float) -> Camera:
    """Turned the shorter way."""
    return first.replace(
        yaw=_mix(first.yaw, _nearest(second.yaw, first.yaw), amount),
        pitch=_mix(first.pitch, second.pitch, amount),
        roll=_mix(first.roll, _nearest(second.roll, first.roll), amount),
    )


def _nearest(angle: float, other: float) -> float:
    """``angle`` in degrees, or that which differs from it by whole turns and lies within half a turn of ``other``."""
    return angle - 360 * round((angle - other) / 360) if abs(angle - other) > 180 else angle


def _between_arrays(first: Arrays, second: Arrays, amount: float) -> dict[str, NDArray[Any]]:
    """Named corrections between two faces; one that a face lacks counts as doing nothing."""
    mixed = {
        name: _between_values(name, first.get(name), second.get(name), amount) for name in first.keys() | second.keys()
    }
    return {name: value for name, value in mixed.items() if value is not None}


def _between_values(
    name: str, first: NDArray[Any] | None, second: NDArray[Any] | None, amount: float
) -> NDArray[Any] | None:
    """NDArray[np.uint8]s are mixed in linear light; a face without one shows the other's."""
    if name.endswith("_srgb"):
        if first is None or second is None:
            return (second if amount > 0 else first) if first is None else first if amount < 1 else second
        return mixed_srgb(first, second, float(np.clip(amount, 0, 1)))
    if name != DETAIL_AMOUNT and (amount <= 0 or amount >= 1):
        return first if amount <= 0 else second
    if first is not None and second is not None and first.shape != second.shape:
        return first if amount < 0.5 else second
    idle = 1.0 if name == DETAIL_AMOUNT else 0.0
    example = first if first is not None else second
    assert example is not None
    a, b = (np.full_like(example, idle) if value is None else value for value in (first, second))
    return np.asarray((1 - amount) * a + amount * b, example.dtype)
