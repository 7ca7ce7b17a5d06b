"""What several tests of scans read."""

import numpy as np
import pytest
import torch
import trimesh

from faceeditor.models.bundle import load_model


@pytest.fixture(scope="module")
def head():
    """A person's head, its vertices moved to another unit and place."""
    template = load_model("template-studio")
    generator = torch.Generator().manual_seed(1)
    vertices = template.vertices(torch.randn(1, 100, generator=generator), torch.zeros(1, 53))[0]
    faces = template.shape_faces[: template.parts["skin"][1]].numpy()
    used, faces = np.unique(faces, return_inverse=True)
    points = vertices.numpy()[used] * 1000 + np.float32([5, 1600, -30])
    return trimesh.Trimesh(points, faces.reshape(-1, 3), process=False)
