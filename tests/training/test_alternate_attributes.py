"""The alternation: each step lowers its own losses and leaves the other network alone; rounds resume; bundles ship."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import DIMS, HAIR, IDENTITY
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.attributes_codes import HEADS
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.headnerf import HeadNerf
from faceeditor.models.headnerf_config import HeadNerfConfig
from tests.tiny_encoder import install_encoder, tiny_encoder
from training import alternate_attributes, alternation_config, guided_spaces
from training.alternate_attributes import DECODER, ENCODER, Trainer
from training.alternation_config import Alternation, limited
from training.alternation_losses import EncoderWeights
from training.alternation_start import first_decoder, narrowed, opened, waken
from training.guided_spaces import make_spaces
from training.photo_folders import photos_in
from training.placed_photos import PlacedPhotos, place_all
from training.studio.capture import CaptureOptions, StudioDataset, capture
from training.train_attributes import READER

SMALL = {"width": 24, "hidden": 3, "skip": 1, "features": 16, "narrowest": 8, "samples": 8, "map": 16, "size": 64}


@pytest.fixture(scope="module")
def photos(tmp_path_factory, studio, data_folder):
    """Six pictures, of which nothing is known."""
    data = StudioDataset(data_folder, 6, CaptureOptions(size=96))
    data._studio = studio
    captured, out = tmp_path_factory.mktemp("captured"), tmp_path_factory.mktemp("placed")
    list(capture(data, captured, workers=0))
    assert list(place_all(photos_in(captured), out, 64, load_model(READER))) == []
    return PlacedPhotos.of(out)


@pytest.fixture(scope="module")
def measured():
    """A decoder whose template has been measured once for all."""
    torch.manual_seed(0)
    model = HeadNerf(replace(HeadNerfConfig.small(), **SMALL))
    model.template.measure()
    return model.state_dict()


@pytest.fixture
def decoder(measured):
    model = HeadNerf(replace(HeadNerfConfig.small(), **SMALL))
    model.load_state_dict(measured)
    return model


def config_of(name="small", **changes):
    facts = Alternation.read(name)
    loops = {
        which: replace(getattr(facts, which), learning_rate=2e-3, warm_up=1, average=0.0)
        for which in (DECODER, ENCODER)
    }
    few = {"rounds": 1, "epochs": 4.0, "batch": 2, "backgrounds": 0}
    return replace(facts, **{**loops, **few, **changes})


def trainer_of(config, work, photos, decoder):
    encoder = tiny_encoder()
    encoder.requires_grad_(False)
    return Trainer(config, work, photos, encoder, decoder)


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(network, before):
    return all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def logged(folder):
    """The logged losses by name, in the order of their steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [one.value for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def often(config):
    return replace(config, **{which: replace(getattr(config, which), log_every=1) for which in (DECODER, ENCODER)})


def test_the_first_step_lowers_its_losses_and_leaves_the_encoder(photos, decoder, tmp_path):
    trainer = trainer_of(often(config_of(batch=6)), tmp_path, photos, decoder)
    encoder, before = weights(trainer.encoder), weights(trainer.decoder)
    labels = trainer.train_decoder(tmp_path, 10.0)
    losses = logged(tmp_path / DECODER)
    assert len(losses["total"]) == 10
    assert losses["reg"][0] == pytest.approx(0, abs=1e-5)
    for name in ("total", "pix"):
        assert np.mean(losses[name][-3:]) < np.mean(losses[name][:3]), name
    assert same(trainer.encoder, encoder)
    assert not same(trainer.decoder, before)
    told = trainer.told(tmp_path)
    assert {head: tuple(code.shape) for head, code in labels.items()} == {h: (6, dims) for h, dims in HEADS.items()}
    moved = {head: float((labels[head] - told[head]).abs().max()) for head in HEADS}
    assert all(value > 0 for value in moved.values()), moved
    assert not any(p.requires_grad for p in trainer.decoder.parameters())


def test_the_second_step_lowers_its_losses_and_leaves_the_decoder(photos, decoder, tmp_path):
    trainer = trainer_of(often(config_of(batch=6)), tmp_path, photos, decoder.requires_grad_(False))
    encoder, before = weights(trainer.encoder), weights(trainer.decoder)
    told = trainer.told(tmp_path)
    torch.manual_seed(4)
    labels = {
        head: code + 0.3 * code.norm(dim=1, keepdim=True) * torch.randn(code.shape[1]) / code.shape[1] ** 0.5
        for head, code in told.items()
    }
    trainer.train_encoder(tmp_path, 12.0, labels, EncoderWeights())
    losses = logged(tmp_path / ENCODER)
    assert len(losses["total"]) == 12
    for name in ("total", "cod", "cyc", "dis"):
        assert np.mean(losses[name][-3:]) < np.mean(losses[name][:3]), name
    assert same(trainer.decoder, before)
    assert not same(trainer.encoder, encoder)
    statistics = [name for name in encoder if "running" in name or name.endswith(("_mean", "_scale"))]
    assert all(torch.equal(trainer.encoder.state_dict()[name], encoder[name]) for name in statistics)


def test_rounds_follow_each_other_and_a_stopped_training_goes_on(photos, decoder, measured, tmp_path, monkeypatch):
    config = often(config_of(rounds=2, epochs=1.0, start=(1.0, 1.0)))
    whole = trainer_of(config, tmp_path, photos, decoder)
    whole.train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-001", "round-002", "start"]
    assert whole.steps == {ENCODER: 9, DECODER: 9}
    assert set(logged(tmp_path / "start" / ENCODER)) == {"total", "cod"}
    assert set(logged(tmp_path / "round-001" / ENCODER)) == {"total", "cod", "cyc", "dis"}
    learned = weights(whole.decoder), weights(whole.encoder)
    # Again, without a step to train: all that was learned is read.
    fresh = HeadNerf(decoder.config)
    fresh.load_state_dict(measured)
    again = trainer_of(config, tmp_path, photos, fresh)
    monkeypatch.setattr("training.loop.Loop._train_on", None)
    again.train()
    assert same(again.decoder, learned[0])
    assert same(again.encoder, learned[1])
    assert again.steps == whole.steps


def test_a_round_starts_from_what_the_encoder_says_then(photos, decoder, tmp_path):
    trainer = trainer_of(config_of(), tmp_path, photos, decoder)
    before = trainer.told(tmp_path / "one")
    with torch.no_grad():
        trainer.encoder.heads["exp"][-1].bias.add_(1.0)
    after, kept = trainer.told(tmp_path / "two"), trainer.told(tmp_path / "one")
    assert not torch.equal(after["exp"], before["exp"])
    assert torch.equal(kept["exp"], before["exp"])
    batch = next(photos.once(6))
    with torch.no_grad():
        assert torch.allclose(trainer.encoder(batch.over()).codes["shape"], after["shape"], atol=1e-5)


def test_the_encoder_may_see_other_backgrounds(photos, decoder, tmp_path):
    trainer = trainer_of(config_of(backgrounds=3), tmp_path, photos, decoder)
    batch = next(photos.once(6))
    from training.augment import Augment
    from training.backgrounds import backgrounds

    shown = trainer._seen(batch, Augment(64, backgrounds(3, 0)))
    sure = (batch.head > 0.99).expand(-1, 3, -1, -1)
    away = (batch.shown == 0).expand(-1, 3, -1, -1)
    assert torch.allclose(shown[sure], batch.photos[sure], atol=0.02)
    assert shown[away].std() > 0.05


# Networks to begin with


@pytest.fixture(scope="module")
def spaces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guided_spaces, "DRAWS", 60)
        return make_spaces(load_model("template-studio"), 0)


