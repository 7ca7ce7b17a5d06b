"""The template on the surface of a field: a face whose warp and distance are known exactly."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import load_model
from faceeditor.models.contract import MeshModel
from faceeditor.models.following import Follower
from faceeditor.models.imface import DETAIL, ImFace, ImFaceConfig, Stages
from faceeditor.models.region import Region

CONFIG = ImFaceConfig.small()


@pytest.fixture(scope="module")
def template():
    return load_model("template-studio")


@pytest.fixture(scope="module")
def follower(template):
    return Follower(CONFIG, template)


@dataclass
class KnownField:
    """A head that is the mean head, bent: x = p + bend(p). The distance is to the mean head's tangent planes."""

    mean: np.ndarray
    normals: np.ndarray
    strength: float
    relief: float = 0.0
    asked: int = 0
    amount: float = 1.0

    def __post_init__(self):
        self.tree = cKDTree(self.mean)
        self.detail = None if self.relief == 0 else object()

    def bend(self, points):
        x, y, z = points.unbind(-1)
        return self.strength * torch.stack([0.2 * y * z, 0.3 * (3 * y).sin(), -0.4 * x * x + 0.1 * y], dim=-1)

    def stages(self, points):
        self.asked += len(points)
        template = points
        for _ in range(12):
            template = points - self.bend(template)
        nearest = self.tree.query(template.numpy())[1]
        away = template.numpy() - self.mean[nearest]
        distance = torch.from_numpy((away * self.normals[nearest]).sum(-1))
        return Stages(points, template, distance, torch.zeros_like(distance))

    def displacement(self, places):
        return torch.full_like(places[:, 0], self.relief)


@pytest.fixture
def known(template, follower):
    def make(amount, relief=0.0):
        seen = follower.region.vertices
        own = follower._own(template.mean).numpy()[seen]
        return KnownField(own, template.normals(template.mean[None])[0].numpy()[seen], amount, relief)

    return make


def own_mean(follower):
    return follower._own(follower.template.mean)


def test_the_region_is_the_front_of_the_face_and_all_else_hangs_on_it(template, follower):
    region = follower.region
    mean = template.mean.numpy()[region.vertices]
    assert len(region.vertices) > 2500
    assert (mean[:, 2] > -0.01).all()
    landmarks = template.landmark_vertices.numpy()[17:]
    share = dict(zip(region.vertices, region.weight, strict=True))
    assert all(share.get(vertex, 0.0) == 1.0 for vertex in landmarks)
    total = np.asarray(region.shares.sum(axis=1)).ravel()
    assert total.min() >= 0
    assert total.max() < 1 + 1e-6
    by_part = {name: np.unique(template.shape_faces.numpy()[a:b]) for name, (a, b) in template.parts.items()}
    assert all(total[by_part[name]].min() > 0.85 for name in ("eyeLeft", "teethUpper", "teethLower", "tongue"))
    assert total[mean_is_far(template)].max() < 0.3


def mean_is_far(template):
    return np.flatnonzero(template.mean.numpy()[:, 2] < -0.1)


def test_the_region_is_its_own_mirror_image(template, follower):
    share = np.zeros(len(template.mean))
    share[follower.region.vertices] = follower.region.weight
    assert np.abs(share - share[template.mirror.numpy()]).mean() < 2e-3


def test_eyes_and_teeth_move_as_rigid_pieces(template, follower):
    moves = np.random.default_rng(0).normal(size=(len(follower.region.vertices), 3)).cumsum(axis=0) * 1e-3
    carried = follower.region.carried(moves, np.ones(len(moves)))
    for name in ("eyeLeft", "eyeRight"):
        start, end = template.parts[name]
        vertices = np.unique(template.shape_faces.numpy()[start:end])
        assert np.ptp(carried[vertices], axis=0).max() < 1e-9


def test_vertices_find_their_places_on_a_bent_head(template, follower, known):
    for amount in (0.1, 0.5):
        field = known(amount)
        found = follower.follow(field, template.mean).vertices
        mean = own_mean(follower)
        true = mean + field.bend(mean)
        sure = follower.region.vertices[follower.region.weight == 1]
        inside = sure[true[sure].norm(dim=-1).numpy() < 0.95]
        error = (follower._own(found) - true)[inside].norm(dim=-1).numpy() * 100
        assert np.percentile(error, 90) < 0.05  # at lips and lids the nearest tangent plane may be the other lip's


