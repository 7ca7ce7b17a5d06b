"""Finishes a trained portrait network: averages it with the one it went on from, and learns what its landmarks say of
each other.

``python -m training.finish_portrait --bundle TRAINED --start BEFORE --shots FOLDER --out FOLDER`` writes the bundle.
Weights halfway between a network and one that went on from it are better than either (Wortsman et al., "Model soups",
2022). The last linear map of landmarks is solved for by ridge regression over shots and their mirror images, read over
random backgrounds.
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.landmarks import MIRROR
from faceeditor.models.bundle import read_bundle, write_bundle
from faceeditor.models.portrait import PortraitConfig, PortraitNetwork
from training.augment import Augment
from training.backgrounds import backgrounds
from training.evaluate_portrait import SETTINGS
from training.portrait_shots import Shots
from training.train_portrait import NAME, take_over

Floats = NDArray[np.float64]

SHARE: Final = 0.5
"""Of the later network in the mean."""
RIDGE: Final = 1000.0
"""Shots' worth of doubt in the map."""
KEPT: Final = 0.97
"""Share of the shots, those with the smaller errors, that the map is told by."""
BATCH: Final = 50
SEEDS: Final = (11, 98)
"""Of the pictures and of their backgrounds; those of ``training.evaluate_portrait`` are others."""


def mean_network(before: Path, after: Path) -> PortraitNetwork:
    """The network whose weights lie between those of two bundles of one configuration."""
    first, second = read_bundle(before), read_bundle(after)
    facts = dict(second.configuration)
    network = PortraitNetwork(PortraitConfig(**{**facts, "widths": tuple(facts["widths"])}))
    mean = {
        name: torch.lerp(first.tensors[name].float(), value.float(), SHARE) for name, value in second.tensors.items()
    }
    take_over(network, mean)
    return network.channels_last().eval()


def readings(network: PortraitNetwork, shots: Shots) -> tuple[Floats, Floats]:
    """Landmarks as ``network`` reads them without its last map, and as they are, both (N, 68, 2) fractions."""
    torch.manual_seed(SEEDS[0])
    augment = Augment(2 * network.config.size, backgrounds(200, SEEDS[1]), SETTINGS["backgrounds"])
    torch.nn.init.zeros_(network.likely.weight)
    torch.nn.init.zeros_(network.likely.bias)
    read, true = [], []
    for chosen in torch.split(torch.arange(len(shots)), BATCH):
        pictures = torch.from_numpy(shots.pictures[chosen.numpy()]).permute(0, 3, 1, 2)
        sample = augment(pictures, shots.landmarks[chosen], shots.upright[chosen])
        crops = (sample.pictures * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
        read.append(network.read(crops).landmarks / crops.shape[1])
        true.append(sample.landmarks.double().numpy())
    return np.concatenate(read), np.concatenate(true)


def likely(read: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Weight (136, 136) and bias (136,) of the linear map from where landmarks were ``read``, less a half, to how far
    the ``true`` ones (both (N, 68, 2), fractions) lie from there. All components of faces count alike in the ridge.
    """
    seen, meant = (
        np.concatenate([one, one[:, MIRROR] * [-1, 1] + [1, 0]]).reshape(len(one) * 2, -1) for one in (read, true)
    )
    off = meant - seen
    size = np.sqrt((off**2).mean(1))
    usual = size <= np.quantile(size, KEPT)
    seen, off = seen[usual] - 0.5, off[usual]
    middle, mean = seen.mean(0), off.mean(0)
    variances, axes = np.linalg.eigh(np.cov((seen - middle).T))
    axes = axes / np.sqrt(np.maximum(variances, 1e-12))
    parts = (seen - middle) @ axes
    weight = axes @ np.linalg.solve(parts.T @ parts + RIDGE * np.eye(parts.shape[1]), parts.T @ (off - mean))
    return weight.T, mean - middle @ weight


def finish(network: PortraitNetwork, read: Floats, true: Floats) -> None:
    """Sets the last map of ``network``."""
    weight, bias = likely(read, true)
    with torch.no_grad():
        network.likely.weight.copy_(torch.from_numpy(weight))
        network.likely.bias.copy_(torch.from_numpy(bias))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="the trained bundle")
    parser.add_argument("--start", type=Path, required=True, help="the bundle that its training went on from")
    parser.add_argument("--shots", type=Path, required=True, help="folder of shots, none of them held out")
    parser.add_argument("--count", type=int, default=4000, help="shots that the last map is learnt on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the bundle")
    given = parser.parse_args()
    network = mean_network(given.start, given.bundle)
    finish(network, *readings(network, Shots.load(given.shots).first(given.count)))
    training = {**read_bundle(given.bundle).training, "averaged": SHARE, "shots_of_last_map": given.count}
    write_bundle(
        given.out / NAME,
        architecture="portrait",
        configuration=network.configuration(),
        training=training,
        tensors=network.state_dict(),
    )


if __name__ == "__main__":
    main()
