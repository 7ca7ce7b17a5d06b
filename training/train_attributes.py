"""Trains the attribute encoder on the studio's truth, its first training, and writes its bundle.

``python -m training.train_attributes small --work FOLDER --pictures CAPTURED`` trains to the configured end, or goes on
where it stopped. Pictures are those that ``python -m training.studio.capture`` has taken over white, as many people as
there can be. ``python -m training.attributes_measures`` tells how good it is.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self

import torch
import typer
import yaml
from torch import Tensor, nn

from faceeditor.errors import UserError
from faceeditor.models.attributes import AttributeConfig, AttributeNetwork
from faceeditor.models.attributes_codes import SPACES
from faceeditor.models.bundle import find_bundles, load_model, read_bundle, write_bundle
from training.attributes_batches import Lesson, Lessons, Relight, placed
from training.attributes_losses import AttributeLoss, Weights
from training.attributes_shots import AttributeShots
from training.augment import Augment, AugmentConfig
from training.backgrounds import backgrounds
from training.loop import Loop, LoopConfig, Losses
from training.portrait_shots import side_for
from training.train_portrait import groups, take_over

NAME: Final = "attributes-studio"
"""The bundle that ships."""
CONFIGS: Final = Path(__file__).parent / "configs"
SIZES: Final = {"small": AttributeConfig, "paper": AttributeConfig.paper}
READER: Final = "portrait-studio"
"""The network that places crops."""
BODY: Final = "template-studio"
"""The head whose landmarks codes are told by."""


@dataclass(frozen=True)
class AttributeTraining:
    """One training: ``sizes`` of the network, one of :data:`SIZES`, and what ``model`` changes in them; weights of the
    same names and shapes are taken over from the bundle ``start``; ``batch`` pictures a step.
    """

    loop: LoopConfig
    sizes: str
    batch: int
    backgrounds: int
    start: str = ""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    relight: Relight = field(default_factory=Relight)
    weights: Weights = field(default_factory=Weights)
    model: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/attributes_NAME.yaml``."""
        facts = yaml.safe_load((CONFIGS / f"attributes_{name}.yaml").read_text())
        parts = {"loop": LoopConfig, "augment": AugmentConfig, "relight": Relight, "weights": Weights}
        return cls(**{key: parts[key](**value) if key in parts else value for key, value in facts.items()})

    @property
    def model_config(self) -> AttributeConfig:
        """The network's configuration."""
        return replace(SIZES[self.sizes](), **self.model)


def new_network(config: AttributeTraining, shots: AttributeShots) -> AttributeNetwork:
    """A network that says the mean of ``shots`` whatever it sees."""
    network = AttributeNetwork(config.model_config)
    if config.start:
        take_over(network, read_bundle(find_bundles()[config.start]).tensors)
    pose = placed(shots, *_by_default(shots))
    network.calibrate({head: shots.codes[space] for space, head in SPACES.items()} | pose)
    return network


def _by_default(shots: AttributeShots) -> tuple[Tensor, Tensor]:
    """Landmarks (N, 68, 2) of shots in their default placement, and how that turns (N, 2, 2)."""
    linear = shots.upright[:, :2, :2]
    landmarks = shots.landmarks @ linear.transpose(1, 2) + shots.upright[:, None, :2, 2]
    return landmarks, linear / torch.linalg.det(linear).sqrt()[:, None, None]


class Trainer:
    """The training of a network on ``shots``, in the folder ``work``."""

    def __init__(self, config: AttributeTraining, work: Path, shots: AttributeShots) -> None:
        torch.manual_seed(config.loop.seed)
        self.config, self.shots, self.template = config, shots, load_model(BODY)
        network = new_network(config, shots).channels_last()
        scales = {name: network.get_buffer(f"{name}_scale").clone() for name in SPACES.values()}
        self.loss = loss = AttributeLoss(config.weights, self.template, scales)

        def loss_of(model: nn.Module, lesson: Lesson, step: int) -> Losses:
            pictures = lesson.pictures.contiguous(memory_format=torch.channels_last)
            terms = loss(model(pictures), lesson)
            return {"total": terms.pop("total"), **{name: term.detach() for name, term in terms.items()}}

        self.loop = Loop(config.loop, work, network, loss_of, groups(network, config.loop))
        loss.to(self.loop.fabric.device)

    @property
    def network(self) -> AttributeNetwork:
        """The network to ship."""
        best = self.loop.best
        assert isinstance(best, AttributeNetwork)
        return best

    def lessons(self) -> Lessons:
        """What is trained on."""
        torch.manual_seed(self.config.loop.seed + 1000 * self.loop.fabric.global_rank + self.loop.step)
        pool = backgrounds(self.config.backgrounds, self.config.loop.seed)
        augment = Augment(self.config.model_config.size, pool, self.config.augment)
        return Lessons(self.shots, augment, self.template, self.config.relight)

    def train(self) -> None:
        """To the configured end."""
        self.loop.run(self.lessons().forever(self.config.batch))

    def export(self, facts: Mapping[str, Any], out: Path) -> None:
        """Writes the bundle."""
        loop = self.loop
        told = {"steps": loop.step, "batch": self.config.batch, "minutes": round(loop.seconds / 60, 1)}
        write_bundle(
            out,
            architecture="attributes",
            configuration=self.network.configuration(),
            training={**facts, **told, "date": time.strftime("%Y-%m-%d")},
            tensors=self.network.state_dict(),
        )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/attributes_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    pictures: Annotated[Path, typer.Option(help="folder of captured pictures")],
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models") / NAME,
    minutes: Annotated[float | None, typer.Option(help="end the training after so many minutes")] = None,
    count: Annotated[int | None, typer.Option(help="use no more pictures than these")] = None,
    export: Annotated[bool, typer.Option("--export", help="only write the bundle of the last checkpoint")] = False,
) -> None:
    """Train the attribute encoder."""
    try:
        config = AttributeTraining.read(name)
        if minutes is not None:
            config = replace(config, loop=replace(config.loop, minutes=minutes))
        side = side_for(config.model_config.size)
        shots = AttributeShots.load(pictures, side, load_model(READER).landmarks_3d, count)
    except UserError as error:
        raise SystemExit(str(error)) from None
    trainer = Trainer(config, work, shots)
    if not export:
        trainer.train()
    people = -(-len(shots) // shots.shots_per_identity)
    trainer.export({"data": f"{len(shots)} studio pictures of {people} people", "configuration": name}, out)


if __name__ == "__main__":
    typer.run(main)
