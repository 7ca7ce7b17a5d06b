"""INFAMOUS-NeRF through the command line: a studio picture is fitted; the face is moved, mixed, driven and shown."""

import numpy as np
import pytest
from PIL import Image

from faceeditor.cli import run
from faceeditor.editing.controls import set_slider
from faceeditor.faces import landmarks as points
from faceeditor.faces.camera import Camera
from faceeditor.files.project import read_face
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import read_frames, write_video
from faceeditor.models.bundle import load_model
from faceeditor.models.layers import tensors
from faceeditor.rendering.harmonics import ambient, directional
from faceeditor.resources import HOME_VARIABLE
from tests.drawn_portrait import head

MODEL = "infamous-studio"
SIZE = 256
LIGHT = ambient(np.full(3, 0.5)) + directional(np.array([0.6, 0.4, 0.69]), np.full(3, 0.6))
BEHIND = (0.25, 0.3, 0.35)


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


@pytest.fixture(scope="module")
def studio():
    """The real-time head, which draws what the studio does."""
    return load_model("guided-studio")


@pytest.fixture(scope="module")
def fitted(studio, tmp_path_factory):
    """A face that was fitted to the picture of a studio head, and what was told of it."""
    folder = tmp_path_factory.mktemp("fitted")
    codes = head(studio, 8, style=7, light=LIGHT.ravel())
    picture = studio.render(codes, Camera(yaw=12.0, distance=1.0), 384).over(BEHIND)
    Image.fromarray(picture).save(folder / "ann.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(folder / "home"))
        words = ("--model", MODEL, "--quality", "draft", "--out", str(folder / "ann.face"))
        assert run(["fit", str(folder / "ann.png"), *words]) == 0
    return folder / "ann.face"


def test_a_studio_picture_is_fitted_well(fitted):
    figures = read_face(fitted).face.origin.figures
    assert figures["psnr"] > 30
    assert figures["ssim"] > 0.9
    assert figures["covered_percent"] > 98
    assert figures["landmark_error_percent"] < 1.5


# Named expressions


def moved(model, fitted, **amounts):
    """The fitted face with sliders of its expression elsewhere: its frame, and its landmarks in pixels."""
    face = read_face(fitted).face
    for name, amount in amounts.items():
        face = set_slider(face, model.spaces, f"expression.{name}", amount)
    frame = model.render(face.codes, face.camera, SIZE, refinement=face.refinement)
    places = model.landmarks(tensors(face.codes), face.camera.yaw).double().numpy()
    return frame, face.camera.project(places, SIZE, SIZE)


def window(frame, where, margin=2):
    """The part of the picture (rows, columns, 3) around pixels (N, 2), sRGB."""
    left, top = np.floor(where.min(0)).astype(int) - margin
    right, bottom = np.ceil(where.max(0)).astype(int) + margin
    return frame.over(BEHIND).astype(int)[top:bottom, left:right]


def test_jaw_open_opens_the_mouth(model, fitted):
    (shut, before), (wide, after) = (moved(model, fitted, jawOpen=amount) for amount in (0.0, 1.0))
    upper, lower = points.INNER_LIPS.start + 2, points.INNER_LIPS.start + 6
    assert after[lower, 1] - after[upper, 1] > before[lower, 1] - before[upper, 1] + 0.04 * SIZE
    assert after[points.CHIN, 1] > before[points.CHIN, 1] + 0.03 * SIZE
    for part in (points.RIGHT_BROW, points.LEFT_BROW, points.RIGHT_EYE, points.LEFT_EYE):
        assert np.abs(after - before)[part].max() < 1
    column, row = ((after[upper] + after[lower]) / 2).astype(int)
    assert wide.depth[row, column] > shut.depth[row, column] + 0.01
    lips = after[points.INNER_LIPS]
    assert window(wide, lips).sum(-1).min() < 0.6 * window(shut, lips).sum(-1).min()


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_eye_blink_closes_that_eye_alone(model, fitted, side):
    sides = {"Left": points.LEFT_EYE, "Right": points.RIGHT_EYE}
    (open_, before), (shut, after) = (moved(model, fitted, **{f"eyeBlink{side}": amount}) for amount in (0.0, 1.0))

    def height(where, eye):
        lids = where[eye]
        return (lids[[4, 5], 1] - lids[[1, 2], 1]).mean()

    def change(eye):
        return np.abs(window(shut, before[eye]) - window(open_, before[eye])).mean()

    own, other = sides.pop(side), *sides.values()
    assert height(after, own) < 0.35 * height(before, own)
    assert height(after, other) == pytest.approx(height(before, other), rel=0.05)
    assert change(own) > 6
    assert change(own) > 4 * change(other)


# Commands


def test_a_fitted_face_is_shown_mixed_and_driven(line, studio, fitted, tmp_path):
    other, both = tmp_path / "ben.face", tmp_path / "both.face"
    line.json("random", "--model", MODEL, "--seed", 5, "--out", other)

    def drawn(face, *words):
        line.json("render", face, "--out", tmp_path / "a.png", "--size", 96, *words)
        return np.asarray(Image.open(tmp_path / "a.png")).astype(int)

    ann, ben = drawn(fitted), drawn(other)
    assert (ann < 250).any(-1).mean() > 0.15
    assert np.abs(drawn(fitted, "--yaw", 45) - ann).mean() > 5

    line.json("transfer", "--what", "skin,light", "--from", fitted, "--to", other, "--out", both)
    given, taken = (read_face(path).face for path in (fitted, both))
    assert np.array_equal(taken.codes["skin"], given.codes["skin"])
    for name in ("theta", "alpha", "albedo_gain"):
        assert np.array_equal(taken.refinement[name], given.refinement[name])
    assert np.array_equal(taken.codes["identity"], read_face(other).face.codes["identity"])
    assert np.abs(drawn(both) - ben).mean() > 3

    line.json("interpolate", fitted, other, "--out", tmp_path / "a.mp4", "--frames", 3, "--size", 64)
    frames = np.stack(list(read_frames(tmp_path / "a.mp4"))).astype(int)
    assert len(frames) == 3
    assert min(np.abs(frames[1] - frames[end]).mean() for end in (0, 2)) > 1

    codes = head(studio, 4, style=2)
    with write_video(tmp_path / "film.mp4", (192, 192), 25, Provenance()) as add:
        for amount in np.linspace(0, 0.9, 8):
            acting = head(studio, 4, jawOpen=amount)["expression"]
            add(studio.render({**codes, "expression": acting}, Camera(), 192).over(BEHIND))
    words = ("--size", 64, "--smoothing", 0)
    assert line.json("drive", tmp_path / "film.mp4", fitted, "--out", tmp_path / "b.mp4", *words)["frames"] == 8
    frames = np.stack(list(read_frames(tmp_path / "b.mp4"))).astype(int)
    change = np.abs(frames[-1] - frames[0]).sum(-1)
    assert change[32:].mean() > 3 * change[:24].mean()
