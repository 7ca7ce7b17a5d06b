"""The tables of zero-shot attribute separation: how like a picture what one glance gives is, and how well attributes
are kept apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional

from faceeditor.faces.face import Face
from faceeditor.fitting.glance import glance
from faceeditor.models.attributes import AttributeNetwork
from faceeditor.models.attributes_codes import EXP, ILLU, ROT, SHAPE, TEX
from faceeditor.models.bundle import load_model, read_bundle
from faceeditor.models.contract import FittableModel
from training.attribute_scores import Seer, disentanglement, drawn, placed_as_crops, with_attribute
from training.attributes_losses import FaceLandmarks
from training.glance_measures import SIZE, Sight, errors
from training.perceptual import Perceptual
from training.plain_autoencoder import BY_ATTRIBUTE, load

BODY: Final = "template-studio"
PAPER: Final = {
    "lpips": 0.2713, "l1": 0.0610, "ssim": 0.8112, "ic": 0.7151, "aed": 0.0699, "atd": 0.0318, "aid": 0.0344,
    "apd": 0.020, "ds": {"identity": 8.74, "expression": 54.5, "skin": 39.1, "light": 476, "pose": 42.0},
}  # fmt: skip
"""What Tables 2 and 3 say of the paper's model, on photos and by other networks than ours."""
DISTANCES: Final = {"aed": EXP, "atd": TEX, "aid": ILLU, "apd": ROT}
"""Average expression, texture, illumination and pose distances, and the heads that they are told by."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What looks are judged with: an encoder, a model that draws what it says, and what pictures look like to a
    network.
    """

    encoder: AttributeNetwork
    model: FittableModel
    seer: Seer
    perceptual: Perceptual

    @classmethod
    def of(cls, encoder: AttributeNetwork, model: FittableModel) -> "Judge":
        """One with the seeing that is at hand."""
        return cls(encoder, model, Seer(encoder, FaceLandmarks(load_model(BODY))), Perceptual.best())

    def glances(self, sights: Sequence[Sight | None]) -> list[Face | None]:
        """The faces that one glance at each gives."""
        return [None if one is None else glance(one.portrait, self.encoder, self.model) for one in sights]

    def table(self, face: Face, true: NDArray[np.float64]) -> dict[str, float]:
        """Table 2's columns of a face against the ``true`` picture (S, S, 3), sRGB in [0, 1], white but for the
        head: over all of both pictures, as the paper compares pictures of heads that are cut out. Distances
        of attributes are one minus the cosines of what the encoder says of either, ``ic`` is the cosine of shapes.
        """
        frame = self.model.render(face.codes, face.camera, SIZE, refinement=face.refinement or None)
        shown = frame.over() / 255
        pair = torch.from_numpy(np.stack([true, shown])).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            unlike = self.perceptual(pair[1:], pair[:1])
        said = self.seer.said([np.rint(one * 255).astype(np.uint8) for one in (true, shown)]).codes
        return {
            "perceptual": float(unlike),
            "picture_l1": float(np.abs(shown - true).mean()),
            "picture_ssim": float(structural_similarity(true, shown, channel_axis=2, data_range=1.0)),  # type: ignore[no-untyped-call]
            "ic": self._alike(said[SHAPE], SHAPE),
            **{name: 1 - self._alike(said[code], code) for name, code in DISTANCES.items()},
        }

    def _alike(self, codes: Tensor, head: str) -> float:
        centred = codes - (0 if head == EXP else self.encoder.get_buffer(f"{head}_mean"))
        return float(functional.cosine_similarity(centred[0], centred[1], dim=0))

    def scores(self, faces: Sequence[Face], draws: int) -> dict[str, float]:
        """DS of what the model draws."""
        faces = [placed_as_crops(face) for face in faces]

        def drawing(head: int, name: str, draw: int) -> NDArray[np.uint8]:
            other = faces[(head + draw) % len(faces)]
            return drawn(self.model, with_attribute(faces[head], name, other))

        return disentanglement(drawing, self.seer.features, len(faces), draws)

    def plain_scores(self, faces: Sequence[Face], draws: int, folder: Path) -> dict[str, float]:
        """DS of the plain auto-encoder that was trained in ``folder``, of the same heads."""
        network, size = load(folder, self.encoder.config), self.encoder.config.size
        pictures = np.stack([drawn(self.model, placed_as_crops(face)) for face in faces])
        seen = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            codes = network.encode(functional.interpolate(seen, (size, size), mode="bilinear", antialias=True))

        def drawing(head: int, name: str, draw: int) -> NDArray[np.uint8]:
            code = codes[head].clone()
            for part in BY_ATTRIBUTE[name]:
                code[part] = codes[(head + draw) % len(codes)][part]
            with torch.no_grad():
                picture = network.decode(code[None])[0]
            return np.asarray((picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))

        return disentanglement(drawing, self.seer.features, len(faces), draws)


def load_encoder(name_or_folder: str) -> AttributeNetwork:
    """An installed encoder, or that in a bundle's folder."""
    folder = Path(name_or_folder)
    if folder.is_dir():
        return AttributeNetwork.from_bundle(read_bundle(folder), torch.device("cpu"))
    network: AttributeNetwork = load_model(name_or_folder)
    return network


def rows(judge: Judge, sights: Sequence[Sight | None], faces: Sequence[Face | None]) -> Iterator[dict[str, float]]:
    """The figures of every head that was found."""
    for sight, face in zip(sights, faces, strict=True):
        if sight is not None and face is not None:
            true, _ = sight.picture()
            yield {**errors(sight, face, judge.model), **judge.table(face, true)}


def means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of all columns."""
    return {name: round(float(np.mean([row[name] for row in figures])), 4) for name in figures[0]} if figures else {}
