"""Trains HeadNeRF on the studio's pictures and writes its bundle.

``python -m training.train_headnerf small --work FOLDER --pictures CAPTURED`` trains to the configured end, or goes on
where it stopped. Pictures are those that ``python -m training.studio.capture --shots-per-identity 4`` has taken.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import torch
import typer
import yaml
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.headnerf import HeadNerf, Picture
from faceeditor.models.headnerf_config import HeadNerfConfig
from faceeditor.models.headnerf_rays import Rays
from faceeditor.rendering.colour import linear_to_srgb_torch
from training.datasets import CapturedPictures, PicturedBatch
from training.guided_spaces import make_spaces
from training.headnerf_codes import HeadCodes
from training.loop import Loop, LoopConfig, Losses
from training.perceptual import Perceptual

CONFIGS: Final = Path(__file__).parent / "configs"
SIZES: Final = {"small": HeadNerfConfig.small, "paper": HeadNerfConfig}


@dataclass(frozen=True)
class Weights:
    """Of ``data`` (Eq. 5), ``per`` (Eq. 6) and ``dis`` (Eq. 7), and of what the paper has not: ``outline``, the
    difference of opacities, which studio pictures know.
    """

    data: float = 1.0
    per: float = 1.0
    dis: float = 1.0
    outline: float = 0.0


@dataclass(frozen=True)
class HeadNerfTraining:
    """One training: ``sizes`` of the model, one of :data:`SIZES`, and what ``model`` changes in them; ``codes`` are the
    ``studio``'s own or ``learned`` from there; ``batch`` pictures a step, of each a ``window`` of so many cells of the
    map a side (0: all of it), drawn in ``short`` numbers, of 16 bits, where those are quicker.

    What is drawn of many pictures teaches more than as much of a few: nearly all that one step gets wrong about a
    picture is wrong about every part of it.
    """

    loop: LoopConfig
    sizes: str
    codes: Literal["studio", "learned"]
    batch: int
    window: int = 0
    weights: Weights = field(default_factory=Weights)
    short: bool = True
    model: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/headnerf_NAME.yaml``."""
        facts = yaml.safe_load((CONFIGS / f"headnerf_{name}.yaml").read_text())
        parts: dict[str, type] = {"loop": LoopConfig, "weights": Weights}
        return cls(**{key: parts[key](**value) if key in parts else value for key, value in facts.items()})

    @property
    def model_config(self) -> HeadNerfConfig:
        """The model's configuration."""
        return replace(SIZES[self.sizes](), **self.model)


