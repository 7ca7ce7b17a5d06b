"""Heads are parted from shoulders by a plane and closed there, however many outlines the cut has."""

import numpy as np
import pytest
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from training.nphm_data import Mesh
from training.nphm_throat import beheaded, lid

UP = np.array([0.0, 0.0, 1.0])


def mesh_of(*pieces):
    mesh = trimesh.util.concatenate(list(pieces))
    return Mesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64))


def tube(radius, away=0.0):
    """The side of a cylinder from z = -1 to 1, open at both ends."""
    turn = 2 * np.pi * np.arange(48) / 48
    rings = [np.stack([away + radius * np.cos(turn), radius * np.sin(turn), np.full(48, z)], 1) for z in (-1, 0.1, 1)]
    first = np.arange(48)
    after = np.roll(first, -1)
    quads = [[first + ring, after + ring, after + ring + 48, first + ring + 48] for ring in (0, 48)]
    faces = [face for a, b, c, d in quads for face in (np.stack([a, b, c], 1), np.stack([a, c, d], 1))]
    return trimesh.Trimesh(np.concatenate(rings), np.concatenate(faces), process=False)


def area(mesh):
    return trimesh.Trimesh(*mesh, process=False).area


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.floats(-0.8, 0.8),
    st.tuples(*[st.floats(-1, 1)] * 3),
)
@example(turn=(0.0, 1e-10, 0.0), height=0.0, place=(0.0, 0.0, 0.0))  # almost through vertices
@example(turn=(0.0, 1e-7, 0.0), height=0.0, place=(0.0, 0.0, 0.0))
def test_a_ball_cut_anywhere_is_closed_again(turn, height, place):
    normal = Rotation.from_rotvec(turn).apply(UP)
    ball = trimesh.creation.icosphere(3)
    ball.apply_translation(place)
    cut = beheaded(mesh_of(ball), np.array(place) + height * normal, normal)
    whole = trimesh.Trimesh(*cut, process=True)
    whole.merge_vertices(digits_vertex=7)
    assert whole.is_watertight
    cap = np.pi * (1 - height) ** 2 * (2 + height) / 3
    assert whole.volume == pytest.approx(cap, abs=0.08)
    assert ((cut.vertices - place) @ normal).min() > height - 1e-6


def test_a_tube_within_a_tube_leaves_a_ring():
    outer, inner = tube(1.0), tube(0.5)
    inner.invert()
    cut = beheaded(mesh_of(outer, inner), np.zeros(3), UP)
    sides = np.pi * 2 * 1.5
    assert area(cut) - sides == pytest.approx(np.pi * 0.75, abs=0.05)
    normals = trimesh.Trimesh(*cut, process=False).face_normals
    level = np.abs(normals[:, 2]) > 0.9
    assert level.any()
    assert (normals[level] @ UP < 0).all()


def test_strands_beside_the_neck_have_lids_of_their_own():
    cut = beheaded(mesh_of(tube(0.5), tube(0.1, 1.2)), np.zeros(3), UP)
    assert area(cut) - np.pi * 2 * 0.6 == pytest.approx(np.pi * 0.26, abs=0.02)


def test_what_does_not_reach_the_plane_needs_no_lid():
    ball = trimesh.creation.icosphere(2)
    cut = beheaded(mesh_of(ball), -2 * UP, UP)
    assert len(cut.faces) == len(ball.faces)
    assert not len(lid(cut, -2 * UP, UP).faces)


def test_nothing_is_left_below_the_plane():
    assert not len(beheaded(mesh_of(trimesh.creation.icosphere(2)), 2 * UP, UP).faces)


def test_a_seam_of_the_texture_is_no_border():
    """Vertices that a texture has split are one again, so that no edge in the plane is taken for an outline twice."""
    ball = trimesh.creation.icosphere(2)
    torn = trimesh.Trimesh(
        ball.vertices[ball.faces].reshape(-1, 3), np.arange(ball.faces.size).reshape(-1, 3), process=False
    )
    whole, split = (beheaded(mesh_of(one), 0.2 * UP, UP) for one in (ball, torn))
    assert len(split.vertices) == len(whole.vertices)
    assert area(split) == pytest.approx(area(whole))
