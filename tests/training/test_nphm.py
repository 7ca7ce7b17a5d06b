"""NPHM's layout, made up of the template: scans with shoulders, registrations, FLAME's throat, neutral expressions."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.triplane import TriplaneConfig, TriplaneHead
from faceeditor.models.triplane_deformation import DeformationConfig
from faceeditor.rendering.error_bound import Sampling
from training import nphm
from training.imface_scans import read_parts
from training.nphm import TOLD, NphmMaker
from training.nphm_data import FAILED, HELD_OUT, NOSE_TIP, THROAT, people
from training.train_triplane import Trainer, TriplaneTraining, export
from training.triplane_sampling import Counts

FEW = Counts(surface=500, ball=200, views=32, size=16, pairs=240)
SMILE, OPEN = {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}, {"jawOpen": 0.3}
NEUTRALS = {"17": 1, "18": 10, "20": 1, "21": 0, "22": 0, "24": 0, "25": -1, "79": 1}
PEOPLE = {17: {0: {}, 1: OPEN, 2: SMILE, 4: {"jawOpen": 0.9}}, 18: {10: OPEN, 3: SMILE}, 20: {1: OPEN}}
"""Movements by person and number of the expression; 20 is held out."""
DAMAGED = {"scan.ply": 21, "registration.ply": 22, "flame.ply": 24}
"""People whose neutral expression has something wrong; 25 has none."""
FROM_NOSE = np.array([0.003, -0.02, 0.05])
"""Where the data's origin is, metres from that of head space."""


class Registration:
    """The template's surface as one topology, its nose tip and its throat where NPHM has them."""

    def __init__(self):
        self.template = template = load_model("template-studio")
        faces = template.shape_faces[: template.parts["eyeRight"][1]].numpy()
        used, faces = np.unique(faces, return_inverse=True)
        mean = template.mean.numpy()[used]
        order = np.arange(len(used))
        neck = [[0, -0.11, -0.1], [-0.05, -0.11, 0.0], [0.05, -0.11, 0.0]]
        wanted = [np.linalg.norm(mean - spot, axis=1).argmin() for spot in neck]
        wanted.append(int(np.searchsorted(used, int(template.landmark_vertices[30]))))
        for place, vertex in zip((*THROAT, NOSE_TIP), wanted, strict=True):
            at = int(np.flatnonzero(order == vertex)[0])
            order[[place, at]] = order[[at, place]]
        self.used, self.faces = used[order], np.argsort(order)[faces].reshape(-1, 3)

    def vertices(self, person, moves):
        identity = torch.tensor(np.random.default_rng(person).normal(0, 0.5, (1, 100)), dtype=torch.float32)
        weights = torch.zeros(1, len(EXPRESSION_COMPONENTS))
        for name, weight in moves.items():
            weights[0, EXPRESSION_COMPONENTS.index(name)] = weight
        metres = self.template.vertices(identity, weights)[0].numpy()[self.used].astype(float)
        return (metres - FROM_NOSE) / 0.25


def ply(path, vertices, faces):
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(vertices, faces, process=False).export(path)


@pytest.fixture(scope="session")
def registration():
    return Registration()


@pytest.fixture(scope="session")
def root(registration, tmp_path_factory):
    root = tmp_path_factory.mktemp("nphm")
    for person, shown in PEOPLE.items():
        for number, moves in shown.items():
            folder = root / f"{person:03d}" / f"{number:03d}"
            vertices = registration.vertices(person, moves)
            for name in ("registration.ply", "flame.ply"):
                ply(folder / name, vertices, registration.faces)
            if number == NEUTRALS[str(person)]:
                scan = trimesh.Trimesh(vertices, registration.faces, process=False).subdivide()
                shuffled = np.random.default_rng(0).permutation(len(scan.vertices))
                ply(folder / "scan.ply", scan.vertices[shuffled], np.argsort(shuffled)[scan.faces])
    for name, person in DAMAGED.items():
        shutil.copytree(root / "020" / "001", root / f"{person:03d}" / "000")
        path = root / f"{person:03d}" / "000" / name
        path.write_bytes(path.read_bytes()[:-500])
    ply(root / "022" / "000" / "registration.ply", registration.vertices(22, OPEN), registration.faces[:, [1, 2, 0]])
    shutil.copytree(root / "021", root / "025")
    (root / "017" / "007").mkdir()
    (root / "neutrals_open.json").write_text(json.dumps(NEUTRALS))
    return root


def command(root, out, *options):
    """What the command says on stderr."""
    counts = [f"--{name}={getattr(FEW, name)}" for name in TOLD]
    asked = [sys.executable, "-m", "training.nphm", root, out, "--processes=1", *counts, *options]
    done = subprocess.run(asked, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="session")
def heads(root, tmp_path_factory):
    """What the command makes of the folder, and says of it."""
    out = tmp_path_factory.mktemp("heads")
    return out, command(root, out)


@pytest.fixture(scope="session")
def made(heads):
    return read_parts(heads[0])


