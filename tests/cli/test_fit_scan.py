"""Scans through the command line, with the shipped bundle: a head in any pose and unit, and what is no head."""

import json

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from faceeditor.engine.jobs import Cancelled
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS
from faceeditor.faces.similarity import Similarity
from faceeditor.files.project import read_face
from faceeditor.models.bundle import load_model
from faceeditor.session import Session

JAW = EXPRESSION_COMPONENTS.index("jawOpen")
POSE = Similarity(
    1000.0, Rotation.from_euler("xyz", [90, 20, -35], degrees=True).as_matrix(), np.array([40.0, -7, 300])
)


@pytest.fixture(scope="module")
def head():
    """A head that smiles a little with its mouth open, in metres, without lashes."""
    template = load_model("template-studio")
    expression = torch.zeros(1, 53)
    expression[0, JAW] = 0.5
    expression[0, EXPRESSION_COMPONENTS.index("mouthSmileLeft")] = 0.4
    identity = torch.from_numpy(np.random.default_rng(5).normal(0, 0.8, (1, 100))).float()
    vertices = template.vertices(identity, expression)[0].double().numpy()
    return vertices, template.shape_faces[: template.cards_from].numpy()


@pytest.fixture(scope="module")
def scan(head, tmp_path_factory):
    """The same, turned, in millimetres, coloured, as a PLY."""
    path = tmp_path_factory.mktemp("scans") / "head.ply"
    vertices, faces = head
    shade = np.uint8(120 + 100 * (vertices[:, 1] > 0))
    colours = np.stack([shade, shade // 2, shade // 3, np.full_like(shade, 255)], axis=1)
    trimesh.Trimesh(POSE.to_head(vertices), faces, vertex_colors=colours, process=False).export(path)
    return path


def test_a_scan_becomes_a_face(line, head, scan, tmp_path):
    out = tmp_path / "a.face"
    facts = line.json("fit", scan, "--out", out, "--quality", "draft")
    assert facts["model"] == "imface-studio"
    assert facts["chamfer_mm"] < 0.8
    assert facts["fscore_1mm"] > 85
    assert facts["normal_consistency"] > 0.95
    assert facts["seconds"] > 0
    found = Similarity.from_document(facts)
    home = POSE.then(found)
    assert home.scale == pytest.approx(1, abs=0.08)
    face = read_face(out).face
    assert (face.name, face.origin.kind, face.origin.source) == ("head", "scan", "head.ply")
    assert face.codes[EXPRESSION][JAW] == pytest.approx(0.5, abs=0.2)
    # The scan's points lie on the head, and its colours are where they were.
    assert np.median(cKDTree(home.to_head(head[0])).query(face.origin.scan_points)[0]) < 0.003
    texture = face.refinement["texture_srgb"]
    assert texture.shape[2] == 3
    assert texture[..., 0].max() > 200
    assert texture[..., 0].min() < 140
    meshes = line.json("mesh", out, "--out", tmp_path / "a.glb"), line.json("mesh", out, "--out", tmp_path / "a.ply")
    assert all(meshes)
    line.json("render", out, "--out", tmp_path / "a.png", "--size", 64)
    line.json(
        "edit", out, "--out", tmp_path / "b.face", "--set", "expression.jawOpen=0", "--set", "detail.smileFolds=1"
    )


def test_marked_points_place_it(line, head, scan, tmp_path):
    template = load_model("template-studio")
    marks = head[0][template.landmark_vertices.numpy()[[36, 45, 30, 48, 54]]]
    points = tmp_path / "points.json"
    points.write_text(json.dumps(POSE.to_head(marks).tolist()))
    facts = line.json("fit", scan, "--out", tmp_path / "a.face", "--quality", "draft", "--landmarks", points)
    assert facts["chamfer_mm"] < 0.8
    points.write_text(json.dumps(marks[:3].tolist()))
    assert "5 landmarks" in line.refused("fit", scan, "--out", tmp_path / "a.face", "--landmarks", points)


def test_cancel_leaves_everything_as_it_was(scan, user_home):
    session = Session(autosave=False)
    try:
        job = session.fit_scan(scan)
        job.previewed.connect(lambda face: job.cancel())
        with pytest.raises(Cancelled):
            session.wait(job)
        assert session.document.ids == ()
    finally:
        session.close()


def car():
    body = trimesh.creation.box((4.0, 1.2, 1.8))
    cabin = trimesh.creation.box((2.0, 0.8, 1.6), trimesh.transformations.translation_matrix([0, 1, 0]))
    wheels = [
        trimesh.creation.cylinder(0.35, 0.25, transform=trimesh.transformations.translation_matrix([x, -0.6, z]))
        for x in (-1.3, 1.3)
        for z in (-0.9, 0.9)
    ]
    return trimesh.util.concatenate([body, cabin, *wheels])


def write(path, kind):
    if kind == "empty mesh":
        path = path / "a.ply"
        path.write_text(
            "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\n"
            "property float z\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
        )
    elif kind == "NaN vertices":
        path = path / "a.ply"
        mesh = trimesh.creation.icosphere(4)
        mesh.vertices[7] = np.nan
        mesh.export(path)
    elif kind in ("cube", "car"):
        path = path / "a.stl"
        (trimesh.creation.box() if kind == "cube" else car()).export(path)
    elif kind == "truncated GLB":
        path = path / "a.glb"
        whole = trimesh.creation.icosphere(3).export(file_type="glb")
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "2-vertex cloud":
        path = path / "a.xyz"
        path.write_text("0 0 0\n1 1 1\n")
    else:
        path = path / "a.ply"
        path.write_bytes(
            b"ply\nformat binary_little_endian 1.0\nelement vertex 250000000\nproperty float x\n"
            b"property float y\nproperty float z\nend_header\n" + bytes(120)
        )
    return path


@pytest.mark.parametrize(
    "kind", ["empty mesh", "NaN vertices", "cube", "car", "truncated GLB", "2-vertex cloud", "3 GB claim"]
)
def test_what_is_no_scan_of_a_face_is_told_in_a_sentence(line, tmp_path, kind):
    told = line.refused("fit", write(tmp_path, kind), "--out", tmp_path / "a.face")
    assert told.strip().count("\n") == 0
    assert told.strip().endswith(".")
    assert not (tmp_path / "a.face").exists()
