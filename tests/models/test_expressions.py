"""Every expression name does what it says: the named direction of the shipped model, set to 1.

Three ways of looking. All 51 names on the template, seen through a camera, on ten random identities (the shape decoder
is linear, so what differs between them is the perspective). What no landmark shows is measured on other vertices: the
puffed and squinted cheeks, and the pupils, whose turn is looked at in pictures too, by the irises' pixels. And the
names that 68 landmarks can show from the front, found by the portrait network in pictures of those ten people.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from faceeditor.faces.camera import Camera
from faceeditor.faces.landmarks import MIRROR
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import ARKIT, DIMS, EXPRESSION, HAIR, HAIR_STYLES, IDENTITY, SKIN, mirror_name
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.contract import Quality
from faceeditor.models.guided import GuidedHead
from faceeditor.resources import resource_path

SIZE = 512
VIEWS = {"front": Camera(), "side": Camera(yaw=60)}
LEFT, RIGHT, UP, DOWN, FORWARD, BACK = ([1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1])
"""Directions in head space; left and right are the subject's."""


@dataclass(frozen=True)
class Rule:
    """``points`` (landmarks, or the name of a set of vertices) move ``towards`` a direction in head space, and by that
    at least ``pixels`` of a 512 pixel picture. ``base``: expressions that are there before. ``shown``: whether the 68
    landmarks show it from the front well enough to be found in a picture.
    """

    points: tuple[int, ...] | str
    towards: tuple[int, int, int] | list[int]
    pixels: float = 3.0
    view: str = "front"
    base: tuple[str, ...] = ()
    shown: bool = True


CENTRAL = {
    "browInnerUp": Rule((21, 22), UP),
    "cheekPuff": Rule("cheeks", FORWARD, view="side", shown=False),
    "jawForward": Rule((7, 8, 9, 57), FORWARD, view="side", shown=False),
    "jawLeft": Rule((7, 8, 9, 57), LEFT),
    "jawOpen": Rule((7, 8, 9, 57, 66), DOWN, 15),
    "mouthClose": Rule((65, 66, 67), UP, 15, base=("jawOpen",)),
    "mouthFunnel": Rule((50, 51, 52, 56, 57, 58), FORWARD, view="side", shown=False),
    "mouthLeft": Rule((48, 51, 54, 57), LEFT, 6),
    "mouthPucker": Rule((48, 54, 51, 57), FORWARD, 4, view="side", shown=False),
    "mouthRollLower": Rule((56, 57, 58), UP),
    "mouthRollUpper": Rule((50, 51, 52), DOWN, 2),
    "mouthShrugLower": Rule((56, 57, 58), UP),
    "mouthShrugUpper": Rule((50, 51, 52), UP),
}
ON_THE_LEFT = {
    "browDownLeft": Rule((23, 24, 25), DOWN, 1.5),
    "browOuterUpLeft": Rule((24, 25, 26), UP),
    "cheekSquintLeft": Rule("cheekbonesLeft", UP, 2, shown=False),
    "eyeBlinkLeft": Rule((43, 44), DOWN, 5),
    "eyeLookDownLeft": Rule("pupilLeft", DOWN, 4),
    "eyeLookInLeft": Rule("pupilLeft", RIGHT, 4, shown=False),
    "eyeLookOutLeft": Rule("pupilLeft", LEFT, 4, shown=False),
    "eyeLookUpLeft": Rule("pupilLeft", UP, 3),
    "eyeSquintLeft": Rule((46, 47), UP, 1),
    "eyeWideLeft": Rule((43, 44), UP, 1.5),
    "mouthDimpleLeft": Rule((54, 64), BACK, 2, view="side", shown=False),
    "mouthFrownLeft": Rule((54, 64), DOWN, 2),
    "mouthLowerDownLeft": Rule((55, 56), DOWN, 2),
    "mouthPressLeft": Rule((55, 56), UP, 1.5),
    "mouthSmileLeft": Rule((54, 64), UP, 5),
    "mouthStretchLeft": Rule((54, 64), LEFT, 3),
    "mouthUpperUpLeft": Rule((52, 53), UP, 3),
    "noseSneerLeft": Rule((35,), UP, 3),
}
LIDS = {"eyeLookDown": (43, 44), "eyeLookUp": (43, 44)}
"""The upper lids follow the eyes up and down: what landmarks show of a gaze."""


