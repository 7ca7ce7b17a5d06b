"""The studio over a small data folder."""

import pytest

from faceeditor.rendering.opengl import off_screen_context
from tests.training.small_studio import write_hair, write_head, write_pictures
from training.studio.assets import Assets
from training.studio.head import HeadModel
from training.studio.occlusion import Openness, openness_path
from training.studio.renderer import Studio


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """A data folder in the published layout, small."""
    folder = tmp_path_factory.mktemp("data")
    points = write_head(folder)
    write_pictures(folder)
    write_hair(folder, points)
    return folder


@pytest.fixture(scope="session")
def head(data_folder):
    return HeadModel.load(data_folder)


@pytest.fixture(scope="session")
def openness(head, data_folder):
    """Baked light, coarse, because the exact number of directions is no test's business."""
    context = off_screen_context()
    with context:
        return Openness.measure(context, head, Assets(data_folder), directions=16, resolution=64)


@pytest.fixture(scope="session")
def studio(head, data_folder, openness):
    return Studio(head, Assets(data_folder), openness)


@pytest.fixture
def studio_home(user_home, head, data_folder, openness):
    """This test's home holds the baked light, so that new processes need not measure it."""
    openness.write(openness_path(head, Assets(data_folder)))
    return user_home
