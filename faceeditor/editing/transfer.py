"""Giving a part of one face to another: identity, expression, skin, light, hair or pose, by any amount."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from faceeditor.editing.controls import Spaces
from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import Code, as_code
from faceeditor.faces.layout import LIGHT, LIGHT_SHAPE, SKIN, mirror_name

Part = Literal["identity", "expression", "skin", "light", "hair", "pose"]
TRANSFERS: Final[tuple[Part, ...]] = get_args(Part)
"""What can be transferred; all but ``pose`` are spaces of the model."""

Arrays = Mapping[str, NDArray[Any]]


def transfer(what: str, source: Face, target: Face, amount: float = 1.0) -> Face:
    """``target`` with ``what`` taken ``amount`` of the way from it to ``source`` (0 nothing, 1 all of it).

    A per-face refinement is a matter of skin: it travels with ``skin`` and stays with the target otherwise.
    Raises ``UserError`` for a part that does not exist, or faces whose models do not share it.
    """
    if what not in TRANSFERS:
        raise UserError(f"{what} cannot be transferred; choose one of: {', '.join(TRANSFERS)}.")
    _require_finite(amount)
    if what == "pose":
        return target.replace(camera=_between_poses(target.camera, source.camera, amount))
    mine, theirs = _shared(what, target, source)
    changed = target.with_code(what, _between(mine, theirs, amount))
    if what != SKIN:
        return changed
    return changed.replace(refinement=_between_arrays(target.refinement, source.refinement, amount))


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


def mirror(face: Face, spaces: Spaces) -> Face:
    """``face`` with the left and right of its expression, light and pose exchanged."""
    for name, space in spaces.items():
        if name == LIGHT and space.dims == len(_MIRROR_HARMONICS) * LIGHT_SHAPE[1]:
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
    return first.replace(
        yaw=_mix(first.yaw, second.yaw, amount),
        pitch=_mix(first.pitch, second.pitch, amount),
        roll=_mix(first.roll, second.roll, amount),
    )


def _between_arrays(first: Arrays, second: Arrays, amount: float) -> dict[str, NDArray[Any]]:
    """Named corrections between two faces; one that a face lacks counts as zeros."""
    mixed: dict[str, NDArray[Any]] = {}
    for name in first.keys() | second.keys():
        a, b = first.get(name), second.get(name)
        if amount <= 0 or amount >= 1:
            whole = a if amount <= 0 else b
        elif a is not None and b is not None and a.shape != b.shape:
            whole = a if amount < 0.5 else b
        else:
            example = a if a is not None else b
            assert example is not None
            zeros = np.zeros_like(example)
            whole = ((1 - amount) * (zeros if a is None else a) + amount * (zeros if b is None else b)).astype(
                example.dtype
            )
        if whole is not None:
            mixed[name] = whole
    return mixed
