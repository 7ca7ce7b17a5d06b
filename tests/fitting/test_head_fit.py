"""Fits of whole heads: derivatives that are true, points that are averaged, a known head that is found again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.faces.scan import Scan
from faceeditor.faces.similarity import Similarity
from faceeditor.fitting import head_points
from faceeditor.fitting.depth_noise import noise_of, steadied
from faceeditor.fitting.head_fit import fit_head
from faceeditor.fitting.head_points import HeadPoints, thinned
from faceeditor.fitting.head_rows import SMALL, RowMaker
from faceeditor.fitting.head_standing import stood
from faceeditor.fitting.progress import FitCancelled
from faceeditor.fitting.scan_fitters import fitter_of
from faceeditor.fitting.scan_placing import Placement
from faceeditor.models.triplane import TriplaneHead
from faceeditor.models.triplane_warp import Warp
from tests.plain_head import BLEND, codes_of, plain_head
from tests.tiny import TinyHead


@pytest.fixture(scope="module")
def model():
    return plain_head()


@pytest.fixture(scope="module")
def warped():
    """A head with a warp, whose people differ by millimetres."""
    torch.manual_seed(1)
    model = TriplaneHead(replace(BLEND, warp=8, warp_kept=512)).eval().requires_grad_(False)
    rough = torch.randn(1, 3, 4, 4, 4)
    smooth = torch.nn.functional.interpolate(rough, size=8, mode="trilinear", align_corners=True)
    offsets = 0.002 * smooth.reshape(3, -1).T @ torch.randn(3, 18)
    model.take_warp(Warp.of(offsets.reshape(-1, 3, 6), torch.arange(512)))
    model.generator.layers[-1].weight *= 0.3
    model.deformation.net.layers[-1].weight *= 1000
    return model


def tensors(codes):
    return {name: torch.tensor(code, dtype=torch.float32) for name, code in codes.items()}


def some_codes(seed=0):
    random = np.random.default_rng(seed)
    weights = dict(zip(EXPRESSION_COMPONENTS[:6], random.uniform(0, 1, 6), strict=True))
    codes = codes_of(**weights)
    codes[IDENTITY][:] = random.normal(0, 0.5, 6)
    return tensors(codes)


def on_shell(count, seed=0):
    ways = np.random.default_rng(seed).normal(size=(count, 3))
    return torch.tensor(0.6 * ways / np.linalg.norm(ways, axis=1, keepdims=True)).float()


@pytest.mark.parametrize("with_warp", [False, True])
def test_rows_are_the_derivatives_of_the_distances(model, warped, with_warp):
    head = warped if with_warp else model
    codes, posed, moving = some_codes(), on_shell(40), np.arange(6)
    maker = RowMaker(head, moving)

    def told(identity=0.0, expression=0.0, points=posed):
        changed = {IDENTITY: codes[IDENTITY] + identity, EXPRESSION: codes[EXPRESSION] + expression}
        return maker.rows(changed, points, points[None])

    rows = told()
    assert rows.roots.share == 1
    planes = maker.planes(codes, rows.roots.points)
    rows = maker.rows(codes, posed, posed[None], planes)
    step = SMALL
    for axis in (0, 3):
        # The motion's own dependence on identity is left out.
        head_at = head.field({IDENTITY: codes[IDENTITY] + step * torch.eye(6)[axis]})
        true = (head_at.sdf(rows.roots.points) - rows.distance) / step
        assert torch.allclose(rows.identity[:, axis], true, atol=0.06 * true.abs().max())
    step = 0.02
    for axis in (0, 4):
        true = (told(expression=step * torch.eye(64)[axis]).distance - rows.distance) / step
        assert torch.allclose(rows.expression[:, axis], true, atol=0.05 * true.abs().max() + 1e-4)
    for axis in range(3):
        moved = posed + 0.002 * torch.eye(3)[axis]
        assert torch.allclose(rows.pose[:, 3 + axis], (told(points=moved).distance - rows.distance) / 0.002, atol=0.05)
        turned = posed + 0.002 * torch.linalg.cross(torch.eye(3)[axis].expand_as(posed), posed)
        assert torch.allclose(rows.pose[:, axis], (told(points=turned).distance - rows.distance) / 0.002, atol=0.05)
    grown = (told(points=1.002 * posed).distance - rows.distance) / 0.002
    assert torch.allclose(rows.pose[:, 6], grown, atol=0.05)


def test_points_in_a_cell_become_their_mean():
    points = np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [1.5, 0.1, 0.1], [-0.1, 0.1, 0.1]])
    means, counts = thinned(points, 1.0)
    order = np.argsort(means[:, 0])
    np.testing.assert_allclose(means[order][:, 0], [-0.1, 0.2, 1.5])
    np.testing.assert_allclose(counts[order], [1, 2, 1])


@pytest.mark.parametrize("sigma", [0.0002, 0.001, 0.002])
def test_noise_is_measured(sigma):
    random = np.random.default_rng(0)
    row, column = np.indices((60, 60)) * 0.001
    points = np.stack([column, row, 0.3 * row + sigma * random.normal(size=row.shape)], axis=-1).reshape(-1, 3)
    assert noise_of(points) == pytest.approx(sigma, rel=0.3)


def test_a_noisy_frame_is_steadied_along_its_rays():
    random = np.random.default_rng(0)
    row, column = np.indices((60, 60)) * 0.001 - 0.03
    depth = 0.7 + 0.2 * row + np.where(column > 0, 0.1, 0.0)
    ways = np.stack([column / 0.7, row / 0.7, -np.ones(row.shape)], axis=-1).reshape(-1, 3)
    true, noise = depth.ravel(), 0.002 * random.normal(size=depth.size)
    frame = Scan(ways * (true + noise)[:, None], viewpoint=np.zeros(3))
    found = steadied(frame)
    np.testing.assert_allclose(found.vertices / -found.vertices[:, 2:], ways, atol=1e-9)
    assert np.median(np.abs(-found.vertices[:, 2] - true)) < 0.3 * np.median(np.abs(noise))
    assert steadied(Scan(frame.vertices)).vertices is frame.vertices
    still = Scan(ways * true[:, None], viewpoint=np.zeros(3))
    assert steadied(still) is still


def test_what_lies_before_the_points_is_free():
    row, column = np.indices((40, 40)) * 0.001 - 0.02
    wall = np.stack([column, row, np.full(row.shape, -0.5)], axis=-1).reshape(-1, 3)
    placed = Similarity(1.0, np.eye(3), np.array([0, 0, 0.5]))
    seen = HeadPoints.of(Scan(wall, viewpoint=np.zeros(3)), placed, np.zeros(3), 0.17, -0.1, 0.004)
    assert len(seen.free) == -(-len(seen.points) // head_points.FREE_EVERY)
    assert (seen.free[:, 2] > -0.5).all()
    assert (seen.free[:, 2] < -0.44).all()
    assert not len(HeadPoints.of(Scan(wall), placed, np.zeros(3), 0.17, -0.1, 0.004).free)
    below = HeadPoints.of(Scan(wall), placed, np.zeros(3), 0.17, 0.0, 0.004)
    assert (below.points[:, 1] > -0.004).all()


def surface_of(model, codes, count=4000, seed=0):
    """Points of the front of a head with an expression, in head space."""
    with torch.no_grad():
        head, points = model.field(tensors(codes)), on_shell(count, seed)
        for _ in range(8):
            distance, slope = head.sdf_and_gradient(points)
            points = points - distance[:, None] * slope / slope.square().sum(1, keepdim=True)
        posed = model.head(head.posed(points)).astype(float)
    return posed[posed[:, 2] > -0.02]


@pytest.fixture(scope="module")
def known(model):
    codes = codes_of(jawOpen=0.7, browInnerUpLeft=0.5)
    codes[IDENTITY][:] = [0.8, -0.6, 0.5, -0.7, 0, 1]
    return codes, surface_of(model, codes)


def placement(off):
    return Placement(off, np.zeros((68, 3)), np.ones(68), np.zeros(100), np.zeros(53), 1.0)


def test_a_head_is_laid_onto_points(model, known):
    off = Similarity(1.0, np.eye(3), np.array([0.012, -0.008, 0.01]))
    codes, surface = known
    points = HeadPoints.of(Scan(surface), off, np.array(model.config.origin), 0.17, -0.2, 0.006)
    standing = stood(model, model.field({IDENTITY: torch.tensor(codes[IDENTITY])}), points, off)
    assert standing.misfit < 0.0015
    assert np.abs(standing.similarity.to_head(surface) - surface).mean() < 0.004


@pytest.mark.parametrize("sigma", [0.0, 0.001])
def test_a_known_head_is_found_again(model, known, sigma):
    surface = known[1]
    noisy = surface + sigma * np.random.default_rng(1).normal(size=surface.shape)
    off = Similarity(1.0, np.eye(3), np.array([0.004, -0.003, 0.005]))
    told = []
    found = fit_head(
        Scan(noisy), placement(off), model, quality="draft", on_step=lambda one, _: told.append(one.fraction)
    )
    assert told == sorted(told)
    assert found.roots.share > 0.99
    assert (found.codes[EXPRESSION] <= 1).all()
    assert sorted(found.codes[IDENTITY][4:]) in ([0, 0], [0, 1])
    own = model.own(found.similarity.to_head(surface))
    with torch.no_grad():
        head = model.field(tensors(found.codes))
        missed = head.sdf(head.at_rest(own).points).abs().mean() * model.config.unit
    assert missed < 0.0002 + 0.2 * sigma


def test_a_fit_can_be_stopped(model, known):
    with pytest.raises(FitCancelled):
        fit_head(Scan(known[1]), placement(Similarity.identity()), model, cancelled=lambda: True)


def test_what_cannot_be_fitted_is_told(model, known):
    scan, right = Scan(known[1]), placement(Similarity.identity())
    with pytest.raises(UserError, match="draft, standard, best"):
        fit_head(scan, right, model, quality="superb")
    with pytest.raises(UserError, match="Too little of a head"):
        fit_head(scan, placement(Similarity(1.0, np.eye(3), np.array([0, -1.0, 0]))), model)
    frame = Scan(known[1] * 1000, viewpoint=np.zeros(3))
    with pytest.raises(UserError, match=r"1e\+03 times as large"):
        fit_head(frame, placement(Similarity(0.001, np.eye(3), np.zeros(3))), model)
    with pytest.raises(UserError, match="cannot be fitted to scans"):
        fitter_of(TinyHead())
