"""Trains ImFace++ and writes its bundle, in runs one after the other.

``template``: the Template Mini-Nets alone on the mean head, where they are to start from; ``first``: the disentangled
deformation fields (Eq. 19); then, all else frozen, the refinement displacement field, ``relief`` on known
displacements and ``detail`` on the detailed surface (Eq. 20).

``python -m training.train_imface small --work FOLDER`` makes studio scans and trains, or goes on where it stopped;
``--scans`` names a folder of other ones, which ``training.imface_scans`` or ``training.facescape_scans`` have made.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self

import torch
import typer
import yaml
from torch import Tensor, nn

from faceeditor.errors import UserError
from faceeditor.faces.latents import Space
from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.imface import DETAIL, ImFace, ImFaceConfig
from training.face_sampler import TEMPLATE_FILE, FaceSampler
from training.imface_codes import ScanCodes, learned_spaces, only_numbers
from training.imface_losses import Batch, LossWeights, first_stage, second_stage
from training.imface_scans import ScanMaker, make_parts, read_parts
from training.imface_spaces import imface_spaces
from training.imface_template import train_template
from training.loop import Loop, LoopConfig, Losses
from training.studio.head import HeadModel

CONFIGS: Final = Path(__file__).parent / "configs"
OF_SURFACE: Final = ("surface", "normals", "neutral", "template", "matched", "detailed", "detailed_normals")
OF_SPACE: Final = ("space", "distance", "gradient")
RELIEF: Final = 1e-3
"""About how high folds are, in the model's unit. They are rare, so that a mean of plain distances would be least for
none."""
SIZES: Final[dict[str, Callable[[], ImFaceConfig]]] = {"small": ImFaceConfig.small, "paper": ImFaceConfig}
"""The model's configuration by the name that a training's calls it."""


@dataclass(frozen=True)
class ImFaceTraining:
    """One training: ``sizes`` of the model, one of :data:`SIZES`; ``codes`` are the ``studio``'s own or ``learned``;
    ``faces`` of a step with ``surface``, ``bridge`` and ``space`` points each, ``directed`` of them with normals;
    ``near``: how far before and behind the detailed surface the second stage looks, in the model's unit;
    ``template_steps`` on the mean head alone; ``relief_steps`` on displacements alone, before Eq. 20;
    ``detail_share`` of the minutes or steps go to the second stage. ``rates``: learning rates of parameters whose name
    holds a word, relative to the others'. ``parts`` of studio scans are made.
    """

    loop: LoopConfig
    weights: LossWeights
    sizes: str
    codes: str
    faces: int
    surface: int
    bridge: int
    space: int
    directed: int
    near: float
    template_steps: int
    relief_steps: int
    detail_share: float = 0.2
    rates: Mapping[str, float] = field(default_factory=dict)
    parts: int = 14

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/imface_NAME.yaml``."""
        facts = yaml.safe_load((CONFIGS / f"imface_{name}.yaml").read_text())
        return cls(**{**facts, "loop": LoopConfig(**facts["loop"]), "weights": LossWeights(**facts["weights"])})

    @property
    def model(self) -> ImFaceConfig:
        """The model's configuration."""
        return SIZES[self.sizes]()

    def stages(self) -> dict[str, LoopConfig]:
        """The stages after the template's, and how long each is trained."""

        def part(share: float) -> LoopConfig:
            return replace(self.loop, steps=int(self.loop.steps * share), minutes=self.loop.minutes * share)

        if not self.model.detail:
            return {"first": self.loop}
        relief = {"relief": replace(self.loop, steps=self.relief_steps, minutes=0.0)} if self.relief_steps else {}
        last = {"detail": part(self.detail_share)} if self.detail_share else {}
        return {"first": part(1 - self.detail_share), **relief, **last}


class Step(nn.Module):
    """The loss of one step: the model and the codes of its scans."""

    def __init__(self, model: ImFace, codes: ScanCodes, config: ImFaceTraining, stage: str) -> None:
        super().__init__()
        self.model, self.codes, self.config, self.stage = model, codes, config, stage
        for name, parameter in self.named_parameters():
            of_detail = name.startswith("model.detail.") or name == f"codes.learned.{DETAIL}"
            parameter.requires_grad_(of_detail == (stage != "first"))

    def forward(self, scans: dict[str, Tensor], chosen: Tensor, progress: float) -> Losses:
        """Named losses of the ``chosen`` (B,) scans."""
        config = self.config
        codes = self.codes.of(scans, chosen)
        batch = batch_of(scans, chosen, codes, config)
        if self.stage == "first":
            field = self.model.field({name: codes[name] for name in (IDENTITY, EXPRESSION)})
            losses = first_stage(field, batch, config.weights, config.directed)
        elif self.stage == "relief":
            losses = displacements(self.model, batch)
        else:
            losses = second_stage(self.model.field(codes), batch, config.weights, config.directed, config.near)
            losses = {**losses, "total": losses["total"] * detail_weight(progress)}
        return {**losses, "total": losses["total"] + self.codes.prior(codes, config.weights)}


def batch_of(scans: dict[str, Tensor], chosen: Tensor, codes: dict[str, Tensor], config: ImFaceTraining) -> Batch:
    """Some points of the ``chosen`` scans, others each time."""

    def some(names: tuple[str, ...], count: int) -> dict[str, Tensor]:
        rows = torch.randint(scans[names[0]].shape[1], (len(chosen), count), device=chosen.device)
        return {name: scans[name][chosen[:, None], rows] for name in names}

    return Batch(
        **some(OF_SURFACE, config.surface),
        **some(("bridge",), config.bridge),
        **some(OF_SPACE, config.space),
        landmarks=scans["landmarks"][chosen],
        neutral_landmarks=scans["neutral_landmarks"][chosen],
        codes=codes,
    )


