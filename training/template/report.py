"""What the model card says about the template: its error to the studio's surface, how lids and lips meet, symmetry."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from faceeditor.models.template import Template
from training.studio.head import HeadModel
from training.template.measure import gap

PEOPLE: Final = 12
SEED: Final = 20260917
IDENTITY_SPREAD: Final = 0.8
STRONG: Final = 8
"""Expression components, at weights 0.5 to 1, of a strong expression."""

Floats = NDArray[np.float32]


def report(head: HeadModel, template: Template) -> dict[str, float]:
    """Measured figures, distances in millimetres. Identities are drawn anew; none was used to make the mesh."""
    rng = np.random.default_rng(SEED)
    skin = slice(*template.parts["skin"])
    skin_faces = template.shape_faces[skin].numpy()
    limit = head.polygon_ranges["head_and_neck"][1]
    studio_faces = head.triangles[head.triangle_polygon < limit]
    gaps: dict[str, list[float]] = {}
    for _ in range(PEOPLE):
        identity = rng.normal(0, IDENTITY_SPREAD, len(head.identity_modes)).astype(np.float32)
        for kind, count in (("rest", 0), ("strong", STRONG)):
            expression = np.zeros(len(EXPRESSION_COMPONENTS), np.float32)
            expression[rng.choice(len(expression), count, replace=False)] = rng.uniform(0.5, 1, count)
            ours = decoded(template, identity, expression)[skin_faces].astype(np.float64)
            found = gap(ours, head.vertices(identity, expression)[studio_faces].astype(np.float64))
            for name, value in vars(found).items():
                gaps.setdefault(f"{kind}_{name}_mm", []).append(value)
    return {name: round(float(np.mean(values)), 4) for name, values in gaps.items()} | {
        f"{name}_worst": round(float(np.max(values)), 4) for name, values in gaps.items()
    }


def decoded(template: Template, identity: Floats, expression: Floats) -> Floats:
    """Shape vertices (V, 3) of one identity and expression."""
    codes = (torch.from_numpy(code)[None] for code in (identity, expression))
    return np.asarray(template.vertices(*codes)[0].numpy(), np.float32)
