import json

import numpy as np
import pytest

from faceeditor.errors import UserError
from training.studio.backdrops import sample_backdrop
from training.studio.capture import CaptureOptions, StudioDataset, camera_of, capture, read_shard, shard_path, stream
from training.studio.sheet import SHEETS, sheet

SMALL = CaptureOptions(size=32, seed=4, backdrops=True)


def _same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_a_picture_depends_on_seed_and_index_alone(studio_home, data_folder):
    data = StudioDataset(data_folder, 6, SMALL)
    alone = [data[index] for index in (5, 2)]
    assert all(_same(item, again) for item, again in zip(stream(data, [5, 2], workers=0), alone, strict=True))
    assert not _same(data[5], data[2])


def test_processes_give_what_one_process_gives(studio_home, data_folder):
    data = StudioDataset(data_folder, 4, SMALL)
    apart = list(stream(data, range(4), workers=2))
    assert all(_same(item, data[index]) for index, item in enumerate(apart))


def test_held_out_heads_are_others():
    training = CaptureOptions(seed=1)
    held_out = CaptureOptions(seed=1, held_out=True)
    seen = np.stack([training.factors(index).identity for index in range(40)])
    for index in range(10):
        assert np.abs(seen - held_out.factors(index).identity).max(axis=1).min() > 0.1


def test_shots_of_one_identity_differ_in_the_rest():
    options = CaptureOptions(shots_per_identity=3)
    first, second, other = options.factors(0), options.factors(2), options.factors(3)
    assert np.array_equal(first.identity, second.identity)
    assert not np.array_equal(first.light, second.light)
    assert first.camera != second.camera
    assert not np.array_equal(first.identity, other.identity)


def test_a_stopped_capture_goes_on(studio_home, data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("training.studio.capture.SHARD", 2)
    data = StudioDataset(data_folder, 5, SMALL)
    steps = capture(data, tmp_path, workers=0)
    assert next(steps) == 2
    steps.close()
    before = shard_path(tmp_path, 0).read_bytes()
    assert list(capture(data, tmp_path, workers=0)) == [4, 5]
    assert shard_path(tmp_path, 0).read_bytes() == before
    last = read_shard(shard_path(tmp_path, 2))
    assert _same({name: values[0] for name, values in last.items()}, data[4])
    assert camera_of(last["camera"][0]).yaw == pytest.approx(SMALL.factors(4).camera.yaw, abs=1e-4)


def test_a_folder_of_other_pictures_is_refused(studio_home, data_folder, tmp_path):
    list(capture(StudioDataset(data_folder, 1, SMALL), tmp_path, workers=0))
    assert json.loads((tmp_path / "studio.json").read_text())["seed"] == 4
    with pytest.raises(UserError, match="other options"):
        list(capture(StudioDataset(data_folder, 1, CaptureOptions(size=32, seed=5)), tmp_path, workers=0))


def test_the_end_is_the_end(data_folder):
    with pytest.raises(IndexError):
        StudioDataset(data_folder, 3, SMALL)[3]


def test_backdrops_vary():
    pictures = [sample_backdrop(np.random.default_rng(seed), 48) for seed in range(12)]
    assert all(picture.shape == (48, 48, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert np.std([picture.mean() for picture in pictures]) > 10
    assert max(picture.std(axis=(0, 1)).max() for picture in pictures) > 10


@pytest.mark.parametrize("name", sorted(SHEETS))
def test_every_sheet_can_be_drawn(studio, name):
    make, columns = SHEETS[name]
    cells = make(0)
    picture = sheet(studio, cells[:3], columns, 32)
    assert picture.shape == (32, columns * 32, 3)
    assert picture[:, :96].std() > 5
    assert len(cells) > 10
