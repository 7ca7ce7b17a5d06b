"""Smooth normals of a mesh whose triangles stay and whose vertices move."""

import numpy as np
import scipy.sparse as sparse

from training.studio.head import Floats, Ints


class VertexNormals:
    """Area-weighted unit normals; vertices that touch no triangle get (0, 0, 0)."""

    def __init__(self, triangles: Ints, vertex_count: int) -> None:
        self._corners = [np.ascontiguousarray(triangles[:, corner]) for corner in range(3)]
        rows, columns = triangles.ravel(), np.repeat(np.arange(len(triangles)), 3)
        shape = (vertex_count, len(triangles))
        self._gather = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)

    def __call__(self, vertices: Floats) -> Floats:
        """Unit normals (vertices, 3) of ``vertices`` (vertices, 3)."""
        first, second, third = (vertices[corner] for corner in self._corners)
        (ax, ay, az), (bx, by, bz) = (second - first).T, (third - first).T
        faces = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)
        summed = self._gather @ faces
        lengths = np.sqrt(np.einsum("vc,vc->v", summed, summed))
        return np.asarray(summed / np.maximum(lengths, 1e-20)[:, None], np.float32)
