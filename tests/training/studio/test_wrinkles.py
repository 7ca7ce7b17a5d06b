"""Folds: mirrored, driven by movements, and normals that agree with the surface they belong to."""

import numpy as np
import torch

from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.models.bundle import load_model
from training.studio.wrinkles import Wrinkles, wrinkled


def mean_landmarks():
    template = load_model("template-studio")
    return template.landmarks(template.mean[None])[0].numpy().astype(float)


def test_the_left_side_mirrors_the_right():
    wrinkles = Wrinkles.of(mean_landmarks())
    marks = torch.from_numpy(mean_landmarks())
    places = marks + 0.004 * torch.randn(68, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sideways = np.abs(wrinkles.centres[:, 0]) > 1e-9
    code = torch.where(torch.from_numpy(sideways), 1.0, 0.5).double()
    mirrored = places * torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    here, there = wrinkles.displacement(places, code), wrinkles.displacement(mirrored, code)
    # The mean head is its own mirror image; its landmarks are, up to the width of a vertex.
    assert (here - there).abs().max() < 2e-5
    assert here.abs().max() > 1e-4


def test_movements_deepen_folds():
    wrinkles = Wrinkles.of(mean_landmarks())
    smile = np.isin(EXPRESSION_COMPONENTS, ["mouthSmileLeft", "mouthSmileRight"]).astype(float)
    at_rest, smiling = (
        np.mean([wrinkles.sample(np.random.default_rng(seed), face) for seed in range(200)], axis=0)
        for face in (np.zeros(53), smile)
    )
    driven = wrinkles.drivers @ smile > 0
    assert driven.sum() >= 8
    assert (smiling[driven] > 1.4 * at_rest[driven]).all()
    assert np.allclose(smiling[~driven], at_rest[~driven])


def test_normals_are_those_of_the_folded_surface():
    marks = mean_landmarks()
    wrinkles = Wrinkles.of(marks)
    code = torch.ones(len(wrinkles)).double()
    # A flat patch in front of the forehead, finely triangulated.
    middle = wrinkles.centres[0]
    side = np.linspace(-0.006, 0.006, 60)
    grid = np.stack([*np.meshgrid(side, side), np.zeros((60, 60))], -1).reshape(-1, 3) + middle
    row = np.arange(59)[:, None] * 60 + np.arange(59)
    faces = np.concatenate([np.stack([row, row + 1, row + 60], -1), np.stack([row + 1, row + 61, row + 60], -1)])
    corners = torch.from_numpy(grid[faces.reshape(-1, 3)])
    upright = torch.tensor([0.0, 0, 1]).double().expand_as(corners)
    thirds = torch.full((len(corners), 3), 1 / 3).double()
    points, normals = wrinkled(corners, upright, corners, thirds, wrinkles, code)
    lifted = corners + wrinkles.displacement(corners.reshape(-1, 3), code).reshape(-1, 3, 1) * upright
    across = torch.linalg.cross(lifted[:, 1] - lifted[:, 0], lifted[:, 2] - lifted[:, 0])
    cosine = (torch.nn.functional.normalize(across, dim=-1) * normals).sum(-1)
    assert cosine.min() > 0.999
    assert normals[:, 2].min() < 0.95
    assert (points - lifted.mean(1)).norm(dim=-1).max() < 2e-5
