"""Sliders and choices: pure functions from a face to the edited face.

A control's key is ``space.name`` (``expression.jawOpen``, ``hair.style``) or ``space.index`` for a raw component.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from faceeditor.errors import UserError
from faceeditor.faces.face import DETAIL_AMOUNT, Face
from faceeditor.faces.latents import Choice, Code, Codes, Direction, Space, as_code
from faceeditor.faces.layout import LIGHT, mirror_name

Spaces = Mapping[str, Space]

SIDEWAYS: Final = frozenset({"jawLeft", "jawRight", "mouthLeft", "mouthRight"})
"""Movements of one part to a side; unlike the others they have no twin that symmetry would move along."""


@dataclass(frozen=True)
class Amount:
    """How much of what a ``space`` says is shown: one number of the face's refinement, ``neutral`` where there is none.

    ``low`` and ``high`` are the slider's ends.
    """

    name: str
    space: str
    refinement: str
    low: float
    high: float
    neutral: float
    label: str
    group: str

    @property
    def key(self) -> str:
        """How commands and projects call it: ``detail.amount``."""
        return f"{self.space}.{self.name}"

    def read(self, face: Face) -> float:
        """Where it stands."""
        return float(np.asarray(face.refinement.get(self.refinement, self.neutral)).reshape(-1)[0])

    def write(self, face: Face, value: float) -> Face:
        """``face`` with it at ``value``; one that stands at its neutral value leaves nothing behind."""
        kept: dict[str, Any] = {name: array for name, array in face.refinement.items() if name != self.refinement}
        if value != self.neutral:
            kept[self.refinement] = np.array([value], np.float32)
        return face.replace(refinement=kept)


AMOUNTS: Final = (Amount("amount", "detail", DETAIL_AMOUNT, 0.0, 2.0, 1.0, "Amount", "Overall"),)
"""The amounts that faces have whose models have the space."""

Control = Direction | Choice | Amount


def find(spaces: Spaces, key: str) -> tuple[Space, Control | int]:
    """The control called ``key``, an ``int`` for a raw component. Raises ``UserError`` with the nearest name."""
    space_name, _, name = key.partition(".")
    space = spaces.get(space_name)
    if space is not None:
        for control in named(space):
            if control.name == name:
                return space, control
        if name.isdecimal() and int(name) < space.dims:
            return space, int(name)
        if name in space.components:
            return space, space.components.index(name)
    raise UserError(f"There is no control named {key}{_suggestion(spaces, key)}")


def keys(spaces: Spaces) -> tuple[str, ...]:
    """The keys of all sliders and choices, space by space."""
    return tuple(control.key for space in spaces.values() for control in named(space))


def named(space: Space) -> tuple[Control, ...]:
    """The sliders and choices of a space."""
    return (*amounts(space), *space.directions, *space.choices)


def amounts(space: Space) -> tuple[Amount, ...]:
    """The amounts that faces with this space have."""
    return tuple(amount for amount in AMOUNTS if amount.space == space.name)


def value(face: Face, spaces: Spaces, key: str) -> float:
    """Where a slider or raw component stands."""
    space, control = find(spaces, key)
    if isinstance(control, Choice):
        raise UserError(f"{key} is a choice, not a number; its options are: {', '.join(options(control))}.")
    return read(face, space, control)


def read(face: Face, space: Space, control: Direction | Amount | int) -> float:
    """Where a slider or raw component that was found stands."""
    if isinstance(control, Amount):
        return control.read(face)
    code = face.codes[space.name]
    return space.value(code, control) if isinstance(control, Direction) else float(code[control])


def choice(face: Face, spaces: Spaces, key: str) -> str:
    """The chosen option."""
    space, control = _choice(spaces, key)
    return control.read(face.codes[space.name])


def options(control: Choice) -> tuple[str, ...]:
    """What can be chosen, the name for none first where there is one."""
    return control.options if control.none is None else (control.none, *control.options)


def set_slider(face: Face, spaces: Spaces, key: str, amount: float, *, symmetric: bool = False) -> Face:
    """``face`` with a slider or raw component at ``amount``; ``symmetric`` moves the twin on the other side as well."""
    space, control = find(spaces, key)
    if not np.isfinite(amount):
        raise UserError(f"{key} needs a finite number.")
    code = face.codes[space.name]
    if isinstance(control, Choice):
        raise UserError(f"{key} is a choice, not a number; its options are: {', '.join(options(control))}.")
    if isinstance(control, Amount):
        return control.write(face, amount)
    if isinstance(control, int):
        changed = code.copy()
        changed[control] = amount
        return face.with_code(space.name, space.clamp(changed))
    for direction in _twins(space, control) if symmetric else (control,):
        code = space.moved(code, direction, amount)
    return face.with_code(space.name, code)


def set_choice(face: Face, spaces: Spaces, key: str, option: str) -> Face:
    """``face`` with an option chosen. Raises ``UserError`` for one that is not offered."""
    space, control = _choice(spaces, key)
    if option not in options(control):
        near = difflib.get_close_matches(option, options(control), 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(options(control))}."
        raise UserError(f"{key} has no option {option}; {hint}")
    return face.with_code(space.name, control.write(face.codes[space.name], option))


def assign(face: Face, spaces: Spaces, assignment: str) -> Face:
    """``face`` after ``key=value``, as typed on the command line."""
    key, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"'{assignment}' is not of the form space.name=value, such as expression.jawOpen=0.8.")
    _, control = find(spaces, key)
    if isinstance(control, Choice):
        return set_choice(face, spaces, key, text)
    try:
        amount = float(text)
    except ValueError:
        raise UserError(f"{key} needs a number, not '{text}'.") from None
    return set_slider(face, spaces, key, amount)


def reset(face: Face, spaces: Spaces, what: str, start: Face | None = None) -> Face:
    """``face`` with a control, a space or ``all`` back as in ``start``, or at the model's neutral codes and amounts."""
    if what == "all" or what in spaces:
        for name in spaces if what == "all" else (what,):
            face = face.with_code(name, neutral(spaces[name]) if start is None else start.codes[name])
            for amount in amounts(spaces[name]):
                face = amount.write(face, amount.neutral if start is None else amount.read(start))
        return face
    space, control = find(spaces, what)
    if isinstance(control, Amount):
        return control.write(face, control.neutral if start is None else control.read(start))
    source = neutral(space) if start is None else start.codes[space.name]
    if isinstance(control, Choice):
        changed = face.codes[space.name].copy()
        part = slice(control.start, control.start + len(control.options))
        changed[part] = source[part]
        return face.with_code(space.name, changed)
    value = space.value(source, control) if isinstance(control, Direction) else float(source[control])
    return set_slider(face, spaces, what, value)


