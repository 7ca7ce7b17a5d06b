"""ImFace++'s training: scans that know the truth, losses that vanish on it, runs that learn, resume and ship."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.contract import capabilities
from faceeditor.models.imface import DETAIL, ImFace, ImFaceConfig
from training import guided_spaces, imface_spaces, imface_template
from training.imface_codes import ScanCodes
from training.imface_losses import LossWeights, first_stage
from training.imface_scans import HELD_OUT_SEED, ScanMaker, read_parts
from training.train_imface import ImFaceTraining, Step, batch_of, detail_weight, export, groups, train

COUNT = 3


@pytest.fixture
def few_draws(monkeypatch):
    """Ranges and tables from fewer draws than a training's."""
    for module in (guided_spaces, imface_spaces):
        monkeypatch.setattr(module, "DRAWS", 250)
    monkeypatch.setattr(imface_template, "POINTS", 6000)
    monkeypatch.setattr(imface_template, "TREE", 6000)


def step_of(model, scans, config):
    return Step(model, ScanCodes(scans, config.model, config.codes == "learned"), config, "first")


@pytest.fixture(scope="module")
def maker(head):
    return ScanMaker(head, ImFaceConfig.small())


@pytest.fixture(scope="module")
def folder(maker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    scans = [maker.scan(seed) for seed in range(COUNT)]
    arrays = {name: np.stack([scan[name] for scan in scans]).astype(np.float32) for name in scans[0]}
    np.savez(folder / "scans-000.npz", **arrays)
    return folder


@pytest.fixture
def config():
    facts = ImFaceTraining.read("small")
    loop = replace(facts.loop, steps=10, minutes=0.0, warm_up=1, average=0.0)
    sizes = {
        "faces": 2,
        "surface": 60,
        "bridge": 8,
        "space": 50,
        "directed": 8,
        "template_steps": 3,
        "relief_steps": 1,
        "detail_share": 0.2,
    }
    return replace(facts, loop=loop, **sizes)


def test_a_scan_knows_where_its_points_lie(maker):
    scan = maker.scan(5)
    front = maker.sampler.front(maker.vertices(maker.factors(5)), 5)
    distance, _ = front.signed_distance(scan["surface"], front.tree(np.random.default_rng(0), 200_000))
    assert np.quantile(np.abs(distance), 0.99) < 1e-3
    assert np.linalg.norm(scan["normals"], axis=1) == pytest.approx(1, abs=1e-6)
    moved = np.linalg.norm(scan["detailed"] - scan["surface"], axis=1)
    assert 1e-4 < moved.max() < 0.03
    assert set(np.unique(scan["matched"])) <= {0.0, 1.0}


def test_training_and_held_out_people_differ(maker):
    held = maker.factors(HELD_OUT_SEED)
    assert all(not np.array_equal(held.identity, maker.factors(seed).identity) for seed in range(50))


def test_one_scan_is_learned(folder, config):
    torch.manual_seed(0)
    scans = read_parts(folder)
    model = ImFace(config.model)
    model.start_at(scans["neutral_landmarks"].mean(0))
    step = step_of(model, scans, replace(config, surface=200, space=150))
    optimiser = torch.optim.Adam(groups(step, config))
    totals = []
    for _ in range(60):
        losses = step(scans, torch.tensor([0]), 0.0)
        optimiser.zero_grad()
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), config.loop.clip)
        optimiser.step()
        totals.append(losses["total"].item())
    assert np.mean(totals[-5:]) < 0.4 * np.mean(totals[:5])


def test_every_term_counts(folder, config):
    scans, chosen = read_parts(folder), torch.arange(COUNT)
    model = ImFace(config.model)
    step = step_of(model, scans, config)
    codes = step.codes.of(scans, chosen)
    batch = batch_of(scans, chosen, codes, config)
    field = model.field({name: codes[name] for name in (IDENTITY, EXPRESSION)})
    losses = first_stage(field, batch, LossWeights(), 8)
    terms = {name: value.item() for name, value in losses.items() if name != "total"}
    assert set(terms) == {"distance", "matches", "landmarks", "residual", "neutral", "normal", "eikonal"}
    assert all(value > 0 for name, value in terms.items() if name != "neutral")
    assert losses["total"].item() == pytest.approx(sum(terms.values()), rel=1e-5)


def test_all_three_runs_and_the_bundle(data_folder, folder, config, tmp_path, few_draws):
    work = tmp_path / "work"
    trained = train(config, data_folder, folder, work, None)
    assert trained.facts["steps"] == 11
    first = (work / "first" / "last.ckpt").stat().st_mtime_ns
    again = train(config, data_folder, folder, work, None).model
    assert (work / "first" / "last.ckpt").stat().st_mtime_ns >= first
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    out = tmp_path / "imface-test"
    export(trained, data_folder, out)
    loaded = ImFace.from_bundle(read_bundle(out), torch.device("cpu"))
    assert "surface" in capabilities(loaded)
    assert loaded.spaces[IDENTITY].dims == loaded.spaces[EXPRESSION].dims == loaded.spaces[DETAIL].dims == 160
    codes = {name: space.random(np.random.default_rng(0)) for name, space in loaded.spaces.items()}
    assert np.isfinite(loaded.sdf(np.zeros((4, 3)), codes)).all()


def test_learned_codes_have_a_prior_and_one_identity_a_person(folder, config):
    scans = read_parts(folder)
    scans[IDENTITY][1] = scans[IDENTITY][0]
    step = step_of(ImFace(config.model), scans, replace(config, codes="learned"))
    codes = step.codes.of(scans, torch.arange(COUNT))
    assert torch.equal(codes[IDENTITY][0], codes[IDENTITY][1])
    assert not torch.equal(codes[EXPRESSION][0], codes[EXPRESSION][1])
    ones = {name: torch.ones_like(code) for name, code in codes.items()}
    assert step.codes.prior(ones, LossWeights()).item() == pytest.approx(2e5 + 1e3)


def test_kappa_hands_over_to_detail():
    weights = [detail_weight(progress) for progress in np.linspace(0, 1, 9)]
    assert weights == sorted(weights)
    assert weights[0] < 0.2
    assert weights[-1] == pytest.approx(1)


def test_spaces_share_the_studios_sliders(maker, few_draws):
    spaces = imface_spaces.imface_spaces(load_model("template-studio"), maker.wrinkles, maker.config, 0)
    jaw = next(d for d in spaces[EXPRESSION].directions if d.name == "jawOpen")
    assert len(jaw.vector) == 160
    assert jaw.reader @ jaw.vector == pytest.approx(1)
    folds = {d.name for d in spaces[DETAIL].directions}
    assert {"foreheadFolds", "crowFolds", "smileFolds"} <= folds
    used = np.stack([d.vector for d in spaces[DETAIL].directions]).sum(0)
    assert used.max() == 1
    assert used.sum() == maker.wrinkles.fold.sum()


def test_the_papers_configuration_is_the_papers():
    paper = ImFaceTraining.read("paper")
    assert paper.model == ImFaceConfig()
    assert paper.weights == LossWeights()
    assert (paper.surface, paper.codes, paper.loop.learning_rate) == (4096, "learned", 1e-4)
