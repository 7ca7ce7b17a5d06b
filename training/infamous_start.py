"""What INFAMOUS-NeRF may know before it sees pictures: the colours that the real-time head has on the template.

A step of pictures teaches a few thousand samples, in a light that must be told from colours. The guided head's textures
tell any number of colours of any person, exactly. F_A learns them at random points, with the weights that the
hypernetwork makes for each person; density is known beforehand. Pictures then teach what textures do not tell.

``python -m training.infamous_start small --work FOLDER --people CAPTURED`` writes a bundle to begin training with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, HAIR, HAIR_COLOUR, HAIR_STYLES, SKIN
from faceeditor.models.appearance import BROUGHT_BACK, sample
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.guided import GuidedHead
from faceeditor.models.infamous import Infamous
from faceeditor.models.infamous_guide import CARDS
from faceeditor.models.infamous_layers import FaceColour, waves
from faceeditor.rendering.colour import linear_to_srgb_torch
from training.datasets import CapturedPictures
from training.infamous_config import InfamousTraining
from training.loop import Loop, Losses
from training.train_infamous import SHEET_OF, Trainer

PARTS: Final = {
    "skin": 1.0, "eyeLeft": 1.0, "eyeRight": 1.0, "mouth": 0.3, "teethUpper": 0.3, "teethLower": 0.3, "gums": 0.1,
    "tongue": 0.3, "eyesocketLeft": 0.1, "eyesocketRight": 0.1, "lashesLeft": 0.5, "lashesRight": 0.5,
}  # fmt: skip
"""How often points lie on a triangle of a part. Triangles are small where there is most to see."""
POINTS: Final = 1024
"""Of each person, in a step."""
ON_HAIR: Final = 0.25
"""Share of the points that lie on hair."""
GATHERED: Final = 16
"""People a step."""


@dataclass(frozen=True, eq=False)
class Coloured:
    """Points of one person: ``place`` (N, 3) as the field is asked, ``colour`` (N, 3) linear, under white light."""

    place: Tensor
    colour: Tensor


class Surfaces:
    """What the ``guided`` head knows of the surfaces of captured people."""

    def __init__(self, pictures: CapturedPictures, guided: GuidedHead, unit: float) -> None:
        self.guided, self.unit = guided, unit
        shots = pictures.shots_per_identity
        self.codes = [pictures.picture(number).codes for number in range(0, len(pictures), shots)]
        self.looks = [self._look(codes) for codes in self.codes]
        template = guided.proxy.template
        weights = torch.zeros(len(template.faces))
        for part, weight in PARTS.items():
            weights[slice(*template.parts[part])] = weight
        self.weights = weights

    def __len__(self) -> int:
        return len(self.codes)

    @torch.no_grad()
    def _look(self, codes: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Albedo (1, 3, A, A), in 16 bits, and the openness (R,) of the head's vertices."""
        appearance = self.guided.appearance
        look = appearance.look(codes[SKIN], codes[HAIR])
        still = torch.zeros_like(codes[EXPRESSION])
        return look.head[:, :3].half(), appearance.openness(still, codes[HAIR], restyled=False)

    @torch.no_grad()
    def points(self, person: int, count: int) -> Coloured:
        """Random points of a person, on hair and on the head."""
        style = self.codes[person][HAIR][HAIR_STYLES]
        on_hair = int(ON_HAIR * count) if style.sum() > 0.5 else 0
        head = self._on_head(person, count - on_hair)
        if not on_hair:
            return head
        hair = self._on_hair(person, int(style.argmax()), on_hair)
        return Coloured(torch.cat([head.place, hair.place]), torch.cat([head.colour, hair.colour]))

    def _on_head(self, person: int, count: int) -> Coloured:
        template = self.guided.proxy.template
        face = torch.multinomial(self.weights, count, replacement=True)
        rows, weight = template.faces[face], _anywhere(count)
        albedo, openness = self.looks[person]
        texel = sample(albedo.float(), _mixed(weight, template.uv[rows]))
        lash = (face >= template.cards_from)[:, None]
        place = _mixed(weight, template.mean[template.render_vertex[rows]]) + lash * torch.tensor(CARDS)
        lit = _reflected(texel, _mixed(weight, openness[rows][..., None]))
        return Coloured(place / self.unit, torch.where(lash, self.guided.appearance.lash_colour, lit))

    def _on_hair(self, person: int, style: int, count: int) -> Coloured:
        proxy, appearance = self.guided.proxy, self.guided.appearance
        at = list(proxy.template.styles.values())[style].vertices
        faces = proxy.template.hair_style_faces(style)
        rows, weight = faces[torch.randint(len(faces), (count,))], _anywhere(count)
        uv = proxy.sheet.place(1 + style, _mixed(weight, proxy.template.hair_uv[at][rows]))
        luminance = sample(appearance.cards[:, 1:2], uv).clamp_min(0)
        open_ = _mixed(weight, appearance.strand_openness[at][rows][..., None])
        place = _mixed(weight, proxy.template.hair_rest[at][rows]) + torch.tensor(CARDS)
        return Coloured(place / self.unit, _reflected(luminance * self.codes[person][HAIR][HAIR_COLOUR], open_))


