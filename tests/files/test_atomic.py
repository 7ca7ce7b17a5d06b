"""Saving is whole or not at all: after failures, on a full disk, and when the program is killed in the middle."""

import random
import signal
import subprocess
import sys
import time

import pytest

from faceeditor.errors import UserError
from faceeditor.files.atomic import atomic_write, require_file, write_bytes

posix = pytest.mark.skipif(sys.platform == "win32", reason="resource limits and SIGKILL are POSIX")


def only(folder):
    return [file.name for file in folder.iterdir()]


def test_replaces_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.face"
    write_bytes(path, b"old")
    path.chmod(0o640)
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert only(tmp_path) == ["a.face"]
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o640


def test_the_temporary_file_keeps_the_suffix_and_stays_in_the_folder(tmp_path):
    with atomic_write(tmp_path / "a.png") as beside:
        assert beside.suffix == ".png"
        assert beside.parent == tmp_path.resolve()
        assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, UserError])
def test_a_failure_inside_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.face"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as beside:
        beside.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert only(tmp_path) == ["a.face"]


@posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.face"
    link.symlink_to(tmp_path / "real" / "a.face")
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.face").read_bytes() == b"new"


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="There is no folder .*nowhere"):
        write_bytes(tmp_path / "nowhere" / "a.face", b"x")


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UserError, match="cannot be written to"):
        write_bytes(tmp_path / "file" / "a.face", b"x")


def test_a_folder_where_the_file_should_be(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        write_bytes(tmp_path, b"x")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux")
def test_an_unwritable_folder():
    with pytest.raises(UserError, match="/proc cannot be written to|no folder /proc"):
        write_bytes("/proc/a.face", b"x")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from faceeditor.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from faceeditor.files.atomic import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    write_bytes(Path(sys.argv[1]), bytes(50000))
except UserError as error:
    print(error)
"""


@posix
def test_a_full_disk_is_told_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.face"
    path.write_bytes(b"old")
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.startswith("The disk is full, so a.face was not saved")
    assert path.read_bytes() == b"old"
    assert only(tmp_path) == ["a.face"]


SAVE_FOREVER = """
import sys
from pathlib import Path
from faceeditor.files.atomic import write_bytes
path, turn = Path(sys.argv[1]), 0
while True:
    turn = (turn + 1) % 256
    write_bytes(path, bytes([turn]) * (200_000 + 1000 * turn))
    print("saved", flush=True)
"""


@posix
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.face"
    moments = random.Random(7)
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        content = path.read_bytes()
        assert len(content) == 200_000 + 1000 * content[0]
        assert set(content) == {content[0]}


def test_require_file(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "some.png").write_bytes(b"x")
    assert require_file(tmp_path / "some.png") == tmp_path / "some.png"
    for name, sentence in {"empty.png": "empty", "none.png": "no file", ".": "folder"}.items():
        with pytest.raises(UserError, match=sentence):
            require_file(tmp_path / name)
