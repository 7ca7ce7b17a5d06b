"""Trains INFAMOUS-NeRF's first stage on studio people and writes its bundle.

``python -m training.train_infamous small --work FOLDER --people CAPTURED`` trains to the configured end, or goes on
where it stopped. The people are those that ``python -m training.infamous_people`` has photographed.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from faceeditor.errors import UserError
from faceeditor.models.bundle import Bundle, load_model, read_bundle, write_bundle
from faceeditor.models.guided import GuidedHead
from faceeditor.models.infamous import Infamous
from faceeditor.models.infamous_guide import Samples
from faceeditor.models.memo import Memo
from faceeditor.models.proxy import Geometry, Proxy
from training.datasets import CapturedPictures, Pictured
from training.guided_spaces import make_spaces
from training.infamous_config import InfamousTraining
from training.infamous_losses import dssim, gradient, recon
from training.infamous_people import VIEWS
from training.infamous_sampling import LossMaps, corners
from training.infamous_views import Drawn, View
from training.loop import Loop, Losses
from training.studio.capture import SHARD

SHEET_OF: Final = "guided-studio"
"""The bundle whose sheet of cards tells how opaque hair is."""
Ids = NDArray[np.int16]


def new_model(config: InfamousTraining) -> Infamous:
    """An untrained model that knows the cards' opacities."""
    sizes = config.model_config
    model = Infamous(sizes, Proxy(load_model(sizes.template), sizes.sheet))
    guided = load_model(SHEET_OF)
    assert isinstance(guided, GuidedHead)
    if guided.config.appearance.sheet != sizes.sheet:
        raise UserError(f"The cards of {SHEET_OF} lie on another kind of sheet; train it again.")
    model.opacity.copy_((guided.appearance.cards[0, 0].clamp(0, 1) * 255).round())
    model.show_opacity()
    return model


