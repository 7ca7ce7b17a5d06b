"""Depth pictures become surfaces, and their cameras are looked at."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.files.scans import read_scan
from tests.files.scan_files import CAMERA, ball_depth, exr


@pytest.mark.parametrize("kind", ["mm.png", "tenths.png", "m.npy", "mm.npy", "nan.npy", "z.exr", "grey.exr"])
def test_a_depth_picture_becomes_a_surface(tmp_path, kind):
    depth, path = ball_depth(), tmp_path / kind
    camera = {"fx": CAMERA.fx, "fy": CAMERA.fy, "cx": CAMERA.cx, "cy": CAMERA.cy}
    if kind == "tenths.png":
        Image.fromarray(np.rint(depth * 1e4).astype(np.uint16)).save(path)
        camera = {"K": [[300, 0, 79.5], [0, 320, 59.5], [0, 0, 1]], "unit": 1e-4}
    elif path.suffix == ".exr":
        channels = {"Z": depth} if kind == "z.exr" else {"Y": np.where(depth, depth, np.inf)}
        path.write_bytes(exr(channels))
    elif kind == "mm.png":
        Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(path)
    else:
        np.save(path, (depth * 1000).astype(np.uint16) if kind == "mm.npy" else np.where(depth, depth, np.nan))
    (tmp_path / f"{path.stem}.json").write_text(json.dumps(camera))
    scan = read_scan(path)
    centre, corners = np.array([0, 0, -0.6]), scan.vertices[scan.faces]
    on_ball = scan.vertices[:, 2] > -0.8
    np.testing.assert_allclose(np.linalg.norm(scan.vertices[on_ball] - centre, axis=1), 0.1, atol=2e-3)
    assert np.ptp(corners[..., 2], axis=1).max() < 0.1  # no triangle joins the ball and the wall
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (across[:, 2] > 0).all()
    assert scan.vertices[on_ball, 1].max() > 0.09  # upright, and the ball is whole
    assert (scan.vertices[:, 0] > -1.2 * 79.5 / 300 + 1e-3).all()
    assert not scan.viewpoint.any()


def test_a_camera_may_be_given(tmp_path):
    np.save(tmp_path / "face.npy", ball_depth())
    assert len(read_scan(tmp_path / "face.npy", CAMERA).faces) > 1000


@pytest.mark.parametrize(
    ("depth", "told"),
    [
        (np.zeros((120, 160)), "a depth in 0 of its 19200 pixels"),
        (np.full((120, 160), np.nan), "a depth in 0 of its 19200 pixels"),
        (np.pad([[0.6]], ((60, 59), (80, 79))), "a depth in 1 of its 19200 pixels"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".png", ".exr"])
def test_a_frame_without_depths_says_so(tmp_path, depth, told, suffix):
    path = tmp_path / f"frame{suffix}"
    if suffix == ".npy":
        np.save(path, depth)
    elif suffix == ".png":
        Image.fromarray(np.rint(np.nan_to_num(depth) * 1000).astype(np.uint16)).save(path)
    else:
        path.write_bytes(exr({"Z": depth}))
    with pytest.raises(UserError, match=told):
        read_scan(path, CAMERA)


def test_an_exr_without_depths_says_where_they_are_looked_for(tmp_path):
    (tmp_path / "frame.exr").write_bytes(exr({"N.X": ball_depth()}))
    with pytest.raises(UserError, match="Z, Y and R"):
        read_scan(tmp_path / "frame.exr", CAMERA)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fx": 3.0}, "No camera sees 176 degrees, as fx = 3 says"),
        ({"fy": 3e6}, "No camera sees 0.00229 degrees, as fy = 3e[+]06 says"),
        ({"cx": 4000.0}, "principal point [(]4000, 59.5[)] is far outside"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(tmp_path, changes, told):
    np.save(tmp_path / "frame.npy", ball_depth())
    with pytest.raises(UserError, match=told):
        read_scan(tmp_path / "frame.npy", replace(CAMERA, **changes))


@pytest.mark.parametrize("camera", ["", "[]", "{}", '{"fx": 0, "fy": 1, "cx": 1, "cy": 1}', '{"K": [1, 2]}'])
def test_a_camera_that_is_none(tmp_path, camera):
    (tmp_path / "face.json").write_text(camera)
    np.save(tmp_path / "face.npy", ball_depth())
    with pytest.raises(UserError, match="face.json"):
        read_scan(tmp_path / "face.npy")