@pytest.fixture
def installed(user_home, decoder, spaces):
    """Both first networks among the user's own bundles; the decoder's folder."""
    install_encoder(user_home / "data")
    folder = user_home / "data" / "models" / "small-nerf"
    write_bundle(
        folder,
        architecture="headnerf",
        configuration=decoder.config.to_json(),
        training={},
        tensors=decoder.state_dict(),
        spaces=spaces,
    )
    return folder


def test_networks_are_named_or_lie_in_folders(installed):
    assert opened("small-nerf", "headnerf").content_hash == opened(str(installed), "headnerf").content_hash
    with pytest.raises(UserError, match="is a bundle of the kind headnerf; give one of the kind attributes"):
        opened("small-nerf", "attributes")
    with pytest.raises(UserError, match="has no readable"):
        opened("nothing", "headnerf")


def test_a_decoder_without_a_code_of_hair_is_the_other_where_hair_is_zero(installed, decoder, photos):
    bundle = opened("small-nerf", "headnerf")
    bald, spaces = first_decoder(config_of("without_hair"), bundle)
    whole, all_spaces = first_decoder(config_of(), bundle)
    assert set(all_spaces) - set(spaces) == {HAIR}
    codes = {name: torch.randn(1, dims) / 4 for name, dims in DIMS.items()} | {HAIR: torch.zeros(1, DIMS[HAIR])}
    rays = whole.rays(Camera(), 16)
    with torch.no_grad():
        torch.testing.assert_close(bald(codes, rays).rgb_linear, whole(codes, rays).rgb_linear, rtol=0, atol=1e-5)
        hairy = {**codes, HAIR: torch.ones(1, DIMS[HAIR])}
        assert not torch.allclose(whole(hairy, rays).rgb_linear, whole(codes, rays).rgb_linear, atol=1e-3)