def other_side(rule):
    """The rule of the mirror image."""
    x, y, z = rule.towards
    if isinstance(rule.points, str):
        return replace(rule, points=mirror_name(rule.points), towards=[-x, y, z])
    return replace(rule, points=tuple(int(MIRROR[point]) for point in rule.points), towards=[-x, y, z])


SIDED = {**ON_THE_LEFT, "jawLeft": CENTRAL["jawLeft"], "mouthLeft": CENTRAL["mouthLeft"]}
RULES = {**CENTRAL, **ON_THE_LEFT, **{mirror_name(name): other_side(rule) for name, rule in SIDED.items()}}

STILL = {
    "brow": (*range(3, 14), *range(30, 36), *range(48, 68)),
    "eye": (*range(3, 14), *range(27, 36), *range(48, 68)),
    "cheek": (21, 22, 27),
    "jaw": (*range(17, 27), *range(36, 48)),
    "mouth": (*range(17, 27), *range(36, 40), *range(42, 46), 27, 28),
    "nose": (8, 17, 26, 36, 45),
}
"""Landmarks that stay where they are, by the beginning of a name."""
STILL_MM = 1.3
SKULL_Y = 0.13


@pytest.fixture(scope="module")
def model():
    return GuidedHead.from_bundle(read_bundle(resource_path("models", "guided-studio")), torch.device("cpu"))


def named(model, *names, seed=0):
    """Codes of a random bald person with sliders put to 1."""
    codes = {name: np.array(space.mean) for name, space in model.spaces.items()}
    codes[IDENTITY] = 0.8 * np.random.default_rng(seed).standard_normal(DIMS[IDENTITY]).astype(np.float32)
    codes[HAIR][HAIR_STYLES] = 0
    space = model.spaces[EXPRESSION]
    sliders = {direction.name: direction for direction in space.directions}
    for name in names:
        codes[EXPRESSION] = space.moved(codes[EXPRESSION], sliders[name], 1.0)
    return {name: as_code(code) for name, code in codes.items()}


def shape(model, codes):
    """Shape vertices (V, 3) of codes."""
    given = [torch.tensor(codes[space][None]) for space in (IDENTITY, EXPRESSION)]
    return model.proxy.template.vertices(*given)[0].numpy()


def vertices_of(model, points):
    """The shape vertices that a rule's points are."""
    template = model.proxy.template
    if not isinstance(points, str):
        return template.landmark_vertices.numpy()[list(points)]
    mean = template.mean.numpy()
    sign = -1 if points.endswith("Right") else 1
    if points.startswith("pupil"):
        start, end = template.parts["eyeLeft" if sign > 0 else "eyeRight"]
        eye = np.unique(template.shape_faces[start:end])
        return eye[np.argsort(-mean[eye, 2])[:10]]
    spots = {"cheeks": [(0.038, -0.025, 0.053), (-0.038, -0.025, 0.053)], "cheekbones": [(sign * 0.05, 0.002, 0.05)]}
    around = next(places for name, places in spots.items() if points.startswith(name))
    skin = np.unique(template.shape_faces[slice(*template.parts["skin"])])
    return np.concatenate([skin[np.argsort(np.linalg.norm(mean[skin] - spot, axis=1))[:10]] for spot in around])


def along(camera, towards):
    """The unit direction (2,) in a picture of a direction in head space."""
    seen = (camera.rotation() @ towards)[:2]
    return seen / np.linalg.norm(seen)


