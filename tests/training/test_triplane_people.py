"""The warp that is nearest to what is known of people: smooth motions are met, to within steps."""

import torch

from faceeditor.models.triplane_warp import looked_up
from training.triplane_people import fitted_warp

SIDE = 12


def people():
    """Points of a sphere, and three smooth ways to change it."""
    ways = torch.nn.functional.normalize(torch.randn(6000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    points = 0.6 * ways
    x, y, z = points.unbind(-1)
    still = torch.zeros_like(x)
    shapes = [points, torch.stack([y.square(), still, x * z], -1), torch.stack([still, torch.sin(3 * z), still], -1)]
    return points, 0.01 * torch.stack(shapes, dim=1)


def test_what_is_known_is_met_between_the_points_too():
    points, offsets = people()
    warp = fitted_warp(points[:5000], offsets[:5000], SIDE)
    assert len(warp.steps) < SIDE**3
    code = torch.tensor([0.5, -1.0, 2.0, 7, 7, 7])
    wanted = torch.einsum("nkc,k->nc", offsets[5000:], code[:3])
    with torch.no_grad():
        found = looked_up(warp.bind(code).forward, points[5000:])
        back = warp.bind(code)(points[5000:] + wanted)
    assert (found - wanted).norm(dim=-1).mean() < 0.01 * wanted.norm(dim=-1).mean()
    assert (back + wanted).norm(dim=-1).mean() < 0.02 * wanted.norm(dim=-1).mean()


def test_offsets_are_stored_in_steps_of_every_components_own():
    points, offsets = people()
    offsets *= torch.tensor([10.0, 1, 0.1])[:, None]
    warp = fitted_warp(points, offsets, SIDE)
    with torch.no_grad():
        found = torch.stack([looked_up(warp.bind(code).forward, points) for code in torch.eye(3)], dim=1)
    assert ((found - offsets).square().sum((0, 2)).sqrt() < 0.01 * offsets.square().sum((0, 2)).sqrt()).all()
    assert warp.steps.dtype == torch.int8
