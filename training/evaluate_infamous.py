"""INFAMOUS-NeRF's tables: held-out people fitted in one picture and seen from another place (Tables 1, 3, 4 and 7).

As in the paper the camera is known. The fit begins where the real-time head's own fit ends, which is the same start for
all variants, and then moves θ, α and β by latent optimisation with everything else frozen (section 3.2).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import DIMS
from faceeditor.files.atomic import atomic_write
from faceeditor.fitting.alignment import upright, warp
from faceeditor.fitting.descent import Descent
from faceeditor.fitting.easel import Codes, Gains
from faceeditor.fitting.own_codes import own_codes
from faceeditor.fitting.photo import fit_photo
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.target import Target
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.attributes_codes import SHAPE
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.contract import FittableModel, OwnCodesModel, do_nothing
from faceeditor.models.infamous import Infamous
from faceeditor.models.portrait import STYLES
from faceeditor.models.proxy import MOVING
from faceeditor.models.template import Template
from training.evaluate import compare, picture
from training.infamous_people import GROUPS, VIEWS, PeopleOptions
from training.studio.capture import read_shard
from training.studio.renderer import Studio
from training.studio.shot import Label, Shot

SIZE: Final = 256
OWN: Final = (128, 40)
"""Picture size and number of steps of the latent optimisation."""
FREE: Final = 4.0
"""How far codes may lie: nothing holds them back in the paper either, and what they can say is what is measured."""

PAPER: Final[Mapping[str, Mapping[str, float]]] = {
    "proposed": {"fit_psnr": 21.00, "fit_ssim": 0.9039, "view_psnr": 18.73, "view_ssim": 0.8600},
    "without_sur": {"fit_psnr": 20.77, "fit_ssim": 0.9016, "view_psnr": 18.53, "view_ssim": 0.8567},
    "without_adaptive": {"fit_psnr": 20.95, "fit_ssim": 0.9034, "view_psnr": 18.57, "view_ssim": 0.8579},
    "without_hypernetwork": {"fit_psnr": 20.05, "fit_ssim": 0.8863, "view_psnr": 18.32, "view_ssim": 0.8523},
    "table_3": {"fit_identity": 0.4452, "view_identity": 0.3592},
}
"""What Table 4 (stage 1) and Table 3 say, on FaceScape; the paper's cosines are AdaFace's."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A held-out person: the picture that is fitted, and another ``view`` of the same moment."""

    shown: Shot
    view: Shot

    @property
    def portrait(self) -> Portrait:
        """What a perfect analysis says of the shown picture; nothing of the person's codes."""
        shot = self.shown
        assert shot.truth is not None
        return Portrait(
            crop_srgb=shot.picture_srgb,
            transform=np.eye(3),
            landmarks=shot.landmarks.astype(np.float64),
            confidence=np.where(shot.visible, 1.0, 0.3),
            mask=shot.coverage,
            hair=np.asarray((shot.truth.labels == Label.HAIR) * shot.coverage, np.float32),
            styles=np.full(STYLES, 1 / STYLES),
            inside=np.ones(shot.coverage.shape, np.bool_),
            pose=(self.camera.yaw, self.camera.pitch, self.camera.roll),
            box=(0.0, 0.0, float(SIZE), float(SIZE)),
            presence=1.0,
        )

    @property
    def camera(self) -> Camera:
        """Where the shown picture was taken from."""
        return self.shown.factors.camera


def load_variant(bundle: str) -> Infamous:
    """The model of a bundle with a name or in a folder. Raises ``UserError`` where there is none."""
    found = (
        Infamous.from_bundle(read_bundle(Path(bundle)), torch.device("cpu")) if "/" in bundle else load_model(bundle)
    )
    assert isinstance(found, Infamous)
    return found


def mean_landmarks(template: Template) -> NDArray[np.float64]:
    """Those (68, 3) of the mean head, metres."""
    return template.landmarks(template.mean[None])[0].double().numpy()


def trials(studio: Studio, count: int) -> Iterator[Trial]:
    """So many held-out people."""
    options = PeopleOptions(size=SIZE, held_out=True)
    for person in range(count):
        first = person * GROUPS * VIEWS
        yield Trial(*(options.shoot(studio, first + number, truth=True) for number in range(2)))


def started(trial: Trial, model: FittableModel) -> tuple[Codes, Gains]:
    """The codes that all variants begin with, of a fit of the real-time ``model``, and how it moves points; not what
    it lays over its own textures.
    """
    face = fit_photo(trial.portrait, model, camera=trial.camera)
    return dict(face.codes), {name: face.refinement[name] for name in MOVING if name in face.refinement}


