"""Videos come back frame by frame, carry their mark, and leave nothing behind when something goes wrong."""

import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest

from faceeditor.errors import UserError
from faceeditor.files.marks import read_provenance
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import read_frames, read_video_facts, write_video

MARK = Provenance(bundle_hash="12" * 32, codes_hash="34" * 32)
SIZE = (66, 50)


def frame(index, size=SIZE):
    """A smooth picture, different for every index."""
    y, x = np.mgrid[: size[1], : size[0]]
    return np.stack([x * 3, y * 4, np.full_like(x, 20 * index)], -1).astype(np.uint8)


def record(path, count=9, size=SIZE):
    with write_video(path, size, 25, MARK) as add:
        for index in range(count):
            add(frame(index, size))
    return path


@pytest.mark.parametrize(("name", "most"), [("a.mp4", 6), ("a.gif", 12)])
def test_round_trip(tmp_path, name, most):
    path = record(tmp_path / name)
    facts = read_video_facts(path)
    assert facts.size == SIZE
    assert facts.fps == 25
    assert facts.duration == pytest.approx(9 / 25, abs=0.05)
    frames = list(read_frames(path))
    assert len(frames) == 9
    for index, got in enumerate(frames):
        assert got.shape == (50, 66, 3)
        assert np.abs(got.astype(int) - frame(index)).mean() < most
    assert read_provenance(path) == MARK
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_an_odd_size_grows_by_a_pixel(tmp_path):
    path = record(tmp_path / "a.mp4", size=(65, 49))
    assert read_video_facts(path).size == (66, 50)
    got = next(read_frames(path))[:48, :64]
    assert np.abs(got.astype(int) - frame(0, (65, 49))[:48, :64]).mean() < 6


def test_mp4_is_what_every_player_takes(tmp_path):
    path = record(tmp_path / "a.mp4")
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True).stderr
    assert "h264" in told
    assert "yuv420p(tv, bt709" in told
    assert "comment         : faceeditor-provenance" in told
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_leaving_early_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), write_video(tmp_path / "a.mp4", SIZE, 25, MARK) as add:
        add(frame(0))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_size_is_a_defect(tmp_path):
    with pytest.raises(ValueError, match="frame of"), write_video(tmp_path / "a.mp4", SIZE, 25, MARK) as add:
        add(frame(0, (10, 10)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.avi", "a", "nowhere/a.mp4"])
def test_where_it_cannot_be_saved(tmp_path, name):
    with pytest.raises(UserError, match=r"use \.mp4 or \.gif|no folder"):
        record(tmp_path / name)


LITTLE_ROOM = """
import resource, signal, sys
import numpy as np
from faceeditor.errors import UserError
from faceeditor.files.provenance import Provenance
from faceeditor.files.video import write_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
noise = np.random.default_rng(0).integers(0, 255, (40, 128, 128, 3), np.uint8)
try:
    with write_video(sys.argv[1], (128, 128), 25, Provenance()) as add:
        for picture in noise:
            add(picture)
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_full_disk(tmp_path, name):
    path = tmp_path / name
    told = subprocess.run(
        [sys.executable, "-c", LITTLE_ROOM, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert told.stdout == f"The disk is full, so {name} was not saved; make room or choose another folder.\n"
    assert list(tmp_path.iterdir()) == []


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("content", [b"", b"no video\n" * 99, PLAYLIST.encode(), b"ffconcat version 1.0\nfile a.mp4\n"])
def test_what_is_no_video(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for read in (read_video_facts, lambda file: next(read_frames(file))):
        with pytest.raises(UserError, match=r"a\.mp4"):
            read(path)


def test_a_truncated_video_is_refused_or_read_in_part(tmp_path):
    path = record(tmp_path / "a.mp4", count=30)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") + 100])
    with pytest.raises(UserError, match="not a video"):
        list(read_frames(path))


def test_a_phone_held_upright(tmp_path):
    record(tmp_path / "lying.mp4")
    turned = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i", tmp_path / "lying.mp4"]
    subprocess.run([*map(str, turned), "-c", "copy", str(tmp_path / "up.mp4")], check=True)
    assert read_video_facts(tmp_path / "up.mp4").size == SIZE[::-1]
    got = next(read_frames(tmp_path / "up.mp4"))
    assert np.abs(got.astype(int) - np.rot90(frame(0))).mean() < 6
