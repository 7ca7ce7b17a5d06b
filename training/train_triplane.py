"""Trains the tri-plane head and writes its bundle: the warp to the mean head where there is one, the identity network,
then, its codes frozen, the expressions.

``python -m training.train_triplane small --work FOLDER`` makes studio heads and trains, or goes on where it stopped;
``--heads`` names a folder of other ones, which ``training.triplane_scans`` or ``training.nphm`` has made; ``--variant``
is one of the thesis' ablations (section 6.3).
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Self

import torch
import typer
import yaml
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.latents import Space
from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY
from faceeditor.models.bundle import write_bundle
from faceeditor.models.triplane import HeadField, TriplaneConfig, TriplaneHead
from faceeditor.models.triplane_warp import BoundWarp
from faceeditor.rendering.error_bound import Sampling
from faceeditor.rendering.normal_maps import Ball, field_normals
from faceeditor.rendering.volume import Sharpness
from training.evaluate_triplane import load_head
from training.imface_scans import read_parts
from training.loop import Loop, LoopConfig, Losses
from training.studio.factors import expression_code
from training.triplane_blendshapes import BlendshapeStep, read_blendshapes, write_blendshapes
from training.triplane_codes import HeadCodes
from training.triplane_discriminator import Discriminator, generator_loss
from training.triplane_loop import AdversarialLoop, CodedLoop, OtherRates, Shown
from training.triplane_losses import (
    ExpressionWeights,
    Pairs,
    Points,
    TriplaneWeights,
    expression_losses,
    plane_losses,
    point_losses,
)
from training.triplane_people import fitted_warp, read_people, write_people
from training.triplane_scans import REST, make_parts, studio_maker
from training.triplane_spaces import triplane_spaces

CONFIGS: Final = Path(__file__).parent / "configs"
SIZES: Final[dict[str, Callable[[], TriplaneConfig]]] = {"small": TriplaneConfig.small, "paper": TriplaneConfig}
"""The model's configuration by the name that a training's calls it."""
FULL: Final = "full"
BLENDSHAPE_POINTS: Final = 2048


@dataclass(frozen=True)
class Stage:
    """One of the three stages (section 4.2.4): up to which ``progress`` of the training it lasts, which objectives are
    switched off (``without``), and which weights are ``others`` than before.
    """

    progress: float
    without: tuple[str, ...] = ()
    others: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TriplaneTraining:
    """One training: ``sizes`` of the model, one of :data:`SIZES`, and what ``model`` changes in them; ``codes`` are the
    ``studio``'s own or ``learned``; ``heads`` of a step with ``face`` and ``non_face`` points each on the surface and
    near it at either distance, ``ball`` points anywhere and as many between. ``drawn`` heads of every ``every``-th step
    are seen by one camera each, ``size`` pixels a side, as ``sampling`` says; ``discriminator`` is the share of π-GAN's
    widths, ``sharpness`` β's start. ``pairs`` points of each of
    ``posed`` heads are followed through an expression, and a quarter as many beside. ``parts`` of studio
    heads are made.
    """

    loop: LoopConfig
    expression: LoopConfig
    weights: TriplaneWeights
    stages: tuple[Stage, ...]
    sizes: str
    codes: str
    heads: int = 4
    face: int = 750
    non_face: int = 250
    ball: int = 300
    drawn: int = 4
    every: int = 1
    size: int = 64
    sampling: Sampling = field(default_factory=Sampling)
    discriminator: float = 1.0
    sharpness: float = 1e-3
    rates: OtherRates = field(default_factory=OtherRates)
    posed: int = 4
    pairs: int = 1000
    expression_weights: ExpressionWeights = field(default_factory=ExpressionWeights)
    blendshapes: LoopConfig | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    parts: int = 20

    @classmethod
    def read(cls, name: str, variant: str = FULL) -> Self:
        """The configuration ``training/configs/triplane_NAME.yaml`` with what an ablation's ``variant`` changes.

        Raises ``UserError`` for a variant that is none.
        """
        facts = yaml.safe_load((CONFIGS / f"triplane_{name}.yaml").read_text())
        variants = facts.pop("variants", {})
        if variant != FULL and variant not in variants:
            raise UserError(f"{variant} is not a variant; choose {', '.join([FULL, *variants])}.")
        for part, changes in variants.get(variant, {}).items():
            facts[part] = {**facts.get(part, {}), **changes} if isinstance(changes, dict) else changes
        facts["stages"] = tuple(Stage(at, tuple(without), *others) for at, without, *others in facts["stages"])
        parts: dict[str, type] = dict.fromkeys(("loop", "expression", "blendshapes"), LoopConfig)
        parts |= {"weights": TriplaneWeights, "expression_weights": ExpressionWeights}
        parts |= {"sampling": Sampling, "rates": OtherRates}
        return cls(**{key: parts[key](**value) if key in parts else value for key, value in facts.items()})

    @property
    def model_config(self) -> TriplaneConfig:
        """The model's configuration."""
        return replace(SIZES[self.sizes](), **self.model)

    def weights_at(self, progress: float) -> TriplaneWeights:
        """λ at ``progress`` 0..1 of the training."""
        now = next((stage for stage in self.stages if progress < stage.progress), self.stages[-1])
        return replace(self.weights.without(now.without), **now.others)


