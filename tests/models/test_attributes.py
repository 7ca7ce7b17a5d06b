"""The attribute encoder: what its codes mean, its pose, and bundles of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceeditor.errors import UserError
from faceeditor.faces.camera import TARGET, Camera
from faceeditor.faces.layout import (
    BROW_STYLES,
    DIMS,
    EXPRESSION,
    HAIR,
    HAIR_COLOUR,
    HAIR_STYLES,
    IRIS_WEIGHTS,
    SHEEN,
    SKIN,
    SKIN_WEIGHTS,
)
from faceeditor.models.attributes import AttributeConfig, AttributeNetwork, sampled
from faceeditor.models.attributes_codes import EXP, HEADS, SPACES, camera_of, decided, shares
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.contract import AttributeEncoder, capabilities
from tests.tiny_encoder import TINY, install_encoder, tiny_encoder


def some_codes(count=6):
    random = np.random.default_rng(3)
    drawn = {name: random.normal(0, 1, (count, dims)) for name, dims in HEADS.items()}
    return {name: torch.from_numpy(codes.astype(np.float32)) for name, codes in drawn.items()}


def test_options_are_chosen_and_weights_lie_in_their_range():
    codes = some_codes()
    codes["hair"][:, HAIR_STYLES] = shares(codes["hair"][:, HAIR_STYLES], none=True)
    for part in (SKIN_WEIGHTS, BROW_STYLES, IRIS_WEIGHTS):
        codes["tex"][:, part] = shares(4 * codes["tex"][:, part], none=False)
    codes["hair"][0, HAIR_STYLES] = 0.05
    codes["hair"][1, HAIR_STYLES] = torch.eye(10)[7] * 0.6
    found = decided(codes)
    assert {name: code.shape for name, code in found.items()} == {name: (6, dims) for name, dims in DIMS.items()}
    assert found[HAIR][0, HAIR_STYLES].sum() == 0
    assert found[HAIR][1, HAIR_STYLES].tolist() == np.eye(10)[7].tolist()
    for part in (BROW_STYLES, IRIS_WEIGHTS):
        assert (np.sort(found[SKIN][:, part], axis=1)[:, -2:] == [0, 1]).all()
    mixed = found[SKIN][:, SKIN_WEIGHTS]
    assert np.allclose(mixed.sum(1), 1)
    assert ((mixed == 0) | (mixed >= 0.1)).all()
    assert (mixed.argmax(1) == codes["tex"][:, SKIN_WEIGHTS].argmax(1).numpy()).all()
    assert found[EXPRESSION].min() == 0
    assert found[EXPRESSION].max() <= 1
    assert (found[HAIR][:, HAIR_COLOUR] > 0).all()
    assert ((found[SKIN][:, SHEEN] >= 0) & (found[SKIN][:, SHEEN] <= 1)).all()


def test_of_many_unlikely_skins_the_likeliest_stays():
    codes = some_codes(1)
    codes["tex"][:, SKIN_WEIGHTS] = 0.05
    codes["tex"][0, SKIN_WEIGHTS.start + 4] = 0.06
    assert decided(codes)[SKIN][0, SKIN_WEIGHTS].tolist() == np.eye(20)[4].tolist()


def test_where_no_option_may_be_chosen_the_chances_leave_room_for_that():
    logits = torch.tensor([[0.0, 0.0], [-9.0, -9.0], [9.0, 0.0]])
    assert torch.allclose(shares(logits, none=True).sum(1), torch.tensor([2 / 3, 0.0, 1.0]), atol=1e-3)
    assert torch.allclose(shares(logits, none=False).sum(1), torch.ones(3))


@given(
    st.tuples(st.floats(-85, 85), st.floats(-40, 40), st.floats(-30, 30)),
    st.floats(0.4, 3),
    st.floats(5, 60),
    st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
)
def test_a_pose_told_as_numbers_is_the_camera_it_came_from(angles, distance, field, pan):
    camera = Camera(*angles, distance, field, pan)
    middle = camera.project(TARGET[None], 1, 1)[0] - 0.5
    again = camera_of(np.array(angles), np.array([*middle, np.log(camera.focal / distance)]), field)
    assert np.allclose(again.extrinsics(), camera.extrinsics(), atol=1e-9)
    assert np.allclose(again.intrinsics(1, 1), camera.intrinsics(1, 1))


def test_an_ignorant_network_says_the_mean_and_counts_in_spreads():
    network = AttributeNetwork(tiny_encoder().config).eval()
    known = {head: torch.randn(50, DIMS[space]) * 2 + 1 for space, head in SPACES.items()}
    network.calibrate(known)
    said = network(torch.rand(2, 3, 64, 64))
    assert {name: code.shape for name, code in said.codes.items()} == {name: (2, n) for name, n in HEADS.items()}
    assert torch.allclose(said.codes["exp"], known["exp"].mean(0).expand(2, -1), atol=1e-5)
    assert torch.allclose(said.codes["shape"][:, :100], known["shape"].mean(0).expand(2, -1), atol=1e-5)
    assert (said.codes["shape"][:, 100:] == 0).all()
    assert said.landmarks.shape == (2, 68, 2)


def test_pictures_of_any_size_are_encoded():
    network = tiny_encoder()
    assert isinstance(network, AttributeEncoder)
    assert capabilities(network) == ("attributes",)
    crops = np.random.default_rng(0).integers(0, 255, (3, 100, 100, 3), dtype=np.uint8)
    codes, cameras = network.encode(crops)
    assert {name: code.shape for name, code in codes.items()} == {name: (3, dims) for name, dims in DIMS.items()}
    assert len({camera.yaw for camera in cameras}) == 3
    alone, _ = network.encode(crops[1:2])
    assert all(np.allclose(alone[name][0], codes[name][1], atol=1e-4) for name in DIMS)
    _, wide = network.encode(crops, field_of_view=50)
    sizes = [[one.focal / one.distance for one in found] for found in (cameras, wide)]
    assert np.allclose(*sizes)
    with pytest.raises(ValueError, match="square"):
        network.encode(crops[:, :50])


def test_a_bundle_says_the_same(user_home):
    folder = install_encoder(user_home / "data")
    network = load_model(folder.name)
    crops = np.random.default_rng(1).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    here, there = tiny_encoder().encode(crops)[0], network.encode(crops)[0]
    assert np.allclose(here["light"], there["light"], atol=5e-3)
    bundle = read_bundle(folder)
    bundle.tensors.pop("heat.weight")
    with pytest.raises(UserError, match="does not fit"):
        AttributeNetwork.from_bundle(bundle, torch.device("cpu"))


def test_the_papers_size_is_a_configuration():
    with torch.device("meta"):
        network = AttributeNetwork(AttributeConfig.paper())
    backbone = sum(one.numel() for one in [*network.stem.parameters(), *network.stages.parameters()])
    assert 22e6 < backbone < 26e6
    x = torch.zeros(1, 3, 224, 224, device="meta")
    for part in [network.stem, *network.stages]:
        x = part(x)
    assert x.shape == (1, 2048, 7, 7)
    assert {name: head[-1].out_features for name, head in network.heads.items()} == HEADS


def test_features_are_sampled_where_they_lie():
    features = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    places = torch.tensor([[[0.125, 0.375], [0.5, 0.5]]]).expand(2, 2, 2)  # the middle of a cell; a corner of four
    found = sampled(features, places)
    assert torch.allclose(found[:, 0], features[:, :, 1, 0])
    assert torch.allclose(found[:, 1], features[:, :, 1:3, 1:3].mean((2, 3)))


def test_a_local_head_adds_to_what_is_said_and_starts_at_nothing(user_home):
    pictures = torch.rand(2, 3, 64, 64)
    plain = tiny_encoder()
    local = AttributeNetwork(replace(TINY, local=(EXP,))).eval()
    local.load_state_dict({**local.state_dict(), **plain.state_dict()})
    with torch.no_grad():
        assert torch.equal(local(pictures).codes[EXP], plain(pictures).codes[EXP])
        torch.nn.init.normal_(local.local[EXP][-1].weight)
        said, before = local(pictures).codes, plain(pictures).codes
    assert {name for name in HEADS if not torch.equal(said[name], before[name])} == {EXP}
    assert local.configuration()["local"] == (EXP,)
