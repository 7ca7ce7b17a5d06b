"""Faces in depth frames of whole heads: noise, missing pixels, and hair that hides half of a face."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.files.depth import Intrinsics, back_projected
from faceeditor.fitting.scan_placing import place_scan
from faceeditor.fitting.scan_surfels import Sampler
from faceeditor.fitting.scan_views import NOTHING, draw
from faceeditor.models.bundle import load_model

SIZE = 384
FACE = np.array([[0.0, 0.0, 0.05]])


@pytest.fixture(scope="module")
def reader():
    return load_model("portrait-studio")


@pytest.fixture(scope="module")
def template():
    return load_model("template-studio")


def head(style):
    """The mean person with a hair style."""
    model = load_model("triplane-studio")
    people = model.spaces[IDENTITY]
    return model.mesh({IDENTITY: people.choices[0].write(people.mean, style), EXPRESSION: model.spaces[EXPRESSION].low})


def frame(mesh, camera, sigma, missing):
    """What a depth camera says of a mesh, and where it truly stands."""
    surfels = Sampler(Scan(mesh.vertices.astype(np.float64), mesh.faces)).draw(400_000)
    ids = draw(surfels, camera, SIZE).ids
    depth = (surfels.points @ camera.rotation().T + camera.extrinsics()[:, 3])[ids, 2]
    random = np.random.default_rng(3)
    gone = (ids == NOTHING) | (random.random(ids.shape) < missing)
    depth = np.where(gone, 0.0, depth + sigma * random.standard_normal(ids.shape))
    lens = camera.intrinsics(SIZE, SIZE)
    scan = back_projected(depth, Intrinsics(lens[0, 0], lens[1, 1], lens[0, 2] - 0.5, lens[1, 2] - 0.5))
    return scan, Similarity(1.0, camera.rotation().T @ np.diag([1.0, -1.0, -1.0]), camera.position())


FRAMES = [("bob01", 0.001, 0.3), ("bob01", 0.002, 0.1), ("short02", 0.0003, 0.5)]


@pytest.mark.parametrize(("style", "sigma", "missing"), FRAMES)
def test_a_face_is_found_in_a_noisy_frame(reader, template, style, sigma, missing):
    scan, truth = frame(head(style), Camera(yaw=-12, pitch=4, distance=0.9, field_of_view=30), sigma, missing)
    placed = place_scan(scan, reader, template).similarity
    off = placed.to_head(truth.inverse().to_head(FACE)) - FACE
    turned = Rotation.from_matrix(placed.rotation @ truth.rotation.T).magnitude()
    assert 1000 * np.linalg.norm(off) < 8
    assert np.degrees(turned) < 14


def test_a_wall_with_noise_has_no_face(reader, template):
    depth = 0.8 + 0.001 * np.random.default_rng(0).standard_normal((SIZE, SIZE))
    with pytest.raises(UserError, match="No face was found in this frame"):
        place_scan(back_projected(depth, Intrinsics(700.0, 700.0, 191.5, 191.5)), reader, template)
