"""Scans made of the template: turned, scaled, noisy, cut, as clouds and as depth; and what is no face."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting.scan_placing import MARKED, place_by_points, place_scan
from faceeditor.fitting.scan_surfels import Sampler
from faceeditor.fitting.scan_views import NOTHING, draw
from faceeditor.models.bundle import load_model


@pytest.fixture(scope="module")
def reader():
    return load_model("portrait-studio")


@pytest.fixture(scope="module")
def template():
    return load_model("template-studio")


class Subject:
    """A head with an expression, its skin, eyes and mouth, and its true landmarks."""

    def __init__(self, template, seed):
        random = np.random.default_rng(seed)
        expression = np.zeros(53)
        expression[random.choice(53, 4, replace=False)] = random.uniform(0.2, 0.8, 4)
        codes = [torch.tensor(code[None], dtype=torch.float32) for code in (random.normal(0, 0.8, 100), expression)]
        vertices = template.vertices(*codes)
        self.vertices = vertices[0].double().numpy()
        self.faces = template.shape_faces[: template.cards_from].numpy().astype(np.int32)
        self.landmarks = template.landmarks(vertices)[0].double().numpy()

    def scan(self, posed):
        return Scan(posed.to_head(self.vertices), self.faces)

    def error_mm(self, placement, posed):
        """Mean distance of the found landmarks, all but the jaw line, to the true ones."""
        true = posed.then(placement.similarity).to_head(self.landmarks)
        return 1000 * np.linalg.norm(placement.landmarks - true, axis=1)[17:].mean()


@pytest.fixture(scope="module")
def subject(template):
    return Subject(template, 4)


def pose(seed, scale=1.0):
    random = np.random.default_rng(seed)
    return Similarity(scale, Rotation.random(random_state=seed).as_matrix(), scale * random.normal(size=3))


def assert_placed(placement, subject, posed, within_mm=2.5):
    assert subject.error_mm(placement, posed) < within_mm
    assert posed.then(placement.similarity).scale == pytest.approx(1, abs=0.08)
    assert (placement.weights[17:] > 0).mean() > 0.9
    assert placement.identity.shape == (100,)
    assert placement.expression.shape == (53,)
    assert ((placement.expression >= 0) & (placement.expression <= 1)).all()
    assert 0 < placement.error_mm < 1


POSES = {
    "as it is": Similarity(1.0, np.eye(3), np.array([3.0, 2.0, 1.0])),
    "turned by 90 degrees": Similarity(
        1000.0, Rotation.from_euler("x", 90, degrees=True).as_matrix(), np.array([3.0, 2.0, 1.0])
    ),
    "anyhow": pose(11, 10.0),
}


@pytest.fixture(scope="module")
def other(template):
    return Subject(template, 11)


@pytest.fixture(scope="module")
def placements(template, reader, other):
    return {name: place_scan(other.scan(posed), reader, template) for name, posed in POSES.items()}


@pytest.mark.parametrize("name", POSES)
def test_a_head_in_any_unit_and_position(template, other, placements, name):
    placement = placements[name]
    assert_placed(placement, other, POSES[name])
    codes = [torch.tensor(code[None]).float() for code in (placement.identity, placement.expression)]
    found = template.landmarks(template.vertices(*codes))[0].numpy()
    assert 1000 * np.linalg.norm(found - placement.landmarks, axis=1).mean() < 1.5


@pytest.mark.parametrize("name", POSES)
def test_in_a_usual_unit_a_head_keeps_its_true_size(placements, name):
    assert POSES[name].then(placements[name].similarity).scale == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize("name", ["turned by 90 degrees", "anyhow"])
def test_turned_and_scaled_it_is_placed_alike(other, placements, name):
    placed, still = (
        POSES[each].then(placements[each].similarity).to_head(other.landmarks) for each in (name, "as it is")
    )
    assert 1000 * np.linalg.norm(placed - still, axis=1).max() < 0.1


def test_a_noisy_cloud_without_normals(template, reader, subject):
    posed = pose(21, 1000.0)
    surfels = Sampler(Scan(subject.vertices, subject.faces)).draw(60_000)
    noisy = surfels.points + np.random.default_rng(0).normal(0, 0.0005, surfels.points.shape)
    assert_placed(place_scan(Scan(posed.to_head(noisy)), reader, template), subject, posed)


def test_a_single_view(template, reader, subject):
    posed = pose(22, 5.0)
    surfels = Sampler(Scan(subject.vertices, subject.faces)).draw(200_000)
    ids = np.unique(draw(surfels, Camera(yaw=15), 384).ids)
    seen = surfels.points[ids[ids != NOTHING]]
    assert_placed(place_scan(Scan(posed.to_head(seen)), reader, template), subject, posed, within_mm=4)


def test_a_head_on_shoulders_with_holes_seen_from_inside(template, reader, subject):
    posed = pose(23, 100.0)
    middle = subject.vertices[subject.faces].mean(1)
    random = np.random.default_rng(1)
    holes = subject.landmarks[[2, 14]] + random.normal(0, 0.005, (2, 3))
    kept = (np.linalg.norm(middle[:, None] - holes, axis=2) > 0.015).all(1)
    shoulders = box(np.array([0.0, -0.3, -0.03]), np.array([0.21, 0.13, 0.09]))
    vertices = np.concatenate([subject.vertices, shoulders.vertices])
    faces = np.concatenate([subject.faces[kept], shoulders.faces + len(subject.vertices)])
    scan = Scan(posed.to_head(vertices), faces[:, ::-1].astype(np.int32))
    assert_placed(place_scan(scan, reader, template), subject, posed)


def test_five_points_by_the_artist(template, reader, subject):
    posed = pose(24, 1000.0)
    marked = subject.landmarks[list(MARKED.values())] + np.random.default_rng(0).normal(0, 0.002, (5, 3))
    placement = place_by_points(subject.scan(posed), posed.to_head(marked), reader, template)
    assert_placed(placement, subject, posed)


def test_points_that_cannot_be_meant_are_refused(template, reader, subject):
    scan = subject.scan(Similarity.identity())
    swapped = subject.landmarks[list(MARKED.values())][[1, 0, 2, 4, 3]]
    for wrong in (swapped, np.zeros((5, 3)), np.full((5, 3), np.nan), swapped[:4]):
        with pytest.raises(UserError, match="mark them again"):
            place_by_points(scan, wrong, reader, template)


def test_a_stop_ends_it(template, reader, subject):
    class Stopped(Exception):
        pass

    calls = []

    def breathe():
        calls.append(1)
        if len(calls) == 10:
            raise Stopped

    with pytest.raises(Stopped):
        place_scan(subject.scan(Similarity.identity()), reader, template, breathe)


def box(middle, half):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half + middle
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = [triangle for a, b, c, d in sides for triangle in ([a, b, c], [a, c, d])]
    return Scan(corners, np.array(faces, np.int32))


def ball():
    angles = np.random.default_rng(0).normal(size=(5000, 3))
    return Scan(angles / np.linalg.norm(angles, axis=1, keepdims=True))


def car():
    parts = [box(np.zeros(3), np.array([2.0, 0.4, 0.9])), box(np.array([0.0, 0.8, 0.0]), np.array([1.0, 0.4, 0.8]))]
    parts += [box(np.array([x, -0.5, z]), np.array([0.3, 0.3, 0.1])) for x in (-1.3, 1.3) for z in (-0.9, 0.9)]
    return Scan(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + 8 * number for number, part in enumerate(parts)]),
    )


NO_FACES = {
    "cube": lambda: box(np.zeros(3), np.ones(3)),
    "ball": ball,
    "car": car,
    "random cloud": lambda: Scan(np.random.default_rng(0).random((20_000, 3))),
    "two points": lambda: Scan(np.eye(3)[:2]),
    "one point": lambda: Scan(np.zeros((500, 3))),
    "a line": lambda: Scan(np.arange(500.0)[:, None] * [1.0, 2.0, 3.0]),
    "not a number": lambda: Scan(np.full((500, 3), np.nan)),
    "empty": lambda: Scan(np.zeros((0, 3)), np.zeros((0, 3), np.int32)),
    "flat faces": lambda: Scan(np.random.default_rng(0).random((500, 3)), np.zeros((9, 3), np.int32)),
}


@pytest.mark.parametrize("name", NO_FACES)
def test_what_is_no_face_is_one_sentence(template, reader, name):
    with pytest.raises(UserError, match="No face was found in the scan"):
        place_scan(NO_FACES[name](), reader, template)