def neutral(space: Space) -> Code:
    """A code to start from: the mean, or, where options exclude each other, the training code nearest to it; where
    codes are drawn from mean and covariance, the mean with no option, or else the commonest, chosen.
    """
    if not space.choices:
        return space.mean
    if space.gaussian:
        code = space.mean
        for option in space.choices:
            code = option.write(code, option.none or option.read(code))
        return code
    distances = np.linalg.norm((space.examples - space.mean) / np.maximum(space.scale, 1e-6), axis=1)
    return as_code(space.examples[int(distances.argmin())])


def randomise(face: Face, spaces: Spaces, names: Iterable[str], seed: int) -> Face:
    """``face`` with plausible random codes in the spaces ``names``; the same seed gives the same face."""
    for name in names:
        if name not in spaces:
            raise UserError(f"There is no space named {name}; the model has: {', '.join(spaces)}.")
        position = list(spaces).index(name)
        face = face.with_code(name, spaces[name].random(np.random.default_rng([seed, position])))
    return face


def changed(face: Face, original: Face, spaces: Spaces) -> frozenset[str]:
    """The keys of controls that stand elsewhere than in ``original``."""
    different: set[str] = set()
    for name, space in spaces.items():
        different |= {amount.key for amount in amounts(space) if amount.read(face) != amount.read(original)}
        new, old = face.codes[name], original.codes[name]
        if new is old:
            continue
        for direction in space.directions:
            step = 1e-3 * max(abs(direction.high - direction.low), 1e-6)
            if abs(space.value(new, direction) - space.value(old, direction)) > step:
                different.add(direction.key)
        different |= {control.key for control in space.choices if control.read(new) != control.read(old)}
    return frozenset(different)


def carried(edited: Face, start: Codes, onto: Face, spaces: Spaces) -> Face:
    """``onto`` with every slider and choice that ``edited`` has moved away from ``start`` standing where it has it."""
    for key in sorted(changed(edited, edited.replace(codes=start), spaces)):
        _, control = find(spaces, key)
        if isinstance(control, Choice):
            onto = set_choice(onto, spaces, key, choice(edited, spaces, key))
        else:
            onto = set_slider(onto, spaces, key, value(edited, spaces, key))
    return onto


def check_codes(face: Face, spaces: Spaces) -> Face:
    """``face`` itself when its codes fit ``spaces``. Raises ``UserError`` when one is missing or of another length."""
    for name, space in spaces.items():
        if name not in face.codes or face.codes[name].shape != (space.dims,):
            raise UserError(
                f"{face.name} was made for another version of the model {face.model} (its {name} code has "
                "another size); open it with the version that saved it."
            )
    return face


def _twins(space: Space, direction: Direction) -> tuple[Direction, ...]:
    twin = mirror_name(direction.name)
    if twin == direction.name or space.name == LIGHT or direction.name in SIDEWAYS:
        return (direction,)
    return (direction, *(other for other in space.directions if other.name == twin))


def _choice(spaces: Spaces, key: str) -> tuple[Space, Choice]:
    space, control = find(spaces, key)
    if not isinstance(control, Choice):
        raise UserError(f"{key} is a number, not a choice.")
    return space, control


def _suggestion(spaces: Spaces, key: str) -> str:
    known = {name.lower(): name for name in keys(spaces)}
    near = difflib.get_close_matches(key.lower(), known, 1, 0.6)
    near = near or [name for name in known if name.partition(".")[2] == key.lower().rpartition(".")[2]]
    return f"; did you mean {known[near[0]]}?" if near else f"; the model's spaces are: {', '.join(spaces)}."