class People:
    """Captured people in groups. What rays meet of them is found once for each picture and kept beside the pictures."""

    def __init__(self, folder: Path, model: Infamous) -> None:
        self.pictures, self.model = CapturedPictures.of(folder), model
        self._geometries: Memo[Geometry] = Memo(self.groups)
        side = self.pictures.shards[0]["coverage"].shape[-1]
        shape = (len(self.pictures), 1 + model.config.shell_layers, side, side)
        path = folder / "met.npy"
        self._met = np.lib.format.open_memmap(
            path, mode="r+" if path.exists() else "w+", dtype=np.int16, shape=None if path.exists() else shape
        )
        if self._met.shape != shape:
            raise UserError(f"{path} belongs to other pictures; remove it.")

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.pictures) // VIEWS

    def batches(self, size: int, seed: int) -> Iterator[Tensor]:
        """Endless batches of group numbers (size,), every group once before any again."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(self.groups, generator=generator)
            yield from order[: len(order) // size * size].view(-1, size)

    @torch.no_grad()
    def geometry(self, group: int) -> Geometry:
        """The template as a group shows it."""
        codes = self.pictures.picture(group * VIEWS).codes
        return self._geometries.get(group, lambda: self.model.proxy.of_face(codes, {}))

    def ids(self, pictured: Pictured) -> Ids:
        """The triangles (layers, S, S) that the rays of a picture meet, as a rasteriser tells them."""
        kept: Ids = self._met[pictured.number]
        if (kept == 0).all():
            config = self.model.config
            geometry = self.geometry(pictured.number // VIEWS)
            size, layers = pictured.alpha.shape[-1], 1 + config.shell_layers
            kept[:] = self.model.proxy.visible(geometry, pictured.camera, size, layers, config.bust)
        return kept

    def landmarks(self, number: int) -> Tensor:
        """The 68 landmarks (68, 2) of a picture, pixels."""
        return torch.from_numpy(self.pictures.shards[number // SHARD]["landmarks"][number % SHARD])


class PeopleStep(nn.Module):
    """What a batch of groups teaches."""

    def __init__(self, model: Infamous, config: InfamousTraining, people: People) -> None:
        super().__init__()
        self.model, self.config, self.people = model, config, people
        self.maps = LossMaps(len(people.pictures), config.sampling)

    def forward(self, groups: Tensor) -> Losses:
        """Eq. 15 with its terms, of groups with the numbers (groups,)."""
        views = [[self._view(group * VIEWS + number) for number in range(VIEWS)] for group in groups.tolist()]
        pairs = self._drawn(views)
        drawn = [one for pair in pairs for one in pair]
        self._remember(drawn)
        true = torch.cat([one.view.true(one.view.pictured.srgb) for one in drawn])
        outline = torch.cat([one.view.true(one.view.pictured.alpha[None]) for one in drawn])[:, 0]
        patches = [one.view.replaced(one.srgb) for one in drawn]
        both = torch.cat([pair[0] for pair in patches]), torch.cat([pair[1] for pair in patches])
        terms = {
            "recon": recon(torch.cat([one.srgb for one in drawn]), true),
            "dssim": dssim(*both),
            "gradient": gradient(*both),
            "outline": (torch.cat([one.seen.alpha for one in drawn]) - outline).abs().mean(),
        }
        weights = asdict(self.config.weights)
        if weights["sur"]:
            terms["sur"] = surface(pairs)
        return {"total": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def _view(self, number: int) -> View:
        pictured, people, sampling = self.people.pictures.picture(number), self.people, self.config.sampling
        ids = people.ids(pictured)
        where = corners(sampling, ids.shape[-1], people.landmarks(number), self.maps, number)
        return View(pictured, people.geometry(number // VIEWS), ids, where, sampling.side)

    def _drawn(self, views: list[list[View]]) -> list[list[Drawn]]:
        codes = {
            name: torch.stack([group[0].pictured.codes[name] for group in views]) for name in views[0][0].pictured.codes
        }
        face = self.model.face(self.model.from_studio(codes))
        samples = [[view.samples(self.model) for view in group] for group in views]
        colour, depth = self.model.field(face, Samples.stacked([Samples.joined(group) for group in samples]))
        return [
            _views_of(group, parts, colour[number], depth[number])
            for number, (group, parts) in enumerate(zip(views, samples, strict=True))
        ]

    def _remember(self, drawn: list[Drawn]) -> None:
        if not self.config.sampling.adaptive:
            return
        for one in drawn:
            off = (one.srgb.detach() - one.view.true(one.view.pictured.srgb)).abs().mean(-1)
            self.maps.visit(one.view.pictured.number, one.view.pixels, off, one.view.size)


def _views_of(views: list[View], samples: list[Samples], colour: Tensor, depth: Tensor) -> list[Drawn]:
    """The drawn views of a group, of colours (N, 3) and optical depths (N,) of all their samples and what fills up."""
    counts = [len(part.depth) for part in samples]
    colours, depths = (torch.split(values[: sum(counts)], counts) for values in (colour, depth))
    return [Drawn.of(*parts) for parts in zip(views, samples, colours, depths, strict=True)]


def surface(pairs: list[list[Drawn]]) -> Tensor:
    """L_sur (Eq. 13) of pairs of views, for each sampled ray and colour."""
    terms = [
        part.sum()
        for first, second in pairs
        for one, other in ((first, second), (second, first))
        for part in one.surface(other.view)
    ]
    count = sum(len(one.view.pixels) for pair in pairs for one in pair)
    return torch.stack(terms).sum() / (3 * count)


def parameter_groups(step: PeopleStep, config: InfamousTraining) -> list[dict[str, Any]]:
    """Parameters by their learning rates: a density that is all but known learns slowly, for once a ray is clear
    nothing brings it back.
    """
    slow = [
        parameter
        for name in step.model.config.shape_layers()
        for parameter in step.model.hyper[name].parameters()
        if step.model.config.known
    ]
    others = [parameter for parameter in step.parameters() if all(parameter is not one for one in slow)]
    rate = config.loop.learning_rate
    return [{"params": others, "lr": rate}, *([{"params": slow, "lr": rate * config.density_rate}] if slow else [])]


class Trainer:
    """The training of a model, in the folder ``work``."""

    def __init__(self, config: InfamousTraining, work: Path) -> None:
        torch.manual_seed(config.loop.seed)
        self.config, self.work = config, work
        self.model = new_model(config)
        self.steps, self.minutes = 0, 0.0

    def train(self, folder: Path) -> None:
        """Eq. 15, on the people of a folder."""
        people = People(folder, self.model)
        step = PeopleStep(self.model, self.config, people)
        groups = parameter_groups(step, self.config)
        loop = Loop(self.config.loop, self.work, step, lambda network, batch, number: network(batch), groups)
        loop.run(people.batches(self.config.groups, self.config.loop.seed))
        best = loop.best
        assert isinstance(best, PeopleStep)
        self.model.load_state_dict({name: value.detach().clone() for name, value in best.model.state_dict().items()})
        self.steps, self.minutes = loop.step, loop.seconds / 60

    def begin_with(self, bundle: Bundle) -> None:
        """Takes the weights of a bundle of the same sizes. Raises ``UserError`` where they do not fit."""
        self.model.load_state_dict(Infamous.from_bundle(bundle, torch.device("cpu")).state_dict())

    def export(self, facts: Mapping[str, Any], out: Path) -> None:
        """Writes the bundle."""
        told = {"steps": self.steps, "minutes": round(self.minutes, 1), "date": time.strftime("%Y-%m-%d")}
        write_bundle(
            out,
            architecture="infamous",
            configuration=self.model.config.to_json(),
            training={**facts, **told},
            tensors=dict(self.model.state_dict()),
            spaces=make_spaces(load_model(self.model.config.template), self.config.loop.seed),
        )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/infamous_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    people: Annotated[Path, typer.Option(help="folder of the people's pictures")],
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/infamous-studio"),
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle")] = None,
    minutes: Annotated[float | None, typer.Option(help="end the training after so many minutes")] = None,
    steps: Annotated[int | None, typer.Option(help="end it after so many steps, however long they take")] = None,
) -> None:
    """Train INFAMOUS-NeRF."""
    try:
        trainer = Trainer(InfamousTraining.read(name).ending(steps, minutes), work)
        if start is not None:
            trainer.begin_with(read_bundle(start))
        trainer.train(people)
    except UserError as error:
        raise SystemExit(str(error)) from None
    trainer.export({"data": "studio people", "configuration": name}, out)


if __name__ == "__main__":
    typer.run(main)
