"""The shipped template: its tables hang together, it mirrors, its lids close, its lips part, its hair follows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceeditor.faces.landmarks import MIRROR
from faceeditor.faces.layout import DIMS, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import Bundle, load_model
from faceeditor.models.template import Template, vertex_normals

SIDES = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def template():
    return load_model("template-studio")


def expression(**weights):
    code = torch.zeros(1, DIMS[EXPRESSION])
    for name, weight in weights.items():
        code[0, EXPRESSION_COMPONENTS.index(name)] = weight
    return code


def person(seed, spread=0.8):
    return spread * torch.randn(1, DIMS[IDENTITY], generator=torch.Generator().manual_seed(seed))


def everything(seed):
    return torch.rand(1, DIMS[EXPRESSION], generator=torch.Generator().manual_seed(seed))


def test_every_index_is_in_range(template):
    shape, render, faces = len(template.mean), len(template.uv), len(template.faces)
    assert 9_000 < shape < 11_000
    assert template.basis.shape == (153, shape, 3)
    assert sorted(set(template.faces.unique().tolist())) == list(range(render))
    assert sorted(set(template.render_vertex.unique().tolist())) == list(range(shape))
    starts, ends = zip(*template.parts.values(), strict=True)
    assert (0, *ends) == (*starts, faces)
    assert list(template.parts)[-2:] == ["lashesLeft", "lashesRight"]
    assert (template.hair_bind >= 0).all()
    assert (template.hair_bind < shape).all()
    torch.testing.assert_close(template.hair_weights.sum(1), torch.ones(len(template.hair_rest)))


def test_what_is_stored_is_read_back(template):
    bundle = Bundle("t", "template", template.configuration(), {}, {}, template.stored(), "")
    again = Template.from_bundle(bundle, torch.device("cpu"))
    for name, tensor in vars(template).items():
        if isinstance(tensor, torch.Tensor):
            close = 1e-3 if name in ("hair_normals", "hair_weights") else 1e-6
            torch.testing.assert_close(getattr(again, name), tensor, rtol=0, atol=close, msg=name)
    assert again.parts == template.parts
    assert again.styles == template.styles


def test_the_mirror_is_a_symmetry_of_the_mesh(template):
    for order, faces in ((template.mirror, template.shape_faces), (template.render_mirror, template.faces)):
        assert torch.equal(order[order], torch.arange(len(order)))
        turned = {tuple(sorted(face)) for face in order[faces].tolist()}
        assert turned == {tuple(sorted(face)) for face in faces.tolist()}
    assert torch.equal(template.render_vertex[template.render_mirror], template.mirror[template.render_vertex])
    torch.testing.assert_close(
        template.uv[template.render_mirror], template.uv * SIDES[:2] + torch.tensor([1.0, 0.0]), rtol=0, atol=0
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_mirrored_codes_give_the_mirrored_head(template, seed):
    identity, code = person(seed), everything(seed)
    other = code.clone()
    other[:, : len(EXPRESSION_COMPONENTS)] = code[:, template.expression_mirror]
    here = template.vertices(identity, code)
    there = template.vertices(identity * template.identity_signs, other)
    torch.testing.assert_close((here * SIDES)[:, template.mirror], there, rtol=0, atol=1e-6)
    marks = template.landmarks(here)
    torch.testing.assert_close((marks * SIDES)[:, MIRROR.copy()], template.landmarks(there), rtol=0, atol=1e-6)


def test_each_left_expression_is_the_mirror_of_the_right_one(template):
    moved = template.expression_basis
    torch.testing.assert_close(
        (moved * SIDES)[:, template.mirror], moved[template.expression_mirror], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("seed", range(6))
def test_lids_close(template, seed):
    opened = lids(template, person(seed), expression())
    closed = lids(template, person(seed), expression(eyeBlinkLeft=1, eyeBlinkRight=1))
    assert (closed < 0.35 * opened).all()


def test_one_lid_closes_alone(template):
    opened = lids(template, person(0), expression())
    right, left = lids(template, person(0), expression(eyeBlinkLeft=1)).view(2, 2)
    assert (left < 0.35 * opened[2:]).all()
    torch.testing.assert_close(right, opened[:2])


def lids(template, identity, code):
    """Distances between upper and lower lid, two in the right eye and two in the left."""
    marks = template.landmarks(template.vertices(identity, code))[0]
    return (marks[[37, 38, 43, 44]] - marks[[41, 40, 47, 46]]).norm(dim=1)


@pytest.mark.parametrize("seed", range(6))
def test_closed_lids_hide_the_eyes(template, seed):
    vertices = template.vertices(person(seed), expression(eyeBlinkLeft=1, eyeBlinkRight=1))[0]
    assert seen_share(template, vertices) < 0.1 * seen_share(template, template.vertices(person(seed), expression())[0])


def seen_share(template, vertices, grid=260):
    """How many cells of a frontal grid over the eyes show an eyeball in front of the skin."""
    depth = np.full((2, grid * grid), -np.inf)
    faces = template.shape_faces[: template.cards_from]
    eyes = [face for name in ("eyeLeft", "eyeRight") for face in range(*template.parts[name])]
    is_eye = torch.zeros(len(faces), dtype=torch.bool)
    is_eye[eyes] = True
    steps = torch.tensor([[i, j, 12 - i - j] for i in range(13) for j in range(13 - i)]) / 12
    for layer, chosen in ((0, ~is_eye), (1, is_eye)):
        points = torch.einsum("sc,fcd->fsd", steps, vertices[faces[chosen]]).reshape(-1, 3).numpy()
        cell = np.floor((points[:, :2] - [-0.065, 0.005]) / 0.0005).astype(int)
        inside = ((cell >= 0) & (cell < grid)).all(axis=1)
        np.maximum.at(depth[layer], cell[inside] @ [1, grid], points[inside, 2])
    return (depth[1] > depth[0]).sum()


@pytest.mark.parametrize("seed", range(6))
def test_lips_part(template, seed):
    shut, opened = (
        template.landmarks(template.vertices(person(seed), expression(jawOpen=amount)))[0] for amount in (0.0, 1.0)
    )
    gap = (opened[[61, 62, 63]] - opened[[67, 66, 65]]).norm(dim=1)
    assert (gap > 0.02).all()
    assert ((shut[[61, 62, 63]] - shut[[67, 66, 65]]).norm(dim=1) < 0.005).all()
    torch.testing.assert_close(opened[27:31], shut[27:31], rtol=0, atol=2e-3)


def test_vertices_are_linear_and_give_gradients(template):
    identity, code = person(1).requires_grad_(), everything(1).requires_grad_()
    vertices = template.vertices(identity, code)
    torch.testing.assert_close(
        template.vertices(torch.zeros(2, 100), torch.zeros(2, 53)), template.mean.expand(2, -1, -1)
    )
    template.normals(vertices).square().mul(torch.arange(3.0)).sum().backward()
    assert identity.grad.abs().min() > 0
    assert code.grad[:, : len(EXPRESSION_COMPONENTS)].abs().max(0).values.min() > 0
    assert (code.grad[:, len(EXPRESSION_COMPONENTS) :] == 0).all()


def test_normals_point_outwards_and_are_smooth_over_seams(template):
    vertices = template.vertices(person(2), expression())
    normals = template.normals(vertices)[0]
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(normals)))
    marks = template.landmark_vertices
    assert (normals[marks[[30, 27, 8]], 2] > 0.3).all()
    skull = vertices[0, :, 1] > 0.08
    outward = torch.nn.functional.normalize(vertices[0] - torch.tensor([0.0, 0.02, -0.02]), dim=1)
    assert ((normals * outward).sum(1)[skull] > 0).float().mean() > 0.99


def test_normals_of_a_sphere():
    import trimesh

    ball = trimesh.creation.icosphere(4)
    points = torch.tensor(np.array(ball.vertices), dtype=torch.float32)
    found = vertex_normals(points[None], torch.tensor(np.array(ball.faces)))
    torch.testing.assert_close(found[0], points, atol=8e-3, rtol=0)


def test_the_jaw_line_slides_to_the_visible_side(template):
    vertices = template.vertices(person(3), expression())
    front, left, right = (template.landmarks(vertices, yaw)[0] for yaw in (0.0, 60.0, -60.0))
    assert (front[:8] != left[:8]).any()
    assert torch.equal(front[8:], left[8:])
    assert (front[9:17] != right[9:17]).any()
    assert torch.equal(front[:9], right[:9])


@pytest.mark.parametrize("style", range(10))
def test_hair_follows_the_head(template, style):
    limits = list(template.styles.values())[style]
    rest = template.hair_vertices(template.mean[None], style)[0]
    torch.testing.assert_close(rest, template.hair_rest[limits.vertices])
    moved = template.hair_vertices(template.mean[None] + torch.tensor([0.01, -0.02, 0.03]), style)[0]
    torch.testing.assert_close(moved - rest, torch.tensor([0.01, -0.02, 0.03]).expand_as(rest), atol=1e-5, rtol=0)
    faces = template.hair_style_faces(style)
    assert sorted(set(faces.unique().tolist())) == list(range(len(rest)))
    assert 900 < len(faces) < 4000
    uv = template.hair_uv[limits.vertices]
    assert (uv > -0.01).all()
    assert (uv < 1.01).all()


def test_charts_of_the_atlas_do_not_overlap(template):
    """Places drawn in the triangles fall, on a fine grid, into cells that only one chart claims, but for its rim."""
    corners = template.uv[template.faces]
    chart = connected(template.faces, len(template.uv))[template.faces[:, 0]]
    steps = torch.tensor([[i, j, 8 - i - j] for i in range(9) for j in range(9 - i)]) / 8
    inner = steps * 0.98 + 0.02 / 3
    cells = (torch.einsum("sc,fcd->fsd", inner, corners) * 1024).long() @ torch.tensor([1, 1024])
    owners = torch.stack([cells.flatten(), chart[:, None].expand_as(cells).flatten()], 1).unique(dim=0)
    _, claims = owners[:, 0].unique(return_counts=True)
    assert (claims == 1).all()
    assert (template.uv >= 0).all()
    assert (template.uv <= 1).all()


def connected(faces, count):
    import scipy.sparse as sparse
    from scipy.sparse.csgraph import connected_components

    edges = torch.cat([faces[:, :2], faces[:, 1:]]).numpy()
    graph = sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return torch.from_numpy(connected_components(graph, directed=False)[1])
