"""Trains ImFace++ and writes its bundle, in three runs one after the other.

``template``: the Template Mini-Nets alone on the mean head, where they are to start from; ``first``: the disentangled
deformation fields (Eq. 19); ``detail``: the refinement displacement field, all else frozen (Eq. 20).

``python -m training.train_imface small --scans FOLDER --work FOLDER`` trains, or goes on where it stopped.
``python -m training.imface_scans`` makes the scans.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self

import numpy as np
import torch
import typer
import yaml
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.faces.layout import EXPRESSION, IDENTITY
from faceeditor.models.bundle import load_model, read_bundle, write_bundle
from faceeditor.models.imface import DETAIL, ImFace, ImFaceConfig
from training.imface_losses import Batch, LossWeights, first_stage, second_stage
from training.imface_scans import ScanMaker, read_parts
from training.imface_spaces import imface_spaces
from training.loop import Loop, LoopConfig, Losses
from training.studio.head import HeadModel

CONFIGS: Final = Path(__file__).parent / "configs"
POINTS: Final = ("surface", "bridge", "space")
OF_SURFACE: Final = ("surface", "normals", "neutral", "template", "matched", "detailed", "detailed_normals")
OF_SPACE: Final = ("space", "distance", "gradient")
PRIOR_SPREAD: Final = 0.01
"""Standard deviation of learned codes at the start."""


@dataclass(frozen=True)
class ImFaceTraining:
    """One training: ``sizes`` of the model (``small`` or ``paper``); ``codes`` are the ``studio``'s own or ``learned``;
    ``faces`` of a step with ``surface``, ``bridge`` and ``space`` points each, ``directed`` of them with normals;
    ``near``: how far before and behind the detailed surface the second stage looks, in the model's unit;
    ``template_steps`` on the mean head alone; ``detail_start`` steps on displacements alone, before Eq. 20;
    ``detail_share`` of the minutes or steps go to the second stage. ``rates``: learning rates of parameters whose name
    holds a word, relative to the others'.
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
    detail_start: int
    detail_share: float = 0.2
    rates: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Self:
        """The configuration ``training/configs/imface_NAME.yaml``."""
        facts = yaml.safe_load((CONFIGS / f"imface_{name}.yaml").read_text())
        return cls(**{**facts, "loop": LoopConfig(**facts["loop"]), "weights": LossWeights(**facts["weights"])})

    @property
    def model(self) -> ImFaceConfig:
        """The model's configuration."""
        return {"small": ImFaceConfig.small, "paper": ImFaceConfig}[self.sizes]()

    def stage(self, share: float) -> LoopConfig:
        """The loop of a stage with its share of the whole training."""
        return replace(self.loop, steps=int(self.loop.steps * share), minutes=self.loop.minutes * share)


