"""Who INFAMOUS-NeRF is trained on: studio people who show the same 20 named expressions to several cameras at once.

FaceScape's people show 20 expressions (section 4); here they are studio expressions of the same names. All people share
the table of their codes. The pictures of a *group* show one person with one expression in one light, so that what one
camera sees can be held against another's (Eq. 6).

``python -m training.infamous_people --out FOLDER --count 3072`` photographs them.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from training.studio.capture import (
    IDENTITY_STREAM,
    PICTURE_STREAM,
    CaptureOptions,
    StudioDataset,
    capture,
    read_options,
)
from training.studio.factors import StudioFactors, expression_code
from training.studio.sampling import sample_camera, sample_factors, sample_light

VIEWS: Final = 2
"""Pictures of a group."""
GROUPS: Final = 3
"""Groups of a person."""
GROUP_STREAM: Final = 3

NAMED: Final[dict[str, Mapping[str, float]]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.5, "mouthDimple": 0.3},
    "grin": {"mouthSmile": 0.9, "mouthUpperUp": 0.5, "mouthLowerDown": 0.4, "jawOpen": 0.1, "cheekSquint": 0.7},
    "mouth_stretch": {"jawOpen": 0.9, "mouthStretch": 0.4, "eyeWide": 0.3},
    "anger": {"browDown": 0.9, "noseSneer": 0.5, "mouthPress": 0.5, "eyeSquint": 0.4},
    "sadness": {"browInnerUp": 0.9, "mouthFrown": 0.8, "mouthShrugLower": 0.3},
    "brow_raiser": {"browInnerUp": 0.8, "browOuterUp": 0.9, "eyeWide": 0.5},
    "brow_lower": {"browDown": 1.0, "eyeSquint": 0.5},
    "eye_closed": {"eyeBlink": 1.0},
    "jaw_left": {"jawLeft": 0.9},
    "jaw_right": {"jawRight": 0.9},
    "jaw_forward": {"jawForward": 0.9, "mouthShrugLower": 0.3},
    "mouth_left": {"mouthLeft": 0.9},
    "mouth_right": {"mouthRight": 0.9},
    "dimpler": {"mouthDimple": 0.9, "mouthPress": 0.5},
    "chin_raiser": {"mouthShrugLower": 0.9, "mouthShrugUpper": 0.7},
    "lip_puckerer": {"mouthPucker": 0.9},
    "lip_funneler": {"mouthFunnel": 0.9, "jawOpen": 0.2},
    "lip_roll": {"mouthRollLower": 0.8, "mouthRollUpper": 0.8, "jawOpen": 0.1, "mouthClose": 0.1},
    "cheek_blowing": {"cheekPuff": 0.9, "mouthPress": 0.3},
}
"""FaceScape's 20 expressions as the studio shows them; movements without a side move on both."""


def expressions() -> NDArray[np.float32]:
    """The table (20, 64): the codes of the named expressions."""
    return np.stack([expression_code(**_both_sides(movements)) for movements in NAMED.values()])


def _both_sides(movements: Mapping[str, float]) -> dict[str, float]:
    return {
        name: weight
        for movement, weight in movements.items()
        for name in (movement, f"{movement}Left", f"{movement}Right")
        if name in EXPRESSION_COMPONENTS
    }


@dataclass(frozen=True)
class PeopleOptions(CaptureOptions):
    """What is photographed: of every person ``GROUPS`` groups of ``VIEWS`` pictures."""

    shots_per_identity: int = GROUPS * VIEWS

    def named(self, index: int) -> int:
        """Which of the named expressions picture ``index`` shows."""
        return int(self.generator(GROUP_STREAM, index // VIEWS).integers(len(NAMED)))

    def factors(self, index: int) -> StudioFactors:
        """What picture ``index`` is drawn from."""
        person = sample_factors(self.generator(IDENTITY_STREAM, index // self.shots_per_identity))
        group = self.generator(GROUP_STREAM, index // VIEWS)
        shown = NAMED[list(NAMED)[int(group.integers(len(NAMED)))]]
        return replace(
            person,
            expression=expression_code(**_both_sides(shown)),
            light=sample_light(group),
            camera=sample_camera(self.generator(PICTURE_STREAM, index)),
        )


def people_options(folder: Path) -> PeopleOptions:
    """Those that a folder's people were photographed with. Raises ``UserError`` where they are not noted."""
    return PeopleOptions(**asdict(read_options(folder)))


def main(
    out: Annotated[Path, typer.Option(help="the folder to fill")],
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    count: Annotated[int, typer.Option(help="pictures")] = 3072,
    size: Annotated[int, typer.Option(help="pixels along each side")] = 256,
    seed: Annotated[int, typer.Option(help="of people, groups and cameras")] = 6,
    held_out: Annotated[bool, typer.Option(help="people that training never sees")] = False,
    workers: Annotated[int, typer.Option(help="processes; 0 for this one alone")] = os.cpu_count() or 1,
) -> None:
    """Photograph them."""
    started = time.monotonic()
    try:
        for done in capture(StudioDataset(data, count, PeopleOptions(size, seed, held_out)), out, workers):
            print(f"{done} of {count} pictures, {time.monotonic() - started:.0f} s", flush=True)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    typer.run(main)
