"""The window with whole heads of a tri-plane model: shown as surfaces, and coarser while a person changes."""

import pytest

from faceeditor.faces.face import Face
from faceeditor.gui.bridge import Poster, to_array
from faceeditor.gui.viewport import Mode
from faceeditor.models.contract import Quality
from faceeditor.models.triplane_mesh import RESOLUTION
from faceeditor.session import Session
from faceeditor.settings import Settings
from tests.gui.conftest import SCREEN, shown
from tests.plain_head import NAME, STYLES, codes_of, plain_head

pytestmark = pytest.mark.skipif(not SCREEN, reason="OpenGL needs a screen")


@pytest.fixture
def session(qapp, monkeypatch):
    monkeypatch.setitem(RESOLUTION, Quality.FULL, 64)
    monkeypatch.setitem(RESOLUTION, Quality.MOVING, 24)
    model, poster = plain_head(), Poster()
    session = Session(Settings(model=NAME), deliver=poster.deliver, load=lambda name, device: model)
    yield session
    session.close()


@pytest.fixture
def window(qtbot, session, told, monkeypatch):
    monkeypatch.setattr(session, "samples", lambda: session.document.populate([Face("Ann", NAME, codes_of())]))
    with shown(qtbot, session, monkeypatch, timeout=60_000) as window:
        yield window


def drawn(qtbot, window, session, key, value):
    """The numbers of faces of all meshes until the hand rests, after a slider was moved."""
    counts = []

    def count(answer):
        if answer.mesh is not None:
            counts.append(len(answer.mesh.faces))

    session.drawn.connect(count)
    with qtbot.waitSignal(window.presenter.settled, timeout=60_000):
        session.set_slider(session.document.current, key, value)
    session.drawn.disconnect(count)
    return counts


def test_a_head_is_shown_as_a_surface_with_its_sliders_and_styles(window):
    assert window.viewport.mode is Mode.SURFACE
    assert (to_array(window.viewport.layers.surface)[..., 3] > 0).mean() > 0.1
    assert window.inspector.row("expression.jawOpen").value == 0
    assert set(STYLES) <= set(window.session.spaces(NAME)["identity"].choices[0].options)


def test_another_person_is_coarse_while_the_slider_moves_and_full_at_rest(qtbot, window, session):
    counts = drawn(qtbot, window, session, "identity.size", 1.5)
    assert counts[-1] > 4 * counts[0]


def test_an_expression_moves_the_mesh_at_hand_in_full(qtbot, window, session):
    before = to_array(window.viewport.layers.surface).astype(int)
    counts = drawn(qtbot, window, session, "expression.jawOpen", 1.0)
    assert len(set(counts)) == 1
    assert abs(to_array(window.viewport.layers.surface).astype(int) - before).max() > 20
