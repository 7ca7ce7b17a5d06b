import torch

from faceeditor.engine.dense_reference import DenseReference


def test_the_yardstick_has_the_published_size():
    network = DenseReference()
    mlp = sum(parameter.numel() for name, parameter in network.named_parameters() if not name.startswith("upsampler"))
    assert mlp == 1_517_057
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_517_057 + 1_169_676 - 256 * 32 * 32


def test_it_draws_256_pixels():
    picture = DenseReference()()
    assert picture.shape == (3, 256, 256)
    assert torch.isfinite(picture).all()
