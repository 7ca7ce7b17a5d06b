"""The alternation's losses are the equations, and what HeadNeRF draws of the encoder's codes is where they say."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import EXPRESSION, HAIR, IDENTITY, LIGHT, SKIN
from faceeditor.models.attributes_codes import HEADS, ROT, SHAPE, TRAN, camera_of
from faceeditor.models.headnerf import FeatureMap, HeadNerf, Picture
from faceeditor.models.headnerf_config import HeadNerfConfig
from faceeditor.models.headnerf_rays import camera_rays
from tests.tiny_encoder import tiny_encoder
from training.alternation_losses import (
    CodeDistance,
    CodeWeights,
    DecoderLoss,
    DecoderWeights,
    EncoderLoss,
    EncoderWeights,
    Recogniser,
    perceptual_loss,
    pixel_loss,
    said,
    swapped,
)
from training.attribute_pictures import by_space, draw, heard, sights
from training.perceptual import Perceptual

SIDE = 64
DIMS = {IDENTITY: 6, EXPRESSION: 5, SKIN: 4, LIGHT: 3, HAIR: 2}
TINY = HeadNerfConfig(
    dims=DIMS, octaves=3, width=16, hidden=4, skip=2, features=16, narrowest=8, samples=12, map=16, size=SIDE
)


def codes_of(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = {head: torch.randn(batch, dims, generator=generator) for head, dims in HEADS.items()}
    codes[ROT] = 20 * codes[ROT]
    codes[TRAN] = 0.02 * codes[TRAN] + torch.tensor([0.0, 0.0, 0.9])
    return codes


def distance_of(*heads, straight=0.0, **weights):
    return CodeDistance(CodeWeights(weights, straight), heads or tuple(HEADS), tiny_encoder())


# Eq. 7, 9, 10, 11: codes


def test_codes_are_compared_by_weighted_cosines():
    first, second = codes_of(3), codes_of(3, seed=1)
    cosines = {
        head: np.mean([np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*pair, strict=True)])
        for head, pair in ((head, (first[head].numpy(), second[head].numpy())) for head in HEADS)
    }
    expected = sum((0.3 if head == SHAPE else 1) * (1 - cosine) for head, cosine in cosines.items())
    assert float(distance_of(shape=0.3)(first, second)) == pytest.approx(expected, rel=1e-5)


def test_cosines_do_not_see_lengths_and_the_straight_term_does():
    codes = codes_of(2)
    longer = {head: 1.5 * code for head, code in codes.items()}
    assert float(distance_of()(longer, codes)) == pytest.approx(0, abs=1e-5)
    encoder = tiny_encoder()
    for head in HEADS:
        length = encoder.get_buffer(f"{head}_mean").square().sum() + encoder.get_buffer(f"{head}_scale").square().sum()
        expected = 2 * float((0.5 * codes[head]).square().sum(1).mean() / length)
        assert float(distance_of(head, straight=2.0)(longer, codes)) == pytest.approx(expected, rel=1e-3)


def test_heads_that_no_decoder_hears_do_not_count():
    first, second = codes_of(2), codes_of(2)
    second["hair"] = -second["hair"]
    assert float(distance_of(*heard(TINY))(first, second)) == pytest.approx(2, abs=1e-5)
    without = heard(replace(TINY, dims={name: dims for name, dims in DIMS.items() if name != HAIR}))
    assert set(HEADS) - set(without) == {"hair"}
    assert float(distance_of(*without)(first, second)) == pytest.approx(0, abs=1e-5)


def test_codes_of_no_length_have_gradients_that_are_numbers():
    codes = {head: torch.zeros(2, dims, requires_grad=True) for head, dims in HEADS.items()}
    distance_of(straight=1.0)(codes, codes_of(2)).backward()
    assert all(code.grad.isfinite().all() for code in codes.values())


# Eq. 3 to 6: pictures


def test_pixels_count_inside_the_mask_alone():
    true, head = torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    head[0, :, :2] = 1
    drawn = true.clone()
    drawn[:, :, 2:] = 1
    assert float(pixel_loss(drawn, true, head)) == 0
    drawn[0, 0, 0, 0] = 0.5
    assert float(pixel_loss(drawn, true, head)) == pytest.approx(0.5 / (3 * 8))
    assert float(pixel_loss(drawn, true, 0 * head)) == 0


def test_activations_are_compared_layer_by_layer():
    class Layers:
        def seen(self, pictures):
            return [pictures, 2 * pictures[:, :1, ::2, ::2]]

    true = torch.rand(1, 3, 8, 8)
    assert float(perceptual_loss(Layers(), true, true)) == 0
    assert float(perceptual_loss(Layers(), true + 0.1, true)) == pytest.approx(0.1 + 0.2, rel=1e-4)


def test_the_recogniser_is_a_copy_that_stays():
    encoder = tiny_encoder()
    recogniser = Recogniser(encoder)
    pictures = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    before = recogniser(pictures)
    with torch.no_grad():
        encoder.heads[SHAPE][-1].weight.zero_()
    assert torch.equal(recogniser(pictures), before)
    assert float(recogniser.loss(pictures, pictures)) == pytest.approx(0, abs=1e-5)
    other = pictures.flip(0).requires_grad_()
    loss = recogniser.loss(other, pictures)
    cosine = torch.nn.functional.cosine_similarity(before[0], before[1], dim=0)
    assert float(loss.detach()) == pytest.approx(1 - float(cosine), rel=1e-4)
    loss.backward()
    assert other.grad.abs().max() > 0


def picture_of(srgb):
    alpha = torch.ones_like(srgb[:, :1])
    return Picture(((srgb + 0.055) / 1.055) ** 2.4, alpha, FeatureMap(alpha, alpha, alpha))


def test_the_decoders_loss_is_the_weighted_sum_of_its_terms():
    generator = torch.Generator().manual_seed(2)
    true, shown = (0.2 + 0.6 * torch.rand(2, 3, SIDE, SIDE, generator=generator) for _ in range(2))
    head = torch.ones(2, 1, SIDE, SIDE)
    recogniser = Recogniser(tiny_encoder())
    codes, start = codes_of(2), codes_of(2, seed=3)
    weights = DecoderWeights(2.0, 3.0, 4.0, 5.0, 6.0)
    terms = DecoderLoss(weights, distance_of(), recogniser)(picture_of(shown), true, head / 2, codes, start)
    assert float(terms["pix"]) == pytest.approx(float((shown - true).abs().mean()), rel=1e-3)
    assert float(terms["perc"]) == pytest.approx(float(perceptual_loss(Perceptual.best(), shown, true)), rel=1e-3)
    assert float(terms["id"]) == pytest.approx(float(recogniser.loss(shown, true)), rel=1e-2)
    assert float(terms["reg"]) == pytest.approx(float(distance_of()(codes, start)))
    assert float(terms["outline"]) == pytest.approx(0.5)
    total = sum(weight * float(terms[name]) for name, weight in vars(weights).items())
    assert float(terms["total"]) == pytest.approx(total, rel=1e-5)
    off = DecoderLoss(DecoderWeights(perc=0, id=0), distance_of(), recogniser)
    assert set(off(picture_of(shown), true, head, codes, start)) == {"total", "pix", "reg"}


# Eq. 8 to 11: an encoder and a decoder that understand each other, because pictures are the codes themselves

FLAT = sum(HEADS.values())
WIDE = math.isqrt(FLAT // 3) + 1


def paint(codes):
    flat = torch.cat(list(codes.values()), dim=1)
    return torch.nn.functional.pad(flat, (0, 3 * WIDE * WIDE - FLAT)).reshape(-1, 3, WIDE, WIDE)


def read(pictures):
    parts = pictures.flatten(1)[:, :FLAT].split(list(HEADS.values()), dim=1)
    return SimpleNamespace(codes=dict(zip(HEADS, parts, strict=True)))


def loss_of(weights=None, **changes):
    return EncoderLoss(weights or EncoderWeights(), distance_of(**changes), paint, WIDE)


@pytest.mark.parametrize("attribute", HEADS)
def test_nothing_is_lost_where_the_encoder_reads_what_the_decoder_writes(attribute):
    codes = codes_of(4)
    terms = loss_of()(read, paint(codes), codes, attribute)
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(
        {"total": 0, "cod": 0, "cyc": 0, "dis": 0}, abs=1e-5
    )


def test_the_exchanged_code_comes_and_the_others_stay():
    """An encoder that mistakes one head's code is charged for it, in L_dis even against a code of the partner."""
    codes = codes_of(4)
    mixed = swapped(codes, "tex")
    assert torch.equal(mixed["tex"], codes["tex"][[2, 3, 0, 1]])
    assert all(mixed[head] is codes[head] for head in HEADS if head != "tex")

    def confused(pictures):
        told = read(pictures).codes
        return SimpleNamespace(codes={**told, "exp": -told["exp"]})

    loss = loss_of(exp=0.7)
    assert float(loss.returned(confused, mixed)) == pytest.approx(0.7 * 2, rel=1e-4)

    def stubborn(pictures):
        """Sees the texture that was there before."""
        return SimpleNamespace(codes={**read(pictures).codes, "tex": codes["tex"]})

    cosines = torch.nn.functional.cosine_similarity(mixed["tex"], codes["tex"])
    assert float(loss.returned(stubborn, mixed)) == pytest.approx(float((1 - cosines).mean()), rel=1e-4)