def test_weights_that_do_not_fit_are_told(installed, decoder):
    bundle = opened("small-nerf", "headnerf")
    strange = replace(bundle, configuration={**bundle.configuration, "width": 48})
    with pytest.raises(UserError, match="does not fit"):
        first_decoder(config_of(), strange)
    assert set(narrowed(bundle.tensors, decoder.state_dict())) == set(decoder.state_dict())


def test_components_that_were_never_used_may_be_woken():
    encoder = tiny_encoder()
    scale = encoder.get_buffer("shape_scale")
    scale[100:] = 0
    waken(encoder, 1.0)
    assert (scale[100:] == 1).all()
    assert (scale[:100] == 0.05).all()


def test_a_new_decoder_has_the_papers_codes(monkeypatch):
    monkeypatch.setattr(guided_spaces, "DRAWS", 60)
    config = config_of("paper")
    model, spaces = first_decoder(replace(config, model={**config.model, **SMALL}), None)
    assert model.config.dims == {**DIMS, IDENTITY: HEADS["shape"]}
    assert {name: space.dims for name, space in spaces.items()} == dict(model.config.dims)


# Configurations and the command


@pytest.mark.parametrize("name", ["small", "paper", "without_dis", "without_cyc", "without_hair"])
def test_configurations_say_what_their_names_say(name):
    config, small = Alternation.read(name), Alternation.read("small")
    assert (config.encoder_weights.dis == 0) == (name == "without_dis")
    assert (config.encoder_weights.cyc == 0) == (name == "without_cyc")
    assert (HAIR not in config.decoder_config.dims) == (name == "without_hair")
    if name == "paper":
        assert config.start == (10, 5)
        assert config.rounds * 2 * config.epochs == 150
        assert config.decoder.learning_rate == config.encoder.learning_rate == 5e-4
        assert config.decoder_config.size == 1024
    else:
        assert (config.decoder, config.rounds, config.codes) == (small.decoder, small.rounds, small.codes)


def test_time_may_end_every_step():
    config = config_of()
    assert limited(config, None) is config
    assert {getattr(limited(config, 3.0), which).minutes for which in (DECODER, ENCODER)} == {3.0}


def told(result):
    """What a command that was refused said."""
    assert result.exit_code == 1
    return f"{result.output}{result.stderr if result.stderr_bytes else ''}{result.exception}"


def test_the_command_writes_bundles_that_load(installed, photos, tmp_path, monkeypatch):
    import typer

    tiny = config_of(rounds=1, epochs=1.0)
    monkeypatch.setattr(alternation_config.Alternation, "read", classmethod(lambda cls, name: tiny))
    app = typer.Typer()
    app.command()(alternate_attributes.main)
    folders = ["--work", tmp_path / "work", "--photos", photos.files[0].parent, "--out", tmp_path / "out"]
    given = ["small", *map(str, folders), "--decoder", "small-nerf"]
    ran = CliRunner().invoke(app, given)
    assert ran.exit_code == 0, ran.output
    encoder, decoder = (read_bundle(tmp_path / "out" / which) for which in (ENCODER, DECODER))
    assert (encoder.training["steps"], decoder.training["steps"]) == (3, 3)
    assert decoder.training["perceptual"] == "portrait-studio"
    network = AttributeNetwork.from_bundle(encoder, torch.device("cpu"))
    codes, cameras = network.encode(np.zeros((1, 64, 64, 3), np.uint8))
    model = HeadNerf.from_bundle(decoder, torch.device("cpu"))
    assert {name: space.dims for name, space in model.spaces.items()} == DIMS
    frame = model.render({name: code[0] for name, code in codes.items()}, cameras[0], 32)
    assert np.isfinite(frame.rgb_linear).all()
    refused = CliRunner().invoke(app, [*given[:-1], "attributes-studio"])
    assert "give one of the kind headnerf" in told(refused)
    assert "began with other networks" in told(CliRunner().invoke(app, given[:-2]))
