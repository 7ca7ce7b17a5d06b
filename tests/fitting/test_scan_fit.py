"""Fits of surface models: what a known surface gives back, whatever the placement is off by, and what is measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting import scan_fit, scan_measures
from faceeditor.fitting.front_surface import FrontSurface
from faceeditor.fitting.progress import FitCancelled
from faceeditor.fitting.scan_fit import Plan, fit_scan, front_of
from faceeditor.fitting.scan_measures import compare
from faceeditor.fitting.scan_placing import Placement
from faceeditor.models.bundle import load_model
from faceeditor.models.extraction import extract_face
from faceeditor.models.imface import DETAIL

JAW = EXPRESSION_COMPONENTS.index("jawOpen")
OFF = Similarity(
    1.01, Rotation.from_euler("xyz", [1.5, -2, 1], degrees=True).as_matrix(), np.array([0.001, -0.002, 0.001])
)


@pytest.fixture(scope="module")
def model():
    return load_model("imface-studio")


@pytest.fixture(scope="module")
def template():
    return load_model("template-studio")


@pytest.fixture(scope="module")
def known(model):
    """A face of the model itself, and its surface."""
    random = np.random.default_rng(8)
    codes = {name: np.zeros(space.dims, np.float32) for name, space in model.spaces.items()}
    codes[IDENTITY][:100] = random.normal(0, 0.6, 100)
    codes[EXPRESSION][JAW] = 0.4
    return codes, extract_face(model, codes, 96)


def placement(known, template, off=OFF):
    codes, _ = known
    identity, expression = codes[IDENTITY][:100], codes[EXPRESSION][:53]
    tensors = torch.from_numpy(identity[None]), torch.from_numpy(expression[None])
    marks = template.landmarks(template.vertices(*tensors))[0].double().numpy()
    still = np.zeros(53)
    return Placement(off, off.to_head(marks), np.ones(68), 0.7 * identity.astype(float), still, 1.0)


def test_a_face_of_the_model_is_found_again(model, template, known, monkeypatch):
    monkeypatch.setitem(scan_fit.PLANS, "draft", Plan(steps=80, detail_steps=5, points=500, directed=100))
    surface = known[1]
    told, shown = [], []
    found = fit_scan(
        surface.vertices.astype(float),
        surface.faces,
        placement(known, template),
        model,
        template,
        quality="draft",
        on_step=lambda progress, codes: (told.append(progress.fraction), shown.append(codes)),
    )
    assert told == sorted(told)
    assert any(shown)
    assert found.codes[EXPRESSION][JAW] == pytest.approx(0.4, abs=0.12)
    # The misplaced scan was brought back to where the face is.
    corners = surface.vertices[::50].astype(float)
    before = np.linalg.norm(OFF.to_head(corners) - corners, axis=1).mean()
    after = np.linalg.norm(found.similarity.to_head(corners) - corners, axis=1).mean()
    assert after < 0.6 * before
    front = front_of(surface.vertices.astype(float), surface.faces, found.similarity, model.config)
    fitted = extract_face(model, found.codes, 96)
    own = trimesh.Trimesh((fitted.vertices - np.array(model.config.origin)) / model.config.unit, fitted.faces)
    assert compare(front, own, model.config.unit)["chamfer_mm"] < 0.5
    used = {name: np.flatnonzero(space.scale < 1e-6) for name, space in model.spaces.items()}
    assert all(not found.codes[name][unused].any() for name, unused in used.items())
    assert DETAIL in found.codes


def test_a_fit_can_be_stopped(model, template, known):
    with pytest.raises(FitCancelled):
        fit_scan(
            known[1].vertices.astype(float),
            known[1].faces,
            placement(known, template),
            model,
            template,
            cancelled=lambda: True,
        )


def test_what_cannot_be_fitted_is_told(model, template, known):
    vertices, faces = known[1].vertices.astype(float), known[1].faces
    right = placement(known, template)
    with pytest.raises(UserError, match="draft, standard, best"):
        fit_scan(vertices, faces, right, model, template, quality="superb")
    behind = replace(right, similarity=Similarity(1.0, np.diag([-1.0, 1, -1]), np.zeros(3)))
    with pytest.raises(UserError, match="Too little of the face"):
        fit_scan(vertices, faces, behind, model, template)


def dome(radius, turned=False):
    """The front half of a ball."""
    mesh = trimesh.creation.icosphere(5, radius)
    faces = mesh.faces[mesh.vertices[mesh.faces][..., 2].min(1) >= 0]
    return trimesh.Trimesh(mesh.vertices, faces[:, ::-1] if turned else faces, process=False)


@pytest.mark.parametrize(("radius", "chamfer_mm", "fscore"), [(0.5, 0.25, 100), (0.505, 0.55, 100), (0.52, 2.0, 0)])
def test_measures_are_those_of_known_balls(radius, chamfer_mm, fscore, monkeypatch):
    # Two samples of one surface lie 0.25 mm apart when there are four points a square millimetre.
    monkeypatch.setattr(scan_measures, "SAMPLES", 60_000)
    scan = dome(0.5)
    front = FrontSurface.of(np.asarray(scan.vertices), np.asarray(scan.faces))
    figures = compare(front, dome(radius), 0.1)
    assert figures["chamfer_mm"] == pytest.approx(chamfer_mm, abs=0.05)
    assert figures["fscore_1mm"] == pytest.approx(fscore, abs=1)
    assert figures["normal_consistency"] > 0.98
    assert compare(front, dome(radius, turned=True), 0.1)["normal_consistency"] < -0.98
