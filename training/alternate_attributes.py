"""The EM-like alternation of zero-shot attribute separation (Zhang et al., sections 3.2 and 3.3): the encoder and
HeadNeRF teach each other on photos of which nothing is known.

``python -m training.alternate_attributes small --work FOLDER --photos PLACED --encoder attributes-studio --decoder
headnerf-studio --out FOLDER`` alternates to the configured end, or goes on where it stopped, and writes the bundles
``FOLDER/encoder`` and ``FOLDER/decoder``. Photos are those that ``python -m training.placed_photos`` has placed.

Two things differ from section 4.1: the heads share a backbone, so that one Adam serves all of them, and none is a face
recogniser, which would want its own way of descent; and the learning rate sinks in every part of the training.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.latents import Space
from faceeditor.files.atomic import atomic_write
from faceeditor.models.attributes import AttributeNetwork, Attributes
from faceeditor.models.attributes_codes import HEADS
from faceeditor.models.bundle import write_bundle
from faceeditor.models.headnerf import HeadNerf, Picture
from training.alternation_config import Alternation, limited
from training.alternation_losses import CodeDistance, DecoderLoss, EncoderLoss, EncoderWeights, Recogniser, said
from training.alternation_start import claim, first_decoder, opened, waken
from training.attribute_pictures import draw, heard
from training.augment import Augment
from training.backgrounds import backgrounds
from training.loop import Loop, LoopConfig, Losses, make_fabric
from training.placed_photos import PlacedPhotos, Unlabelled
from training.train_attributes import NAME
from training.train_headnerf import over_white

ENCODER, DECODER = "encoder", "decoder"
TELLING: Final = 32
"""Photos that are encoded at once before a round."""


class PhotoCodes(nn.Module):
    """The conditioned codes z of photos: z^0, ``told`` (N, dims) by head, and how far they have moved since, in the
    spread of each component that ``encoder`` knows; for a step that is small for an angle is large for a colour.
    """

    def __init__(self, told: Mapping[str, Tensor], encoder: AttributeNetwork) -> None:
        super().__init__()
        self.moves = nn.ParameterDict({head: nn.Parameter(torch.zeros_like(table)) for head, table in told.items()})
        for head, table in told.items():
            self.register_buffer(f"{head}_start", table, persistent=False)
            self.register_buffer(f"{head}_spread", encoder.get_buffer(f"{head}_scale"), persistent=False)

    def start(self, numbers: Tensor | slice) -> dict[str, Tensor]:
        """z^0 (B, dims) by head of the photos with ``numbers`` (B,)."""
        return {head: self.get_buffer(f"{head}_start")[numbers] for head in self.moves}

    def forward(self, numbers: Tensor | slice) -> dict[str, Tensor]:
        """z (B, dims) by head."""
        start = self.start(numbers)
        return {head: start[head] + self.get_buffer(f"{head}_spread") * self.moves[head][numbers] for head in start}


class DecoderStep(nn.Module):
    """What is trained in the first step: D and the codes."""

    def __init__(self, decoder: HeadNerf, codes: PhotoCodes, config: Alternation) -> None:
        super().__init__()
        self.decoder, self.codes, self.cells, self.short = decoder, codes, config.cells, config.short

    def forward(self, numbers: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], Picture]:
        """z and z^0 of photos, and D(z)."""
        codes = self.codes(numbers)
        drawn = draw(self.decoder, codes, self.cells, jitter=True, short=self.short)
        return codes, self.codes.start(numbers), drawn


class Trainer:
    """The alternation of ``encoder`` and ``decoder`` on ``photos``, in the folder ``work``. Both are changed in place;
    ``seen_by`` tells whose activations L_perc compares.
    """

    def __init__(
        self, config: Alternation, work: Path, photos: PlacedPhotos, encoder: AttributeNetwork, decoder: HeadNerf
    ) -> None:
        self.config, self.work, self.photos = config, work, photos
        self.fabric: Fabric = make_fabric(config.decoder)
        self.encoder = waken(encoder, config.scale).channels_last().to(self.fabric.device).eval()
        self.decoder = decoder.to(self.fabric.device)
        self.heads = heard(decoder.config)
        self.distance = CodeDistance(config.codes, self.heads, self.encoder).to(self.fabric.device)
        self.recogniser = Recogniser(self.encoder)
        self.steps, self.minutes, self.seen_by = {ENCODER: 0, DECODER: 0}, 0.0, ""

    def train(self) -> None:
        """Sections 3.3 and 3.2, to the configured end."""
        config = self.config
        if any(config.start):
            weights = replace(config.encoder_weights, cyc=0.0, dis=0.0)
            self.round(self.work / "start", *config.start, weights)
        for number in range(config.rounds):
            self.round(self.work / f"round-{number + 1:03d}", config.epochs, config.epochs, config.encoder_weights)

    def round(self, folder: Path, first: float, second: float, weights: EncoderWeights) -> None:
        """Both steps, of so many epochs each."""
        labels = self.train_decoder(folder, first)
        self.train_encoder(folder, second, labels, weights)

    def train_decoder(self, folder: Path, epochs: float) -> dict[str, Tensor]:
        """The first step: D's weights and the photos' codes by Eq. 3; gives z^D (N, dims) by head."""
        start = {head: table.to(self.fabric.device) for head, table in self.told(folder).items()}
        step = DecoderStep(self.decoder.requires_grad_(True), PhotoCodes(start, self.encoder), self.config)
        loss = DecoderLoss(self.config.decoder_weights, self.distance, self.recogniser).to(self.fabric.device)
        self.seen_by = loss.perceptual.source if loss.perceptual else ""

        def loss_of(network: nn.Module, batch: Unlabelled, number: int) -> Losses:
            codes, before, drawn = network(batch.numbers)
            size = drawn.alpha.shape[-1]
            return loss(drawn, _sized(batch.over(), size), _sized(batch.head, size), codes, before)  # type: ignore[no-any-return]

        rate = self.config.decoder.learning_rate
        groups = [
            {"params": list(step.decoder.parameters()), "lr": rate},
            {"params": list(step.codes.parameters()), "lr": self.config.codes_rate, "weight_decay": 0.0},
        ]
        loop = self._run(folder / DECODER, self.config.decoder, epochs, step, loss_of, groups)
        best = loop.best
        assert isinstance(best, DecoderStep)
        self._keep(DECODER, self.decoder, best.decoder, loop)
        return {head: table.detach() for head, table in best.codes(slice(None)).items()}

    def train_encoder(self, folder: Path, epochs: float, labels: Mapping[str, Tensor], weights: EncoderWeights) -> None:
        """The second step: E's weights by Eq. 8, with ``labels`` z^D. The statistics of its normalisations stay."""
        config, device = self.config, self.fabric.device
        loss = EncoderLoss(weights, self.distance, self.paint, self.encoder.config.size)
        pool = backgrounds(config.backgrounds, config.encoder.seed) if config.backgrounds else None
        back = None if pool is None else Augment(self.encoder.config.size, pool)

        def loss_of(network: Callable[[Tensor], Attributes], batch: Unlabelled, number: int) -> Losses:
            known = {head: table[batch.numbers] for head, table in labels.items()}
            attribute = self.heads[int(torch.randint(len(self.heads), ()))]
            return loss(network, self._seen(batch, back).to(device), known, attribute)  # type: ignore[no-any-return]

        self.encoder.requires_grad_(True)
        loop = self._run(folder / ENCODER, config.encoder, epochs, self.encoder, loss_of)
        self._keep(ENCODER, self.encoder, loop.best, loop)

    def _seen(self, batch: Unlabelled, back: Augment | None) -> Tensor:
        """What the encoder is shown of photos, with pieces of ``back`` behind, or white."""
        size = self.encoder.config.size
        small = Unlabelled(batch.numbers, *(_sized(part, size) for part in batch[1:]))
        if back is None:
            return small.over()
        return small.over(back.patches(len(batch.numbers)).to(batch.photos)).clamp(0, 1)

    def paint(self, codes: Mapping[str, Tensor]) -> Tensor:
        """D(z) over white."""
        return over_white(draw(self.decoder, codes, self.config.cells, short=self.config.short))

    def told(self, folder: Path) -> dict[str, Tensor]:
        """z^0: what E says of all photos (N, dims) by head, asked once for each round."""
        file = folder / "told.safetensors"
        if not file.is_file():
            size = self.encoder.config.size
            parts = [said(self.encoder, self._telling(batch), size) for batch in self.photos.once(TELLING)]
            table = {head: torch.cat([part[head] for part in parts]).cpu().contiguous() for head in HEADS}
            if self.fabric.is_global_zero:
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_write(file) as beside:
                    save_file(table, beside)
            self.fabric.barrier()
        return load_file(file)

    def _telling(self, batch: Unlabelled) -> Tensor:
        return batch.over().to(self.fabric.device)

    def _batches(self, seed: int) -> Iterator[Unlabelled]:
        torch.manual_seed(seed + 1000 * self.fabric.global_rank)
        return self.photos.forever(self.config.batch)

    def _run(
        self,
        folder: Path,
        config: LoopConfig,
        epochs: float,
        network: nn.Module,
        loss_of: Callable[[Any, Unlabelled, int], Losses],
        groups: list[dict[str, Any]] | None = None,
    ) -> Loop:
        """The finished loop of one step."""
        per_step = self.config.batch * self.fabric.world_size
        config = replace(config, steps=max(round(epochs * len(self.photos) / per_step), 1))
        loop = Loop(config, folder, network, loss_of, groups, fabric=self.fabric)
        loop.run(self._batches(config.seed + loop.step))
        return loop

    def _keep(self, which: str, network: nn.Module, best: nn.Module, loop: Loop) -> None:
        """Takes over what was learned, and lets ``network`` rest."""
        network.load_state_dict({name: value.detach().clone() for name, value in best.state_dict().items()})
        network.requires_grad_(False).zero_grad()
        self.steps[which] += loop.step
        self.minutes += loop.seconds / 60

    def export(self, facts: Mapping[str, Any], spaces: Mapping[str, Space], out: Path) -> None:
        """Writes both bundles; ``spaces`` are the decoder's."""
        shared = {**facts, "minutes": round(self.minutes, 1), "date": time.strftime("%Y-%m-%d")}
        write_bundle(
            out / ENCODER,
            architecture="attributes",
            configuration=self.encoder.configuration(),
            training={**shared, "steps": self.steps[ENCODER]},
            tensors=self.encoder.state_dict(),
        )
        write_bundle(
            out / DECODER,
            architecture="headnerf",
            configuration=self.decoder.config.to_json(),
            training={**shared, "steps": self.steps[DECODER]},
            tensors=self.decoder.state_dict(),
            spaces=spaces,
        )


