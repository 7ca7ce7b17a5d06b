"""Photos of which nothing is known: the published layouts are read, and heads come upright and white behind."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.models.bundle import load_model
from tests.drawn_portrait import head, portrait_of
from training.photo_folders import CELEBA_MASKS, CELEBA_PICTURES, FFHQ_FACTS, FFHQ_PICTURES, photos_in
from training.placed_photos import PlacedPhotos, place_all, placed
from training.studio.capture import CaptureOptions, StudioDataset, capture, read_shard, shard_path
from training.train_attributes import READER

SIDE = 64


@pytest.fixture(scope="module")
def reader():
    return load_model(READER)


@pytest.fixture(scope="module")
def seen():
    """A photo of a head, and what is true of it."""
    model = load_model("guided-studio")
    return portrait_of(model, head(model, 3, style=2), Camera(yaw=12, pitch=-5, roll=9, distance=1.1), size=256)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def grey(value, side=8):
    return np.full((side, side, 3), value)


def spot(*corners, side=16):
    """A mask, white from the first to the second corner."""
    mask = np.zeros((side, side))
    (top, left), (bottom, right) = corners
    mask[top:bottom, left:right] = 255
    return mask


@pytest.mark.parametrize("under", [FFHQ_PICTURES + "/00000", FFHQ_PICTURES + "/01000", FFHQ_PICTURES, "", "01000"])
def test_ffhq_is_read_by_the_thousand_or_flat(tmp_path, under):
    for number in (2, 1):
        save(tmp_path / under / f"{number:05d}.png", grey(10 * number))
    photos = photos_in(tmp_path)
    assert [photo.name for photo in photos] == ["ffhq-00001", "ffhq-00002"]
    read = photos[1].read()
    assert (read.srgb == 20).all()
    assert (read.head, read.landmarks) == (None, None)


@pytest.mark.parametrize("under", ["00000", ""])
def test_ffhq_may_have_masks_and_landmarks(tmp_path, under):
    save(tmp_path / FFHQ_PICTURES / "00000" / "00001.png", grey(50, 16))
    save(tmp_path / "masks" / under / "00001.png", spot((4, 4), (12, 8)))
    points = np.random.default_rng(0).uniform(0, 16, (68, 2))
    facts = {"1": {"category": "training", "image": {"face_landmarks": points.tolist()}}}
    (tmp_path / FFHQ_FACTS).write_text(json.dumps(facts))
    read = photos_in(tmp_path, tmp_path / "masks")[0].read()
    assert np.array_equal(read.head, spot((4, 4), (12, 8)))
    assert read.shown is read.head
    assert np.array_equal(read.landmarks, points)


def test_celebamask_hqs_heads_are_their_parts_and_glasses_stand_before_them(tmp_path):
    save(tmp_path / CELEBA_PICTURES / "2001.jpg", grey(90, 16))
    parts = {"skin": ((2, 2), (10, 10)), "hair": ((0, 2), (2, 10)), "cloth": ((12, 0), (16, 16))}
    parts |= {"neck": ((10, 4), (12, 8)), "eye_g": ((4, 0), (6, 6))}
    for name, corners in parts.items():
        save(tmp_path / CELEBA_MASKS / "1" / f"02001_{name}.png", spot(*corners))
    photo = photos_in(tmp_path)[0]
    assert photo.name == "celeba-02001"
    read = photo.read()
    whole = sum(spot(*parts[name]) for name in ("skin", "hair", "neck"))
    assert np.array_equal(read.head, np.where(spot(*parts["eye_g"]) > 0, 0, whole))
    assert np.array_equal(read.shown, np.maximum(whole, spot(*parts["eye_g"])))


def test_masks_come_at_the_size_of_their_photo(tmp_path):
    save(tmp_path / CELEBA_PICTURES / "0.jpg", grey(90, 32))
    save(tmp_path / CELEBA_MASKS / "0" / "00000_skin.png", spot((4, 4), (12, 12)))
    mask = photos_in(tmp_path)[0].read().head
    assert mask.shape == (32, 32)
    assert (mask[10:22, 10:22] == 255).all()
    assert not mask[:6].any()


def test_people_in_hats_earrings_and_necklaces_are_left_out(tmp_path):
    for number, part in enumerate(("hat", "ear_r", "neck_l", "eye_g")):
        save(tmp_path / CELEBA_PICTURES / f"{number}.jpg", grey(90))
        for name in ("skin", part):
            save(tmp_path / CELEBA_MASKS / "0" / f"{number:05d}_{name}.png", spot((0, 0), (4, 4)))
    assert [photo.name for photo in photos_in(tmp_path)] == ["celeba-00003"]


def refuse(folder, sentence, **more):
    with pytest.raises(UserError, match=sentence) as told:
        photos_in(folder, **more)
    assert "\n" not in str(told.value)


def test_folders_that_are_none_are_told(tmp_path):
    refuse(tmp_path / "nowhere", "There are no photos of FFHQ, CelebAMask-HQ or the studio")
    save(tmp_path / "celeba" / CELEBA_PICTURES / "0.jpg", grey(9))
    refuse(tmp_path / "celeba", "There is no CelebAMask-HQ-mask-anno")
    (tmp_path / "celeba" / CELEBA_MASKS).mkdir()
    with pytest.raises(UserError, match="has no masks"):
        photos_in(tmp_path / "celeba")[0].read()
    save(tmp_path / "ffhq" / "00000.png", grey(9))
    refuse(tmp_path / "ffhq", "There is no mask of 00000.png", masks=tmp_path)


@pytest.mark.parametrize(
    "facts", ["", "[]", "{", '{"a": 1}', '{"0": {"image": {}}}', '{"0": {"image": {"face_landmarks": [[1, 2]]}}}']
)
def test_damaged_landmarks_are_told(tmp_path, facts):
    save(tmp_path / "00000.png", grey(9))
    (tmp_path / FFHQ_FACTS).write_text(facts)
    refuse(tmp_path, "is damaged or of another version")


def test_a_photo_is_placed_alike_whatever_was_annotated(seen, reader, tmp_path):
    """By landmarks, by the reader's own search, and by both with a mask."""
    save(tmp_path / "00000.png", seen.crop_srgb)
    save(tmp_path / "masks" / "00000.png", np.rint(255 * seen.mask))
    facts = {"0": {"image": {"face_landmarks": seen.landmarks.tolist()}}}
    pictures = []
    for masks in (None, tmp_path / "masks"):
        (tmp_path / FFHQ_FACTS).unlink(missing_ok=True)
        pictures.append(placed(photos_in(tmp_path, masks)[0].read(), reader, SIDE))
        (tmp_path / FFHQ_FACTS).write_text(json.dumps(facts))
        pictures.append(placed(photos_in(tmp_path, masks)[0].read(), reader, SIDE))
    for picture in pictures:
        assert picture.shape == (SIDE, SIDE, 5)
        off = np.abs(picture.astype(float) - pictures[-1])
        assert off[..., :3].mean() < 8
        assert ((picture[..., 3] > 127) != (pictures[-1][..., 3] > 127)).mean() < 0.06
        assert 0.1 < (picture[..., 3] > 127).mean() < 0.7


