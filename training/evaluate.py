"""Measures trained bundles on identities that were never trained on.

``python -m training.evaluate look`` prints the guided head's figures and may write a contact sheet; ``triplane`` those
of fits of tri-plane heads to depth frames; ``attributes`` those of the attribute encoder's glances; ``infamous`` those
of INFAMOUS-NeRF's fits; ``expressions`` how expressions given from one of them to another come out; ``refiner`` what
refining does to models' pictures; ``transfers`` tells what transfers of attributes move.
"""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from faceeditor.faces.face import Face
from faceeditor.faces.layout import DIMS
from faceeditor.models.bundle import load_model, read_manifest
from faceeditor.models.contract import RadianceModel
from faceeditor.resources import resource_path
from training.head_measures import SAMPLES
from training.losses import dilated, eroded, psnr
from training.studio.capture import CaptureOptions
from training.studio.factors import StudioFactors
from training.studio.renderer import Studio
from training.studio.shot import Shot
from training.view_consistency import consistency

app = typer.Typer(no_args_is_help=True, add_completion=False)

RIM = 2
"""Pixels around the head that count with it."""
OUTLINE = 3
"""Pixels inside the outline that do not count as interior."""


@app.callback()
def _several() -> None:
    """Measure trained bundles on identities that were never trained on."""


def held_out(count: int) -> list[StudioFactors]:
    """Factors of ``count`` pictures of as many held-out identities."""
    options = CaptureOptions(held_out=True)
    return [options.factors(number) for number in range(count)]


def picture(srgb: NDArray[np.uint8]) -> torch.Tensor:
    """A picture (3, H, W) in [0, 1]."""
    return torch.from_numpy(srgb.copy()).permute(2, 0, 1).float() / 255


def compare(drawn: torch.Tensor, shot: Shot) -> dict[str, float]:
    """PSNR in dB over parts of the picture and SSIM over all of it, of a drawn picture (3, H, W) against a shot."""
    true, head = picture(shot.picture_srgb), torch.from_numpy(shot.coverage.copy()) > 0
    interior = eroded(head, OUTLINE)
    with_rim = dilated(head, RIM)
    return {
        "psnr": psnr(drawn, true),
        "psnr_head_and_rim": psnr(drawn, true, with_rim),
        "psnr_interior": psnr(drawn, true, interior),
        "psnr_outline": psnr(drawn, true, with_rim & ~interior),
        "ssim": float(torch.as_tensor(ssim(drawn[None], true[None], data_range=1.0))),
    }


def change_errors(model: RadianceModel, studio: Studio, factors: list[StudioFactors], size: int) -> dict[str, float]:
    """Disentanglement by space: the error of a change, as a share of the change.

    One space's code is swapped for another person's and everything else is kept. If the model also changes what it
    should keep, or changes the wrong thing, its change differs from the studio's: 0 is perfect, 1 as bad as changing
    nothing.
    """
    found = {}
    for space in DIMS:
        wrong = right = 0.0
        for first, second in zip(factors, factors[1:] + factors[:1], strict=True):
            swapped = StudioFactors.from_codes({**first.codes, space: second.codes[space]}, first.camera)
            true = [picture(studio.shoot(one, size).picture_srgb) for one in (first, swapped)]
            drawn = [picture(model.render(one.codes, one.camera, size).over()) for one in (first, swapped)]
            wrong += float(((drawn[1] - drawn[0]) - (true[1] - true[0])).abs().mean())
            right += float((true[1] - true[0]).abs().mean())
        found[space] = wrong / max(right, 1e-9)
    return found


def sheet(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], columns: int) -> NDArray[np.uint8]:
    """Truth above drawing, pair beside pair."""
    blocks = [np.concatenate(pair) for pair in pairs]
    rows = [np.concatenate(blocks[i : i + columns], axis=1) for i in range(0, len(blocks) - columns + 1, columns)]
    return np.concatenate(rows)


@app.command()
def look(
    model: Annotated[str, typer.Option(help="name of the bundle")] = "guided-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="held-out pictures")] = 60,
    size: Annotated[int, typer.Option(help="pixels")] = 256,
    pictures: Annotated[Path | None, typer.Option(help="write a contact sheet here")] = None,
) -> None:
    """Print how near a model's pictures come to the studio's, given the true codes, and how consistent views are."""
    from PIL import Image

    studio, network = Studio.open(data), load_model(model)
    factors = held_out(count)
    shots = [studio.shoot(one, size) for one in factors]
    drawn = [network.render(shot.factors.codes, shot.factors.camera, size).over() for shot in shots]
    figures = [compare(picture(one), shot) for one, shot in zip(drawn, shots, strict=True)]
    means: dict[str, object] = {key: float(np.mean([figure[key] for figure in figures])) for key in figures[0]}
    means["change_error"] = change_errors(network, studio, factors[: min(count, 12)], size)
    means["view_consistency"] = float(
        np.mean([consistency(network, shot.factors.codes, shot.factors.camera, size) for shot in shots])
    )
    means["steps"] = read_manifest(resource_path("models", model))["training"].get("steps")
    print(json.dumps({"model": model, "pictures": count, "size": size, **means}, indent=1))
    if pictures:
        pairs = [(shot.picture_srgb, one) for shot, one in zip(shots, drawn, strict=True)]
        Image.fromarray(sheet(pairs[:24], 8)).save(pictures, quality=90)