class PictureStep(nn.Module):
    """What a batch of pictures teaches."""

    def __init__(self, model: HeadNerf, config: HeadNerfTraining, codes: HeadCodes) -> None:
        super().__init__()
        self.model, self.codes, self.weights, self.short = model, codes, config.weights, config.short
        self.window = config.window or model.config.map
        self.perceptual = Perceptual.best() if config.weights.per else None

    def forward(self, batch: PicturedBatch) -> Losses:
        """Eq. 8 with its terms."""
        pictures = batch.pictures
        codes = self.codes(batch)
        windows = [self._somewhere() for _ in pictures]
        sights = zip(pictures, windows, strict=True)
        rays = Rays.stacked([self.model.rays(one.camera, self.model.config.map, window) for one, window in sights])
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.short):
            drawn = self.model(codes, rays, jitter=True)
        cell = self.model.config.size // self.model.config.map
        sights = zip(pictures, windows, strict=True)
        rgba = torch.stack([_part(torch.cat([one.srgb, one.alpha[None]]), *window, cell) for one, window in sights])
        true, outline = rgba[:, :3], rgba[:, 3:]
        terms = self._terms(drawn, true, outline) | {"dis": self.codes.strayed(batch)}
        weights = asdict(self.weights)
        return {"total": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def _somewhere(self) -> tuple[slice, slice]:
        """Rows and columns of a window of the map."""
        top, left = torch.randint(self.model.config.map - self.window + 1, (2,)).tolist()
        return slice(top, top + self.window), slice(left, left + self.window)

    def _terms(self, drawn: Picture, true: Tensor, outline: Tensor) -> dict[str, Tensor]:
        srgb = over_white(drawn)
        coarse = functional.adaptive_avg_pool2d(outline, self.window)
        terms = {
            "data": (srgb - true).square().mean(),
            "outline": (drawn.alpha - outline).abs().mean() + (drawn.map.opacity - coarse).abs().mean(),
        }
        return terms if self.perceptual is None else {**terms, "per": self.perceptual(srgb, true)}


def _part(picture: Tensor, rows: slice, columns: slice, cell: int) -> Tensor:
    """The part of a ``picture`` (C, H, W) that the map's ``rows`` and ``columns`` are of, ``cell`` pixels each."""
    across, down = (slice(one.start * cell, one.stop * cell) for one in (columns, rows))
    return picture[:, down, across]


def over_white(drawn: Picture) -> Tensor:
    """The pictures (batch, 3, S, S) over white, sRGB."""
    return linear_to_srgb_torch((drawn.rgb_linear + 1 - drawn.alpha).clamp(0, 1))


class Trainer:
    """The training of ``model``, in the folder ``work``."""

    def __init__(self, config: HeadNerfTraining, work: Path) -> None:
        torch.manual_seed(config.loop.seed)
        self.config, self.work = config, work
        self.model = HeadNerf(config.model_config)
        self.steps, self.minutes, self.seen_by = 0, 0.0, ""

    def train(self, pictures: Iterator[PicturedBatch], codes: HeadCodes) -> None:
        """Eq. 8."""
        step = PictureStep(self.model, self.config, codes)
        loop = Loop(self.config.loop, self.work / "pictures", step, lambda network, batch, number: network(batch))
        loop.run(pictures)
        self._keep(loop)
        self.seen_by = step.perceptual.source if step.perceptual else ""

    def _keep(self, loop: Loop) -> None:
        best = loop.best
        assert isinstance(best, PictureStep)
        self.model.load_state_dict({name: value.detach().clone() for name, value in best.model.state_dict().items()})
        self.steps, self.minutes = self.steps + loop.step, self.minutes + loop.seconds / 60

    def export(self, facts: Mapping[str, Any], out: Path) -> None:
        """Writes the bundle."""
        told = {"steps": self.steps, "minutes": round(self.minutes, 1), "date": time.strftime("%Y-%m-%d")}
        write_bundle(
            out,
            architecture="headnerf",
            configuration=self.model.config.to_json(),
            training={**facts, "codes": self.config.codes, "perceptual": self.seen_by, **told},
            tensors=dict(self.model.state_dict()),
            spaces=make_spaces(load_model("template-studio"), self.config.loop.seed),
        )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/headnerf_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    pictures: Annotated[Path, typer.Option(help="folder of captured pictures")],
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/headnerf-studio"),
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle")] = None,
    minutes: Annotated[float | None, typer.Option(help="end the training on pictures after so many minutes")] = None,
) -> None:
    """Train HeadNeRF."""
    try:
        config = HeadNerfTraining.read(name)
        if minutes is not None:
            config = replace(config, loop=replace(config.loop, minutes=minutes))
        trainer, captured = Trainer(config, work), CapturedPictures.of(pictures, config.loop.seed)
        if start is not None:
            trainer.model.load_state_dict({key: value.float() for key, value in read_bundle(start).tensors.items()})
        codes = HeadCodes(captured, learned=config.codes == "learned")
        trainer.train(captured.batches(config.batch), codes)
    except UserError as error:
        raise SystemExit(str(error)) from None
    trainer.export({"data": f"{len(captured)} studio pictures", "configuration": name}, out)


if __name__ == "__main__":
    typer.run(main)
