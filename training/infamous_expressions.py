"""What expression codes say to whom (section 4): shared by everybody, or the "naive" way, of everyone's own.

The template moves a shipped head, so that a code means one movement from the start. Here it must be learned. H(θ) makes
the part of F_S that hears expressions (MS, MB and E of Table 9) for each person, and the last layer says how far the
template's movements go, instead of what fills space. Both variants see the same people for the same steps, each in the
few expressions that their pictures show; the template stands for FaceScape's registered meshes. Only the table of codes
differs: 20 x 64, or persons x 20 x 64.

``python -m training.infamous_expressions --people CAPTURED --out FOLDER`` learns both and writes what they learned.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.layout import DIMS, EXPRESSION
from faceeditor.models.bundle import load_model
from faceeditor.models.infamous import FaceCodes, Infamous
from faceeditor.models.infamous_config import InfamousConfig
from faceeditor.models.infamous_hyper import Hypernetwork
from faceeditor.models.infamous_layers import expressed, heard
from faceeditor.models.template import Template
from training.datasets import CapturedPictures
from training.infamous_config import InfamousTraining
from training.infamous_people import NAMED, VIEWS, people_options
from training.loop import Loop, Losses

VARIANTS: Final = {"aligned": False, "naive": True}
"""Name -> whether people have codes of their own."""
APART: Final = 0.3
"""Standard deviation of codes at first."""
POINTS: Final = 2000
"""About how many vertices of the template tell a movement, besides its landmarks."""
HEARD: Final = ("E_1", "E_2", "E_3")
MILLIMETRES: Final = 1000.0


class Heard(nn.Module):
    """What a person's own network makes of expression codes, for networks of a model's ``config``; ``tables`` of codes,
    one for everybody or one for each person.
    """

    def __init__(self, config: InfamousConfig, tables: int) -> None:
        super().__init__()
        sizes = {name: ends for name, ends in config.shape_layers().items() if name[:2] in ("MB", "MS")}
        width = config.shape
        sizes |= dict(zip(HEARD, ((config.epsilon, width), (width, width), (width, DIMS[EXPRESSION])), strict=True))
        self.hyper = Hypernetwork(config.theta, config.hidden, sizes)
        self.table = nn.Parameter(torch.randn(tables, len(NAMED), config.epsilon) * APART)

    @classmethod
    def read(cls, path: Path, config: InfamousConfig) -> Self:
        """One that was written, for a model of ``config``. Raises ``UserError`` where there is none."""
        if not path.is_file():
            raise UserError(f"There is no {path}; python -m training.infamous_expressions writes it.")
        stored = load_file(path)
        found = cls(config, len(stored["table"]))
        found.load_state_dict(stored)
        return found.eval().requires_grad_(False)

    def codes(self, persons: Tensor, named: Tensor) -> Tensor:
        """ε (N, epsilon) of some ``persons`` (N,) with expressions ``named`` (N,), both by number."""
        return self.table[persons if len(self.table) > 1 else torch.zeros_like(persons), named]

    def forward(self, theta: Tensor, beta: Tensor, epsilon: Tensor) -> Tensor:
        """The template's expressions (N, 64) that codes (N, dims) say to people with θ and β (N, dims)."""
        weights = self.hyper(theta)
        first, second, third = (weights[name] for name in HEARD)
        said = expressed(weights, beta, epsilon)[:, None]
        moved: Tensor = third(heard(second, heard(first, said)))[:, 0]
        return moved


def read_variants(folder: Path, config: InfamousConfig) -> dict[str, Heard]:
    """All that :func:`main` has written to a folder, by name. Raises ``UserError`` where one is missing."""
    return {name: Heard.read(folder / f"{name}.safetensors", config) for name in VARIANTS}