def _anywhere(count: int) -> Tensor:
    """Barycentric weights (count, 3) of points that are as likely anywhere on their triangles."""
    first, second = torch.rand(2, count)
    root = first.sqrt()
    return torch.stack([1 - root, root * (1 - second), root * second], dim=-1)


def _mixed(weight: Tensor, corners: Tensor) -> Tensor:
    """What corners (N, 3, C) have at points with ``weight`` (N, 3)."""
    return (weight[:, None] @ corners)[:, 0]


def _reflected(albedo: Tensor, openness: Tensor) -> Tensor:
    """What comes back of white light from folds that are more or less open, as in the guided head."""
    return albedo * openness / (1 - BROUGHT_BACK * albedo.clamp(0, 1) * (1 - openness))


class SurfaceStep(nn.Module):
    """What the surfaces of some people teach."""

    def __init__(self, model: Infamous, surfaces: Surfaces, points: int = POINTS) -> None:
        super().__init__()
        self.model, self.surfaces, self.count = model, surfaces, points

    def forward(self, people: Tensor) -> Losses:
        """The mean difference of sRGB colours, of people with numbers (people,)."""
        numbers = people.tolist()
        points = [self.surfaces.points(person, self.count) for person in numbers]
        codes = [self.surfaces.codes[person] for person in numbers]
        own = self.model.from_studio({name: torch.stack([one[name] for one in codes]) for name in codes[0]})
        weights = {name: self.model.hyper[name](own.theta) for name in self.model.config.appearance_layers()}
        place = torch.stack([one.place for one in points])
        towards = functional.normalize(torch.randn_like(place), dim=-1)
        said = FaceColour.of(weights, own.alpha)(waves(place), waves(towards))
        true = linear_to_srgb_torch(torch.stack([one.colour for one in points]).clamp(0, 1))
        return {"total": (said - true).abs().mean()}


def batches(people: int, size: int, seed: int) -> Iterator[Tensor]:
    """Endless batches of people's numbers."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(people, generator=generator)
        yield from order[: len(order) // size * size].view(-1, size)


class Taught(Trainer):
    """A model that is taught the colours of surfaces."""

    def train(self, folder: Path) -> None:
        """On the people of a folder."""
        guided = load_model(SHEET_OF)
        assert isinstance(guided, GuidedHead)
        surfaces = Surfaces(CapturedPictures.of(folder), guided, self.model.config.unit)
        step = SurfaceStep(self.model, surfaces)
        loop = Loop(self.config.loop, self.work, step, lambda network, people, number: network(people))
        loop.run(batches(len(surfaces), min(GATHERED, len(surfaces)), self.config.loop.seed))
        best = loop.best
        assert isinstance(best, SurfaceStep)
        self.model.load_state_dict({name: value.detach().clone() for name, value in best.model.state_dict().items()})
        self.steps, self.minutes = loop.step, loop.seconds / 60


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/infamous_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    people: Annotated[Path, typer.Option(help="folder of the people's pictures")],
    out: Annotated[Path, typer.Option(help="where the bundle is written")],
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle")] = None,
    minutes: Annotated[float, typer.Option(help="end after so many minutes")] = 20.0,
    steps: Annotated[int | None, typer.Option(help="end after so many steps, however long they take")] = None,
) -> None:
    """Teach the colours of surfaces."""
    try:
        trainer = Taught(InfamousTraining.read(name).ending(steps, minutes), work)
        if start is not None:
            trainer.begin_with(read_bundle(start))
        trainer.train(people)
    except UserError as error:
        raise SystemExit(str(error)) from None
    trainer.export({"data": "textures of studio people", "configuration": name}, out)


if __name__ == "__main__":
    typer.run(main)