def test_labels_are_compared_with_what_is_said_of_the_photo():
    codes, labels = codes_of(4), codes_of(4, seed=5)
    terms = loss_of()(read, paint(codes), labels, SHAPE)
    assert float(terms["cod"]) == pytest.approx(float(distance_of()(codes, labels)), rel=1e-5)
    assert float(terms["total"]) == pytest.approx(float(terms["cod"]), rel=1e-4)


@pytest.mark.parametrize("off", ["cyc", "dis"])
def test_terms_can_be_switched_off(off):
    codes = codes_of(4)
    terms = loss_of(EncoderWeights(**{off: 0.0}))(read, paint(codes), codes, SHAPE)
    assert set(terms) == {"total", "cod", "cyc", "dis"} - {off}


def test_an_encoder_sees_pictures_at_its_size():
    encoder = tiny_encoder()
    big = torch.rand(2, 3, 2 * SIDE, 2 * SIDE)
    assert {head: code.shape for head, code in said(encoder, big, SIDE).items()} == {
        head: (2, dims) for head, dims in HEADS.items()
    }


# D of the heads' codes


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return HeadNerf(TINY).eval()


def test_a_decoder_hears_the_first_components(decoder):
    codes = codes_of(2)
    spoken = by_space(codes, TINY)
    assert torch.equal(spoken[IDENTITY], codes[SHAPE][:, :6])
    bald = by_space(codes, replace(TINY, dims={IDENTITY: 6, EXPRESSION: 5}))
    assert set(bald) == {IDENTITY, EXPRESSION, HAIR}
    assert not bald[HAIR].any()