@app.command()
def triplane(
    bundle: Annotated[str, typer.Option(help="name or folder of the bundle")] = "triplane-studio",
    data: Annotated[Path, typer.Option(help="the studio's data folder")] = Path("../shared/data"),
    count: Annotated[int, typer.Option(help="held-out heads")] = 8,
    samples: Annotated[int, typer.Option(help="points of either surface; the thesis has 2.5 million")] = SAMPLES,
    quality: Annotated[str, typer.Option(help="of the fits")] = "standard",
    hair: Annotated[Path | None, typer.Option(help="a folder with shells of hair; they are made if not given")] = None,
    noise: Annotated[
        list[str] | None, typer.Option(help="a level of the noise study, or `all`; may be repeated")
    ] = None,
    ablation: Annotated[Path | None, typer.Option(help="a folder of bundles, one for every variant of 6.3")] = None,
) -> None:
    """Print how near tri-plane heads come to heads of which they see one depth frame, a line a fit and then means."""
    from training.evaluate_triplane import THESIS, Trial, load_head, means, noises, study
    from training.triplane_scans import studio_maker

    folders = sorted(path for path in ablation.iterdir() if path.is_dir()) if ablation else []
    trials = {one: Trial(load_head(one), quality) for one in [str(folder) for folder in folders] or [bundle]}
    rows = []
    with TemporaryDirectory() as made:
        for row in study(trials, noises(noise or []), studio_maker(data, hair or Path(made)), count, samples):
            rows.append(row)
            print(json.dumps(asdict(row)), flush=True)
    print(json.dumps({"heads": count, "thesis": THESIS, "means": means(rows)}, indent=1))


@app.command()
def attributes(
    bundle: Annotated[str, typer.Option(help="name or folder of the encoder's bundle")] = "attributes-studio",
    model: Annotated[str, typer.Option(help="name of the bundle that draws what it says")] = "guided-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="held-out pictures")] = 100,
    heads: Annotated[int, typer.Option(help="heads that disentanglement is scored on")] = 20,
    draws: Annotated[int, typer.Option(help="codes that an attribute takes for its disentanglement score")] = 8,
    plain: Annotated[Path | None, typer.Option(help="folder of a trained plain auto-encoder to compare with")] = None,
    pictures: Annotated[Path | None, typer.Option(help="write a contact sheet here")] = None,
) -> None:
    """Print what one glance at a picture gives (Tables 2 and 3 of zero-shot attribute separation)."""
    from PIL import Image

    from training.evaluate_attributes import PAPER, Judge, load_encoder, means, rows
    from training.glance_measures import sights

    options = CaptureOptions(held_out=True, backdrops=True)
    studio = Studio.open(data)
    judge = Judge.of(load_encoder(bundle), load_model(model))
    found = sights((options.shoot(studio, number) for number in range(count)), load_model("portrait-studio"))
    faces = judge.glances(found)
    seen = [face for face in faces if face is not None]
    told: dict[str, object] = {"pictures": count, "not_found": count - len(seen), "paper": PAPER}
    told["means"] = means(list(rows(judge, found, faces)))
    told["perceptual_by"] = judge.perceptual.source
    told["ds"] = judge.scores(seen[:heads], draws)
    if plain is not None:
        told["ds_plain_autoencoder"] = judge.plain_scores(seen[:heads], draws, plain)
    print(json.dumps(told, indent=1))
    if pictures:
        shown = [(one.portrait, face) for one, face in zip(found, faces, strict=True) if one and face]
        small = [np.asarray(Image.fromarray(portrait.crop_srgb).resize((256, 256))) for portrait, _ in shown[:24]]
        drawn = [
            judge.model.render(face.codes, face.camera, 256, refinement=face.refinement).over() for _, face in shown
        ]
        Image.fromarray(sheet(list(zip(small, drawn, strict=False)), 8)).save(pictures, quality=90)


@app.command()
def infamous(
    bundle: Annotated[str, typer.Option(help="name or folder of the bundle")] = "infamous-studio",
    start: Annotated[str, typer.Option(help="the bundle whose fits all variants begin with")] = "guided-studio",
    encoder: Annotated[str, typer.Option(help="the bundle that tells how alike people are")] = "attributes-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="held-out people")] = 8,
    told: Annotated[int, typer.Option(help="held-out people that the encoder's accuracy is measured on")] = 30,
    ablation: Annotated[Path | None, typer.Option(help="a folder of bundles, one for every line of Table 4")] = None,
    starts_in: Annotated[Path | None, typer.Option(help="a folder that keeps the fits that all begin with")] = None,
) -> None:
    """Print how like people fits of one picture are, there and from another place (Tables 3, 4 and 7 of INFAMOUS-NeRF),
    beside the paper's figures.
    """
    from faceeditor.models.template import Template
    from training.evaluate_infamous import PAPER, Likeness, beginnings, load_variant, mean_landmarks, table, trials

    studio, guided = Studio.open(data), load_model(start)
    template: Template = load_model("template-studio")
    likeness = Likeness(load_model(encoder), mean_landmarks(template))
    several = list(trials(studio, count))
    starts = beginnings(several, guided, starts_in)
    report: dict[str, object] = {"people": count, "paper": PAPER}
    variants = {"proposed": bundle}
    if ablation:
        variants |= {path.name: str(path) for path in sorted(ablation.iterdir()) if path.is_dir()}
    for name, where in variants.items():
        report[name] = table(several, starts, load_variant(where), likeness)
        print(json.dumps({name: report[name]}), flush=True)
    report["identity_pairs_told_right"] = likeness.accuracy(list(trials(studio, told)))
    print(json.dumps(report, indent=1))