def _sized(pictures: Tensor, size: int) -> Tensor:
    if pictures.shape[-1] == size:
        return pictures
    return functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True).clamp(0, 1)


def main(
    name: Annotated[str, typer.Argument(help="a file training/configs/alternation_NAME.yaml")],
    work: Annotated[Path, typer.Option(help="folder of the checkpoints and the logs")],
    photos: Annotated[Path, typer.Option(help="folder of placed photos")],
    out: Annotated[Path, typer.Option(help="where the bundles are written")],
    encoder: Annotated[str, typer.Option(help="the first encoder, a bundle's name or folder")] = NAME,
    decoder: Annotated[str, typer.Option(help="the first decoder, a bundle's name or folder; a new one else")] = "",
    minutes: Annotated[float | None, typer.Option(help="end each step of a round after so many minutes")] = None,
) -> None:
    """Let encoder and decoder teach each other."""
    try:
        config = limited(Alternation.read(name), minutes)
        placed = PlacedPhotos.of(photos)
        first, second = opened(encoder, "attributes"), opened(decoder, "headnerf") if decoder else None
        hashes = {ENCODER: first.content_hash, DECODER: second.content_hash if second else "new"}
        claim(work, {**hashes, "photos": str(len(placed)), "configuration": name})
        network = AttributeNetwork.from_bundle(first, torch.device("cpu"))
        torch.manual_seed(config.decoder.seed)
        model, spaces = first_decoder(config, second)
    except UserError as error:
        raise SystemExit(str(error)) from None
    trainer = Trainer(config, work, placed, network, model)
    trainer.train()
    facts = {"data": f"{len(placed)} photos, unlabelled", "configuration": name, "perceptual": trainer.seen_by}
    trainer.export({**facts, "encoder": encoder, "decoder": decoder or "new"}, spaces, out)


if __name__ == "__main__":
    typer.run(main)