def test_pose_codes_are_the_cameras_that_they_stand_for():
    codes = codes_of(3)
    rays = sights(codes, TINY, 8)
    for row in range(3):
        pose = (codes[name][row].double().numpy() for name in (ROT, TRAN))
        camera = camera_of(*pose, Camera().field_of_view)
        true = camera_rays(camera, 8, TINY.unit, TINY.origin, torch.device("cpu"))
        torch.testing.assert_close(rays.origins[row], true.origins[0], rtol=0, atol=1e-4)
        torch.testing.assert_close(rays.directions[row], true.directions[0], rtol=0, atol=1e-4)


def test_pictures_have_gradients_to_every_code_that_is_heard(decoder):
    codes = {head: code.requires_grad_() for head, code in codes_of(2).items()}
    drawn = draw(decoder, codes, 16)
    assert drawn.alpha.shape == (2, 1, SIDE, SIDE)
    (drawn.rgb_linear.square().mean() + drawn.alpha.square().mean()).backward()
    for head, code in codes.items():
        assert code.grad.abs().max() > 0, head
        assert code.grad.isfinite().all(), head


def test_gradients_to_the_pose_are_those_of_finite_differences():
    def seen(rotation, translation):
        rays = sights({ROT: rotation, TRAN: translation}, TINY, 3)
        return rays.origins, rays.directions

    codes = codes_of(2)
    pose = [codes[name].double().requires_grad_() for name in (ROT, TRAN)]
    assert torch.autograd.gradcheck(seen, pose, atol=1e-5)