@app.command()
def expressions(
    learned: Annotated[Path, typer.Option(help="folder that training.infamous_expressions has filled")],
    bundle: Annotated[str, typer.Option(help="name or folder of the bundle")] = "infamous-studio",
    start: Annotated[str, typer.Option(help="the bundle whose fits its fits begin with")] = "guided-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="held-out people")] = 8,
    moved: Annotated[int, typer.Option(help="people of those whose fits' sliders are moved")] = 4,
    starts_in: Annotated[Path | None, typer.Option(help="a folder that keeps the fits that all begin with")] = None,
) -> None:
    """Print how near expressions given from fit to fit come to the truth, by shared codes and by everyone's own, and
    what named sliders move on fits (section 4 of INFAMOUS-NeRF).
    """
    from training.evaluate_infamous import beginnings, load_variant, trials
    from training.infamous_expressions import Movements, read_variants
    from training.infamous_transfer import Reading, by_model, by_studio, fits, givings, sliders, transfers

    studio, guided, model = Studio.open(data), load_model(start), load_variant(bundle)
    movements = Movements.of(model.proxy.template)
    variants = read_variants(learned, model.config)
    several = list(trials(studio, count))
    starts = beginnings(several, guided, starts_in)
    people = fits(several, starts, model)
    reading = Reading(by_model(model), by_studio(studio), load_model("portrait-studio"))
    report: dict[str, object] = {"people": count}
    for name, row in transfers(people, givings(variants, model, movements), movements, reading):
        report[name] = row
        print(json.dumps({name: row}), flush=True)
    report["sliders"] = sliders(people[:moved], reading)
    print(json.dumps(report, indent=1))


@app.command()
def refiner(
    bundle: Annotated[str, typer.Option(help="name or folder of the refiner's bundle")] = "refiner-studio",
    models: Annotated[
        str, typer.Option(help="names of the bundles that draw, separated by commas")
    ] = "infamous-studio,headnerf-studio,guided-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    count: Annotated[int, typer.Option(help="held-out pictures")] = 24,
    size: Annotated[int, typer.Option(help="pixels")] = 256,
) -> None:
    """Print how near models' pictures of true codes come to the studio's, before and after they are refined."""
    from training.evaluate_refiner import load_refiner, refined
    from training.perceptual import Perceptual

    studio, network, perceptual = Studio.open(data), load_refiner(bundle), Perceptual.best()
    shots = [studio.shoot(one, size) for one in held_out(count)]
    report: dict[str, object] = {"pictures": count, "size": size, "perceptual_by": perceptual.source}
    for name in models.split(","):
        report[name] = refined(load_model(name), network, shots, perceptual)
        print(json.dumps({name: report[name]}), flush=True)
    print(json.dumps(report, indent=1))


@app.command()
def transfers(
    model: Annotated[str, typer.Option(help="name of the bundle that draws")] = "guided-studio",
    data: Annotated[str, typer.Option(help="the studio's data folder")] = "../shared/data",
    pairs: Annotated[int, typer.Option(help="held-out heads that attributes are moved between")] = 20,
    by_the_studio: Annotated[
        bool, typer.Option(help="judge pictures by the studio too, which move what they name")
    ] = True,
) -> None:
    """Print how much of the way to its source an attribute goes that is transferred, and every other with it."""
    from training.attribute_scores import BEHIND, SIZE, drawn
    from training.transfer_judge import TransferJudge, missed, moved

    network, reader = load_model(model), load_model("portrait-studio")
    faces = [Face(str(number), model, dict(one.codes), one.camera) for number, one in enumerate(held_out(pairs))]
    draws = {"moved": lambda face: drawn(network, face)}
    if by_the_studio:
        studio = Studio.open(data)
        draws["moved_by_the_studio"] = lambda face: (
            studio.shoot(StudioFactors.from_codes(face.codes, face.camera), SIZE, BEHIND).picture_srgb
        )
    for name, draw in draws.items():
        table = moved(faces, TransferJudge(draw, reader))
        figures = {what: {each: round(share, 3) for each, share in row.items()} for what, row in table.items()}
        print(json.dumps({"pairs": pairs, name: figures, "missed": missed(table)}, indent=1), flush=True)


if __name__ == "__main__":
    app()
