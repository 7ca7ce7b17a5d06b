import numpy as np
import pytest

from training.studio.assets import Assets
from training.studio.factors import expression_code
from training.studio.occlusion import Openness, sphere_directions


def test_directions_cover_the_sphere_evenly():
    directions = sphere_directions(96)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1, abs=1e-6)
    assert directions.T @ directions / 96 == pytest.approx(np.eye(3) / 3, abs=0.01)


def test_the_outside_is_open_and_the_inside_dark(head, openness):
    gums = openness.head[head.region("gums_and_tongue")]
    assert openness.head[head.landmarks68[30]] > 0.75
    assert gums.mean() < 0.15


def test_teeth_are_lit_when_lips_part(head, openness):
    lit, none = openness.with_lit_teeth(head), np.zeros(10, np.float32)
    teeth = head.region("teeth")
    closed, parted = (lit.of_head(expression_code(jawOpen=weight), none) for weight in (0.0, 0.5))
    front, back = head.neutral[teeth, 2].argmax(), head.neutral[teeth, 2].argmin()
    assert closed[teeth][front] < 0.2 < 0.4 < parted[teeth][front]
    assert parted[teeth][back] < parted[teeth][front]
    others = np.ones(len(head.neutral), bool)
    others[teeth] = False
    assert np.array_equal(lit.head[others], openness.head[others])


def test_hair_darkens_the_scalp_and_not_the_chin(head, openness):
    styles = np.zeros(10, np.float32)
    bald = openness.of_head(expression_code(), styles)
    styles[0] = 1
    covered = openness.of_head(expression_code(), styles)
    crown = head.neutral[:, 1] > 0.11
    assert covered[crown].mean() < 0.5 * bald[crown].mean()
    chin = head.landmarks68[8]
    assert covered[chin] == pytest.approx(bald[chin], abs=0.1)


def test_movements_stay_within_what_each_alone_gives(openness):
    none = np.zeros(10, np.float32)
    whole = openness.of_head(expression_code(jawOpen=1, mouthFunnel=1, mouthPucker=1), none)
    assert whole.min() >= 0
    assert whole.max() <= 1
    alone = [openness.of_head(expression_code(**{name: 1}), none) for name in ("jawOpen", "mouthFunnel", "mouthPucker")]
    least = np.minimum(openness.of_head(expression_code(), none), np.min(alone, axis=0))
    assert (whole >= least - 1e-5).all()


def test_it_is_measured_once_and_kept(studio_home, head, data_folder, openness, monkeypatch):
    monkeypatch.setattr(Openness, "measure", lambda *_: pytest.fail("measured again"))
    kept = Openness.of(None, head, Assets(data_folder))
    assert kept.head == pytest.approx(openness.head, abs=1e-3)
    assert kept.hair.keys() == openness.hair.keys()
