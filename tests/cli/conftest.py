import json

import pytest

from faceeditor.cli import run
from tests.tiny import NAME, install_tiny


class Line:
    """Runs commands in this process and keeps what they print."""

    def __init__(self, capfd):
        self._capfd = capfd

    def __call__(self, *words):
        """The exit code, stdout and stderr."""
        self._capfd.readouterr()
        code = run([str(word) for word in words])
        said = self._capfd.readouterr()
        return code, said.out, said.err

    def json(self, *words):
        """The one JSON object of a command that must succeed."""
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    def refused(self, *words):
        """The one sentence of a command that must fail as the user's mistake."""
        code, out, err = self(*words)
        assert code == 2, err
        assert out == ""
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err.strip()


@pytest.fixture
def line(capfd):
    return Line(capfd)


@pytest.fixture
def tiny(user_home, monkeypatch):
    """The tiny model as an installed bundle; its folder."""
    install_tiny(user_home / "data", monkeypatch)
    return user_home / "data" / "models" / NAME


@pytest.fixture
def ann(line, tiny, tmp_path):
    """A face file of the tiny model."""
    path = tmp_path / "ann.face"
    line.json("random", "--seed", 1, "--out", path, "--model", NAME, "--spaces", "all")
    return path
