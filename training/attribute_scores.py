"""Which attribute of a head a change of codes changes, as the encoder sees it in pictures drawn before and after."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face
from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, LIGHT_SHAPE, SKIN
from faceeditor.models.attributes import AttributeNetwork, Attributes
from faceeditor.models.attributes_codes import EXP, HAIR_HEAD, ILLU, ROT, SHAPE, TEX
from faceeditor.models.contract import RadianceModel
from faceeditor.rendering.harmonics import basis
from training.attributes_losses import MEASURED, FaceLandmarks
from training.studio.sampling import FACE_NORMALS

Floats = NDArray[np.float64]
Features = Mapping[str, Floats]
"""What is seen of N pictures, (N, features) by attribute, so that differences are lengths, angles or colours."""

POSE: Final = "pose"
ATTRIBUTES: Final = (IDENTITY, EXPRESSION, SKIN, LIGHT, HAIR, POSE)
SCORED: Final = (IDENTITY, EXPRESSION, SKIN, LIGHT, POSE)
"""Table 3's alpha, beta, gamma, eta and theta: the paper gives no score of hair."""
SIZE: Final = 256
BEHIND: Final = (0.2, 0.2, 0.2)
"""The colour, linear, behind what is drawn."""


class Seer:
    """Reads pictures by an encoder."""

    def __init__(self, network: AttributeNetwork, landmarks: FaceLandmarks) -> None:
        self.network, self.landmarks = network, landmarks
        self.normals = torch.from_numpy(basis(FACE_NORMALS))

    @torch.inference_mode()
    def said(self, pictures_srgb: Sequence[NDArray[np.uint8]]) -> Attributes:
        """Of each picture (S, S, 3), which shows a head as crops do."""
        size = self.network.config.size
        pictures = torch.from_numpy(np.stack(pictures_srgb)).permute(0, 3, 1, 2) / 255
        small = functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
        found: Attributes = self.network(small.contiguous(memory_format=torch.channels_last))
        return found

    def features(self, pictures_srgb: Sequence[NDArray[np.uint8]]) -> Features:
        """Shape and expression are landmarks, metres, light is how it falls on a face, the rest are codes."""
        codes = self.said(pictures_srgb).codes
        nobody, still = (torch.zeros_like(codes[head]) for head in (SHAPE, EXP))
        yaw = torch.zeros(len(nobody))
        mean = self.landmarks(nobody, still, yaw)
        found = {
            IDENTITY: self.landmarks(codes[SHAPE], still, yaw) - mean,
            EXPRESSION: self.landmarks(nobody, codes[EXP], yaw) - mean,
            SKIN: codes[TEX][:, MEASURED[TEX]],
            LIGHT: torch.einsum("nk,bkc->bnc", self.normals, codes[ILLU].reshape(-1, *LIGHT_SHAPE)),
            HAIR: codes[HAIR_HEAD][:, : max(MEASURED[HAIR_HEAD]) + 1],
            POSE: codes[ROT],
        }
        return {name: value.flatten(1).double().numpy() for name, value in found.items()}


def drawn(model: RadianceModel, face: Face) -> NDArray[np.uint8]:
    """The picture (S, S, 3) that is read."""
    frame = model.render(face.codes, face.camera, SIZE, refinement=face.refinement or None)
    return frame.over(BEHIND)


def with_attribute(face: Face, name: str, other: Face) -> Face:
    """``face`` with one attribute of ``other``."""
    if name == POSE:
        return face.replace(camera=face.camera.replace(yaw=other.camera.yaw, pitch=other.camera.pitch))
    return face.with_code(name, other.codes[name])


def placed_as_crops(face: Face) -> Face:
    """``face`` as a crop shows it: upright, whole, in the middle."""
    return face.replace(camera=Camera(face.camera.yaw, face.camera.pitch), refinement={})


def disentanglement(
    drawings: Callable[[int, str, int], NDArray[np.uint8]],
    features: Callable[[Sequence[NDArray[np.uint8]]], Features],
    heads: int,
    draws: int,
) -> dict[str, float]:
    """DS of Table 3 (Deng et al., "Disentangled and Controllable Face Image Generation via 3D Imitative-Contrastive
    Learning", CVPR 2020): the product, over all other attributes, of the variance of one attribute over that of the
    other, while only the code of the one varies.

    ``drawings(head, attribute, draw)`` draws one of ``heads`` with an attribute of another head; draw 0 is as it is.
    Variances are shares of those among different heads.
    """
    usual = {name: _variance(values) for name, values in features([drawings(n, POSE, 0) for n in range(heads)]).items()}
    scores = {}
    for name in SCORED:
        seen = [features([drawings(head, name, draw) for draw in range(draws)]) for head in range(heads)]
        var = {other: sum(_variance(one[other]) for one in seen) / heads / usual[other] for other in SCORED}
        scores[name] = float(np.prod([var[name] / max(var[other], 1e-9) for other in SCORED if other != name]))
    return scores


def _variance(values: Floats) -> float:
    return float(values.var(0).sum())
