"""Trains the guided head on the studio's pictures and writes its bundle.

``python -m training.train_guided small --work FOLDER`` trains to the configured end, or goes on where it stopped;
``--export-only`` writes the bundle of the last checkpoint.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
import typer
from torch import nn

from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.guided import FINE, GuidedHead
from faceeditor.rendering.colour import linear_to_srgb_torch
from training.datasets import Pictured, PicturedBatch, studio_batches
from training.guided_spaces import make_spaces
from training.guided_start import Start
from training.loop import Loop, LoopConfig, Losses
from training.losses import gradient_l1


@dataclass(frozen=True)
class GuidedTraining:
    """Sizes of the model and of its training. ``crop``: pixels a side of the part of a picture that a step draws;
    ``coarse``: share of steps with one ray a pixel, as while a slider moves.
    """

    loop: LoopConfig
    atlas: int
    tile: int
    features: int
    hidden: int
    finish: int
    size: int = 256
    crop: int = 128
    batch: int = 4
    coarse: float = 0.3
    workers: int = 1


CONFIGS: Final = {
    "small": GuidedTraining(
        LoopConfig(steps=6000, learning_rate=1e-3, minutes=75, accelerator="cpu"),
        atlas=384,
        tile=192,
        features=4,
        hidden=24,
        finish=16,
    ),
    "large": GuidedTraining(
        LoopConfig(steps=40000, learning_rate=1e-3, accelerator="gpu", devices="auto"),
        atlas=512,
        tile=256,
        features=8,
        hidden=48,
        finish=32,
        crop=256,
        batch=16,
        workers=12,
    ),
}

RATES: Final = {"skins": 0.5, "irises": 0.5, "material": 0.5, "opened": 0.2, "head_openness": 0.5, "cards": 2.0}
"""Learning rates of the textures that start from the truth, relative to the networks'."""


def groups(model: GuidedHead, rate: float) -> list[dict[str, object]]:
    """Parameter groups by their rates."""
    chosen: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        scale = next((value for part, value in RATES.items() if f".{part}" in name), 1.0)
        chosen.setdefault(scale, []).append(parameter)
    return [{"params": parameters, "lr": rate * scale} for scale, parameters in chosen.items()]


class Step(nn.Module):
    """One step's loss: a crop of every picture, drawn and compared."""

    def __init__(self, model: GuidedHead, config: GuidedTraining) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, batch: PicturedBatch, step: int) -> Losses:
        """Mean over the batch of the losses in sRGB over white, of gradients and of opacity."""
        random = np.random.default_rng([self.config.loop.seed, step])
        if step % 200 == 0:
            self.model.show_opacity()
        terms = [self._compare(picture, random) for picture in batch.pictures]
        colour, edges, alpha = (torch.stack(values).mean() for values in zip(*terms, strict=True))
        return {"total": colour + 0.5 * edges + 0.5 * alpha, "colour": colour, "edges": edges, "alpha": alpha}

    def _compare(
        self, picture: Pictured, random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        top, left = self._corner(picture.alpha, random)
        side = self.config.crop
        rays = 1 if random.random() < self.config.coarse else FINE
        srgb, alpha = draw_crop(self.model, picture, (top, left, side), rays)
        true = picture.srgb[:, top : top + side, left : left + side]
        true_alpha = picture.alpha[top : top + side, left : left + side]
        return (srgb - true).abs().mean(), gradient_l1(srgb, true), (alpha - true_alpha).abs().mean()

    def _corner(self, alpha: torch.Tensor, random: np.random.Generator) -> tuple[int, int]:
        """The top left corner of a crop around some pixel of the head."""
        rows, columns = (alpha > 0).nonzero(as_tuple=True)
        chosen = int(random.integers(len(rows)))
        side, limit = self.config.crop, alpha.shape[-1] - self.config.crop
        top, left = (int(places[chosen]) - int(random.integers(side)) for places in (rows, columns))
        return min(max(top, 0), limit), min(max(left, 0), limit)


def draw_crop(
    model: GuidedHead, picture: Pictured, window: tuple[int, int, int], rays_a_side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """sRGB over white (3, side, side) and opacity (side, side) of a window (top, left, side) of a picture's square."""
    codes, size = picture.codes, picture.alpha.shape[-1] * rays_a_side
    top, left, side = (value * rays_a_side for value in window)
    geometry = model.proxy.geometry(codes["identity"], codes["expression"], codes["hair"])
    look = model.appearance.look(codes["skin"], codes["hair"])
    ids = model.proxy.visible(geometry, picture.camera, size, 1 + model.config.shell_layers, model.config.bust)
    inside = np.full_like(ids, -1)
    inside[:, top : top + side, left : left + side] = ids[:, top : top + side, left : left + side]
    composited, depth = model.composite(geometry, look, codes, inside, picture.camera, rays_a_side)
    part = (slice(top, top + side), slice(left, left + side))
    drawing = model.finished(composited[:, part[0], part[1]], depth[part], rays_a_side)
    return linear_to_srgb_torch(drawing.rgb_linear + 1 - drawing.alpha).clamp(0, 1), drawing.alpha


def train(
    name: str, data: str, work: Path, out: Path, *, start: Path | None, export_only: bool, minutes: float | None
) -> None:
    """Trains the configuration ``name`` and writes the bundle to ``out``."""
    config = CONFIGS[name]
    if minutes is not None:
        config = replace(config, loop=replace(config.loop, minutes=minutes))
    template = load_model("template-studio")
    model = Start(data, config.atlas, config.tile).model(template, config.features, config.hidden, config.finish)
    if start:
        model.load_stored(read_bundle(start).tensors)
    batches = studio_batches(data, config.size, config.batch, config.loop.seed, config.workers)
    step = Step(model, config)
    loop = Loop(
        config.loop,
        work,
        step,
        lambda network, batch, number: network(batch, number),
        groups(model, config.loop.learning_rate),
    )
    if not export_only:
        loop.run(batches)
    write_bundle(
        out,
        architecture="guided",
        configuration=model.config.to_json(),
        training={"data": "studio", "configuration": name, "steps": loop.step, "hours": round(loop.seconds / 3600, 2)},
        tensors=model.stored(),
        spaces=make_spaces(template, config.loop.seed),
    )


def main(
    name: Annotated[str, typer.Argument(help="the configuration: " + ", ".join(CONFIGS))],
    work: Annotated[Path, typer.Option(help="folder of the checkpoint and the logs")],
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/guided-studio"),
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle of the same sizes")] = None,
    export_only: Annotated[bool, typer.Option(help="write the bundle of the last checkpoint")] = False,
    minutes: Annotated[float | None, typer.Option(help="end after so many minutes of training")] = None,
) -> None:
    """Train the guided head."""
    train(name, data, work, out, start=start, export_only=export_only, minutes=minutes)


if __name__ == "__main__":
    typer.run(main)