def kept(path: Path, make: Callable[[], tuple[Codes, Gains]]) -> tuple[Codes, Gains]:
    """A start that is kept in a file, or else made and kept there: finding one takes longer than all that follows."""
    if not path.is_file():
        codes, gains = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as beside:
            np.savez(beside, **{f"code_{name}": code for name, code in codes.items()}, **gains)  # type: ignore[arg-type]
        return codes, gains
    stored = read_shard(path)
    codes = {name: as_code(stored.pop(f"code_{name}")) for name in DIMS}
    return codes, dict(stored)


def beginnings(several: Sequence[Trial], model: FittableModel, folder: Path | None) -> list[tuple[Codes, Gains]]:
    """What :func:`started` says of each of the first held-out people, kept in a ``folder`` if one is given."""
    if folder is None:
        return [started(trial, model) for trial in several]
    return [
        kept(folder / f"{number}.npz", lambda trial=trial: started(trial, model))  # type: ignore[misc]
        for number, trial in enumerate(several)
    ]


@dataclass(frozen=True, eq=False)
class Likeness:
    """Tells how alike two pictures' people are: the cosine of what the attribute encoder says of their shape.
    ``mean`` (68, 3) are the landmarks of the mean head, metres.
    """

    encoder: AttributeNetwork
    mean: NDArray[np.float64]

    @torch.inference_mode()
    def codes(self, drawn: NDArray[np.uint8], shot: Shot) -> torch.Tensor:
        """What is said of a picture that shows a head where and as ``shot`` does."""
        size, camera = self.encoder.config.size, shot.factors.camera
        pose = camera.yaw, camera.pitch, camera.roll
        crop = warp(drawn, upright(shot.landmarks.astype(np.float64), self.mean, pose, size), size)
        pictures = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255
        said = self.encoder(pictures.contiguous(memory_format=torch.channels_last)).codes[SHAPE]
        found: torch.Tensor = (said - self.encoder.get_buffer(f"{SHAPE}_mean"))[0]
        return found

    def alike(self, first: torch.Tensor, second: torch.Tensor) -> float:
        """Their cosine."""
        return float(functional.cosine_similarity(first, second, dim=0))

    def accuracy(self, several: Sequence[Trial]) -> float:
        """How often two true pictures of one person are more alike than the first is to another's second."""
        pairs = [[self.codes(shot.picture_srgb, shot) for shot in (one.shown, one.view)] for one in several]
        right = [
            self.alike(pair[0], pair[1]) > self.alike(pair[0], other[1])
            for pair in pairs
            for other in pairs
            if other is not pair
        ]
        return float(np.mean(right))


def fitted(trial: Trial, model: OwnCodesModel, codes: Codes, gains: Gains) -> Gains:
    """``gains`` with the moves of θ, α and β that the shown picture asks for."""
    size, steps = OWN
    sure = torch.from_numpy(trial.portrait.confidence)
    descent = Descent(model, trial.camera, Target.of(trial.portrait, size), sure, do_nothing)
    return own_codes(descent, model, codes, gains, steps, FREE)


def figures(trial: Trial, model: FittableModel, codes: Codes, gains: Gains, likeness: Likeness) -> dict[str, float]:
    """The columns of Tables 1, 3, 4 and 7 of a fitted face: PSNR and SSIM are of the whole head and its rim of two
    pixels, and of the picture; ``inside`` is PSNR three pixels inside the outline, which all variants have of the same
    template; depths are millimetres, where both show the head.
    """
    found: dict[str, float] = {}
    for name, shot in (("fit", trial.shown), ("view", trial.view)):
        frame = model.render(codes, shot.factors.camera, SIZE, refinement=gains or None)
        drawn = frame.over()
        measured = compare(picture(drawn), shot)
        assert shot.truth is not None
        both = np.isfinite(frame.depth) & np.isfinite(shot.truth.depth) & (frame.alpha > 0.5)
        off = frame.depth[both] - shot.truth.depth[both]
        true, seen = (likeness.codes(one, shot) for one in (shot.picture_srgb, drawn))
        found |= {
            f"{name}_psnr": measured["psnr_head_and_rim"],
            f"{name}_ssim": measured["ssim"],
            f"{name}_inside": measured["psnr_interior"],
            f"{name}_depth_mm": float(np.sqrt(np.mean(np.square(off)))) * 1000,
            f"{name}_identity": likeness.alike(true, seen),
        }
    return found


def table(
    several: Sequence[Trial], starts: Sequence[tuple[Codes, Gains]], model: OwnCodesModel, likeness: Likeness
) -> dict[str, float]:
    """Mean figures of a variant."""
    rows = [
        figures(trial, model, codes, fitted(trial, model, codes, gains), likeness)
        for trial, (codes, gains) in zip(several, starts, strict=True)
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
