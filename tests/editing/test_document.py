from hypothesis import given
from hypothesis import strategies as st

from faceeditor.editing.document import Document
from tests.tiny import tiny_face


def renamed(document, face_id, name, merge=None):
    document.replace(face_id, document[face_id].replace(name=name), f"call it {name}", merge)


def test_a_drag_is_one_step_and_undo_brings_back_the_very_same_face():
    document = Document()
    face_id = document.add(tiny_face(), "add")
    before = document[face_id]
    for value in range(20):
        renamed(document, face_id, str(value), merge=("slider", 1))
    renamed(document, face_id, "again", merge=("slider", 2))
    assert document.history == ("add", "call it 19", "call it again")
    document.undo()
    document.undo()
    assert document[face_id] is before
    document.redo()
    assert document[face_id].name == "19"


def test_the_same_gesture_on_another_face_is_another_step():
    document = Document()
    first, second = document.add(tiny_face(), "add"), document.add(tiny_face(), "add")
    renamed(document, first, "a", merge="drag")
    renamed(document, second, "b", merge="drag")
    assert len(document.history) == 4


def test_a_gesture_does_not_merge_with_a_step_from_before_an_undo():
    document = Document()
    face_id = document.add(tiny_face(), "add")
    renamed(document, face_id, "a", merge="drag")
    document.undo()
    renamed(document, face_id, "b", merge="drag")
    assert document.history == ("add", "call it b")
    document.undo()
    assert document[face_id].name == "Ann"


def test_saved_is_told_by_the_face_itself_so_undo_makes_it_clean_again():
    document = Document()
    (sample,) = document.populate([tiny_face()])
    assert not document.dirty
    renamed(document, sample, "a")
    assert document.unsaved == (sample,)
    document.undo()
    assert not document.dirty
    document.redo()
    document.mark_saved(sample)
    assert not document.dirty
    document.undo()
    assert document.dirty


def test_removing_the_current_face_selects_its_neighbour_and_undo_returns_to_it():
    document = Document()
    ids = [document.add(tiny_face(str(n)), "add") for n in range(3)]
    document.select(ids[1])
    document.remove(ids[1])
    assert document.current == ids[2]
    document.remove(ids[2])
    assert document.current == ids[0]
    document.go_to(3)
    assert document.ids == tuple(ids)
    assert document.current == ids[1]


def test_signals_name_what_changed_and_nothing_else():
    document, heard = Document(), []
    first, second = document.add(tiny_face(), "add"), document.add(tiny_face(), "add")
    document.face_changed.connect(lambda face_id: heard.append(("face", face_id)))
    document.current_changed.connect(lambda face_id: heard.append(("current", face_id)))
    document.faces_changed.connect(lambda: heard.append(("faces",)))
    document.history_changed.connect(lambda: heard.append(("history",)))
    renamed(document, first, "a")
    assert heard == [("face", first), ("current", first), ("history",)]
    heard.clear()
    document.select(second)
    assert heard == [("current", second)]
    heard.clear()
    document.rename(first, "a")
    assert heard == []


def test_moving_changes_the_order_alone():
    document = Document()
    ids = [document.add(tiny_face(str(n)), "add") for n in range(3)]
    document.move(ids[2], 0)
    assert document.ids == (ids[2], ids[0], ids[1])
    document.undo()
    assert document.ids == tuple(ids)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3)),
        st.tuples(st.just("edit"), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("remove"), st.integers(0, 3)),
        st.tuples(st.just("select"), st.integers(0, 3)),
        st.tuples(st.just("go"), st.integers(0, 8)),
    ),
    max_size=25,
)


@given(ACTIONS)
def test_any_sequence_of_steps_can_be_walked_back_and_forth(actions):
    document = Document()
    for action, *numbers in actions:
        ids = document.ids
        if action == "add":
            document.add(tiny_face(), "add")
        elif action == "go":
            document.go_to(min(numbers[0], len(document.history)))
        elif ids:
            face_id = ids[numbers[0] % len(ids)]
            if action == "edit":
                merge = numbers[1] or None
                renamed(document, face_id, document[face_id].name + "x", merge)
            elif action == "remove":
                document.remove(face_id)
            else:
                document.select(face_id)
        assert (document.current is None) == (len(document) == 0)
    document.go_to(len(document.history))
    end = dict(document.gallery.faces)
    seen = []
    while document.can_undo:
        seen.append(dict(document.gallery.faces))
        document.undo()
    assert len(document) == 0
    while document.can_redo:
        document.redo()
        assert dict(document.gallery.faces) == seen.pop()
    assert dict(document.gallery.faces) == end


def test_several_faces_are_added_by_one_step():
    document = Document()
    document.add(tiny_face(), "add")
    ids = document.extend([tiny_face("a"), tiny_face("b")], "open both")
    assert document.history == ("add", "open both")
    assert document.current == ids[0]
    document.undo()
    assert len(document) == 1