@dataclass(frozen=True, eq=False)
class Movements:
    """How the template's points move: ``landmarks`` (64, 68, 3) and ``points`` (64, P, 3), metres, of the components of
    an expression.
    """

    landmarks: Tensor
    points: Tensor

    @classmethod
    def of(cls, template: Template) -> Self:
        """Those of a template."""
        basis = functional.pad(
            template.expression_basis, (0, 0) * 2 + (0, DIMS[EXPRESSION] - len(template.expression_basis))
        )
        return cls(basis[:, template.landmark_vertices], basis[:, :: len(template.mean) // POINTS])

    def distance(self, said: Tensor, true: Tensor) -> Tensor:
        """Millimetres (N,) between landmarks of faces with expressions (N, 64), on average."""
        return self._apart(said - true, self.landmarks)

    def loss(self, said: Tensor, true: Tensor) -> Tensor:
        """Millimetres between points of faces with expressions (N, 64), landmarks and others."""
        return (self._apart(said - true, self.landmarks) + self._apart(said - true, self.points)).mean()

    @staticmethod
    def _apart(off: Tensor, basis: Tensor) -> Tensor:
        moved = (off @ basis.flatten(1)).view(len(off), -1, 3) * MILLIMETRES
        return (moved.square().sum(-1) + 1e-6).sqrt().mean(-1)


@dataclass(frozen=True, eq=False)
class Shown:
    """Which expressions people showed to the cameras: numbers ``person`` and ``named`` (N,), the person's ``theta`` and
    ``beta``, and the template's ``expression`` (N, dims).
    """

    person: Tensor
    named: Tensor
    theta: Tensor
    beta: Tensor
    expression: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, folder: Path, model: Infamous) -> Self:
        """The people of a folder, as ``model`` knows them."""
        pictures, options = CapturedPictures.of(folder), people_options(folder)
        first = range(0, len(pictures), VIEWS)
        codes = [pictures.picture(number).codes for number in first]
        own: FaceCodes = model.from_studio({name: torch.stack([one[name] for one in codes]) for name in codes[0]})
        return cls(
            person=torch.tensor([number // pictures.shots_per_identity for number in first]),
            named=torch.tensor([options.named(number) for number in first]),
            theta=own.theta,
            beta=own.beta,
            expression=torch.stack([one[EXPRESSION] for one in codes]),
        )

    def said(self, heard_by: Heard, rows: Tensor) -> Tensor:
        """What the codes of some ``rows`` say."""
        found: Tensor = heard_by(self.theta[rows], self.beta[rows], heard_by.codes(self.person[rows], self.named[rows]))
        return found


class Lesson(nn.Module):
    """What the expressions ``shown`` teach."""

    def __init__(self, heard_by: Heard, shown: Shown, moved: Movements) -> None:
        super().__init__()
        self.heard_by, self.shown, self.moved = heard_by, shown, moved

    def forward(self, rows: Tensor) -> Losses:
        """Of some ``rows``."""
        return {"total": self.moved.loss(self.shown.said(self.heard_by, rows), self.shown.expression[rows])}


def learn(variant: Heard, shown: Shown, moved: Movements, config: InfamousTraining, work: Path) -> Heard:
    """What ``variant`` has become after the training that ``config`` says, with checkpoint and logs in ``work``."""
    lesson = Lesson(variant, shown, moved)
    loop = Loop(config.loop, work, lesson, lambda network, rows, number: network(rows))
    generator = torch.Generator().manual_seed(config.loop.seed)
    loop.run(iter(lambda: torch.randint(len(shown.person), (config.groups,), generator=generator), None))
    best = loop.best
    assert isinstance(best, Lesson)
    return best.heard_by


def main(
    people: Annotated[Path, typer.Option(help="folder of the people's pictures")],
    out: Annotated[Path, typer.Option(help="the folder to fill")],
    model: Annotated[str, typer.Option(help="the bundle whose θ and β are people's")] = "infamous-studio",
) -> None:
    """Learn what expression codes say, shared ones and everyone's own."""
    try:
        network, config = load_model(model), InfamousTraining.read("expressions")
        assert isinstance(network, Infamous)
        shown, moved = Shown.of(people, network), Movements.of(network.proxy.template)
    except UserError as error:
        raise SystemExit(str(error)) from None
    for name, own in VARIANTS.items():
        torch.manual_seed(config.loop.seed)
        tables = int(shown.person.max()) + 1 if own else 1
        found = learn(Heard(network.config, tables), shown, moved, config, out / name)
        with torch.no_grad():
            every = torch.arange(len(shown.person))
            off = moved.distance(shown.said(found, every), shown.expression)
        print(f"{name}: landmarks of the people of the training {off.mean():.2f} mm off", flush=True)
        save_file(
            {key: value.detach().clone() for key, value in found.state_dict().items()}, out / f"{name}.safetensors"
        )


if __name__ == "__main__":
    typer.run(main)
