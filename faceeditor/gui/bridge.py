"""Between the program's threads and Qt's: calls arrive on the interface thread, arrays become pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage


class Poster(QObject):
    """Gives the session its ``deliver``: a callable posted from any thread runs soon on this object's own thread."""

    posted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.posted.connect(_call, Qt.ConnectionType.QueuedConnection)

    def deliver(self, call: Callable[[], None]) -> None:
        """Run ``call`` on the interface thread, in the order of delivery."""
        self.posted.emit(call)


def to_image(picture_srgb: NDArray[np.uint8]) -> QImage:
    """A QImage of (H, W, 3 or 4) uint8 with its own memory, in a format that Qt paints fast."""
    pixels = np.ascontiguousarray(picture_srgb)
    height, width, channels = pixels.shape
    opaque = channels == 3
    source = QImage.Format.Format_RGB888 if opaque else QImage.Format.Format_RGBA8888
    wanted = QImage.Format.Format_RGB32 if opaque else QImage.Format.Format_ARGB32_Premultiplied
    return QImage(pixels.data, width, height, channels * width, source).convertToFormat(wanted)


def to_array(image: QImage) -> NDArray[np.uint8]:
    """The (H, W, 4) uint8 RGBA pixels of ``image``."""
    straight = image.convertToFormat(QImage.Format.Format_RGBA8888)
    rows = np.frombuffer(straight.constBits(), np.uint8).reshape(straight.height(), straight.bytesPerLine())
    return rows[:, : straight.width() * 4].reshape(straight.height(), straight.width(), 4).copy()


def _call(call: Callable[[], None]) -> None:
    call()