def displacements(model: ImFace, batch: Batch) -> Losses:
    """How the second stage starts: the known displacement at known places of the template (Eq. 6)."""
    assert model.detail is not None
    field = model.detail.bind(batch.codes[DETAIL], model.template_landmarks)
    # From the detailed surface back to the smooth one.
    truth = -((batch.detailed - batch.surface) * batch.normals).sum(-1)
    apart = ((field(batch.template)[..., 0] - truth) / RELIEF).square().mean()
    return {"displacement": apart, "total": apart}


def detail_weight(progress: float) -> float:
    """1 - κ, the share of the detailed surface in the loss at ``progress`` 0..1 of the second stage. The first stage is
    frozen then, so the rest of the weighted sum is constant."""
    return 1 - 0.5 * (1 + math.cos(math.pi * min(1.0, 0.2 + 4 * progress)))


def picks(count: int, faces: int) -> Iterator[Tensor]:
    """Numbers of scans (faces,) for ever."""
    while True:
        yield torch.randint(count, (faces,))


def groups(step: Step, config: ImFaceTraining) -> list[dict[str, Any]]:
    """What is trained, by learning rate."""
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in step.named_parameters():
        if parameter.requires_grad:
            rate = next((share for word, share in config.rates.items() if word in name), 1.0)
            found.setdefault(rate, []).append(parameter)
    return [{"params": some, "lr": rate * config.loop.learning_rate} for rate, some in found.items()]


class Trained(NamedTuple):
    """What a training gives: the model, its scans and their codes, and the facts that its bundle tells."""

    model: ImFace
    scans: dict[str, Tensor]
    codes: ScanCodes
    facts: dict[str, Any]


def train_stage(
    stage: str,
    model: ImFace,
    codes: ScanCodes,
    scans: dict[str, Tensor],
    config: ImFaceTraining,
    folder: Path,
    schedule: LoopConfig,
) -> Loop:
    """Runs one of the stages to its end and leaves the averaged weights in ``model`` and ``codes``."""
    step = Step(model, codes, config, stage)
    loop = Loop(
        schedule,
        folder,
        step,
        lambda network, chosen, number: network(scans, chosen, loop.progress),
        groups(step, config),
    )
    scans = loop.fabric.to_device(scans)
    loop.run(picks(len(scans[IDENTITY]), config.faces))
    best = loop.best
    assert isinstance(best, Step)
    for kept, found in ((model, best.model), (codes, best.codes)):
        kept.load_state_dict({name: value.detach().cpu().clone() for name, value in found.state_dict().items()})
    return loop


def sampler_of(scans: Path, data: Path, config: ImFaceConfig) -> FaceSampler:
    """What the ``scans`` were made with: of real people it lies beside them, the studio's comes from its ``data``."""
    beside = scans / TEMPLATE_FILE
    return FaceSampler.read(beside) if beside.exists() else ScanMaker(HeadModel.load(data), config).sampler


def train(config: ImFaceTraining, data: Path, folder: Path, work: Path, start: Path | None) -> Trained:
    """All runs on the scans in ``folder``. Raises ``UserError``."""
    model, sampler = ImFace(config.model), sampler_of(folder, data, config.model)
    model.start_at(torch.from_numpy(sampler.rest[sampler.marks[list(config.model.landmarks)]]).float())
    if start:
        model.load_state_dict({name: value.float() for name, value in read_bundle(start).tensors.items()})
    elif config.template_steps:
        train_template(model, sampler, config.template_steps, work / "template", config.loop)
    scans = read_parts(folder)
    codes = ScanCodes(scans, config.model, config.codes == "learned")
    runs = [
        train_stage(stage, model, codes, scans, config, work / stage, schedule)
        for stage, schedule in config.stages().items()
    ]
    kind = "of FaceScape's people" if only_numbers(scans) else "of studio heads"
    facts = {
        "data": f"{len(scans[IDENTITY])} scans {kind}",
        "codes": config.codes,
        "steps": sum(run.step for run in runs),
        "faces": config.faces,
        "minutes": round(sum(run.seconds for run in runs) / 60, 1),
        "date": time.strftime("%Y-%m-%d"),
    }
    return Trained(model, scans, codes, facts)


def spaces_of(trained: Trained, data: Path) -> dict[str, Space]:
    """The latent spaces: the studio's, or those of the learned codes."""
    if trained.codes.learned:
        return learned_spaces(trained.codes, trained.scans)
    wrinkles = ScanMaker(HeadModel.load(data), trained.model.config).wrinkles
    return imface_spaces(load_model("template-studio"), wrinkles, trained.model.config, 0)


def export(trained: Trained, data: Path, out: Path) -> None:
    """Writes the bundle."""
    write_bundle(
        out,
        architecture="imface",
        configuration=trained.model.config.to_json(),
        training=trained.facts,
        tensors=dict(trained.model.state_dict()),
        spaces=spaces_of(trained, data),
    )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/imface_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    scans: Annotated[Path | None, typer.Option(help="folder of the scans; studio scans are made if not given")] = None,
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/imface-studio"),
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle of the same sizes")] = None,
    minutes: Annotated[float | None, typer.Option(help="end after so many minutes of training")] = None,
) -> None:
    """Train ImFace++."""
    config = ImFaceTraining.read(name)
    if minutes is not None:
        config = replace(config, loop=replace(config.loop, minutes=minutes))
    if scans is None:
        scans = work / "scans"
        make_parts(data, scans, config.parts, os.cpu_count() or 1)
    try:
        trained = train(config, data, scans, work, start)
    except UserError as error:
        raise SystemExit(str(error)) from None
    export(trained._replace(facts={"configuration": name, **trained.facts}), data, out)


if __name__ == "__main__":
    typer.run(main)
