"""Simplify a textured, deforming mesh by half-edge collapses.

Quadric error metrics (Garland and Heckbert, "Surface Simplification Using Quadric Error Metrics", SIGGRAPH 1997),
summed over several poses of the same mesh, so that what is flat in one pose but bends in another keeps its vertices. A
collapse moves a vertex onto a neighbour, so every vertex that remains is one of the mesh's own, with its own motion and
texture.
"""

import heapq
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

FEATURE_WEIGHT: Final = 4.0
"""How much more a seam or border keeps its line than a surface keeps its place."""
LENGTH_WEIGHT: Final = 2e-3
"""Share of the squared length of a collapsed edge in its cost: keeps triangles well shaped where the surface is
flat."""
MIN_TURN: Final = 0.1
"""Cosine between a triangle's normals before and after a collapse below which the collapse is refused."""
MIN_SHAPE: Final = 0.08
"""Smallest allowed 2 * sqrt(3) * area / (longest edge squared) of a new triangle, in the first pose."""

Edge: TypeAlias = tuple[int, int]


@dataclass(eq=False)
class Simplifier:
    """One simplification at work.

    ``poses`` (poses, vertices, 3); ``triangles`` (triangles, 3) vertices and ``corners`` (triangles, 3) wedges, both
    changed in place; ``uv`` (wedges, 2); ``weight`` (vertices,) how much an error there counts; ``locked`` vertices
    stay.
    """

    poses: Floats
    triangles: Ints
    corners: Ints
    uv: Floats
    weight: Floats
    locked: set[int]
    labels: Ints
    faces_of: dict[int, set[int]] = field(init=False)
    features: dict[int, set[int]] = field(init=False)
    quadrics: Floats = field(init=False)
    stamp: dict[int, int] = field(init=False)
    heap: list[tuple[float, int, int, int, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.faces_of = {}
        for face, triangle in enumerate(self.triangles):
            for vertex in triangle.tolist():
                self.faces_of.setdefault(vertex, set()).add(face)
        self.stamp = dict.fromkeys(self.faces_of, 0)
        edges = self._edge_faces()
        self.features = {vertex: set() for vertex in self.faces_of}
        lines = [edge for edge, faces in edges.items() if self._is_feature(edge, faces)]
        for start, end in lines:
            self.features[start].add(end)
            self.features[end].add(start)
        self.locked = self.locked | {v for v, along in self.features.items() if len(along) not in (0, 2)}
        self.quadrics = self._quadrics(edges, lines)
        for start, end in edges:
            self._push(start, end)
            self._push(end, start)

    def run(self, target: int) -> Ints:
        """Collapse until ``target`` vertices remain or nothing may collapse; the triangles that remain, (kept,)."""
        alive = len(self.faces_of)
        while alive > target and self.heap:
            _, source, goal, source_stamp, goal_stamp = heapq.heappop(self.heap)
            if self.stamp.get(source) != source_stamp or self.stamp.get(goal) != goal_stamp:
                continue
            if self._collapse(source, goal):
                alive -= 1
        return np.array(sorted(set().union(*self.faces_of.values())), np.int64)

    def _edge_faces(self) -> dict[Edge, list[int]]:
        edges: dict[Edge, list[int]] = {}
        for face, (a, b, c) in enumerate(self.triangles.tolist()):
            for start, end in ((a, b), (b, c), (c, a)):
                edges.setdefault((min(start, end), max(start, end)), []).append(face)
        return edges

    def _is_feature(self, edge: Edge, faces: list[int]) -> bool:
        if len(faces) != 2 or self.labels[faces[0]] != self.labels[faces[1]]:
            return True
        return any(self._wedge(faces[0], vertex) != self._wedge(faces[1], vertex) for vertex in edge)

    def _wedge(self, face: int, vertex: int) -> int:
        return int(self.corners[face][self.triangles[face] == vertex][0])

    def _quadrics(self, edges: dict[Edge, list[int]], lines: list[Edge]) -> Floats:
        """Area-weighted plane quadrics, (vertices, poses, 4, 4)."""
        quadrics = np.zeros((self.poses.shape[1], self.poses.shape[0], 4, 4))
        a, b, c = (self.poses[:, self.triangles[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal, axis=2, keepdims=True) + 1e-15
        self._add_planes(quadrics, normal / area, a, area[..., 0] / 2, self.triangles)
        pairs = np.array(lines, np.int64).reshape(-1, 2)
        unit = (normal / area)[:, [edges[line][0] for line in lines]]
        start, end = self.poses[:, pairs[:, 0]], self.poses[:, pairs[:, 1]]
        across = np.cross(end - start, unit)
        length = np.linalg.norm(across, axis=2, keepdims=True) + 1e-15
        self._add_planes(quadrics, across / length, start, FEATURE_WEIGHT * length[..., 0] ** 2, pairs)
        return quadrics * self.weight[:, None, None, None]

    @staticmethod
    def _add_planes(quadrics: Floats, normal: Floats, point: Floats, weight: Floats, members: Ints) -> None:
        plane = np.concatenate([normal, -(normal * point).sum(axis=2, keepdims=True)], axis=2)
        outer = np.einsum("pf,pfi,pfj->fpij", weight, plane, plane)
        for column in range(members.shape[1]):
            np.add.at(quadrics, members[:, column], outer)

    def _push(self, source: int, goal: int) -> None:
        if source in self.locked or (self.features[source] and goal not in self.features[source]):
            return
        place = np.concatenate([self.poses[:, goal], np.ones((len(self.poses), 1))], axis=1)
        error = np.einsum("pi,pij,pj->", place, self.quadrics[source] + self.quadrics[goal], place)
        length = ((self.poses[0, source] - self.poses[0, goal]) ** 2).sum()
        cost = float(error / len(self.poses) + LENGTH_WEIGHT * self.weight[source] * length**2)
        heapq.heappush(self.heap, (cost, source, goal, self.stamp[source], self.stamp[goal]))

    def _around(self, vertex: int) -> set[int]:
        return {v for face in self.faces_of[vertex] for v in self.triangles[face].tolist()} - {vertex}

    def _collapse(self, source: int, goal: int) -> bool:
        shared = self.faces_of[source] & self.faces_of[goal]
        moved = sorted(self.faces_of[source] - shared)
        wedges = {self._wedge(face, source): self._wedge(face, goal) for face in shared}
        if not shared or not self._keeps_topology(source, goal, shared) or not moved:
            return False
        if any(self._wedge(face, source) not in wedges for face in moved) or not self._keeps_shape(
            moved, source, goal, wedges
        ):
            return False
        for face in shared:
            for vertex in self.triangles[face].tolist():
                self.faces_of[vertex].discard(face)
        for face in moved:
            corner = self.triangles[face] == source
            self.corners[face][corner] = wedges[self._wedge(face, source)]
            self.triangles[face][corner] = goal
            self.faces_of[goal].add(face)
        self._merge(source, goal)
        return True

    def _merge(self, source: int, goal: int) -> None:
        for other in self.features.pop(source):
            self.features[other].discard(source)
            if other != goal:
                self.features[other].add(goal)
                self.features[goal].add(other)
        self.quadrics[goal] += self.quadrics[source]
        del self.faces_of[source], self.stamp[source]
        self.stamp[goal] += 1
        for other in self._around(goal):
            self._push(goal, other)
            self._push(other, goal)

    def _keeps_topology(self, source: int, goal: int, shared: set[int]) -> bool:
        """The link condition: what both touch is exactly the far corners of the triangles that vanish."""
        far = {v for face in shared for v in self.triangles[face].tolist()} - {source, goal}
        return (self._around(source) & self._around(goal)) == far

    def _keeps_shape(self, moved: list[int], source: int, goal: int, wedges: dict[int, int]) -> bool:
        before = self.triangles[moved]
        after = np.where(before == source, goal, before)
        old, new = self._normals(before), self._normals(after)
        size = np.linalg.norm(new, axis=2)
        turn = (old * new).sum(axis=2) / (np.linalg.norm(old, axis=2) * size + 1e-20)
        edges = self.poses[0][after] - self.poses[0][np.roll(after, 1, axis=1)]
        longest = (edges**2).sum(axis=2).max(axis=1)
        if turn.min() < MIN_TURN or (np.sqrt(3) * size[0] / longest).min() < MIN_SHAPE:
            return False
        corners = self.corners[moved]
        changed = np.array(
            [
                [wedges.get(w, w) if v == source else w for w, v in zip(*row, strict=True)]
                for row in zip(corners.tolist(), before.tolist(), strict=True)
            ]
        )
        return bool((self._uv_area(changed) * np.sign(self._uv_area(corners)) > 1e-9).all())

    def _normals(self, triangles: Ints) -> Floats:
        a, b, c = (self.poses[:, triangles[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    def _uv_area(self, corners: Ints) -> Floats:
        a, b, c = (self.uv[corners[:, k]] for k in range(3))
        (ax, ay), (bx, by) = (b - a).T, (c - a).T
        return np.asarray(ax * by - ay * bx)
