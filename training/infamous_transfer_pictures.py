"""Draws expressions given from person to person: ``python -m training.infamous_transfer_pictures --learned FOLDER``.

A row is a pair of held-out people: the studio's picture of the giver, the fit of the taker at rest, and the same with
the giver's expression, as infamous-studio has it, as shared codes learned it (aligned), as everyone's own did (naive),
and as it is in truth.
"""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from faceeditor.faces.face import Face
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import RadianceModel
from training.evaluate_infamous import beginnings, load_variant, trials
from training.infamous_expressions import Movements, read_variants
from training.infamous_transfer import Giving, Held, fits, givings
from training.read_movements import AT_REST
from training.studio.factors import StudioFactors
from training.studio.renderer import Studio

SIZE: Final = 256
HEAD: Final = (slice(24, 200), slice(40, 216))
"""Rows and columns of what is shown."""
COLUMNS: Final = ("shipped", "aligned", "naive")


def row(studio: Studio, model: RadianceModel, gives: dict[str, Giving], giver: Held, taker: Held) -> NDArray[np.uint8]:
    """The pictures of one pair, side by side."""
    worn = [np.asarray(AT_REST), *(gives[name](giver, taker) for name in COLUMNS)]
    faces = [taker.fit(expression) for expression in worn]
    drawn = [model.render(one.codes, one.camera, SIZE, refinement=one.refinement or None).over() for one in faces]
    expression = giver.factors.expression
    true = [_true(studio, one) for one in (giver.truth(expression), taker.truth(expression))]
    return np.concatenate([one[HEAD] for one in (true[0], *drawn, true[1])], axis=1)


def _true(studio: Studio, face: Face) -> NDArray[np.uint8]:
    return studio.shoot(StudioFactors.from_codes(face.codes, face.camera), SIZE, truth=False).picture_srgb


def main(
    learned: Annotated[Path, typer.Option(help="folder that training.infamous_expressions has filled")],
    out: Annotated[Path, typer.Option(help="the picture that is written")] = Path("docs/infamous_expressions.jpg"),
    model: Annotated[str, typer.Option(help="name or folder of the bundle")] = "infamous-studio",
    start: Annotated[str, typer.Option(help="the bundle whose fits its fits begin with")] = "guided-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    pairs: Annotated[list[str] | None, typer.Option(help="giver,taker by number; may be repeated")] = None,
    starts_in: Annotated[Path | None, typer.Option(help="a folder that keeps the fits that all begin with")] = None,
) -> None:
    """Fit, give and draw."""
    chosen = [tuple(map(int, pair.split(","))) for pair in pairs or ["0,2", "3,7", "2,6"]]
    studio, network = Studio.open(data), load_variant(model)
    several = list(trials(studio, 1 + max(map(max, chosen))))
    starts = beginnings(several, load_model(start), starts_in)
    used = sorted({number for pair in chosen for number in pair})
    people = dict(zip(used, fits([several[one] for one in used], [starts[one] for one in used], network), strict=True))
    gives = givings(read_variants(learned, network.config), network, Movements.of(network.proxy.template))
    rows = [row(studio, network, gives, people[giver], people[taker]) for giver, taker in chosen]
    Image.fromarray(np.concatenate(rows)).save(out, quality=88)


if __name__ == "__main__":
    typer.run(main)
