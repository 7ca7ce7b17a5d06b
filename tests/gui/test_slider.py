import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from faceeditor.gui.slider import Control, SliderRow

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def row(qtbot, qapp):
    row = SliderRow(Control("expression.jawOpen", "Jaw open", 0.0, 1.0))
    row.resize(420, row.height())
    qtbot.addWidget(row)
    row.show()
    qtbot.waitExposed(row)
    return row


def at(row, value):
    return QPoint(round(row.track.handle_x(value)), row.track.height() // 2)


def drag(row, start, end, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.mousePress(row.track, LEFT, modifier, at(row, start))
    for step in range(1, 11):
        QTest.mouseMove(row.track, at(row, start) + (at(row, end) - at(row, start)) * step / 10)
    QTest.mouseRelease(row.track, LEFT, modifier, at(row, end))


def test_a_drag_moves_often_and_finishes_once(qtbot, row):
    values, ends = [], []
    row.moved.connect(values.append)
    row.finished.connect(lambda: ends.append(True))
    drag(row, 0.0, 0.75)
    assert len(values) >= 5
    assert values == sorted(values)
    assert values[-1] == pytest.approx(0.75, abs=0.02)
    assert ends == [True]
    assert row.number.value() == pytest.approx(values[-1], abs=0.006)


def test_shift_moves_a_tenth(qtbot, row, monkeypatch):
    from faceeditor.gui import slider

    row.show_value(0.5)
    press, move = at(row, 0.5), at(row, 0.9)
    QTest.mousePress(row.track, LEFT, Qt.KeyboardModifier.ShiftModifier, press)
    qtbot.waitUntil(row.track.isSliderDown)
    from PySide6.QtCore import QEvent, QPointF
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(move), QPointF(row.track.mapToGlobal(move)), Qt.MouseButton.NoButton, LEFT,
        Qt.KeyboardModifier.ShiftModifier,
    )  # fmt: skip
    QApplication.sendEvent(row.track, event)
    QTest.mouseRelease(row.track, LEFT, Qt.KeyboardModifier.ShiftModifier, move)
    assert row.value == pytest.approx(0.5 + 0.4 * slider.FINE, abs=0.01)


def test_double_click_on_handle_or_label_resets_and_elsewhere_does_not(row):
    asked = []
    row.reset_asked.connect(lambda: asked.append(True))
    row.show_value(0.5)
    QTest.mouseDClick(row.track, LEFT, Qt.KeyboardModifier.NoModifier, at(row, 0.95))
    assert asked == []
    row.show_value(0.5)
    QTest.mouseDClick(row.track, LEFT, Qt.KeyboardModifier.NoModifier, at(row, 0.5))
    assert len(asked) == 1
    QTest.mouseDClick(row.label, LEFT)
    QTest.mouseClick(row.track, LEFT, Qt.KeyboardModifier.ControlModifier, at(row, 0.5))
    row.track.setFocus()
    QTest.keyClick(row.track, Qt.Key.Key_Backspace)
    assert len(asked) == 4


def test_a_number_may_go_beyond_the_slider_and_is_one_gesture(qtbot, row):
    values = []
    row.moved.connect(values.append)
    with qtbot.waitSignal(row.finished):
        row.number.selectAll()
        QTest.keyClicks(row.number, "1.8")
        QTest.keyClick(row.number, Qt.Key.Key_Return)
    assert values == [pytest.approx(1.8)]
    assert row.value == pytest.approx(1.8)
    assert row.track.value() == row.track.maximum()


def test_arrow_keys_move_by_a_hundredth(row):
    values = []
    row.moved.connect(values.append)
    row.track.setFocus()
    for _ in range(3):
        QTest.keyClick(row.track, Qt.Key.Key_Right)
    assert values == pytest.approx([0.01, 0.02, 0.03])


def test_showing_a_value_tells_nobody_and_marks_a_change(qtbot, row):
    with qtbot.assertNotEmitted(row.moved):
        row.show_value(0.2, start=0.2)
        assert not row.changed
        row.show_value(0.6)
    assert row.changed


def test_search_finds_words_of_label_and_key(row):
    assert row.matches(["jaw"])
    assert row.matches(["expression", "open"])
    assert not row.matches(["smile"])