def test_every_name_has_a_rule_and_a_slider(model):
    assert set(RULES) == set(ARKIT)
    assert {direction.name for direction in model.spaces[EXPRESSION].directions} == set(ARKIT)
    assert len([rule for rule in RULES.values() if rule.shown]) > 35


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_right_points_move_the_right_way(model, name):
    rule = RULES[name]
    camera = VIEWS[rule.view]
    points = vertices_of(model, rule.points)
    for seed in range(10):
        before, after = (
            camera.project(shape(model, named(model, *names, seed=seed))[points].astype(float), SIZE, SIZE)
            for names in (rule.base, (*rule.base, name))
        )
        moved = (after - before) @ along(camera, rule.towards)
        assert moved.mean() > rule.pixels, (seed, moved)
        assert (moved > 0).all(), (seed, moved)


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_rest_of_the_face_stays(model, name):
    template = model.proxy.template
    before, after = (shape(model, named(model, *names, seed=1)) for names in ((), (name,)))
    moved = 1000 * np.linalg.norm(after - before, axis=1)
    marks = moved[template.landmark_vertices]
    still = next(points for start, points in STILL.items() if name.startswith(start))
    assert marks[list(still)].max() < STILL_MM
    assert moved[template.mean[:, 1] > SKULL_Y].max() < STILL_MM
    if name in SIDED and name not in CENTRAL:
        assert marks[[18, 37, 41, 48, 4]].max() < STILL_MM / 2


@pytest.mark.parametrize("name", sorted(SIDED))
def test_left_and_right_are_mirror_images(model, name):
    template = model.proxy.template
    rest, left, right = (shape(model, named(model, *names, seed=2)) for names in ((), (name,), (mirror_name(name),)))
    np.testing.assert_allclose(((left - rest) * [-1, 1, 1])[template.mirror], right - rest, atol=2e-6)


@pytest.mark.parametrize("name", ["jawOpen", "eyeBlinkLeft", "browInnerUp", "mouthSmileRight", "eyeLookOutLeft"])
def test_pixels_of_what_stays_keep_their_colour_and_depth(model, name):
    """Skin does not change with the expression: only what moves, its rim and the shadows in folds may differ."""
    camera, size = Camera(), 160
    rest, moved = (named(model, *names, seed=3) for names in ((), (name,)))
    frames = [model.render(codes, camera, size, Quality.MOVING) for codes in (rest, moved)]
    offsets = np.linalg.norm(shape(model, moved) - shape(model, rest), axis=1)
    template = model.proxy.template
    corners = template.shape_faces[: template.cards_from].numpy()
    moving = corners[(offsets[corners] > 2e-4).any(1)]
    touched = np.zeros((size, size), bool)
    for codes in (rest, moved):
        at = camera.project(shape(model, codes)[moving].astype(float).mean(1), size, size).astype(int)
        touched[at[:, 1], at[:, 0]] = True
    still = ~binary_dilation(touched, iterations=6) & (frames[0].alpha > 0.99)
    assert still.sum() > 1500
    change = np.abs(frames[0].over().astype(float) - frames[1].over().astype(float)).max(-1)
    assert change[still].mean() < 1.0
    assert np.quantile(change[still], 0.99) < 8
    assert np.quantile(np.abs(frames[0].depth[still] - frames[1].depth[still]), 0.99) < 5e-4


def iris_places(model, codes):
    """Where the left and the right iris are in a close picture (2, 2): where two colours of irises differ."""
    template = model.proxy.template
    iris = next(choice for choice in model.spaces[SKIN].choices if choice.name == "iris")
    dark, light = iris.options.index("darkbrown"), iris.options.index("blue")
    frames = []
    for option in (dark, light):
        skin = iris.write(codes[SKIN], iris.options[option])
        frames.append(model.render({**codes, SKIN: skin}, CLOSE, CLOSE_SIZE, Quality.MOVING).rgb_linear)
    differs = np.abs(frames[0] - frames[1]).sum(-1)
    places = []
    for side in ("pupilLeft", "pupilRight"):
        around = CLOSE.project(template.mean.numpy()[vertices_of(model, side)].astype(float), CLOSE_SIZE, CLOSE_SIZE)
        x = np.arange(CLOSE_SIZE)
        window = differs * (np.abs(x - around.mean(0)[0]) < 40) * (np.abs(x[:, None] - around.mean(0)[1]) < 30)
        iris_pixels = window > 0.4 * np.quantile(window[window > 0], 0.99)
        places.append(np.argwhere(iris_pixels)[:, ::-1].mean(0))
    return np.array(places)


