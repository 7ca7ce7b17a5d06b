"""Pictures that no one would choose: the right face is taken, or one sentence says why there is none."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.filters
from PIL import Image

from faceeditor.engine.photos import Photo
from faceeditor.errors import NoFaceError, UserError
from faceeditor.faces.camera import Camera
from faceeditor.session import Session
from faceeditor.settings import Settings

EYES = np.array([223.0, 113.0])
"""Between the eyes of the astronaut."""


@pytest.fixture(scope="module")
def session():
    session = Session(Settings(threads=1), autosave=False)
    session.wait(session.get_ready_for_photos())
    yield session
    session.close()


@pytest.fixture
def told(session):
    """The session's notices."""
    told = []
    session.notice.connect(told.append)
    yield told
    session.notice.disconnect(told.append)


def glanced(session, path, picture=None, **facts):
    """The face at first sight of a picture, which is written to ``path`` first."""
    if picture is not None:
        Image.fromarray(picture).save(path, **facts)
    return session.document[session.wait(session.glance(path))]


def drawing():
    """Pencil lines on paper."""
    edges = skimage.filters.sobel(skimage.color.rgb2gray(skimage.data.astronaut()))
    return (255 * (1 - np.clip(4 * edges, 0, 1))).astype(np.uint8)


def see_through():
    picture = np.dstack([skimage.data.astronaut(), np.full((512, 512), 255, np.uint8)])
    picture[:20] = 0
    return picture


PICTURES = {
    "drawing": drawing,
    "eight colours": lambda: np.asarray(Image.fromarray(skimage.data.astronaut()).quantize(8).convert("RGB")),
    "grey": lambda: np.rint(255 * skimage.color.rgb2gray(skimage.data.astronaut())).astype(np.uint8),
    "transparent": see_through,
}


@pytest.fixture(scope="module")
def usual(session, tmp_path_factory):
    """The face of the photo as it is."""
    return glanced(session, tmp_path_factory.mktemp("usual") / "astronaut.png", skimage.data.astronaut())


@pytest.mark.parametrize("name", PICTURES)
def test_unusual_pictures_show_the_same_head(session, usual, told, tmp_path, name):
    face = glanced(session, tmp_path / "a.png", PICTURES[name]())
    for angle in ("yaw", "pitch", "roll"):
        assert getattr(face.camera, angle) == pytest.approx(getattr(usual.camera, angle), abs=10)
    seen, known = (skimage.color.rgb2gray(found.origin.photo_srgb) for found in (face, usual))
    assert np.corrcoef(skimage.filters.sobel(seen).ravel(), skimage.filters.sobel(known).ravel())[0, 1] > 0.3
    assert told == []


