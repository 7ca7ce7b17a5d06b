"""ImFace++'s training begins: the Template Mini-Nets learn the mean face alone."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from faceeditor.models.imface import ImFace
from training.face_sampler import FaceSampler
from training.loop import Loop, LoopConfig, Losses

POINTS: Final = 400_000
"""On the mean face, and as many around it."""
TREE: Final = 200_000
"""Points by which the nearest triangles are found."""
OF_A_STEP: Final = 600


def train_template(model: ImFace, sampler: FaceSampler, steps: int, folder: Path, loop: LoopConfig) -> None:
    """Teaches the Template Mini-Nets the sampler's template, densest at eyes and lips."""
    table = known_points(sampler, np.random.default_rng(0))

    def loss_of(_: nn.Module, rows: Tensor, step: int) -> Losses:
        field = model.template.bind(None, model.template_landmarks)
        on, around = table["surface"][rows], table["space"][rows]
        at = torch.cat([on, around]).requires_grad_()
        value = field(at)[..., 0]
        (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        truth = torch.cat([torch.zeros(len(rows)), table["distance"][rows]])
        ways = torch.cat([table["normals"][rows], table["gradient"][rows]])
        losses = {
            "distance": 3e3 * (value - truth).abs().mean(),
            "normal": 1e2 * (1 - functional.cosine_similarity(slope, ways, dim=-1)).mean(),
            "eikonal": 5e1 * (slope.norm(dim=-1) - 1).abs().mean(),
        }
        return losses | {"total": torch.stack(list(losses.values())).sum()}

    network = nn.ModuleList([model.template])
    config = replace(loop, steps=steps, minutes=0.0, learning_rate=1e-3, average=0.0, accelerator="cpu", devices=1)
    rows = (torch.randint(len(table["surface"]), (OF_A_STEP,)) for _ in iter(int, 1))
    Loop(config, folder, network, loss_of).run(rows)


def known_points(sampler: FaceSampler, random: np.random.Generator) -> dict[str, Tensor]:
    """Points on the template with ``normals``, and points around with ``distance`` and ``gradient``."""
    front = sampler.template
    tree = front.tree(random, TREE)
    importance = sampler.importance[front.source[front.faces]].mean(1)
    points, face, _ = front.sample(POINTS, random, importance)
    away = points + random.choice([0.01, 0.04, 0.2], (len(points), 1)) * random.normal(size=points.shape)
    distance, gradient = front.signed_distance(away, tree)
    known = {
        "surface": points,
        "normals": front.normals()[face],
        "space": away,
        "distance": distance,
        "gradient": gradient,
    }
    return {name: torch.from_numpy(values).float() for name, values in known.items()}