@pytest.fixture(scope="session")
def maker(root):
    everyone = people(root, root / "neutrals_open.json")
    return NphmMaker.of([person for person in everyone if person.number not in HELD_OUT], FEW)


@pytest.fixture
def folder(root, tmp_path):
    """A copy that may be spoiled."""
    return shutil.copytree(root, tmp_path / "nphm")


def test_heads_are_what_the_training_reads(made):
    assert {name: tuple(table.shape) for name, table in made.items()} == {
        "identity": (2, 1),
        "surface": (2, 500, 3),
        "normals": (2, 500, 3),
        "near": (2, 2, 500, 3),
        "near_sdf": (2, 2, 500),
        "ball": (2, 200, 3),
        "ball_sdf": (2, 200),
        "space": (2, 200, 3),
        "space_sdf": (2, 200),
        "maps": (2, 32, 3, 16, 16),
        "expression": (2, 5, 1),
        "at_rest": (2, 5, 240, 3),
        "posed": (2, 5, 240, 3),
    }
    assert made[IDENTITY][:, 0].tolist() == [17, 18]
    # The neutral expression comes first, and who showed fewer shows some twice.
    assert made[EXPRESSION][:, 0, 0].tolist() == [1, 10]
    assert [set(row.flatten().tolist()) for row in made[EXPRESSION]] == [{0, 1, 2, 4}, {3, 10}]
    assert all(table.float().isfinite().all() for table in made.values())


def test_the_mean_nose_tip_is_in_its_place(registration, maker):
    # Two who are left out for other reasons have the registration of 20; that of 22 has another topology.
    tips = [registration.vertices(person, OPEN)[NOSE_TIP] for person in (17, 18, 20, 20)]
    assert np.mean(tips, axis=0) * 0.25 + maker.shift == pytest.approx([0, 0, 0.09], abs=1e-6)


def test_points_lie_on_the_scan_above_the_throat(registration, made, maker):
    config = TriplaneConfig()
    for number, person in enumerate((17, 18)):
        vertices = registration.vertices(person, OPEN) * 0.25 + maker.shift
        points = made["surface"][number].double().numpy() * config.unit + np.array(config.origin)
        first, second, third = vertices[list(THROAT)]
        normal = np.cross(second - first, third - first)
        above = (points - first) @ (normal / np.linalg.norm(normal))
        assert above.min() > -1e-5
        whole = trimesh.Trimesh(vertices, registration.faces, process=False)
        away = trimesh.proximity.closest_point_naive(whole, points[above > 1e-4][::8])[1]
        assert away.max() < 1e-5
        # The first half is the face.
        assert np.median(points[:250, 2]) > 0.02
        assert np.median(points[250:, 2]) < 0


def test_distances_know_the_inside_of_an_open_scan(made):
    away = made["ball"].norm(dim=-1)
    assert (made["ball_sdf"][away < 0.25] < 0).all()
    assert (made["ball_sdf"][away > 0.95] > 0).float().mean() > 0.95
    along = ((made["near"] - made["surface"][:, None]) * made["normals"][:, None]).sum(-1)
    assert np.corrcoef(along.flatten(), made["near_sdf"].flatten())[0, 1] > 0.9
    assert made["near_sdf"].abs().mean((0, 2)).tolist() == pytest.approx([0.002, 0.0002], rel=0.35)
    below = made["ball"][..., 1] * TriplaneConfig().unit + TriplaneConfig().origin[1] < -0.135
    assert (made["ball_sdf"][below] > 0).all()


def test_pairs_are_of_the_face_and_correspond(made):
    unit = TriplaneConfig().unit
    moved = (made["posed"] - made["at_rest"]).norm(dim=-1) * unit
    # The neutral expression moves nothing, a jaw by centimetres.
    assert moved[:, 0].max() < 1e-6
    jaw = made[EXPRESSION][0, :, 0].tolist().index(4)
    assert 0.01 < moved[0, jaw].max() < 0.06
    at_rest = made["at_rest"] * unit + torch.tensor(TriplaneConfig().origin)
    assert at_rest[..., 2].min() > -0.08
    assert at_rest[..., 2].median() > 0.02


def test_maps_are_of_the_closed_head(made):
    maps = made["maps"].float() / 127
    shown = maps.norm(dim=2)
    assert 0.2 < (shown > 0).float().mean() < 0.8
    assert shown[shown > 0].sub(1).abs().max() < 0.02
    # A camera nearly below the head sees the lid, which looks towards it.
    assert maps[:, -1, 2, 8, 8].min() > 0.5


def test_held_out_people_are_apart(root, tmp_path):
    assert len(HELD_OUT) == 33
    command(root, tmp_path, "--held-out", "--expressions=2")
    held = read_parts(tmp_path)
    assert held[IDENTITY].tolist() == [[20]]
    assert held[EXPRESSION].flatten().tolist() == [1, 1]


