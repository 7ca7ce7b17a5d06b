"""The tri-plane head's training: it learns a ball, in stages, with each optimiser, resumes, and ships."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models import bundle as bundles
from faceeditor.models.bundle import read_bundle
from faceeditor.models.triplane import TriplaneHead
from faceeditor.rendering.error_bound import Sampling
from training import guided_spaces
from training.train_triplane import Stage, Trainer, TriplaneTraining, export, picks
from training.triplane_codes import HeadCodes
from training.triplane_spaces import triplane_spaces

COUNT, POINTS, VIEWS = 4, 200, 8
SMALL = {"planes": 16, "features": 4, "channels": 4, "first": 4, "hears_from": 0, "hears": 0, "width": 24}
SMALL |= {"warp": 6, "warp_kept": 20, "warp_dims": 6}


def balls():
    """Heads that are balls of different sizes, whose expression is a shift."""
    generator = torch.Generator().manual_seed(0)
    radius = torch.linspace(0.5, 0.7, COUNT)[:, None, None]
    ways = functional.normalize(torch.randn(COUNT, POINTS, 3, generator=generator), dim=-1)
    ball = functional.normalize(torch.randn(COUNT, POINTS, 3, generator=generator), dim=-1)
    ball = ball * torch.rand(COUNT, POINTS, 1, generator=generator)
    near = ways[:, None] * (radius[:, None] + 0.003 * torch.randn(COUNT, 2, POINTS, 1, generator=generator))
    codes, expressions = torch.zeros(COUNT, 128), torch.zeros(COUNT, 2, 64)
    codes[:, 0], expressions[:, 1, 3] = radius[:, 0, 0] * 10 - 6, 1
    at_rest = (ways * radius)[:, None].expand(-1, 2, -1, -1)
    disc = torch.zeros(COUNT, VIEWS, 3, 16, 16, dtype=torch.int8)
    disc[:, :, 2, 4:12, 4:12] = 127
    return {
        IDENTITY: codes,
        "surface": ways * radius,
        "normals": ways,
        "near": near,
        "near_sdf": near.norm(dim=-1) - radius,
        "ball": ball,
        "ball_sdf": ball.norm(dim=-1) - radius[..., 0],
        "space": ball,
        "space_sdf": ball.norm(dim=-1) - radius[..., 0],
        "maps": disc,
        EXPRESSION: expressions,
        "at_rest": at_rest,
        "posed": at_rest + expressions[:, :, None, 3:4] * torch.tensor([0.05, 0.0, 0.0]),
    }


def config_of(variant="full", **changes):
    facts = TriplaneTraining.read("small", variant)
    loop = replace(facts.loop, steps=12, minutes=0.0, warm_up=1, average=0.0)
    few = {
        "heads": 2,
        "posed": 2,
        "face": 30,
        "non_face": 20,
        "ball": 20,
        "size": 8,
        "pairs": 40,
        "discriminator": 0.03,
    }
    sampling = Sampling(samples=4, evaluations=4, rounds=1, halvings=2)
    model = {**SMALL, **facts.model}
    return replace(
        facts,
        loop=loop,
        expression=loop,
        blendshapes=loop,
        sampling=sampling,
        model=model,
        **{**few, **changes},
    )


@pytest.mark.parametrize("variant", ["full", "npm", "tp_3d", "tp_3d_reg", "tp_2d_reg", "full_as_printed"])
def test_every_ablation_trains(variant, tmp_path):
    trainer = Trainer(config_of(variant), balls(), tmp_path)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train_identity()
    after = trainer.model.state_dict()
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == ({"decoder"} if variant == "npm" else {"decoder", "generator"})
    assert all(value.isfinite().all() for value in after.values())


def test_a_warp_takes_balls_to_the_mean_ball(tmp_path):
    heads = balls()
    mean = 0.6 * heads["normals"]
    points = mean.flatten(0, 1)
    people = {"points": points, "offsets": points[:, None] / 6}
    trainer = Trainer(config_of(), heads, tmp_path, people=people)
    trainer.fit_warp()
    with torch.no_grad():
        found = trainer.model.field({IDENTITY: heads[IDENTITY]}).on_mean(heads["surface"])
    before = (heads["surface"] - mean).norm(dim=-1).mean()
    assert (found - mean).norm(dim=-1).mean() < 0.02 * before
    trainer.train_identity()
    export(trainer, {}, tmp_path / "head")
    loaded = TriplaneHead.from_bundle(read_bundle(tmp_path / "head"), torch.device("cpu"))
    with torch.no_grad():
        again = loaded.field({IDENTITY: heads[IDENTITY]}).on_mean(heads["surface"])
    torch.testing.assert_close(again, found, atol=1e-4, rtol=0)


def test_training_goes_on_from_another_head(tmp_path):
    known = TriplaneHead(config_of().model_config)
    trainer = Trainer(config_of("finish"), balls(), tmp_path)
    mine = {name: value.clone() for name, value in trainer.model.warp.state_dict().items()}
    known.warp.size.normal_()
    trainer.go_on_from(known)
    now, theirs = trainer.model.state_dict(), known.state_dict()
    assert all(torch.equal(now[name], theirs[name]) for name in now if not name.startswith("warp."))
    assert all(torch.equal(now[f"warp.{name}"], value) for name, value in mine.items())


@pytest.mark.parametrize("name", ["small", "paper"])
@pytest.mark.parametrize("variant", ["full", "npm", "tp_3d", "tp_3d_reg", "tp_2d_reg"])
def test_ablations_are_those_of_section_6_3(name, variant):
    config = TriplaneTraining.read(name, variant)
    stages = [config.weights_at(progress) for progress in np.linspace(0.01, 0.99, 50)]
    used = {part for stage in stages for part, weight in vars(stage).items() if weight and part != "space"}
    only_3d, pictures, planes = {"ss", "sn", "eik", "nsp"}, {"nmr", "g", "d"}, {"edr", "tv", "tp"}
    wanted = {
        "npm": only_3d,
        "tp_3d": only_3d,
        "tp_3d_reg": only_3d | planes,
        "tp_2d_reg": pictures | planes,
        "full": only_3d | pictures | planes,
    }
    assert used == wanted[variant]
    assert bool(config.model_config.planes) == (variant != "npm")
    if variant in ("npm", "tp_3d", "tp_3d_reg"):
        weights = stages[25]
        assert (weights.ss, weights.sn, weights.eik, weights.nsp, weights.space) == (2.0, 0.3, 0.1, 0.01, 0.0)
    if variant == "full":
        assert not stages[-1].in_pictures
        assert not stages[-1].tv


def test_a_variant_that_is_none_is_told():
    with pytest.raises(UserError, match="tp_3d"):
        TriplaneTraining.read("small", "tp_4d")


def test_balls_are_learned_and_a_stopped_training_goes_on(tmp_path):
    stages = (Stage(0.5, ("sn", "eik", "nsp", "nmr", "g", "d", "edr", "tv", "tp")), Stage(1.0, ("nmr", "g", "d")))
    config = config_of(stages=stages, heads=4)
    config = replace(config, loop=replace(config.loop, steps=120, learning_rate=5e-3))
    trainer = Trainer(config, balls(), tmp_path)
    trainer.train_identity()
    heads = balls()

    def missed(model):
        with torch.no_grad():
            return float(model.field({IDENTITY: heads[IDENTITY]}).sdf(heads["surface"]).abs().mean())

    assert missed(trainer.model) < 0.5 * missed(Trainer(config, heads, tmp_path).model)
    longer = replace(config, loop=replace(config.loop, steps=122))
    again = Trainer(longer, heads, tmp_path)
    again.train_identity()
    assert again.steps == 122
    assert missed(again.model) < 1.5 * missed(trainer.model)


def test_expressions_are_learned_while_the_identity_stays(tmp_path):
    config = config_of()
    config = replace(config, expression=replace(config.expression, steps=80, learning_rate=5e-3))
    trainer = Trainer(config, balls(), tmp_path)
    trainer.model.deformation.rest.zero_()
    before = trainer.model.decoder.layers[0].weight.clone()
    trainer.train_expression()
    torch.testing.assert_close(trainer.model.decoder.layers[0].weight, before, atol=0, rtol=0)
    heads = balls()
    field = trainer.model.field({IDENTITY: heads[IDENTITY], EXPRESSION: heads[EXPRESSION][:, 1]})
    missed = (field.posed(heads["at_rest"][:, 1]) - heads["posed"][:, 1]).norm(dim=-1).mean()
    assert missed < 0.02


def test_blendshapes_are_learned_where_they_are_known(tmp_path):
    points = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    offsets = torch.zeros(300, 5, 3)
    offsets[:, 2, 1] = 0.05 * points[:, 0]
    trainer = Trainer(config_of(), balls(), tmp_path, {"points": points, "offsets": offsets})
    trainer.config = replace(trainer.config, blendshapes=replace(trainer.config.expression, steps=300))
    trainer.train_blendshapes()
    with torch.no_grad():
        found = trainer.model.deformation.blendshapes(points, torch.zeros(128))[:, :5]
    assert (found - offsets).abs().mean() < 0.3 * offsets.abs().mean()


def test_an_ablation_takes_over_warp_and_expressions(tmp_path):
    known = TriplaneHead(config_of().model_config)
    known.spaces = triplane_spaces(HeadCodes(balls(), known.config, False), known.config)
    trainer = Trainer(config_of("tp_3d"), balls(), tmp_path)
    before = trainer.model.decoder.state_dict()
    trainer.take_over(known)
    trainer.train_identity()
    now, theirs = trainer.model.state_dict(), known.state_dict()
    assert all(torch.equal(now[name], theirs[name]) for name in now if name.startswith(("warp.", "deformation.")))
    assert any(not torch.equal(value, theirs[f"decoder.{name}"]) for name, value in before.items())
    assert trainer.spaces is known.spaces


def test_planes_of_more_channels_begin_as_those_of_fewer(tmp_path):
    facts = config_of("finish")
    narrow, wide = (replace(facts, model={**facts.model, "channels": count}) for count in (4, 7))
    known, trainer = TriplaneHead(narrow.model_config), Trainer(wide, balls(), tmp_path)
    code = torch.randn(2, 128)
    with torch.no_grad():
        assert not torch.allclose(trainer.model.mean_head(code).rows, known.mean_head(code).rows, atol=1e-3)
        trainer.go_on_from(known)
        torch.testing.assert_close(trainer.model.mean_head(code).rows, known.mean_head(code).rows)


def test_learned_codes_move_and_only_those_of_the_heads_seen(tmp_path):
    config = config_of(codes="learned", drawn=1)
    trainer = Trainer(config, balls(), tmp_path)
    before = trainer.codes.tables[IDENTITY].weight.detach().clone()
    assert before.std() == pytest.approx(1, abs=0.1)
    trainer.train_identity()
    assert (trainer.codes.tables[IDENTITY].weight != before).any(1).all()
    assert not trainer.model.deformation.rest.any()


def test_all_heads_are_seen_before_any_again():
    drawn = picks(7, 2)
    for _ in range(3):
        seen = torch.cat([next(drawn) for _ in range(3)])
        assert len(seen.unique()) == 6


def test_a_bundle_ships(tmp_path, monkeypatch):
    monkeypatch.setattr(guided_spaces, "DRAWS", 250)
    monkeypatch.setitem(bundles.ARCHITECTURES, "triplane", "faceeditor.models.triplane:TriplaneHead")
    trainer = Trainer(config_of(), balls(), tmp_path)
    trainer.train_identity()
    export(trainer, {"configuration": "small"}, tmp_path / "head")
    bundle = read_bundle(tmp_path / "head")
    model = TriplaneHead.from_bundle(bundle, torch.device("cpu"))
    assert bundle.training["steps"] == 12
    assert {name: space.dims for name, space in model.spaces.items()} == {IDENTITY: 128, EXPRESSION: 64}
    drawn = model.spaces[IDENTITY].random(np.random.default_rng(0))
    assert drawn.shape == (128,)
    assert [choice.name for choice in model.spaces[IDENTITY].choices] == ["style"]
    assert "jawOpen" in {direction.name for direction in model.spaces[EXPRESSION].directions}
