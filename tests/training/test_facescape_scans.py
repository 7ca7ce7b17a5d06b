"""FaceScape's layout, made up: people with expressions and displacement maps, in an unit and a place of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from faceeditor.errors import UserError
from faceeditor.faces.landmarks import NOSE_TIP
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.similarity import Similarity
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.imface import DETAIL, PAPER, ImFace, ImFaceConfig
from training import train_imface
from training.face_sampler import TEMPLATE_FILE, Counts, FaceSampler
from training.facescape import EXPRESSIONS, Relief, held_out, people, read_marks, read_topology, read_vertices
from training.facescape_scans import FaceScapeMaker, write_scans
from training.imface_scans import read_parts
from training.train_imface import ImFaceTraining, export, train

UNIT = 900.0
"""Of the made-up data in a metre."""
TILT = Rotation.from_euler("xyz", [12, -7, 4], degrees=True).as_matrix()
MODELS = {3: {1: {}, 2: {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}}, 17: {1: {}}, 20: {1: {}, 18: {}}}
"""Movements by person and number of the expression; 17 is held out, 20 moved nothing but the head."""
COUNTS = Counts(surface=400, bridge=20, space=200)


@pytest.fixture(scope="session")
def template():
    return load_model("template-studio")


class Skin:
    """The skin of the template as FaceScape stores its models."""

    def __init__(self, template):
        start, end = template.parts["skin"]
        corners = template.faces[start:end].numpy()
        used, faces = np.unique(template.render_vertex.numpy()[corners], return_inverse=True)
        self.used, self.faces, self.places = used, faces.reshape(-1, 3), corners
        self.uv = template.uv.numpy()
        self.marks = np.searchsorted(used, template.landmark_vertices.numpy())

    def write(self, path, vertices):
        rows = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
        rows += ["mtllib ./1_neutral.obj.mtl", *(f"vt {u:.6f} {v:.6f}" for u, v in self.uv), "usemtl skin"]
        rows += ["f " + " ".join(f"{a + 1}/{b + 1}" for a, b in zip(*pair, strict=True))
                 for pair in zip(self.faces.tolist(), self.places.tolist(), strict=True)]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="session")
def skin(template):
    return Skin(template)


@pytest.fixture(scope="session")
def root(template, skin, tmp_path_factory):
    root = tmp_path_factory.mktemp("facescape")
    for person, models in MODELS.items():
        random = np.random.default_rng(person)
        identity = torch.tensor(random.normal(0, 0.5, (1, 100)), dtype=torch.float32)
        for number, moves in models.items():
            weights = torch.zeros(1, len(EXPRESSION_COMPONENTS))
            for name, weight in moves.items():
                weights[0, EXPRESSION_COMPONENTS.index(name)] = weight
            metres = template.vertices(identity, weights)[0].numpy()[skin.used].astype(float)
            nod = Rotation.from_euler("x", number - 1, degrees=True).as_matrix()
            name = f"{number}_{EXPRESSIONS[number - 1]}"
            folder = root / "facescape_trainset_001_100" / str(person)
            skin.write(folder / "models_reg" / f"{name}.obj", UNIT * metres @ (TILT @ nod).T + [1, 2, 3 + number])
            (folder / "dpmap").mkdir(exist_ok=True)
            if number == 2:
                Image.fromarray(np.full((8, 8), 32768 + 16384, np.uint16)).save(folder / "dpmap" / f"{name}.png")
    np.savez(root / "landmark_indices.npz", v10=skin.marks)
    return root


@pytest.fixture(scope="session")
def maker(root):
    marks = read_marks(root / "landmark_indices.npz", "v10")
    return FaceScapeMaker.of(people(root), marks, ImFaceConfig(), COUNTS)


@pytest.fixture(scope="session")
def scan_of(root, maker):
    def made(person, number):
        models = people(root)[person]
        model = next(model for model in models if model.expression == number)
        return maker.scan(model, read_vertices(models[0].path, len(maker.sampler.rest)))

    return made


@pytest.fixture(scope="session")
def smile(scan_of):
    return scan_of(3, 2)


@pytest.fixture(scope="session")
def folder(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_scans(root, root / "landmark_indices.npz", "v10", folder, 1, False, COUNTS)
    return folder


def test_the_mean_face_stands_as_the_model_wants_it(maker, template):
    config, marks = maker.config, maker.sampler.rest[maker.sampler.marks]
    assert marks[NOSE_TIP] == pytest.approx([0, 0, 0.4], abs=1e-9)
    ours = (template.mean[template.landmark_vertices].numpy() - np.array(config.origin)) / config.unit
    assert np.linalg.norm(marks - ours, axis=1)[17:].mean() < 0.05
    turned = Similarity.fit(marks, ours)
    assert Rotation.from_matrix(turned.rotation).magnitude() < np.radians(2)
    assert maker.scale * UNIT * config.unit == pytest.approx(1, abs=0.05)


def test_points_correspond(maker, smile, scan_of):
    neutral = scan_of(3, 1)
    assert smile["neutral_landmarks"] == pytest.approx(neutral["landmarks"], abs=1e-6)
    assert neutral["neutral"] == pytest.approx(neutral["surface"], abs=1e-7)
    assert 0.03 < np.linalg.norm(smile["surface"] - smile["neutral"], axis=1).max() < 0.3
    mean = maker.sampler.template
    distance, _ = mean.signed_distance(smile["template"], mean.tree(np.random.default_rng(0), 200_000))
    seen = smile["matched"] > 0
    assert seen.mean() > 0.8
    assert np.quantile(np.abs(distance[seen]), 0.95) < 2e-3


def test_a_nod_is_no_expression(scan_of):
    nod = scan_of(20, 18)
    assert np.linalg.norm(nod["surface"] - nod["neutral"], axis=1).max() < 1e-5


def test_displacement_maps_are_laid_on(maker, smile, scan_of):
    away = smile["detailed"] - smile["surface"]
    height = np.linalg.norm(away, axis=1)
    assert np.median(height) == pytest.approx(0.457 * maker.scale, rel=1e-4)
    assert np.median((away * smile["normals"]).sum(1) / height.clip(1e-12)) > 0.95
    plain = scan_of(3, 1)
    assert plain["detailed"] == pytest.approx(plain["surface"], abs=1e-9)


def test_maps_are_read_upright(tmp_path):
    rows = np.linspace(0, 65535, 64).round().astype(np.uint16)
    Image.fromarray(np.repeat(rows[:, None], 64, axis=1)).save(tmp_path / "a.png")
    relief = Relief.read(tmp_path / "a.png", 2.0)
    places = torch.tensor([[0.5, 0.75], [0.3, 0.25], [-1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    found = relief.displacement(places, torch.zeros(0))
    assert found.tolist() == pytest.approx([-0.928, 0.928, 0], abs=0.01)
    found.sum().backward()
    assert places.grad[0].tolist() == pytest.approx([0, -3.71], abs=0.05)
    assert places.grad[2].tolist() == [0, 0]


def test_the_topology_has_seams_and_places(skin, root):
    topology = read_topology(people(root)[3][0].path)
    assert np.array_equal(topology.faces, skin.faces)
    known = np.isfinite(topology.uv).all(1)
    assert 0.9 < known.mean() < 1
    inner = known[skin.faces]
    assert topology.uv[skin.faces][inner] == pytest.approx(skin.uv[skin.places][inner], abs=1e-6)


def test_held_out_people_are_apart(root, folder, tmp_path):
    assert [person for person in range(1, 848) if held_out(person)][:2] == [17, 70]
    assert sum(map(held_out, range(1, 848))) == 16
    write_scans(root, root / "landmark_indices.npz", "v10", tmp_path, 1, True, COUNTS)
    held, trained = read_parts(tmp_path), read_parts(folder)
    assert set(held[IDENTITY].flatten().tolist()) == {17}
    assert set(trained[IDENTITY].flatten().tolist()) == {3, 20}
    rests = [FaceSampler.read(where / TEMPLATE_FILE).rest for where in (folder, tmp_path)]
    assert np.array_equal(*rests)


def test_the_papers_training_runs_on_them(folder, tmp_path, monkeypatch):
    small = replace(PAPER, width=12, hidden=1, octaves=2, fusion=8, hyper=(6,))
    tiny = ImFaceConfig(expression=small, identity=small, template=small, detail=small, landmark_width=8)
    monkeypatch.setitem(train_imface.SIZES, "tiny", lambda: tiny)
    paper = ImFaceTraining.read("paper")
    loop = replace(paper.loop, steps=4, accelerator="cpu", devices=1)
    counts = {"faces": 3, "surface": 40, "bridge": 5, "space": 40, "directed": 20, "detail_share": 0.5}
    config = replace(paper, sizes="tiny", loop=loop, **counts)
    trained = train(config, tmp_path, folder, tmp_path / "work", None)
    assert trained.facts["steps"] == 4
    assert trained.codes.learned[IDENTITY].shape == (2, 160)
    assert trained.codes.learned[EXPRESSION].shape == trained.codes.learned[DETAIL].shape == (4, 160)
    first = torch.load(tmp_path / "work" / "first" / "last.ckpt", weights_only=True)["network"]
    for name in (IDENTITY, EXPRESSION, DETAIL):
        kept = torch.equal(first[f"codes.learned.{name}"], trained.codes.learned[name])
        assert kept == (name != DETAIL)
    export(trained, tmp_path, tmp_path / "imface-test")
    model = ImFace.from_bundle(read_bundle(tmp_path / "imface-test"), torch.device("cpu"))
    slider = next(direction for direction in model.spaces[EXPRESSION].directions if direction.name == "smile")
    assert {direction.name for direction in model.spaces[EXPRESSION].directions} == {"smile", "eyeClosed"}
    rest = model.spaces[EXPRESSION].mean
    numbers = read_parts(folder)[EXPRESSION][:, 0]
    learned = trained.codes.learned[EXPRESSION].detach()
    assert rest == pytest.approx(learned[numbers == 1].mean(0).numpy(), rel=1e-3, abs=1e-5)
    assert rest + slider.vector == pytest.approx(learned[numbers == 2][0].numpy(), rel=1e-3, abs=5e-5)
    codes = {name: space.random(np.random.default_rng(0)) for name, space in model.spaces.items()}
    assert np.isfinite(model.sdf(np.zeros((4, 3)), codes)).all()


def test_studio_codes_are_not_asked_of_people(folder, tmp_path):
    config = replace(ImFaceTraining.read("small"), template_steps=0)
    with pytest.raises(UserError, match="no studio codes"):
        train(config, tmp_path, folder, tmp_path / "work", None)


def test_what_is_no_facescape_is_one_sentence(root, tmp_path, skin):
    with pytest.raises(UserError, match="no FaceScape models"):
        people(tmp_path)
    with pytest.raises(UserError, match="under v99"):
        read_marks(root / "landmark_indices.npz", "v99")
    model = people(root)[3][0]
    with pytest.raises(UserError, match="not 7 finite"):
        read_vertices(model.path, 7)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="16 bits"):
        Relief.read(tmp_path / "a.png", 1.0)
    with pytest.raises(UserError, match="beyond the models"):
        FaceScapeMaker.of({3: [model]}, skin.marks + 10**6, ImFaceConfig())


def test_one_damaged_model_is_left_out(maker, root, tmp_path, capsys):
    models = people(root)[3]
    (tmp_path / "3" / "models_reg").mkdir(parents=True)
    broken = models[1]._replace(path=tmp_path / "3" / "models_reg" / "2_smile.obj")
    broken.path.write_text("v 0 0 0\n")
    maker.write_part([models[0], broken], {3: models[0].path}, tmp_path / "scans-000.npz")
    assert len(read_parts(tmp_path)[IDENTITY]) == 1
    assert "left out" in capsys.readouterr().err