def test_what_cannot_be_used_is_named_and_left_out(root, heads):
    told = [line for line in heads[1].splitlines() if line.startswith("left out")]
    assert len(told) == 1 + len(DAMAGED)
    assert f"left out {root / '017' / '007'}: " in heads[1]
    for name, person in DAMAGED.items():
        folder = root / f"{person:03d}"
        assert f"left out {folder}: " in heads[1]
        assert str(folder / "000" / name) in heads[1]
    assert "another topology" in heads[1]
    assert all(line.endswith(".") for line in told)


def test_failed_scans_are_left_out(folder):
    shutil.copytree(folder / "017", folder / "079")
    shutil.copytree(folder / "017" / "002", folder / "079" / "018")
    found = {person.number: person for person in people(folder, folder / "neutrals_open.json")}
    assert set(found) == {17, 18, 20, 21, 22, 24, 79}
    assert 18 in FAILED[79]
    assert found[79].others == (0, 2, 4, 7)


def test_the_papers_training_learns_them(made, tmp_path):
    torch.manual_seed(0)
    paper = TriplaneTraining.read("paper")
    assert paper.codes == "learned"
    deformation = {"deformation": DeformationConfig(width=48, hidden=2, skip=0)}
    tiny = {"identity_dims": 16, "expression_dims": 8, "planes": 16, "features": 4, "channels": 4, "scale": 1,
            "norm": "none", "width": 32, **deformation}  # fmt: skip
    few = {"heads": 2, "posed": 2, "face": 100, "non_face": 60, "ball": 60, "size": 8, "pairs": 100, "drawn": 1}
    loop = replace(paper.loop, steps=60, learning_rate=5e-3, clip=1.0, accelerator="cpu")
    expression = replace(paper.expression, steps=200, learning_rate=5e-3, clip=1.0, accelerator="cpu")
    sampling = Sampling(samples=4, evaluations=4, rounds=1, halvings=2)
    config = replace(paper, loop=loop, expression=expression, sampling=sampling, discriminator=0.03, model=tiny, **few)
    trainer = Trainer(config, made, tmp_path)

    def missed():
        """Of the surfaces of people at rest, and, squared as in Eq. 4.17, of their expressions."""
        everyone = torch.arange(len(made[IDENTITY]))
        surface, moved = 0.0, 0.0
        for shown in range(trainer.codes.expressions):
            expression = trainer.codes.expression(everyone, torch.full_like(everyone, shown))
            field = trainer.model.field({IDENTITY: trainer.codes.identity(everyone), EXPRESSION: expression})
            with torch.no_grad():
                surface += float(field.sdf(made["surface"]).abs().mean())
                off = field.posed(made["at_rest"][:, shown]) - made["posed"][:, shown]
                moved += float(off.square().sum(-1).mean())
        return surface, moved

    before = missed()
    trainer.train_identity()
    between = missed()
    codes = trainer.codes.table(EXPRESSION).clone()
    trainer.train_expression()
    after = missed()
    assert (trainer.codes.table(EXPRESSION) != codes).any(1).float().mean() > 0.9
    assert between[0] < 0.5 * before[0]
    assert after[0] == between[0]
    assert after[1] < 0.7 * between[1]
    export(trainer, {"configuration": "paper"}, tmp_path / "head")
    bundle = read_bundle(tmp_path / "head")
    model = TriplaneHead.from_bundle(bundle, torch.device("cpu"))
    assert bundle.training["data"] == "2 scanned heads"
    drawn = {name: space.random(np.random.default_rng(0)) for name, space in model.spaces.items()}
    assert np.isfinite(model.sdf(np.zeros((4, 3)), drawn)).all()


def test_studio_codes_are_not_asked_of_people(made, tmp_path):
    config = replace(TriplaneTraining.read("paper"), codes="studio")
    with pytest.raises(UserError, match="no studio codes"):
        Trainer(config, made, tmp_path)


def no_registration(folder):
    (folder / "017" / "001" / "registration.ply").unlink()


def no_neutral(folder):
    (folder / "neutrals_open.json").write_text('{"17": -1}')


def no_list(folder):
    (folder / "neutrals_open.json").unlink()


def nobody(folder):
    shutil.rmtree(folder / "017")


def only_held_out(folder):
    (folder / "017").rename(folder / "020")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_registration, "001/registration.ply"),
        (no_neutral, "no neutral expression of anybody"),
        (no_list, "take dataset/neutrals_open.json"),
        (nobody, "no people of NPHM"),
        (only_held_out, "are all held out"),
    ],
)
def test_what_is_wrong_is_one_sentence(root, tmp_path, spoil, told, monkeypatch):
    folder = tmp_path / "nphm"
    shutil.copytree(root / "017", folder / "017")
    shutil.copy(root / "neutrals_open.json", folder)
    spoil(folder)
    monkeypatch.setattr(sys, "argv", ["nphm", str(folder), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=told) as stopped:
        nphm.main()
    assert str(stopped.value).endswith(".")
    assert "\n" not in str(stopped.value)
    assert not (tmp_path / "out").exists()


def test_a_head_in_another_unit_is_told(root, maker):
    far = replace(maker, shift=maker.shift + 1)
    with pytest.raises(UserError, match="check the head's unit"):
        far.make(people(root, root / "neutrals_open.json")[0])
