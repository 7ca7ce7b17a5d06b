import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceeditor.errors import UserError
from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from training.studio.head import EYE_SETBACK, HeadModel, mirror_vertices, mirrored


def _codes(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.8, 100), rng.random(53) * (rng.random(53) < 0.3)


def test_head_space_is_metres_around_the_head(head):
    assert head.neutral[head.landmarks68[30]] == pytest.approx([0, 0, 0.08], abs=0.01)
    assert head.expression_names == EXPRESSION_COMPONENTS
    left = head.neutral[head.region("sclera_left")].mean(axis=0)
    assert 0.02 < left[0] < 0.05


def test_mirror_pairs_every_vertex_with_its_image(head):
    count = np.arange(len(head.neutral))
    assert np.array_equal(head.mirror[head.mirror], count)
    assert np.allclose(mirrored(head.neutral, head.mirror), head.neutral, atol=1e-7)
    left, right = head.region("sclera_left"), head.region("sclera_right")
    assert set(head.mirror[left]) == set(count[right])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_mirrored_codes_give_the_mirrored_head(head, seed):
    identity, expression = _codes(seed)
    there = head.vertices(identity * head.mirror_identity, expression[head.mirror_expression])
    assert np.allclose(there, mirrored(head.vertices(identity, expression), head.mirror), atol=1e-6)


def test_asymmetric_data_are_mended(data_folder, tmp_path):
    with np.load(data_folder / "ict_head.npz") as file:
        data = {key: file[key] for key in file.files}
    smile = list(data["expression_names"]).index("mouthSmile_L")
    data["expression"][smile] *= np.float16(1.2)
    np.savez(tmp_path / "ict_head.npz", **data)
    head = HeadModel.load(tmp_path)
    left, right = (
        head.expression_modes[EXPRESSION_COMPONENTS.index(f"mouthSmile{side}")] for side in ("Left", "Right")
    )
    assert np.allclose(mirrored(right, head.mirror), left, atol=1e-7)
    assert np.abs(left).max() > 0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.floats(-2, 2))
def test_the_model_is_linear(head, seed, factor):
    identity, expression = _codes(seed)
    whole = head.vertices(factor * identity, factor * expression) - head.neutral
    parts = head.vertices(identity, 0 * expression) + head.vertices(0 * identity, expression) - 2 * head.neutral
    assert np.allclose(whole, factor * parts, atol=1e-5)


def test_eyeballs_stand_back_and_blinks_push_them_further(head, data_folder):
    with np.load(data_folder / "ict_head.npz") as file:
        published = (file["neutral"] - np.array([0, 0.1, 4.1])) / 100
    part = head.region("sclera_left")
    assert np.allclose(published[part, 2] - head.neutral[part, 2], EYE_SETBACK, atol=1e-5)
    blink = head.expression_modes[EXPRESSION_COMPONENTS.index("eyeBlinkLeft")]
    assert (blink[part, 2] < 0).all()
    assert not blink[head.region("sclera_right")].any()


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_eyeballs_turn_about_their_centre(head, side):
    part = head.region(f"sclera_{side.lower()}")
    at_rest = head.neutral[part].astype(float)
    front = int(at_rest[:, 2].argmax())
    outwards = 1 if side == "Left" else -1
    for name, towards in {"Up": [0, 1], "Down": [0, -1], "Out": [outwards, 0], "In": [-outwards, 0]}.items():
        move = head.expression_modes[EXPRESSION_COMPONENTS.index(f"eyeLook{name}{side}")]
        assert 0.003 < move[part][front, :2] @ towards < 0.02
        assert move[part].std(0).max() > 0.001
        turned = at_rest + move[part]
        sizes = [np.linalg.norm(points - points.mean(0), axis=1) for points in (at_rest, turned)]
        assert sizes[0] == pytest.approx(sizes[1], abs=1e-5)
        other = head.region(f"iris_{'right' if side == 'Left' else 'left'}")
        assert not move[other].any()


def test_the_hidden_jaw_line_slides(head):
    assert np.array_equal(head.landmark_vertices(0), head.landmarks68)
    assert np.array_equal(head.landmark_vertices(60)[:8], head.jaw_right)
    assert np.array_equal(head.landmark_vertices(-60)[9:17], head.jaw_left)
    assert np.array_equal(head.landmark_vertices(60)[8:], head.landmarks68[8:])


def test_a_mesh_without_symmetry_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="symmetric"):
        mirror_vertices(rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 40, (20, 4)).astype(np.int32))


def test_missing_data_are_told_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="--data"):
        HeadModel.load(tmp_path)
