"""What landmarks say of each other is learnt, and weights lie between two networks."""

import numpy as np
import pytest
import torch

from faceeditor.faces.landmarks import MIRROR
from faceeditor.models.bundle import write_bundle
from faceeditor.models.portrait import PortraitConfig, PortraitNetwork
from training.finish_portrait import finish, likely, mean_network

TINY = PortraitConfig(size=64, widths=(8, 8, 8, 8, 8), pyramid=8, blocks=1, summary=16)
NOISE = 0.01


@pytest.fixture(scope="module")
def faces():
    """Landmarks of faces that differ in five ways, and as they are read, everyone off by itself."""
    random = np.random.default_rng(0)
    ways = 0.05 * random.normal(size=(5, 68, 2))
    middle = 0.5 + 0.1 * random.normal(size=(68, 2))
    middle = (middle + middle[MIRROR] * [-1, 1] + [1, 0]) / 2
    true = middle + np.einsum("nw,wij->nij", random.normal(size=(3000, 5)), ways)
    return true + NOISE * random.normal(size=true.shape), true


def corrected(read, map_of):
    weight, bias = map_of
    return read + ((read.reshape(len(read), -1) - 0.5) @ weight.T + bias).reshape(read.shape)


def test_errors_that_no_face_explains_are_taken_off(faces):
    read, true = (part[:2000] for part in faces)
    others, meant = (part[2000:] for part in faces)
    better = corrected(others, likely(read, true))
    before, after = (np.linalg.norm(one - meant, axis=-1).mean() for one in (others, better))
    assert after < 0.6 * before


def test_the_map_knows_no_side(faces):
    read, _ = faces
    map_of = likely(*faces)
    mirrored = read[:, MIRROR] * [-1, 1] + [1, 0]
    back = corrected(mirrored, map_of)[:, MIRROR] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(back, corrected(read, map_of), atol=1e-9)


def test_the_network_applies_the_map(faces):
    torch.manual_seed(0)
    network, picture = PortraitNetwork(TINY).eval(), torch.rand(1, 3, 64, 64)
    before = network(picture).landmarks.detach().double().numpy()
    finish(network, *faces)
    after = network(picture).landmarks.detach().double().numpy()
    np.testing.assert_allclose(after, corrected(before, likely(*faces)), atol=1e-5)
    assert np.abs(after - before).max() > 1e-3


def test_weights_lie_between_both(tmp_path):
    networks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        networks.append(PortraitNetwork(TINY))
        folder = tmp_path / str(seed)
        state = networks[-1].state_dict()
        facts = {"architecture": "portrait", "configuration": networks[-1].configuration(), "training": {}}
        write_bundle(folder, **facts, tensors=state)
    between = mean_network(tmp_path / "1", tmp_path / "2")
    first, second = (network.state_dict()["closer.first"] for network in networks)
    torch.testing.assert_close(between.state_dict()["closer.first"], (first + second) / 2, atol=2e-3, rtol=1e-2)
    assert between.configuration() == networks[0].configuration()
