"""A surface model that knows one face, the template's mean head, and takes no time to train: for tests above it."""

from dataclasses import replace

import numpy as np
import torch

from faceeditor.faces.latents import Direction, Space, as_code
from faceeditor.faces.layout import ARKIT, EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.models.bundle import load_model, write_bundle
from faceeditor.models.imface import DETAIL, ImFace, ImFaceConfig

NAME = "plain"
DIMS = 160


def plain_face(seed=0, points=3000):
    """An ImFace++ whose warps, the smallest there are, move nothing; its template's last layer is solved for by least
    squares.
    """
    usual = ImFaceConfig.small()
    still = replace(usual.expression, width=4, hidden=1, octaves=0, fusion=4, hyper=(4,))
    config = replace(usual, expression=still, identity=still, detail=still, landmark_width=4)
    model = ImFace(config).eval().requires_grad_(False)
    torch.manual_seed(seed)
    model.template.load_state_dict(ImFace(usual).template.state_dict())
    template = load_model("template-studio")
    mean = (template.mean - torch.tensor(config.origin)) / config.unit
    model.start_at(mean[template.landmark_vertices[list(config.landmarks)]])
    for field in (model.expression, model.identity, model.detail):
        shared = field.nets.shared
        shared.weights[-1].zero_(), shared.biases[-1].zero_()
        for layer in field.nets.hyper:
            if hasattr(layer, "weight"):
                layer.weight.zero_(), layer.bias.zero_()
    _solve(model, mean, template, points)
    model.name, model.spaces = NAME, {name: _space(name) for name in (IDENTITY, EXPRESSION, DETAIL)}
    return model


def _solve(model, mean, template, points):
    start, end = template.parts["skin"]
    skin = torch.unique(template.shape_faces[start:end])
    normals = template.normals(template.mean[None])[0]
    front = skin[(mean[skin].norm(dim=-1) < 1.1) & (normals[skin, 2] > 0.05)]
    chosen = front[torch.randint(len(front), (points,))]
    away = 0.1 * torch.randn(points, 1)
    where = torch.cat([mean[chosen] + away * normals[chosen], 2 * torch.rand(points, 3) - 1])
    nearest = torch.cdist(where[points:], mean[front]).argmin(dim=1)
    far = ((where[points:] - mean[front][nearest]) * normals[front][nearest]).sum(-1)
    wanted = torch.cat([away[:, 0], far])
    nets = model.template.nets
    for number, weight in enumerate(list(nets.weights)[:-1]):
        weight.mul_(0.6 if number else 0.1)
    nets.weights[-1].zero_(), nets.biases[-1].zero_()
    blend = model.template.bind(None, model.template_landmarks)
    features = _features(blend, where).double()
    ridge = 1e-3 * torch.eye(features.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(features.T @ features + ridge, features.T @ wanted.double()).float()
    table = solution.reshape(len(model.config.landmarks), -1)
    nets.weights[-1].copy_(table[None, :, :-1])
    nets.biases[-1].copy_(table[None, :, -1])


def _features(blend, points):
    """What the last layer of the template's net is linear in, (N, landmarks * (width + 1))."""
    from faceeditor.models.blend_field import encode

    seen = encode(points[:, None] - blend.landmarks, blend.octaves).flatten(-2)[None]
    for layer in blend.layers[:-1]:
        seen = layer(seen).sin()
    hidden = torch.cat([seen[0], torch.ones(len(points), 1)], dim=1)
    return (blend.weights(points)[:, :, None] * hidden[:, None]).flatten(1)


def _space(name):
    axes = np.eye(DIMS, dtype=np.float32)
    directions = []
    if name == EXPRESSION:
        for arkit, parts in ARKIT.items():
            vector = as_code(axes[[EXPRESSION_COMPONENTS.index(part) for part in parts]].sum(0))
            directions.append(Direction(arkit, name, vector, vector / vector.sum(), 0.0, 1.0, "Face", arkit))
    return Space(
        name=name,
        label=name.title(),
        mean=as_code(np.zeros(DIMS)),
        scale=as_code(np.ones(DIMS)),
        low=as_code(np.full(DIMS, -2)),
        high=as_code(np.full(DIMS, 2)),
        factor=axes,
        examples=np.zeros((2, DIMS), np.float32),
        gaussian=name != EXPRESSION,
        norm_limit=None,
        directions=tuple(directions),
        choices=(),
    )


def install_plain(folder):
    """Writes the plain face as a bundle under ``folder``/models."""
    model = plain_face()
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    configuration = model.config.to_json()
    write_bundle(
        folder / "models" / NAME,
        architecture="imface",
        configuration=configuration,
        training={},
        tensors=tensors,
        spaces=model.spaces,
    )