class IdentityStep(nn.Module):
    """The identity network with its renderer: what AdamW trains when the warp is known."""

    def __init__(self, model: TriplaneHead, config: TriplaneTraining) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.sharpness = Sharpness(config.sharpness)
        self.ball = Ball(model.config.origin, model.config.unit)
        for known in (model.deformation, model.warp):
            if known is not None:
                known.requires_grad_(False)

    def forward(
        self,
        codes: Tensor,
        warp: BoundWarp | None,
        points: Points | None,
        views: list[int],
        weights: TriplaneWeights,
        count: int,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Unweighted losses of heads with ``codes`` (B, dims) and their ``warp``, ``None`` where that moves nothing,
        and normal maps (V, 3, S, S) of the first of them from the cameras ``views`` of ``count``.
        """
        head = replace(self.model.mean_head(codes), warp=warp)
        losses = {} if points is None else point_losses(head, points, weights)
        if head.rows is not None:
            losses |= plane_losses(head.rows, weights)
        return losses, self.drawn(head, views, count) if views else None

    def drawn(self, heads: HeadField, views: list[int], count: int) -> Tensor:
        """Normal maps (V, 3, S, S)."""
        cameras, config, beta = self.ball.cameras(count), self.config, self.sharpness()
        maps = [
            field_normals(heads.one(number), self.ball, cameras[view], config.size, beta, config.sampling, jitter=True)
            for number, view in enumerate(views)
        ]
        return torch.stack(maps)


class ExpressionStep(nn.Module):
    """The deformation network: what AdamW trains when the identities are known."""

    def __init__(self, model: TriplaneHead, config: TriplaneTraining) -> None:
        super().__init__()
        self.model, self.config = model.requires_grad_(False), config
        model.deformation.requires_grad_(True)

    def forward(self, identity: Tensor, warp: BoundWarp | None, expression: Tensor, pairs: Pairs) -> Losses:
        """Named losses of heads with codes (B, dims) and their ``warp``."""
        still = HeadField(None, self.model.decoder.bind(identity[..., :0]), warp)
        moving = self.model.expressed(still, {IDENTITY: identity, EXPRESSION: expression})
        return expression_losses(moving, expression, pairs, self.config.expression_weights)


class Trainer:
    """All trainings on ``heads`` (:data:`training.triplane_sampling.Heads`) and, where they are known, ``blendshapes``
    (:func:`training.triplane_blendshapes.known_blendshapes`) and ``people``
    (:func:`training.triplane_people.known_people`), in the folder ``work``.
    """

    def __init__(
        self,
        config: TriplaneTraining,
        heads: dict[str, Tensor],
        work: Path,
        blendshapes: dict[str, Tensor] | None = None,
        people: dict[str, Tensor] | None = None,
    ) -> None:
        self.config, self.heads, self.work = config, heads, work
        self.blendshapes, self.people = blendshapes, people
        torch.manual_seed(config.loop.seed)
        self.model = TriplaneHead(config.model_config)
        rest = torch.tensor(expression_code(**REST))
        if config.codes == "studio":
            self.model.deformation.rest[: len(rest)] = rest
        self.codes = HeadCodes(heads, config.model_config, config.codes == "learned")
        self.spaces: Mapping[str, Space] = {}
        self.steps, self.minutes = 0, 0.0

    def fit_warp(self) -> None:
        """Where people lie on the mean head, where that is known; planes are then trained on heads much alike."""
        if self.model.warp is not None and self.people is not None:
            self.model.take_warp(fitted_warp(**self.people, side=self.model.warp.side))

    @cached_property
    def _warps(self) -> BoundWarp | None:
        """The warps of all heads, which nothing trains; none where they move nothing, for all are the mean head."""
        with torch.no_grad():
            each = [self.model.warped(self.codes.identity(head)) for head in torch.arange(len(self.heads[IDENTITY]))]
        known = [warp for warp in each if warp is not None]
        if not any(warp.forward.any() for warp in known):
            return None
        return BoundWarp(torch.stack([warp.forward for warp in known]), torch.stack([warp.back for warp in known]))

    def _warp(self, chosen: Tensor) -> BoundWarp | None:
        """Those of the heads ``chosen`` (B,)."""
        if self.codes.learned:
            return self.model.warped(self.codes.identity(chosen))
        all_ = self._warps
        return None if all_ is None else BoundWarp(all_.forward[chosen], all_.back[chosen])

    def train_identity(self) -> None:
        """Table 4.1, in three stages."""
        config = self.config
        step = IdentityStep(self.model, config)
        discriminator = Discriminator(config.size, config.discriminator)
        weight = config.weights.d
        loop = AdversarialLoop(
            config.loop,
            self.work / "identity",
            step,
            lambda network, chosen, number: self._identity_losses(loop, network, chosen, number),
            self.codes,
            discriminator,
            config.rates,
            weight,
            self._groups(step),
        )
        loop.run(picks(len(self.heads[IDENTITY]), config.heads))
        self._keep(loop)

    def _groups(self, step: IdentityStep) -> list[dict[str, Any]]:
        """What AdamW trains, at which rates."""
        usual, generator = self.config.loop.learning_rate, self.model.generator
        first = set() if generator is None else set(generator.start.parameters())
        rest = [value for value in step.parameters() if value.requires_grad and value not in first]
        quick = {"params": list(first), "lr": usual * self.config.rates.start}
        return [{"params": rest, "lr": usual}, *([quick] if first else [])]

    def train_blendshapes(self) -> None:
        """What each component of the expression code does, where the heads' studio knows it."""
        config, known = self.config.blendshapes, self.blendshapes
        if known is None or config is None or self.config.codes == "learned":
            return

        def losses(network: nn.Module, chosen: Tensor, number: int) -> Losses:
            rows = torch.randint(len(known["points"]), (BLENDSHAPE_POINTS,))
            found: Losses = network(self.codes.identity(chosen)[0], known["points"][rows], known["offsets"][rows])
            return found

        loop = Loop(config, self.work / "blendshapes", BlendshapeStep(self.model.deformation), losses)
        loop.run(picks(len(self.heads[IDENTITY]), 1))
        best = loop.best
        assert isinstance(best, BlendshapeStep)
        kept = {name: value.detach().cpu() for name, value in best.deformation.state_dict().items()}
        self.model.deformation.load_state_dict(kept)

    def train_expression(self) -> None:
        """Eq. 4.21, with the identities' codes as they are, and those of expressions where they are learned."""
        step = ExpressionStep(self.model, self.config)
        trained = list(self.model.deformation.parameters())
        groups = [{"params": trained, "lr": self.config.expression.learning_rate}]
        folder = self.work / "expression"
        facts = self.config.expression, folder, step, self._expression_losses
        learned = self.codes.learned
        loop = CodedLoop(*facts, self.codes, self.config.rates, groups) if learned else Loop(*facts, groups)
        loop.run(picks(len(self.heads[IDENTITY]), self.config.posed))
        self._keep(loop)

    def _identity_losses(self, loop: AdversarialLoop, network: nn.Module, chosen: Tensor, number: int) -> Losses:
        config = self.config
        weights = config.weights_at(loop.progress)
        count = self.heads["maps"].shape[1]
        drawing = weights.in_pictures and (number + 1) % config.every == 0
        views = torch.randint(count, (config.drawn,)).tolist() if drawing else []
        points = self._points(chosen) if weights.in_space else None
        losses, drawn = network(self.codes.identity(chosen), self._warp(chosen), points, views, weights, count)
        if drawn is not None:
            losses["nmr"] = (drawn - self._maps(chosen[: len(views)], views)).abs().mean()
            if weights.g:
                losses["g"] = generator_loss(loop.discriminator, drawn)
            others = torch.randint(len(self.heads["maps"]), (len(views),))
            loop.shown = Shown(drawn.detach(), self._maps(others, torch.randint(count, (len(views),)).tolist()))
        return weights.total(losses)

    def _expression_losses(self, network: nn.Module, chosen: Tensor, number: int) -> Losses:
        numbers = torch.randint(self.codes.expressions, (len(chosen),))
        rows = torch.randint(self.heads["posed"].shape[2], (len(chosen), self.config.pairs))
        at_rest, posed = (self.heads[name][chosen[:, None], numbers[:, None], rows] for name in ("at_rest", "posed"))
        pairs = Pairs(at_rest, posed, self._some("ball", chosen, self.config.pairs // 4))
        with torch.no_grad():
            identity = self.codes.identity(chosen)
            warp = self._warp(chosen)
        losses: Losses = network(identity, warp, self.codes.expression(chosen, numbers), pairs)
        return losses

    def _points(self, chosen: Tensor) -> Points:
        config, half = self.config, self.heads["surface"].shape[1] // 2

        def rows() -> Tensor:
            sizes = ((0, config.face), (half, config.non_face))
            return torch.cat([first + torch.randint(half, (len(chosen), count)) for first, count in sizes], dim=1)

        on, off = rows(), [rows() for _ in range(2)]
        heads = chosen[:, None]
        near = [
            (self.heads["near"][heads, kind, row], self.heads["near_sdf"][heads, kind, row])
            for kind, row in enumerate(off)
        ]
        anywhere, between = (
            torch.randint(self.heads[name].shape[1], (len(chosen), config.ball)) for name in ("ball", "space")
        )
        return Points(
            surface=self.heads["surface"][heads, on],
            normals=self.heads["normals"][heads, on],
            near=torch.cat([points for points, _ in near], dim=1),
            near_sdf=torch.cat([distances for _, distances in near], dim=1),
            ball=self.heads["ball"][heads, anywhere],
            ball_sdf=self.heads["ball_sdf"][heads, anywhere],
            space=self.heads["space"][heads, between],
            space_sdf=self.heads["space_sdf"][heads, between],
        )

    def _some(self, name: str, chosen: Tensor, count: int) -> Tensor:
        rows = torch.randint(self.heads[name].shape[1], (len(chosen), count))
        return self.heads[name][chosen[:, None], rows]

    def _maps(self, heads: Tensor, views: list[int]) -> Tensor:
        """Real normal maps (V, 3, S, S)."""
        stored = self.heads["maps"][heads, torch.tensor(views)].float() / 127
        return functional.adaptive_avg_pool2d(stored, self.config.size)

    def take_over(self, known: TriplaneHead) -> None:
        """The warp, the expressions and the spaces of another model of the same configuration, so that only identities
        are left.
        """
        self.spaces = known.spaces or self.spaces
        if known.warp is not None:
            self.model.take_warp(known.warp)
        self.model.deformation.load_state_dict(known.deformation.state_dict())

    def go_on_from(self, known: TriplaneHead) -> None:
        """The identities and expressions of another model of the same configuration, whose planes may be made of fewer
        channels, to be trained on.
        """
        model, own = self.model, ("warp.", "generator.")
        theirs = {name: value for name, value in known.state_dict().items() if not name.startswith(own)}
        model.load_state_dict({**model.state_dict(), **theirs})
        if model.generator is not None and known.generator is not None:
            model.generator.take(known.generator)

    def _keep(self, loop: Loop) -> None:
        best = loop.best
        assert isinstance(best, IdentityStep | ExpressionStep)
        kept = {name: value.detach().cpu().clone() for name, value in best.model.state_dict().items()}
        self.model.load_state_dict(kept)
        self.steps, self.minutes = self.steps + loop.step, self.minutes + loop.seconds / 60

    def facts(self) -> dict[str, Any]:
        """What the bundle tells about its training."""
        identity = self.heads[IDENTITY]
        differ = identity[:, : DIMS[IDENTITY]].any()
        kind = "scanned" if self.codes.numbered else "studio" if differ else "mean"
        return {
            "data": f"{len(identity)} {kind} heads",
            "codes": self.config.codes,
            "steps": self.steps,
            "minutes": round(self.minutes, 1),
            "date": time.strftime("%Y-%m-%d"),
        }


def picks(count: int, heads: int) -> Iterator[Tensor]:
    """Numbers of different heads (heads,) for ever, every head once before any again."""
    while True:
        yield from torch.split(torch.randperm(count)[: max(count // heads, 1) * heads], heads)


def export(trainer: Trainer, facts: dict[str, Any], out: Path) -> None:
    """Writes the bundle."""
    write_bundle(
        out,
        architecture="triplane",
        configuration=trainer.model.config.to_json(),
        training={**facts, **trainer.facts()},
        tensors=dict(trainer.model.state_dict()),
        spaces=trainer.spaces or triplane_spaces(trainer.codes, trainer.model.config),
    )


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/triplane_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    heads: Annotated[Path | None, typer.Option(help="folder of the heads; studio heads are made if not given")] = None,
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="where the bundle is written")] = Path("resources/models/triplane-studio"),
    variant: Annotated[str, typer.Option(help="full, or an ablation of the configuration file")] = FULL,
    minutes: Annotated[float | None, typer.Option(help="end the identity's training after so many minutes")] = None,
    steps: Annotated[int | None, typer.Option(help="or after so many steps, however long they take")] = None,
    known: Annotated[str | None, typer.Option(help="a bundle whose warp and expressions are taken over")] = None,
    start: Annotated[str | None, typer.Option(help="a bundle that the training goes on from")] = None,
    limit: Annotated[int | None, typer.Option(help="train on so many parts of the heads")] = None,
) -> None:
    """Train the tri-plane head."""
    try:
        config = TriplaneTraining.read(name, variant)
        if minutes is not None:
            config = replace(config, loop=replace(config.loop, minutes=minutes))
        if steps is not None:
            config = replace(config, loop=replace(config.loop, steps=steps, minutes=0.0))
        if heads is None:
            heads = work / "heads"
            make_parts(data, heads, config.parts, os.cpu_count() or 1)
        trainer = Trainer(config, read_parts(heads, limit), work)
        if start is not None:
            trainer.go_on_from(load_head(start))
        if known is not None:
            trainer.take_over(load_head(known))
            trainer.train_identity()
        else:
            if config.codes == "studio":
                maker = studio_maker(data, heads)
                write_blendshapes(maker, heads)
                write_people(maker, heads)
                trainer.blendshapes, trainer.people = read_blendshapes(heads), read_people(heads)
            trainer.fit_warp()
            trainer.train_identity()
            trainer.train_blendshapes()
            trainer.train_expression()
    except UserError as error:
        raise SystemExit(str(error)) from None
    export(trainer, {"configuration": name, "variant": variant}, out)


if __name__ == "__main__":
    typer.run(main)
