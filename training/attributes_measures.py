"""How well the attribute encoder tells studio heads that it was not trained on, before random backgrounds.

``python -m training.attributes_measures --pictures HELD_OUT --bundle FOLDER``; pictures are those that ``python -m
training.studio.capture --held-out`` has taken. Landmark errors are percent of the distance between the outer eye
corners as it would be seen from the front.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from torch import Tensor
from torch.nn import functional

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.landmarks import LEFT_EYE_CORNER, RIGHT_EYE_CORNER
from faceeditor.faces.layout import HAIR_COLOUR, LIGHT_SHAPE
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.attributes_codes import EXP, HAIR_HEAD, ILLU, OPTIONS, ROT, SHAPE, SPACES, TEX, TRAN, decided
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.rendering.colour import linear_to_srgb_torch
from faceeditor.rendering.harmonics import basis
from training.attributes_batches import Lesson, Lessons, Relight
from training.attributes_losses import FaceLandmarks, projected, rotations
from training.attributes_shots import AttributeShots
from training.augment import Augment
from training.backgrounds import backgrounds
from training.evaluate_portrait import SETTINGS
from training.portrait_shots import side_for
from training.studio.sampling import FACE_NORMALS
from training.train_attributes import BODY, NAME, READER

BATCH: Final = 50
STRONG: Final = 0.3
"""Weights of an expression from which it counts as there."""


class Measures:
    """Errors of every picture, by name."""

    def __init__(self, network: AttributeNetwork) -> None:
        self.network = network
        self.landmarks = FaceLandmarks(load_model(BODY))
        self.normals = torch.from_numpy(basis(FACE_NORMALS))

    @torch.inference_mode()
    def of(self, lesson: Lesson) -> dict[str, Tensor]:
        """Errors (B,) of one forward pass; NaN where a picture has not what is measured."""
        said = self.network(lesson.pictures).codes
        chosen = {SPACES[space]: torch.from_numpy(code) for space, code in decided(said).items()}
        told, true = {**said, **chosen}, lesson.codes
        return {**self._shape(told, lesson), **_pose(told, true), **_choices(told, true), **self._light(told, true)}

    def _shape(self, told: dict[str, Tensor], lesson: Lesson) -> dict[str, Tensor]:
        true = lesson.codes
        places = self.landmarks(told[SHAPE], told[EXP], true[ROT][:, 0])
        right = self.landmarks(true[SHAPE], true[EXP], true[ROT][:, 0])
        eyes = (right[:, LEFT_EYE_CORNER] - right[:, RIGHT_EYE_CORNER]).norm(dim=-1)
        seen_apart = eyes * true[TRAN][:, 2].exp()
        distance = Camera().focal / told[TRAN][:, 2].exp()
        percent = {
            "landmarks": projected(places, told[ROT], told[TRAN], distance),
            "landmarks_if_distance_known": projected(places, told[ROT], told[TRAN], lesson.distance),
            "landmarks_of_true_codes": projected(right, true[ROT], true[TRAN], lesson.distance),
        }
        away = {name: (seen - lesson.landmarks).norm(dim=-1).mean(1) for name, seen in percent.items()}
        strong = true[EXP] > STRONG
        exp_error = ((told[EXP] - true[EXP]).abs() * strong).sum(1) / strong.sum(1)
        return {
            **{f"{name}_percent": 100 * off / seen_apart for name, off in away.items()},
            "landmarks_3d_percent": 100 * (places - right).norm(dim=-1).mean(1) / eyes,
            "identity_cosine": functional.cosine_similarity(told[SHAPE][:, : true[SHAPE].shape[1]], true[SHAPE]),
            "expression_cosine": _cosine(told[EXP], true[EXP]),
            "strong_expression_error": exp_error,
        }

    def _light(self, told: dict[str, Tensor], true: Any) -> dict[str, Tensor]:
        lit, right = (
            torch.einsum("nk,bkc->bnc", self.normals, codes[ILLU].reshape(-1, *LIGHT_SHAPE)) for codes in (told, true)
        )
        return {"light_percent": 100 * (lit - right).abs().mean((1, 2)) / right.mean(2).amax(1)}


def _cosine(told: Tensor, true: Tensor) -> Tensor:
    return torch.where(true.norm(dim=1) > 0, functional.cosine_similarity(told, true), torch.nan)


def _pose(told: dict[str, Tensor], true: Any) -> dict[str, Tensor]:
    both = torch.einsum("nij,nij->n", rotations(told[ROT]), rotations(true[ROT]))
    off = told[TRAN] - true[TRAN]
    return {
        "pose_degrees": torch.rad2deg(torch.acos(((both - 1) / 2).clamp(-1, 1))),
        "middle_percent_of_picture": 100 * off[:, :2].norm(dim=1),
        "size_percent": 100 * off[:, 2].abs(),
    }


def _choices(told: dict[str, Tensor], true: Any) -> dict[str, Tensor]:
    """What was chosen, and colours as eyes see them."""
    bare = true[HAIR_HEAD][:, OPTIONS["hair"].part].sum(1) < 0.5
    hair = [linear_to_srgb_torch(codes[HAIR_HEAD][:, HAIR_COLOUR].clamp(0, 1)) for codes in (told, true)]
    found = {
        f"{name}_right": (told[one.head][:, one.part] - true[one.head][:, one.part]).abs().amax(1) < 0.5
        for name, one in OPTIONS.items()
        if not one.mixed
    }
    skin = OPTIONS["skin"].part
    return {
        **{name: right.float() for name, right in found.items()},
        "hair_colour_error": torch.where(bare, torch.nan, (hair[0] - hair[1]).abs().mean(1)),
        "skin_shares_wrong": (told[TEX][:, skin] - true[TEX][:, skin]).abs().sum(1) / 2,
    }


def measure(network: AttributeNetwork, shots: AttributeShots) -> dict[str, dict[str, float]]:
    """Means over all shots, in the settings of the portrait network's figures."""
    size, template = network.config.size, load_model(BODY)
    told = {}
    for name, config in SETTINGS.items():
        torch.manual_seed(7)
        augment = Augment(size, backgrounds(200, 99), config)
        lessons = Lessons(shots, augment, template, Relight(0.0, 0.0), mirror=False)
        measures = Measures(network)
        parts = [measures.of(lessons.take(chosen)) for chosen in torch.split(torch.arange(len(shots)), BATCH)]
        whole = {key: torch.cat([part[key] for part in parts]).double().numpy() for key in parts[0]}
        told[name] = {key: round(float(np.nanmean(values)), 3) for key, values in whole.items()}
    return told


def main(
    pictures: Annotated[Path, typer.Option(help="folder of held-out pictures")],
    bundle: Annotated[Path | None, typer.Option(help="the bundle's folder; the one that ships if not given")] = None,
    count: Annotated[int, typer.Option(help="pictures to measure on")] = 512,
) -> None:
    """Measure the attribute encoder."""
    try:
        network = (
            load_model(NAME)
            if bundle is None
            else AttributeNetwork.from_bundle(read_bundle(bundle), torch.device("cpu"))
        )
        side = side_for(network.config.size)
        shots = AttributeShots.load(pictures, side, load_model(READER).landmarks_3d, count)
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps({"pictures": len(shots), **measure(network, shots)}, indent=1))


if __name__ == "__main__":
    typer.run(main)
