"""What a newcomer sees first: the window with a face and sliders."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QColor

from faceeditor.gui import theme
from tests.gui.conftest import SCREEN

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not SCREEN, reason="needs a screen")]


def test_the_first_start_shows_a_face_and_sliders(tmp_path):
    path = tmp_path / "window.png"
    done = subprocess.run([sys.executable, "-m", "faceeditor.gui", "--screenshot", path], timeout=240, check=False)
    assert done.returncode == 0
    window = np.asarray(Image.open(path).convert("RGB"), int)
    height, width, _ = window.shape
    red, green, blue = np.moveaxis(window[height // 4 : height * 3 // 4, width * 3 // 10 : width * 6 // 10], -1, 0)
    skin = (red > green + 10) & (green > blue) & (red > 60)
    assert skin.mean() > 0.15
    accent = QColor(theme.ACCENT)
    inspector = window[:, width * 3 // 4 :]
    fills = np.abs(inspector - [accent.red(), accent.green(), accent.blue()]).max(-1) < 12
    rows_with_sliders = (fills.sum(1) > 8).sum()
    assert rows_with_sliders > 20


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    path = tmp_path / "no-such-folder" / "window.png"
    done = subprocess.run(
        [sys.executable, "-m", "faceeditor.gui", "--screenshot", path], timeout=240, check=False, capture_output=True
    )
    assert done.returncode == 2
    assert b"could not be written" in done.stderr
    assert b"Traceback" not in done.stderr
