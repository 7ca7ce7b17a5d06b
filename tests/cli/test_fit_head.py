"""Depth frames of whole heads through the command line: what one becomes, and what is wrong with others."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from faceeditor.faces.camera import Camera
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, IDENTITY
from faceeditor.files.project import read_face
from faceeditor.models.bundle import load_model
from faceeditor.rendering.raster import NOTHING, Scene
from faceeditor.rendering.rasterisers import make_rasteriser
from faceeditor.rendering.rays import meet, pixel_rays
from tests.plain_head import NAME, install_head

SIZE = 320
CAMERA = Camera(yaw=8, pitch=4, field_of_view=28)
INTRINSICS = CAMERA.intrinsics(SIZE, SIZE)
TOLD = {"fx": INTRINSICS[0, 0], "fy": INTRINSICS[1, 1], "cx": SIZE / 2 - 0.5, "cy": SIZE / 2 - 0.5}


@pytest.fixture(scope="module")
def depth():
    """What ``CAMERA`` sees of somebody whose mouth is open, in metres, with noise and without every tenth pixel."""
    template = load_model("template-studio")
    expression = torch.zeros(1, 53)
    expression[0, EXPRESSION_COMPONENTS.index("jawOpen")] = 0.4
    identity = torch.from_numpy(np.random.default_rng(5).normal(0, 0.8, (1, 100))).float()
    vertices = template.vertices(identity, expression)[0].numpy()
    corners = vertices[template.shape_faces[: template.cards_from].numpy()].astype(np.float32)
    ids = make_rasteriser().visible(Scene(corners, len(corners)), CAMERA, SIZE, 1)[0].ravel()
    pixels = np.flatnonzero(ids != NOTHING)
    origin, ways = pixel_rays(CAMERA, SIZE, torch.from_numpy(pixels))
    random = np.random.default_rng(0)
    found = np.zeros(SIZE * SIZE)
    found[pixels] = meet(origin, ways, torch.from_numpy(corners[ids[pixels]]))[1].numpy()
    found[pixels] += 0.0004 * random.normal(size=len(pixels))
    found[random.random(len(found)) < 0.1] = 0
    return found.reshape(SIZE, SIZE)


@pytest.fixture
def frame(tmp_path, user_home):
    """Writes a frame in tenths of a millimetre, and its camera with changes; the arguments to fit it."""
    install_head(user_home / "data")

    def write(depth, **changes):
        path, camera = tmp_path / "depth.png", tmp_path / "k.json"
        Image.fromarray(np.rint(depth * 1e4).clip(0, 65535).astype(np.uint16)).save(path)
        camera.write_text(json.dumps(TOLD | {"unit": 1e-4} | changes))
        return "fit", path, "--intrinsics", camera, "--out", tmp_path / "a.face", "--quality", "draft"

    return write


def test_a_frame_becomes_a_whole_head(line, frame, depth, tmp_path):
    facts = line.json(*frame(depth), "--model", "triplane-studio")
    assert facts["model"] == "triplane-studio"
    assert facts["traced_back_percent"] > 99
    assert facts["scale"] == pytest.approx(1, abs=1e-6)
    face = read_face(tmp_path / "a.face").face
    assert face.origin.kind == "scan"
    assert ((face.codes[EXPRESSION] >= 0) & (face.codes[EXPRESSION] <= 1)).all()
    style = face.codes[IDENTITY][100:110]
    assert sorted(style)[:9] == [0] * 9
    assert facts["chamfer_mm"] < 2


WALL = np.full((SIZE, SIZE), 0.8)
WRONG = {
    "all zero": (0 * WALL, {}, "a depth in 0 of its"),
    "one point": (np.pad([[0.8]], ((150, 169), (150, 169))), {}, "a depth in 1 of its"),
    "a wall": (WALL, {}, "No face was found in this frame; by its intrinsics and its unit it shows 0.3"),
    "an absurd lens": (None, {"fx": 2.0}, "No camera sees 179 degrees, as fx = 2"),
    "no lens": (None, {"fx": 0}, "impossible camera"),
    "another picture's lens": (None, {"cx": 5000.0}, "principal point (5000, "),
    "another unit": (None, {"unit": "mm"}, "comes out 10 times as large as faces are"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_frame_is_told(line, frame, depth, tmp_path, kind):
    picture, changes, told = WRONG[kind]
    said = line.refused(*frame(depth if picture is None else picture, **changes), "--model", NAME)
    assert told in said
    assert said.endswith(".")
    assert not (tmp_path / "a.face").exists()
