"""The set-up script on machines that lack something, played by small programs on the path."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the played programs are shell scripts")


@pytest.fixture
def dev():
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A Debian machine with few packages; what is run on it is written down. Gives a function: the lines so far."""
    log = tmp_path / "log"
    programs = {
        "dpkg-query": 'case "$4" in libgl1|libglib2.0-0t64) printf "install ok installed";; *) exit 1;; esac',
        "apt-get": f'echo "apt-get $*" >> {log}',
        "sudo": f'[ "$2" = true ] && exit $SUDO_ANSWER; shift; echo sudo >> {log}; "$@"',
    }
    for name, body in programs.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SUDO_ANSWER", "1")
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_root_installs_only_what_is_missing(dev, machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    dev.install_packages(["libgl1", "libegl1", "libglib2.0-0", "xvfb"])
    assert machine() == ["apt-get update -q", "apt-get install -y --no-install-recommends libegl1 xvfb"]


def test_nothing_is_done_when_nothing_is_missing(dev, machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    dev.install_packages(["libgl1"])
    assert machine() == []


def test_sudo_without_a_password_is_used(dev, machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUDO_ANSWER", "0")
    dev.install_packages(["xauth"])
    assert machine()[-2:] == ["sudo", "apt-get install -y --no-install-recommends xauth"]


def test_otherwise_it_says_what_to_type(dev, machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(dev.SetupError, match="sudo apt-get install -y --no-install-recommends libegl1 xauth"):
        dev.install_packages(["libegl1", "xauth"])
    assert machine() == []


def test_tests_need_a_screen_and_get_a_virtual_one(dev, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert dev.with_screen()[0] == "xvfb-run"
    monkeypatch.setenv("DISPLAY", ":7")
    assert dev.with_screen() == []
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(dev.SetupError, match="xvfb"):
        dev.with_screen()


def test_a_failing_check_is_a_failing_exit_code(dev, monkeypatch, capsys):
    monkeypatch.setattr(dev, "install", lambda packages, cpu: None)
    monkeypatch.setattr(dev, "lint", lambda rest: dev.call(sys.executable, "-c", "raise SystemExit(3)"))
    assert dev.main(["lint"]) == 1
    assert "exit code 3" in capsys.readouterr().err


def test_no_screen_means_a_picture_of_the_sample_face(dev, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(dev, "install", lambda packages, cpu: None)
    monkeypatch.setattr(dev, "has_screen", lambda: False)
    monkeypatch.setattr(dev, "call", lambda *command: called.append(command))
    assert dev.main(["run"]) == 0
    (command,) = called
    assert command[1] == "render"
    assert command[2].suffix == ".face"
    assert command[2].is_file()
    said = capsys.readouterr().out
    assert "no screen" in said
    assert str(command[4]) in said


@pytest.fixture
def npm(dev, tmp_path, monkeypatch):
    """A machine whose npm is played; gives a function: what it was asked, so far."""
    monkeypatch.setattr(dev, "VENV", tmp_path / "venv")
    monkeypatch.setattr(dev, "VALIDATOR_STAMP", tmp_path / "stamp")
    log = tmp_path / "npm.log"
    program = tmp_path / "npm"
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexit $NPM_ANSWER\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("NPM_ANSWER", "0")
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_the_mesh_validator_is_installed_once(dev, npm, capsys):
    dev.install_validator()
    dev.install_validator()
    (asked,) = npm()
    assert asked.startswith("install --no-save")
    assert str(dev.VENV) in asked
    assert dev.GLTF_VALIDATOR in asked
    assert capsys.readouterr().out == ""


def test_without_npm_or_a_network_there_is_one_line_and_no_error(dev, npm, monkeypatch, capsys):
    monkeypatch.setenv("NPM_ANSWER", "1")
    dev.install_validator()
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert not dev.VALIDATOR_STAMP.exists()
    monkeypatch.setenv("PATH", "")
    dev.install_validator()
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(("codes", "answer"), [((0, 5), 0), ((5, 0), 0), ((5, 5), 1), ((1, 0), 1), ((0, 2), 1)])
def test_one_half_of_the_tests_may_be_empty_but_not_both(dev, monkeypatch, codes, answer):
    """``make test`` with a chosen test runs only one of the halves."""
    answers = iter(codes)
    monkeypatch.setattr(dev, "install", lambda packages, cpu: None)
    monkeypatch.setattr(dev, "lint", lambda rest: None)
    monkeypatch.setattr(dev, "install_validator", lambda: None)
    monkeypatch.setattr(dev, "with_screen", list)
    monkeypatch.setattr(dev, "PYTHON", sys.executable)
    plain = dev.call

    def played(*command, **options):
        return plain(sys.executable, "-c", f"raise SystemExit({next(answers)})", **options)

    monkeypatch.setattr(dev, "call", played)
    assert dev.main(["test"]) == answer
