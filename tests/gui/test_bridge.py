import threading

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import arrays

from faceeditor.gui.bridge import Poster, to_array, to_image


@given(arrays(np.uint8, (5, 7, 3)))
def test_pixels_survive_the_way_to_qt_and_back(picture):
    assert np.array_equal(to_array(to_image(picture))[..., :3], picture)


def test_an_image_outlives_the_array_it_was_made_of():
    picture = np.full((64, 64, 3), 77, np.uint8)
    image = to_image(picture)
    picture[:] = 0
    del picture
    assert (to_array(image)[..., :3] == 77).all()


def test_calls_arrive_in_order_on_the_interface_thread(qtbot, qapp):
    poster, heard = Poster(), []

    def work():
        for number in range(50):
            poster.deliver(lambda number=number: heard.append((number, threading.current_thread())))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == []
    qtbot.waitUntil(lambda: len(heard) == 50)
    assert [number for number, _ in heard] == list(range(50))
    assert {thread for _, thread in heard} == {threading.main_thread()}