CLOSE = Camera(field_of_view=9, pan=(0.0, 0.015))
CLOSE_SIZE = 224


@pytest.mark.parametrize("way", ["In", "Out", "Up", "Down"])
@pytest.mark.parametrize("seed", [4, 5])
def test_irises_in_the_picture_turn_and_only_those_that_are_told_to(model, way, seed):
    left, right = f"eyeLook{way}Left", f"eyeLook{way}Right"
    rest = iris_places(model, named(model, seed=seed))
    only_left = iris_places(model, named(model, left, seed=seed)) - rest
    only_right = iris_places(model, named(model, right, seed=seed)) - rest
    assert only_left[0] @ along(CLOSE, RULES[left].towards) > 4
    assert only_right[1] @ along(CLOSE, RULES[right].towards) > 4
    assert np.abs([only_left[1], only_right[0]]).max() < 1


FACES = range(10)
LOOKED_AT = {name: rule for name, rule in RULES.items() if rule.shown}
PICTURE = 256


def shown_points(name, rule):
    """The landmarks that show a rule."""
    if not isinstance(rule.points, str):
        return list(rule.points)
    points = next(points for start, points in LIDS.items() if name.startswith(start))
    return [point if rule.points.endswith("Left") else int(MIRROR[point]) for point in points]


def found_motions(model, network, seed):
    """For every name, how far its landmarks move the right way in a picture, as found and in truth, in pixels."""
    camera = VIEWS["front"]
    sets = sorted({rule.base for rule in LOOKED_AT.values()} | {(*rule.base, name) for name, rule in LOOKED_AT.items()})
    people = [named(model, *names, seed=seed) for names in sets]
    pictures = np.stack([model.render(codes, camera, PICTURE, Quality.MOVING).over() for codes in people])
    parts = np.array_split(pictures, len(pictures) // 8 + 1)
    found = np.concatenate([network.read(part, thorough=True).landmarks for part in parts])
    marks = model.proxy.template.landmark_vertices
    true = np.stack([camera.project(shape(model, codes)[marks].astype(float), PICTURE, PICTURE) for codes in people])

    def motion(landmarks, name, rule):
        after, before = (landmarks[sets.index(names)] for names in ((*rule.base, name), rule.base))
        return float(((after - before)[shown_points(name, rule)] @ along(camera, rule.towards)).mean())

    return {name: [motion(landmarks, name, rule) for landmarks in (found, true)] for name, rule in LOOKED_AT.items()}


def test_the_landmark_network_finds_the_motion_in_pictures_of_ten_people(model):
    """Every name's landmarks go the right way, and half of the names at least half as far as they do in truth.

    A rolled upper lip hardly shows; on one face in ten it may be missed.
    """
    network = load_model("portrait-studio")
    motions = {name: [] for name in LOOKED_AT}
    for seed in FACES:
        for name, motion in found_motions(model, network, seed).items():
            motions[name].append(motion)
    found, true = np.moveaxis(np.array(list(motions.values())), -1, 0)
    missed = dict(zip(motions, (found <= 0).sum(1), strict=True))
    assert missed.pop("mouthRollUpper") <= 1
    assert not any(missed.values()), missed
    shares = found.mean(1) / true.mean(1)
    assert shares.min() > 0
    assert np.median(shares) > 0.5, dict(zip(motions, shares, strict=True))
