"""The attribute encoder's first training: what it is shown and told is true, losses fall, and a bundle ships."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import DIMS, LIGHT
from faceeditor.fitting.alignment import pose_of
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.attributes_codes import HEADS, ROT, TRAN, camera_of
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.rendering.colour import linear_to_srgb, srgb_to_linear
from training.attributes_batches import Lesson, Lessons, Relight, mirrored, placed, relit
from training.attributes_losses import FaceLandmarks, projected, rotations
from training.attributes_measures import measure
from training.attributes_shots import AttributeShots, cut_out
from training.augment import Augment, AugmentConfig
from training.backgrounds import backgrounds
from training.studio.capture import CaptureOptions, StudioDataset, capture, read_shard, shard_path
from training.train_attributes import BODY, READER, AttributeTraining, Trainer

TINY = {"size": 64, "widths": (8, 8, 12, 16, 16), "blocks": (1, 1, 1, 1), "pyramid": 8, "grid": 8, "hidden": 24}


@pytest.fixture(scope="module")
def template():
    return load_model(BODY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, studio, data_folder):
    """Six pictures of three people."""
    data = StudioDataset(data_folder, 6, CaptureOptions(size=96, shots_per_identity=2))
    data._studio = studio
    folder = tmp_path_factory.mktemp("pictures")
    list(capture(data, folder, workers=0))
    return folder


@pytest.fixture(scope="module")
def shots(folder):
    return AttributeShots.load(folder, 80, load_model(READER).landmarks_3d)


def lesson_of(shots, template, **changes):
    torch.manual_seed(0)
    augment = Augment(64, backgrounds(4, 0), AugmentConfig(empty=0, lost=0))
    return Lessons(shots, augment, template, Relight(), **changes).take(torch.arange(len(shots)))


def test_a_cut_out_head_is_premultiplied_and_over_white_what_it_was(folder):
    shard = read_shard(shard_path(folder, 0))
    cut = cut_out(shard["picture_srgb"], shard["coverage"], 96).permute(0, 2, 3, 1).numpy()
    alpha = cut[..., 3:4] / np.float32(255)
    assert 0.05 < (alpha > 0.5).mean() < 0.95
    assert ((alpha > 0) & (alpha < 1)).any()
    assert (cut[..., :3] <= cut[..., 3:4].astype(int) + 1).all()
    straight = cut[..., :3] / 255 / np.maximum(alpha, 1e-3)
    again = linear_to_srgb(srgb_to_linear(straight.clip(0, 1)) * alpha + 1 - alpha)
    assert np.abs(255 * again - shard["picture_srgb"])[alpha[..., 0] > 0.2].max() < 6


def test_shots_know_who_is_on_them(shots):
    assert shots.pictures.shape == (6, 5, 80, 80)
    assert {name: tuple(code.shape) for name, code in shots.codes.items()} == {n: (6, dims) for n, dims in DIMS.items()}
    assert torch.equal(shots.codes["identity"][0], shots.codes["identity"][1])
    assert not torch.equal(shots.codes["identity"][1], shots.codes["identity"][2])


def test_fewer_pictures_may_be_asked_for_and_none_are_told(folder, tmp_path):
    mean = load_model(READER).landmarks_3d
    assert len(AttributeShots.load(folder, 96, mean, 4)) == 4
    with pytest.raises(UserError, match="There are no pictures in"):
        AttributeShots.load(tmp_path / "nowhere", 96, mean)


def test_the_pose_of_a_crop_is_that_of_a_camera_that_shows_it(shots):
    turn, zoom, shift = np.radians(20), 1.3, torch.tensor([0.05, -0.1])
    linear = torch.tensor([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], dtype=torch.float32)
    moved = (shots.landmarks - 0.5) @ (zoom * linear).T + 0.5 + shift
    pose = placed(shots, moved, linear.expand(6, -1, -1))
    assert torch.allclose(pose[ROT][:, 2], shots.rotation[:, 2] - 20, atol=1e-3)
    for row in range(6):
        field = 2 * np.degrees(np.arctan(0.5 / (zoom * shots.focal[row].item())))
        camera = camera_of(pose[ROT][row].double().numpy(), pose[TRAN][row].double().numpy(), field)
        assert camera.distance == pytest.approx(shots.distance[row].item(), rel=1e-4)
        whole = np.eye(3)
        whole[:2, :2] = linear
        angles = pose_of(whole @ Camera(*shots.rotation[row].tolist()).rotation())
        assert np.allclose(pose_of(camera.rotation()), angles, atol=1e-3)


def test_landmarks_of_codes_and_pose_are_what_template_and_camera_say(shots, template):
    codes, expression = shots.codes["identity"], shots.codes["expression"]
    yaw = torch.tensor([0.0, 50, -50, 10, 30, -30])
    found = FaceLandmarks(template)(codes, expression, yaw)
    vertices = template.vertices(codes, expression)
    for row in range(6):
        assert torch.allclose(found[row], template.landmarks(vertices[row : row + 1], float(yaw[row]))[0], atol=1e-6)
    camera = Camera(30.0, -12.0, 8.0, 0.7, 30.0, (0.02, -0.01))
    pose = torch.tensor([[camera.yaw, camera.pitch, camera.roll]]), camera.focal / camera.distance
    assert np.allclose(rotations(pose[0])[0], camera.rotation(), atol=1e-6)
    translation = torch.tensor([[-0.02 * pose[1], -0.01 * pose[1], np.log(pose[1])]], dtype=torch.float32)
    seen = projected(found[:1], pose[0], translation, torch.tensor([camera.distance]))
    assert np.allclose(seen[0], camera.project(found[0].double().numpy(), 1, 1), atol=1e-5)


def test_a_mirrored_head_twice_is_itself_and_its_landmarks_follow_its_codes(shots, template):
    once = mirrored(shots, template)
    again = mirrored(once, template)
    assert torch.equal(again.pictures, shots.pictures)
    assert all(torch.allclose(again.codes[name], code) for name, code in shots.codes.items())
    assert not torch.equal(once.codes[LIGHT], shots.codes[LIGHT])
    landmarks = FaceLandmarks(template)
    here = landmarks(shots.codes["identity"], shots.codes["expression"], shots.rotation[:, 0])
    there = landmarks(once.codes["identity"], once.codes["expression"], once.rotation[:, 0])
    flip = torch.tensor([-1.0, 1, 1])
    assert torch.allclose(here.mean(1) * flip, there.mean(1), atol=1e-4)


def test_light_and_picture_change_together(shots):
    torch.manual_seed(1)
    after = relit(shots, Relight(0.3, 0.1))
    gain = after.codes[LIGHT].reshape(6, 9, 3)[:, 0] / shots.codes[LIGHT].reshape(6, 9, 3)[:, 0]
    assert gain.std() > 0.05
    bright = (shots.pictures[:, 3] == 255) & (after.pictures[:, :3].amax(1) < 250)
    for row in range(6):
        inside = bright[row]
        before, now = (one.pictures[row, :3][:, inside].float().mean(1) for one in (shots, after))
        assert torch.allclose((now / before) ** 2.2, gain[row], rtol=0.05)


def test_a_lesson_has_all_that_the_heads_say(shots, template):
    lesson = lesson_of(shots, template)
    assert isinstance(lesson, Lesson)
    assert lesson.pictures.shape == (6, 3, 64, 64)
    assert set(lesson.codes) == set(HEADS)


def config_of(steps):
    facts = AttributeTraining.read("small")
    loop = replace(
        facts.loop, steps=steps, minutes=0.0, warm_up=1, average=0.0, precision="32-true", learning_rate=1e-3
    )
    calm = replace(facts.augment, coarse=0.0, cover=0.0, border=0.0, coarse_pixels=0.0)
    loud = replace(facts.weights, heat=2.0)  # what is shipped starts from maps that are known; here they are learned
    return replace(facts, loop=loop, model=TINY, start="", batch=6, backgrounds=4, augment=calm, weights=loud)


def test_losses_fall_a_stopped_training_goes_on_and_a_bundle_ships(shots, template, tmp_path):
    trainer = Trainer(config_of(150), tmp_path / "work", shots)
    lesson = lesson_of(shots, template)

    def losses():
        with torch.no_grad():
            return {name: float(term) for name, term in trainer.loss(trainer.network(lesson.pictures), lesson).items()}

    before = losses()
    trainer.train()
    kept = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    after = losses()
    assert after["total"] < 0.9 * before["total"]
    for name in ("shape", "exp", "illu", "rot", "options", "projection", "heat"):
        assert after[name] < before[name], name
    again = Trainer(config_of(150), tmp_path / "work", shots)
    again.train()
    assert all(torch.equal(value, kept[name]) for name, value in again.network.state_dict().items())
    again.export({"data": "6 studio pictures"}, tmp_path / "encoder")
    bundle = read_bundle(tmp_path / "encoder")
    assert bundle.training["steps"] == 150
    network = AttributeNetwork.from_bundle(bundle, torch.device("cpu"))
    codes, _ = network.encode(np.zeros((1, 64, 64, 3), np.uint8))
    assert {name: code.shape for name, code in codes.items()} == {name: (1, dims) for name, dims in DIMS.items()}


def test_what_is_measured_of_an_ignorant_network_is_what_it_does_not_know(shots, tmp_path):
    network = Trainer(config_of(1), tmp_path / "work", shots).network.eval()
    for figures in measure(network, shots).values():
        assert figures["landmarks_of_true_codes_percent"] < figures["landmarks_percent"]
        assert figures["pose_degrees"] > 5
        assert 0 <= figures["hair_right"] < 0.9
        assert all(np.isfinite(value) for value in figures.values())


def test_the_portrait_networks_backbone_is_taken_over(shots, tmp_path):
    config = replace(config_of(1), start=READER, model={})
    trainer, reader = Trainer(config, tmp_path / "work", shots), load_model(READER)
    ours, theirs = trainer.network.state_dict(), reader.state_dict()
    shared = [name for name in ours if name in theirs]
    assert {name.split(".")[0] for name in shared} == {"stem", "stages", "pyramid", "heat"}
    assert all(torch.allclose(ours[name], theirs[name]) for name in shared)
