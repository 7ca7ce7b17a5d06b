import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.models.bundle import read_bundle, write_bundle
from faceeditor.models.portrait import (
    MIRROR_ROTATION,
    PortraitConfig,
    PortraitNetwork,
    rotation_from_six,
    unmirrored,
)
from faceeditor.models.pyramid import expectation

TINY = PortraitConfig(size=64, widths=(8, 8, 8, 8, 8), pyramid=8, blocks=1, summary=16)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PortraitNetwork(TINY).eval()


def test_shapes_are_those_that_are_promised(network):
    said = network(torch.rand(2, 3, 64, 64))
    assert said.landmarks.shape == (2, 68, 2)
    assert said.heat.shape == (2, 68, 16, 16)
    assert said.mask.shape == (2, 2, 32, 32)
    assert said.rotation.shape == (2, 3, 3)


def test_rotations_are_rotations():
    rotations = rotation_from_six(torch.randn(50, 6, dtype=torch.float64))
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).double().expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(50).double())


def test_expectation_of_a_sharp_map_is_its_cell():
    heat = torch.full((1, 1, 10, 20), -50.0)
    heat[0, 0, 3, 7] = 50
    torch.testing.assert_close(expectation(heat)[0, 0], torch.tensor([7.5 / 20, 3.5 / 10]))


def test_the_mirror_order_is_an_involution_that_swaps_the_sides():
    order = points.MIRROR
    np.testing.assert_array_equal(order[order], np.arange(68))
    assert set(order[points.RIGHT_EYE]) == set(range(68)[points.LEFT_EYE])
    assert set(order[points.RIGHT_BROW]) == set(range(68)[points.LEFT_BROW])
    assert set(order[points.OUTER_LIPS]) == set(range(68)[points.OUTER_LIPS])
    assert order[points.CHIN] == points.CHIN


def test_the_mirrored_rotation_is_that_of_the_mirrored_camera():
    camera = Camera(yaw=33, pitch=-12, roll=7)
    other = Camera(yaw=-33, pitch=-12, roll=-7)
    np.testing.assert_allclose(camera.rotation() * MIRROR_ROTATION.numpy(), other.rotation(), atol=1e-12)


def test_unmirroring_twice_changes_nothing(network):
    said = network(torch.rand(2, 3, 64, 64))
    again = unmirrored(unmirrored(said))
    for before, after in zip(said, again, strict=True):
        torch.testing.assert_close(before, after)


def test_reading_a_mirrored_picture_gives_the_mirrored_reading(network):
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    said, other = network.read(picture), network.read(np.ascontiguousarray(picture[:, :, ::-1]))
    np.testing.assert_allclose(other.landmarks[:, points.MIRROR] * [-1, 1] + [64, 0], said.landmarks, atol=1e-3)
    np.testing.assert_allclose(other.mask[:, :, ::-1], said.mask, atol=1e-5)
    np.testing.assert_allclose(other.rotation * MIRROR_ROTATION.numpy(), said.rotation, atol=1e-5)


def test_thorough_reading_brings_every_view_back_to_the_picture(network, monkeypatch):
    """A stand-in network that finds a white dot and the turn of a line tells the same of every view."""

    def dot_finder(pictures):
        said = PortraitNetwork.forward(network, pictures)
        bright = (pictures[:, 0] - 0.5).clamp_min(0)
        bright = bright / bright.sum((1, 2), keepdim=True)
        along = (torch.arange(64) + 0.5) / 64
        place = torch.stack([(bright.sum(1) * along).sum(1), (bright.sum(2) * along).sum(1)], -1)
        return said._replace(landmarks=place[:, None].expand(-1, 68, -1), mask=pictures[:, :2, ::2, ::2] * 20 - 10)

    monkeypatch.setattr(network, "forward", dot_finder)
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    picture[0, 18:22, 38:42] = 255
    said = network.read(picture, thorough=True)
    np.testing.assert_allclose(said.landmarks[0, 0], [40, 20], atol=0.3)
    rows, columns = np.nonzero(said.mask[0] > 0.5)
    np.testing.assert_allclose([columns.mean() * 2, rows.mean() * 2], [39, 19], atol=1.1)
    np.testing.assert_allclose(said.rotation[0] @ said.rotation[0].T, np.eye(3), atol=1e-9)


def test_only_square_pictures_are_read(network):
    with pytest.raises(ValueError, match="square"):
        network.read(np.zeros((1, 64, 80, 3), np.uint8))


def bundle_of(network, folder, **changes):
    write_bundle(
        folder,
        architecture="portrait",
        configuration=network.configuration() | changes,
        training={},
        tensors=network.state_dict(),
    )
    return read_bundle(folder)


def test_a_bundle_brings_the_network_back(network, tmp_path):
    again = PortraitNetwork.from_bundle(bundle_of(network, tmp_path / "small"), torch.device("cpu"))
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    assert again.name == "small"
    np.testing.assert_allclose(again.read(picture).landmarks, network.read(picture).landmarks, atol=0.2)


def test_a_bundle_that_does_not_fit_is_one_sentence(network, tmp_path):
    with pytest.raises(UserError, match="does not fit"):
        PortraitNetwork.from_bundle(bundle_of(network, tmp_path / "bad", pyramid=12), torch.device("cpu"))
    with pytest.raises(UserError, match="does not fit"):
        PortraitNetwork.from_bundle(bundle_of(network, tmp_path / "odd", surprise=1), torch.device("cpu"))
