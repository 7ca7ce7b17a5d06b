"""The plain auto-encoder: as many numbers as the encoder's heads give, and pictures that it learns."""

import torch

from faceeditor.models.attributes import AttributeConfig
from faceeditor.models.attributes_codes import HEADS
from training.plain_autoencoder import BY_ATTRIBUTE, ENDS, FILE, PARTS, PlainAutoencoder, load

TINY = AttributeConfig(32, (8, 8, 8, 8, 8), (1, 1, 1, 1), 1, 8, 8, 8)


def test_its_code_is_divided_as_the_heads_are():
    assert {name: part.stop - part.start for name, part in PARTS.items()} == HEADS
    assert ENDS[-1] == sum(HEADS.values())
    taken = [index for parts in BY_ATTRIBUTE.values() for part in parts for index in range(part.start, part.stop)]
    assert len(taken) == len(set(taken))


def test_it_learns_pictures_and_comes_back_from_its_file(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network, pictures = PlainAutoencoder(TINY), torch.rand(4, 3, 1, 1).expand(4, 3, 32, 32)
    optimiser, losses = torch.optim.Adam(network.parameters(), 3e-3), []
    for _ in range(60):
        loss = (network(pictures) - pictures).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    save_file(network.state_dict(), tmp_path / FILE)
    again = load(tmp_path, TINY)
    assert torch.equal(again.decode(again.encode(pictures)), network.eval()(pictures))
