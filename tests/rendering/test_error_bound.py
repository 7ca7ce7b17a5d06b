"""Samples along rays: where the surface is, as densely as the bound asks, and honest about the opacity they make."""

import pytest
import torch

from faceeditor.rendering.error_bound import Rays, Sampling, sample_depths
from faceeditor.rendering.volume import Sharpness, density, opacity, weights

RADIUS = 0.6


def ball(points):
    return points.norm(dim=-1) - RADIUS


def rays(offsets=(0.0, 0.2, 0.4)):
    """Along -z, beside the axis; each from 2.6 away, through the unit ball."""
    ways = torch.tensor([[0.0, 0.0, -1.0]]).repeat(len(offsets), 1)
    half = (1 - torch.tensor(offsets) ** 2).sqrt()
    return [
        Rays(torch.tensor([offset, 0.0, 2.6]), way[None], 2.6 - h[None], 2.6 + h[None])
        for offset, way, h in zip(offsets, ways, half, strict=True)
    ]


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("beta", [1e-3, 1e-2, 0.1])
def test_samples_are_where_the_ray_is_stopped(beta, jitter):
    torch.manual_seed(0)
    for ray in rays():
        depths = sample_depths(ball, ray, beta, Sampling(), jitter)
        assert depths.shape == (1, 32)
        assert (depths.diff(dim=1) >= 0).all()
        assert float(depths.min()) >= float(ray.near) - 1e-5
        assert float(depths.max()) <= float(ray.far) + 1e-5
        surface = 2.6 - (RADIUS**2 - ray.origin[0] ** 2).sqrt()
        assert float((depths.median() - surface).abs()) < 4 * beta + 2e-3


@pytest.mark.parametrize("beta", [1e-3, 1e-2, 0.05])
def test_the_opacity_is_right_to_within_the_bound(beta):
    for ray in rays((0.0, 0.3, 0.59, 0.61, 0.8)):
        depths = sample_depths(ball, ray, beta, Sampling(samples=64))
        fine = torch.linspace(float(ray.near), float(ray.far), 20_000)
        stopped = opacity((density(ball(ray.at(fine[None])[0]), torch.tensor(beta)) * fine.diff()[0]).cumsum(0))
        own = torch.cat([depths, ray.far[:, None]], dim=1)
        alpha = opacity(density(ball(ray.at(depths)[0]), torch.tensor(beta)) * own.diff(dim=1)[0])
        assert float(weights(alpha).sum() - stopped[-1]) == pytest.approx(0, abs=0.1)


def test_many_rays_are_sampled_as_each_alone():
    torch.manual_seed(1)
    ways = torch.nn.functional.normalize(torch.randn(50, 3) * 0.15 + torch.tensor([0.0, 0.0, -1.0]), dim=-1)
    near, far = torch.full((50,), 1.6), torch.full((50,), 3.6)
    together = Rays(torch.tensor([0.0, 0.0, 2.6]), ways, near, far)
    found = sample_depths(ball, together, 1e-2, Sampling())
    for number in (0, 7, 31):
        alone = sample_depths(ball, together.some(torch.tensor([number])), 1e-2, Sampling())
        torch.testing.assert_close(found[number : number + 1], alone, atol=1e-4, rtol=0)


def test_easy_rays_cost_less():
    asked = []

    def counted(points):
        asked.append(len(points))
        return ball(points)

    sample_depths(counted, rays((0.0,))[0], 0.2, Sampling())
    assert sum(asked) <= 2 * 32
    asked.clear()
    sample_depths(counted, rays((0.0,))[0], 1e-4, Sampling(rounds=3))
    assert 32 < sum(asked) <= 4 * 32


def test_density_is_a_laplace_distributions():
    sdf, beta = torch.linspace(-0.1, 0.1, 21, dtype=torch.float64), torch.tensor(0.02, dtype=torch.float64)
    truth = torch.distributions.Laplace(torch.zeros((), dtype=torch.float64), beta).cdf(-sdf) / beta
    torch.testing.assert_close(density(sdf, beta), truth)
    assert float(density(torch.tensor(0.0), torch.tensor(0.5))) == pytest.approx(1)


def test_sharpness_can_be_learned_and_never_vanishes():
    sharpness = Sharpness(1e-3, 1e-4)
    assert sharpness().item() == pytest.approx(1e-3)
    density(torch.tensor([0.001, -0.001]), sharpness()).sum().backward()
    assert sharpness.above.grad.abs() > 0
    with torch.no_grad():
        sharpness.above.fill_(0.0)
    assert sharpness().item() == pytest.approx(1e-4)
