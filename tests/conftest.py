"""What holds for every test: the user's own folders are never touched, no network, two cores are shared fairly."""

import socket

import hypothesis
import pytest
import torch

from faceeditor.resources import HOME_VARIABLE

torch.set_num_threads(1)
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


def pytest_collection_modifyitems(items):
    """The end-to-end tests drive the real window: they own the screen and the clock."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker("alone")


@pytest.fixture(autouse=True)
def user_home(tmp_path_factory, monkeypatch):
    """Settings, user bundles and recovery files of this test lie in a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A connection to any other machine fails; local sockets (the X server, process groups) work."""
    connect = socket.socket.connect

    def local_only(self, address):
        local = self.family == getattr(socket, "AF_UNIX", None) or address[0] in ("127.0.0.1", "::1", "localhost")
        if not local:
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