class ScanCodes(nn.Module):
    """The codes of all scans: the studio's own, or learned from small ones (section 3.4: one for every scan, but one
    identity for all scans of a person)."""

    def __init__(self, scans: dict[str, Tensor], config: ImFaceConfig, learned: bool) -> None:
        super().__init__()
        self.dims = {IDENTITY: config.identity_dims, EXPRESSION: config.expression_dims, DETAIL: config.detail_dims}
        self.person: Tensor
        self.register_buffer("person", torch.unique(scans[IDENTITY], dim=0, return_inverse=True)[1], persistent=False)
        count = {**dict.fromkeys(self.dims, len(self.person)), IDENTITY: int(self.person.max()) + 1}
        self.learned = nn.ParameterDict(
            {name: PRIOR_SPREAD * torch.randn(count[name], dims) for name, dims in self.dims.items()} if learned else {}
        )

    def of(self, scans: dict[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
        """The codes (B, dims) of the ``chosen`` (B,) scans."""
        if self.learned:
            rows = {name: self.person[chosen] if name == IDENTITY else chosen for name in self.dims}
            return {name: self.learned[name][rows[name]] for name in self.dims}
        return {
            name: functional.pad(code := scans[name][chosen], (0, dims - code.shape[1]))
            for name, dims in self.dims.items()
        }

    def prior(self, codes: dict[str, Tensor], weights: LossWeights) -> Tensor:
        """Eq. 15, mean over the scans; nothing where codes are not learned."""
        if not self.learned:
            return torch.zeros(())
        shapes = codes[IDENTITY].square().sum(-1) + codes[EXPRESSION].square().sum(-1)
        return (weights.embedding * shapes + weights.detail_embedding * codes[DETAIL].square().sum(-1)).mean()


class Step(nn.Module):
    """The loss of one step: the model and the codes of its scans."""

    def __init__(self, model: ImFace, scans: dict[str, Tensor], config: ImFaceTraining, stage: str) -> None:
        super().__init__()
        self.model, self.config, self.stage = model, config, stage
        self.codes = ScanCodes(scans, config.model, config.codes == "learned")

    def forward(self, scans: dict[str, Tensor], chosen: Tensor, step: int, progress: float) -> Losses:
        """Named losses of the ``chosen`` (B,) scans."""
        config = self.config
        codes = self.codes.of(scans, chosen)
        batch = batch_of(scans, chosen, codes, config)
        if self.stage == "first":
            field = self.model.field({name: codes[name] for name in (IDENTITY, EXPRESSION)})
            losses = first_stage(field, batch, config.weights, config.directed)
        elif step < config.detail_start:
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
    apart = (field(batch.template)[..., 0] - truth).abs().mean()
    return {"displacement": apart, "total": 1e3 * apart}


def detail_weight(progress: float) -> float:
    """1 - κ, the share of the detailed surface in the loss at ``progress`` 0..1 of the second stage. The first stage is
    frozen then, so the rest of the weighted sum is constant."""
    return 1 - 0.5 * (1 + math.cos(math.pi * min(1.0, 0.2 + 4 * progress)))


def picks(count: int, faces: int) -> Iterator[Tensor]:
    """Numbers of scans (faces,) for ever."""
    while True:
        yield torch.randint(count, (faces,))


def train_template(model: ImFace, maker: ScanMaker, steps: int, folder: Path, loop: LoopConfig) -> None:
    """Teaches the Template Mini-Nets the mean head, densest at eyes and lips."""
    random = np.random.default_rng(0)
    front = maker.template
    tree = front.tree(random, 200_000)
    importance = maker.importance[front.source[front.faces]].mean(1)
    points, face, _ = front.sample(400_000, random, importance)
    away = points + random.choice([0.01, 0.04, 0.2], (len(points), 1)) * random.normal(size=points.shape)
    distance, gradient = front.signed_distance(away, tree)
    table = {
        "surface": torch.from_numpy(points).float(),
        "normals": torch.from_numpy(front.normals()[face]).float(),
        "space": torch.from_numpy(away).float(),
        "distance": torch.from_numpy(distance).float(),
        "gradient": torch.from_numpy(gradient).float(),
    }
    network = nn.ModuleList([model.template])

    def loss_of(_: nn.Module, rows: Tensor, step: int) -> Losses:
        field = model.template.bind(None, model.template_landmarks)
        on, around = table["surface"][rows], table["space"][rows]
        at = torch.cat([on, around]).requires_grad_()
        value = field(at)[..., 0]
        (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        truth = torch.cat([torch.zeros(len(rows)), table["distance"][rows]])
        ways = torch.cat([table["normals"][rows], table["gradient"][rows]])
        losses = {
            "distance": 3e3 * (value - truth).abs().mean(),
            "normal": 1e2 * (1 - functional.cosine_similarity(slope, ways, dim=-1)).mean(),
            "eikonal": 5e1 * (slope.norm(dim=-1) - 1).abs().mean(),
        }
        return losses | {"total": torch.stack(list(losses.values())).sum()}

    config = replace(loop, steps=steps, minutes=0.0, learning_rate=1e-3, average=0.0, accelerator="cpu", devices=1)
    Loop(config, folder, network, loss_of).run(torch.randint(len(points), (600,)) for _ in iter(int, 1))


def groups(step: Step, config: ImFaceTraining) -> list[dict[str, Any]]:
    """What is trained, by learning rate."""
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in step.named_parameters():
        if parameter.requires_grad:
            rate = next((share for word, share in config.rates.items() if word in name), 1.0)
            found.setdefault(rate, []).append(parameter)
    return [{"params": some, "lr": rate * config.loop.learning_rate} for rate, some in found.items()]


def train_stage(
    stage: str, model: ImFace, scans: dict[str, Tensor], config: ImFaceTraining, folder: Path, share: float
) -> Loop:
    """Runs ``first`` or ``detail`` to its end and leaves the averaged weights in ``model``."""
    step = Step(model, scans, config, stage)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("detail.") == (stage == "detail"))
    loop = Loop(
        config.stage(share),
        folder,
        step,
        lambda network, chosen, number: network(scans, chosen, number, loop.progress),
        groups(step, config),
    )
    scans = loop.fabric.to_device(scans)
    loop.run(picks(len(scans[IDENTITY]), config.faces))
    best = loop.best
    assert isinstance(best, Step)
    model.load_state_dict({name: value.detach().cpu().clone() for name, value in best.model.state_dict().items()})
    return loop


def train(
    config: ImFaceTraining, data: Path, folder: Path, work: Path, start: Path | None
) -> tuple[ImFace, dict[str, Any]]:
    """All three runs; the model and the training's facts."""
    maker = ScanMaker(HeadModel.load(data), config.model)
    model = ImFace(config.model)
    marks = maker.head.landmarks68[list(config.model.landmarks)]
    unit, origin = config.model.unit, np.array(config.model.origin)
    model.start_at(torch.from_numpy((maker.head.neutral[marks] - origin) / unit).float())
    if start:
        model.load_state_dict({name: value.float() for name, value in read_bundle(start).tensors.items()})
    elif config.template_steps:
        train_template(model, maker, config.template_steps, work / "template", config.loop)
    scans = read_parts(folder)
    first = train_stage("first", model, scans, config, work / "first", 1 - config.detail_share)
    steps, seconds = first.step, first.seconds
    if model.detail:
        second = train_stage("detail", model, scans, config, work / "detail", config.detail_share)
        steps, seconds = steps + second.step, seconds + second.seconds
    return model, {
        "data": f"{len(scans[IDENTITY])} studio scans",
        "codes": config.codes,
        "steps": steps,
        "faces": config.faces,
        "minutes": round(seconds / 60, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


def export(model: ImFace, data: Path, facts: dict[str, Any], out: Path) -> None:
    """Writes the bundle."""
    maker = ScanMaker(HeadModel.load(data), model.config)
    write_bundle(
        out,
        architecture="imface",
        configuration=model.config.to_json(),
        training=facts,
        tensors=dict(model.state_dict()),
        spaces=imface_spaces(load_model("template-studio"), maker.wrinkles, model.config, 0),
    )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/imface_NAME.yaml")],
    scans: Annotated[Path, typer.Option(help="folder of the scans")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/imface-studio"),
    start: Annotated[Path | None, typer.Option(help="begin with the weights of this bundle of the same sizes")] = None,
    minutes: Annotated[float | None, typer.Option(help="end after so many minutes of training")] = None,
) -> None:
    """Train ImFace++."""
    config = ImFaceTraining.read(name)
    if minutes is not None:
        config = replace(config, loop=replace(config.loop, minutes=minutes))
    model, facts = train(config, data, scans, work, start)
    export(model, data, {"configuration": name, **facts}, out)


if __name__ == "__main__":
    typer.run(main)
