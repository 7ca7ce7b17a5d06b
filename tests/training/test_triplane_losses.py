"""The tri-plane head's objectives vanish on the truth, have the thesis' weights, and tell wrong from right."""

from dataclasses import fields

import pytest
import torch
from torch.nn import functional

from faceeditor.models.triplane import HeadField
from faceeditor.models.triplane_layers import BoundMLP, as_rows
from training.triplane_discriminator import PENALTY, Discriminator, discriminator_loss, generator_loss
from training.triplane_losses import (
    ExpressionWeights,
    Pairs,
    Points,
    TriplaneWeights,
    expression_losses,
    plane_losses,
    point_losses,
)

RADIUS = 0.6


class Sphere(HeadField):
    """A head that is a ball, as far as distances go."""

    def __init__(self, radius=RADIUS, motion=None):
        super().__init__(None, BoundMLP((), (), 0), motion=motion)
        object.__setattr__(self, "radius", radius)

    def sdf(self, points):
        return points.norm(dim=-1) - self.radius


def points_of(count=200, batch=2):
    generator = torch.Generator().manual_seed(0)
    ways = functional.normalize(torch.randn(batch, count, 3, generator=generator), dim=-1)
    near = ways * (RADIUS + 0.01 * torch.randn(batch, count, 1, generator=generator))
    ball = torch.rand(batch, count, 3, generator=generator) - 0.5
    on, near_sdf = RADIUS * ways, near.norm(dim=-1) - RADIUS
    return Points(on, ways, near, near_sdf, ball, ball.norm(dim=-1) - RADIUS, near, near_sdf)


def test_weights_are_those_of_table_4_1():
    weights = {part.name: getattr(TriplaneWeights(), part.name) for part in fields(TriplaneWeights)}
    table = {"ss": 20, "sn": 3, "eik": 2, "nsp": 0.1, "edr": 1e-5, "nmr": 2, "g": 1, "d": 1, "tv": 1e-4, "tp": 1e-4}
    assert weights == {**table, "space": 0}
    assert ExpressionWeights() == ExpressionWeights(c=100, dp=1e-5, r=5e-5)
    assert PENALTY == 5


def test_objectives_vanish_on_the_truth_and_not_beside_it():
    weights = TriplaneWeights(space=1.0)
    with torch.no_grad():
        right, wrong = (point_losses(Sphere(radius), points_of(), weights) for radius in (RADIUS, RADIUS + 0.05))
    for name in ("ss", "space"):
        assert right[name] < 1e-6
        assert wrong[name] == pytest.approx(0.05, abs=1e-4)
    assert right["sn"] < 1e-6
    assert right["eik"] < 1e-6
    assert right["nsp"] == pytest.approx(
        torch.exp(-10 * (points_of().ball.norm(dim=-1) - RADIUS).abs()).mean().item(), rel=1e-4
    )
    # A field of slope one changes by the nudge along its slope.
    assert right["edr"] == pytest.approx(0.01**2, rel=0.3)


def test_slopes_that_are_wrong_are_told():
    class Steep(Sphere):
        def sdf(self, points):
            return 2 * super().sdf(points) + 0.5 * points[..., 0]

    losses = point_losses(Steep(), points_of(), TriplaneWeights())
    assert losses["eik"] > 0.8
    assert losses["sn"] > 0.01


def test_what_weighs_nothing_is_not_computed():
    class NoSlopes(Sphere):
        def sdf_and_gradient(self, points):
            raise AssertionError

    weights = TriplaneWeights(space=1.0).without(("sn", "eik", "edr"))
    assert set(point_losses(NoSlopes(), points_of(), weights)) == {"ss", "nsp", "space"}
    assert not weights.without(("nmr", "g", "d")).in_pictures
    assert TriplaneWeights().without(("ss", "sn", "eik", "nsp", "edr")).in_space is False


def test_the_total_is_the_weighted_sum():
    weights = TriplaneWeights().without(("sn",))
    losses = {"ss": torch.tensor(0.5), "sn": torch.tensor(9.0), "tv": torch.tensor(100.0)}
    assert weights.total(losses)["total"] == pytest.approx(20 * 0.5 + 1e-4 * 100)


def test_planes_pay_for_steps_and_for_size():
    flat = torch.full((2, 3, 4, 8, 8), 2.0)
    step = flat.clone()
    step[..., 4:] += 1.0
    even, stepped = (plane_losses(as_rows(planes), TriplaneWeights()) for planes in (flat, step))
    assert even["tv"] < 1e-4
    assert even["tp"] == pytest.approx(3 * 2 * (4 * 64) ** 0.5)
    # One step of 1 in each of 8 rows and 4 features, a norm for each plane.
    assert stepped["tv"] == pytest.approx(3 * (4 * 8) ** 0.5, abs=1e-4)


def test_expressions_pay_for_misses_motion_beside_and_codes():
    still, moved = points_of().surface, points_of().surface + torch.tensor([0.1, 0.0, 0.0])
    code = torch.full((2, 4), 0.5)
    right = Sphere(motion=lambda points: torch.zeros_like(points) + torch.tensor([0.1, 0.0, 0.0]))
    losses = expression_losses(right, code, Pairs(still, moved, still), ExpressionWeights())
    assert losses["c"] < 1e-10
    assert losses["dp"] == pytest.approx(0.01, rel=1e-4)
    assert losses["r"] == pytest.approx(1.0)
    assert losses["total"] == pytest.approx(1e-5 * 0.01 + 5e-5, rel=1e-3)
    assert expression_losses(Sphere(), code, Pairs(still, moved, still), ExpressionWeights())["c"] > 0.009


@pytest.mark.parametrize("size", [16, 64])
def test_the_discriminator_scores_every_map_alone(size):
    torch.manual_seed(0)
    judge = Discriminator(size, share=0.05)
    maps = torch.randn(3, 3, size, size)
    scores = judge(maps)
    assert scores.shape == (3,)
    torch.testing.assert_close(judge(maps[1:2]), scores[1:2], atol=1e-5, rtol=1e-4)


def test_the_discriminator_has_pi_gans_widths():
    with torch.device("meta"):
        judge = Discriminator(64)
    assert [block.second.conv.weight.shape[0] for block in judge.blocks] == [256, 400, 400, 400, 400]
    with pytest.raises(ValueError, match="pixels"):
        Discriminator(48)


def test_the_discriminator_learns_and_the_drawn_follow():
    torch.manual_seed(1)
    judge = Discriminator(16, share=0.1)
    real, drawn = torch.ones(4, 3, 16, 16), torch.zeros(4, 3, 16, 16)
    optimiser = torch.optim.SGD(judge.parameters(), lr=0.05)
    before = discriminator_loss(judge, real, drawn)["d"]
    for _ in range(40):
        optimiser.zero_grad()
        discriminator_loss(judge, real, drawn)["total"].backward()
        optimiser.step()
    after = discriminator_loss(judge, real, drawn)["d"]
    assert after < before
    asked = torch.zeros(1, 3, 16, 16, requires_grad=True)
    generator_loss(judge, asked).backward()
    # What would pass better is brighter, as the real ones are.
    assert asked.grad.sum() < 0
