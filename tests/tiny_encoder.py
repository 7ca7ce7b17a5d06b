"""A tiny attribute encoder with random weights, as a bundle: what it says is wrong, but it says it."""

import torch

from faceeditor.models.attributes import AttributeConfig, AttributeNetwork
from faceeditor.models.attributes_codes import HEADS, ROT, TRAN
from faceeditor.models.bundle import write_bundle

TINY = AttributeConfig(size=64, widths=(8, 8, 12, 16, 16), blocks=(1, 1, 1, 1), pyramid=8, grid=8, hidden=16)
NAME = "attributes-studio"
"""The name of the one that ships, before which a user's own comes."""


def tiny_encoder(seed=0):
    """A network whose heads differ from picture to picture, and whose camera sees a head as the default one does."""
    torch.manual_seed(seed)
    network = AttributeNetwork(TINY, NAME).eval()
    for name in HEADS:
        torch.nn.init.normal_(network.heads[name][-1].weight, std=0.3)
        network.get_buffer(f"{name}_scale").fill_(0.05)
    network.get_buffer(f"{TRAN}_mean")[2] = 0.9
    network.get_buffer(f"{ROT}_scale").fill_(5.0)
    return network


def install_encoder(data_folder):
    """Writes it among the user's own bundles; its folder."""
    network = tiny_encoder()
    folder = data_folder / "models" / NAME
    write_bundle(
        folder,
        architecture="attributes",
        configuration=network.configuration(),
        training={},
        tensors=network.state_dict(),
    )
    return folder