def test_a_photo_on_its_side_is_upright_by_its_exif(session, usual, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    face = glanced(session, tmp_path / "a.jpg", np.rot90(skimage.data.astronaut()), exif=exif, quality=95)
    assert np.abs(face.origin.photo_srgb.astype(int) - usual.origin.photo_srgb).mean() < 4


def test_a_face_of_twenty_pixels_is_found(session, tmp_path):
    small = Image.fromarray(skimage.data.astronaut()[60:200, 150:300]).resize((20, 20))
    face = glanced(session, tmp_path / "a.png", np.asarray(small))
    assert abs(face.camera.yaw) < 15


@pytest.mark.parametrize("yaw", [-60, 80])
def test_a_profile_is_seen_from_its_side(session, tmp_path, yaw):
    person = session.new()
    session.randomise(person, ["identity", "skin", "hair"], 3)
    camera = Camera(yaw=yaw, distance=1.3)
    path = tmp_path / "profile.png"
    session.wait(session.export_picture(person, path, 384, camera=camera, background=(0.2, 0.3, 0.4)))
    face = glanced(session, path)
    assert face.camera.yaw * np.sign(yaw) > 30


def test_a_picture_of_a_hundred_million_pixels_is_read(session, usual, tmp_path):
    Image.fromarray(skimage.data.astronaut()).resize((10_000, 10_000)).save(tmp_path / "a.jpg", quality=70)
    face = glanced(session, tmp_path / "a.jpg")
    assert face.camera.yaw == pytest.approx(usual.camera.yaw, abs=5)
    assert np.abs(face.origin.photo_srgb.astype(int) - usual.origin.photo_srgb).mean() < 12
    Image.new("1", (10_001, 10_001)).save(tmp_path / "more.png")
    with pytest.raises(UserError, match="100 million pixels"):
        glanced(session, tmp_path / "more.png")


def two_people():
    """The astronaut twice: the left one smaller, the right one mirrored."""
    picture = np.full((512, 660, 3), 120, np.uint8)
    person = skimage.data.astronaut()[:, 52:392]
    picture[76:, :289] = np.asarray(Image.fromarray(person).resize((289, 436)))
    picture[:, 320:] = person[:, ::-1]
    return picture


def test_of_two_faces_the_prominent_one_is_taken_and_both_can_be_chosen(session, told, tmp_path):
    path = tmp_path / "two.png"
    taken = glanced(session, path, two_people())
    assert len(told) == 1
    assert "two.png shows several faces" in told[0]
    boxes = session.wait(session.find_heads(path))
    middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
    expected = [(EYES - [52, 0]) * 0.85 + [0, 76], [660 - (EYES[0] - 52), EYES[1]]]
    assert np.allclose(middles, expected, atol=30)
    told.clear()
    small, large = (session.document[session.wait(session.glance(Photo(path, number=number)))] for number in (1, 2))
    middle = slice(160, 352)
    one, other, prominent = (face.origin.photo_srgb[middle, middle].astype(int) for face in (small, large, taken))
    assert np.abs(one[:, ::-1] - other).mean() < 0.5 * np.abs(one - other).mean()
    assert min(np.abs(prominent - one).mean(), np.abs(prominent - other).mean()) < 6
    assert told == []
    with pytest.raises(UserError, match="no face 3: 2 faces were found"):
        session.wait(session.glance(Photo(path, number=3)))


def test_no_face_is_one_sentence(session, tmp_path):
    before = session.document.ids
    with pytest.raises(NoFaceError, match="by hand"):
        glanced(session, tmp_path / "wall.png", skimage.data.brick())
    assert session.document.ids == before


def test_what_may_be_no_face_is_told(session, told, tmp_path):
    glanced(session, tmp_path / "cup.png", skimage.data.coffee()[:, :450])
    assert len(told) == 1
    assert "may be none" in told[0]


def test_a_file_that_was_cut_off_is_told(session, tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UserError, match="damaged"):
        glanced(session, path)


def test_a_face_at_first_sight_is_settled_in_the_same_step(session, tmp_path):
    path = tmp_path / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    other = session.new()
    steps, before = len(session.document.history), session.document.ids
    face_id = session.wait(session.glance(path))
    seen = session.document[face_id]
    assert len(session.document.history) == steps + 1
    session.document.select(other)
    session.settle()
    settled = session.document[face_id]
    assert settled is not seen
    assert settled.origin.photo_srgb is not None
    assert np.array_equal(settled.origin.codes["identity"], settled.codes["identity"])
    assert session.document.current == other
    assert not session.changed(face_id)
    assert len(session.document.history) == steps + 1
    session.document.undo()
    assert session.document.ids == before


def test_an_edit_before_it_is_settled_stays(session, tmp_path):
    path = tmp_path / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    face_id = session.wait(session.glance(path))
    session.set_slider(face_id, "expression.jawOpen", 0.8)
    session.settle()
    assert session.value(face_id, "expression.jawOpen") == pytest.approx(0.8, abs=1e-3)
    assert session.changed(face_id) == {"expression.jawOpen"}


def test_a_face_is_refined_in_one_step_and_keeps_what_was_edited(session, tmp_path):
    face_id = session.document.ids[0]
    path = tmp_path / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    face_id = session.wait(session.glance(path))
    session.settle()
    seen = session.document[face_id]
    session.set_slider(face_id, "expression.jawOpen", 0.9)
    edited, steps = session.document[face_id], len(session.document.history)
    session.wait(session.refine(face_id, quality="draft"))
    fitted = session.document[face_id]
    assert len(session.document.history) == steps + 1
    assert fitted.refinement
    assert fitted.origin.figures["psnr"] > 15
    assert fitted.origin.source == seen.origin.source == "astronaut.png"
    assert session.value(face_id, "expression.jawOpen") == pytest.approx(0.9, abs=1e-3)
    assert not np.allclose(fitted.codes["skin"], seen.codes["skin"])
    session.document.undo()
    assert session.document[face_id] is edited
    path.unlink()
    saved = session.open(session.save(face_id, tmp_path / "a.face"))
    session.wait(session.refine(saved, quality="glance"))
    assert session.value(saved, "expression.jawOpen") == pytest.approx(0.9, abs=1e-3)
    assert session.document[saved].camera.yaw == pytest.approx(seen.camera.yaw, abs=5)