def test_a_slider_in_the_hand_asks_the_field_little_more_than_once(template, follower, known):
    first = follower.follow(known(0.4), template.mean)
    warm = known(0.41)
    follower.follow(warm, template.mean, first)
    cold = known(0.41)
    follower.follow(cold, template.mean)
    assert warm.asked < 2.5 * len(follower.region.vertices)
    assert warm.asked < 0.75 * cold.asked


def test_detail_lifts_the_surface_along_its_normals(template, follower, known):
    smooth = follower.follow(known(0.0), template.mean).vertices
    rough = follower.follow(known(0.0, relief=-0.01), template.mean).vertices
    sure = follower.region.vertices[follower.region.weight == 1]
    lifted = ((rough - smooth) * template.normals(smooth[None])[0]).sum(-1)[sure]
    torch.testing.assert_close(lifted, torch.full_like(lifted, 0.001), atol=2e-6, rtol=0)


def test_what_the_field_does_not_know_goes_with_its_neighbours(follower):
    region: Region = follower.region
    moves = np.tile([0.1, 0.2, 0.3], (len(region.vertices), 1))
    sure = np.ones(len(moves))
    lost = np.random.default_rng(1).choice(len(moves), 200, replace=False)
    moves[lost], sure[lost] = np.nan, 0
    np.testing.assert_allclose(region.mended(moves, sure), np.tile([0.1, 0.2, 0.3], (len(moves), 1)), atol=1e-5)


# The model


def codes_of(**expression):
    codes = {name: np.zeros(160, np.float32) for name in (IDENTITY, EXPRESSION, DETAIL)}
    for name, value in expression.items():
        codes[EXPRESSION][EXPRESSION_COMPONENTS.index(name)] = value
    return codes


@pytest.fixture(scope="module")
def model():
    """A model whose warps move nothing and whose template is a plane in front of the face: it knows no shape."""
    torch.manual_seed(0)
    model = ImFace(CONFIG)
    with torch.no_grad():
        for field in (model.expression, model.identity):
            field.nets.shared.weights[-1].zero_()
            field.nets.shared.biases[-1].zero_()
        model.template.nets.weights[-1].zero_()
        model.template.nets.biases[-1].zero_()
    model.name, model.spaces = "still", {}
    return model.eval().requires_grad_(False)


def test_every_face_has_the_templates_vertices_and_places(model, template):
    assert isinstance(model, MeshModel)
    for codes in (codes_of(), codes_of(jawOpen=1.0)):
        mesh = model.mesh(codes, textured=True)
        assert np.array_equal(mesh.faces, template.faces[: template.cards_from].numpy())
        assert np.array_equal(mesh.uv, template.uv.numpy())
        assert mesh.vertices.dtype == np.float32
        assert len(mesh.vertices) == len(template.render_vertex)
        assert np.isfinite(mesh.vertices).all()
        assert mesh.texture_srgb.dtype == np.uint8


def test_the_texture_of_a_face_is_shown(model):
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    assert model.mesh(codes_of(), {"texture_srgb": picture}, textured=True).texture_srgb is picture


def test_morphs_are_the_arkit_names_and_the_jaw_opens_the_mouth(template):
    """On the shipped model, for one whose warps move nothing knows no open mouth."""
    mesh = load_model("imface-studio").mesh(codes_of(), morphs=True)
    assert list(mesh.morphs) == list(ARKIT)
    assert all(np.isfinite(offsets).all() for offsets in mesh.morphs.values())
    upper, lower = (int(template.landmark_vertices[number]) for number in (62, 66))
    place = {int(shape): render for render, shape in enumerate(template.render_vertex.tolist())}
    opened = mesh.vertices + mesh.morphs["jawOpen"]
    gap = [points[place[upper], 1] - points[place[lower], 1] for points in (mesh.vertices, opened)]
    assert gap[1] - gap[0] > 0.015