@pytest.fixture(scope="module")
def studio_folder(tmp_path_factory, studio, data_folder):
    data = StudioDataset(data_folder, 3, CaptureOptions(size=96))
    data._studio = studio
    folder = tmp_path_factory.mktemp("captured")
    list(capture(data, folder, workers=0))
    return folder


def test_the_studios_pictures_are_photos_like_others(studio_folder, reader, tmp_path):
    photos = photos_in(studio_folder)
    assert list(place_all(photos, tmp_path, SIDE, reader)) == []
    found = PlacedPhotos.of(tmp_path)
    assert list(found.names) == [photo.name for photo in photos] == [f"shard-00000-{row:03d}" for row in range(3)]
    batch = found.take(torch.tensor([2, 0]))
    assert batch.photos.shape == (2, 3, SIDE, SIDE)
    assert batch.head.shape == batch.shown.shape == (2, 1, SIDE, SIDE)
    assert torch.equal(batch.photos[1], next(found.once(2)).photos[0])
    outside = batch.head < 0.01
    assert (batch.over()[outside.expand(-1, 3, -1, -1)] > 0.98).all()
    assert (batch.over(0.0)[outside.expand(-1, 3, -1, -1)] < 0.02).all()
    covered = (read_shard(shard_path(studio_folder, 0))["coverage"] > 127).mean()
    assert 0.3 * covered < (batch.head > 0.5).float().mean() < 3 * covered


def test_every_photo_comes_once_before_any_again(studio_folder, reader, tmp_path):
    list(place_all(photos_in(studio_folder), tmp_path, SIDE, reader))
    batches = PlacedPhotos.of(tmp_path).forever(1)
    assert sorted(int(next(batches).numbers) for _ in range(3)) == [0, 1, 2]


def test_what_is_placed_stays_and_is_not_mixed(studio_folder, reader, tmp_path, monkeypatch):
    monkeypatch.setattr("training.placed_photos.SHARD", 2)
    photos = photos_in(studio_folder)
    list(place_all(photos[:2], tmp_path, SIDE, reader))
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    list(place_all(photos, tmp_path, SIDE, reader))
    after = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    assert after[:1] == before
    found = PlacedPhotos.of(tmp_path)
    assert (found.counts, len(found)) == ((2, 1), 3)
    assert torch.equal(found.take(torch.tensor([2])).photos, list(found.once(1))[2].photos)
    for others, size in ((photos[1:], SIDE), (photos, SIDE // 2)):
        with pytest.raises(UserError, match="holds other photos"):
            list(place_all(others, tmp_path, size, reader))


def test_photos_without_a_face_and_damaged_ones_are_left_out(seen, reader, tmp_path):
    save(tmp_path / "00000.png", grey(120, 200))
    (tmp_path / "00001.png").write_bytes(b"no picture")
    save(tmp_path / "00002.png", seen.crop_srgb)
    told = list(place_all(photos_in(tmp_path), tmp_path / "out", SIDE, reader))
    assert [line.split(":")[0] for line in told] == ["ffhq-00000", "ffhq-00001"]
    assert PlacedPhotos.of(tmp_path / "out").names == ("ffhq-00002",)


def test_a_folder_without_placed_photos_and_a_damaged_one_are_told(tmp_path):
    with pytest.raises(UserError, match="There are no placed photos"):
        PlacedPhotos.of(tmp_path)
    (tmp_path / "placed-00000.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is damaged"):
        PlacedPhotos.of(tmp_path)
