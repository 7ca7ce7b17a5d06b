"""Every action of the window in one table: words, icon, shortcut. Menus, toolbar and help are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from faceeditor.gui import theme

Key = QKeySequence.StandardKey | str | None


@dataclass(frozen=True)
class Entry:
    """One action: menu ``text``, ``image`` of the icon font, ``key`` and a ``tip`` that says more than the text."""

    text: str
    image: str
    key: Key = None
    tip: str = ""
    checkable: bool = False


ENTRIES: Final[dict[str, Entry]] = {
    "open": Entry("Open…", "ph.folder-open", QKeySequence.StandardKey.Open, "Open faces, or photos and scans to fit"),
    "save": Entry("Save", "ph.floppy-disk", QKeySequence.StandardKey.Save, "Save this face"),
    "save_as": Entry("Save as…", "ph.floppy-disk-back", "Ctrl+Shift+S"),
    "save_gallery": Entry("Save the gallery…", "ph.squares-four", None, "All faces in one file"),
    "fit": Entry("Fit photo…", "ph.user-focus", "Ctrl+I", "Make a face from a photo"),
    "refine": Entry("Refine…", "ph.magic-wand", "Ctrl+Shift+R", "Fit this face to its photo more closely"),
    "fit_scan": Entry("Fit scan…", "ph.polygon", "Ctrl+Shift+I", "Make a face from a 3D scan"),
    "drive": Entry("Open driving video…", "ph.video-camera", None, "Let the expressions of a video drive this face"),
    "drive_camera": Entry("Drive by a camera", "ph.record", None, "Let a camera drive this face, or stop that"),
    "new": Entry("New face", "ph.user-plus", QKeySequence.StandardKey.New, "A neutral face"),
    "random": Entry("Random face", "ph.dice-five", "Ctrl+R", "Throw the dice for everything that is not locked"),
    "duplicate": Entry("Duplicate", "ph.copy", "Ctrl+D"),
    "remove": Entry("Remove from the gallery", "ph.trash", None),
    "mirror": Entry("Mirror", "ph.arrows-left-right", "Ctrl+M", "Exchange left and right"),
    "reset": Entry("Reset everything", "ph.arrow-counter-clockwise", None, "Back to where this face started"),
    "undo": Entry("Undo", "ph.arrow-u-up-left", QKeySequence.StandardKey.Undo),
    "redo": Entry("Redo", "ph.arrow-u-up-right", QKeySequence.StandardKey.Redo),
    "export_picture": Entry("Picture (PNG)…", "ph.image", "Ctrl+E", "Save what is seen as a picture"),
    "export_mesh": Entry("Mesh with morphs (GLB)…", "ph.cube", "Ctrl+Shift+E", "Mesh, texture and ARKit-named morphs"),
    "export_surface": Entry("Surface at a resolution…", "ph.grid-four", None, "The field's own mesh"),
    "export_expressions": Entry("Expressions (OBJ set)…", "ph.smiley", None, "A mesh of every ARKit expression"),
    "export_turntable": Entry("Turntable (MP4)…", "ph.film-strip", None, "A video of the head turning"),
    "look": Entry("Look", "ph.eye", "F1", "The picture of the face", checkable=True),
    "surface": Entry("Surface", "ph.cube", "F2", "The mesh of the face", checkable=True),
    "both": Entry("Both", "ph.stack", "F3", "The mesh over the picture", checkable=True),
    "wipe": Entry("Wipe", "ph.square-half", "F4", "Compare with a divider that can be dragged", checkable=True),
    "enhance": Entry("Enhance", "ph.sparkle", "E", "Make resting and exported pictures finer", checkable=True),
    "heat": Entry("Heat map", "ph.thermometer", "H", "How far the surface lies from its scan", checkable=True),
    "view_front": Entry("Front", "ph.user", "1"),
    "view_left": Entry("Left side", "ph.caret-left", "2"),
    "view_right": Entry("Right side", "ph.caret-right", "3"),
    "view_three_quarter_left": Entry("Three-quarter", "ph.caret-up", "4"),
    "view_above": Entry("From above", "ph.caret-double-up", "5"),
    "view_below": Entry("From below", "ph.caret-double-down", "6"),
    "view_reset": Entry("The face's own view", "ph.camera", "F", "As it was photographed or saved"),
    "search": Entry("Find a slider", "ph.magnifying-glass", QKeySequence.StandardKey.Find),
    "keys": Entry("Keys and mouse", "ph.keyboard", QKeySequence.StandardKey.HelpContents),
    "about": Entry("About FaceEditor", "ph.info"),
    "quit": Entry("Quit", "ph.x", QKeySequence.StandardKey.Quit),
}

MOUSE: Final = (
    ("Turn the head", "drag the picture"),
    ("Shift the picture", "Shift and drag, or the middle button"),
    ("Nearer, farther", "wheel"),
    ("Change the lens", "Ctrl and wheel"),
    ("Show how the face started", "hold B"),
    ("Fine slider", "Shift and drag"),
    ("Reset a slider", "double-click its handle or label, Ctrl-click, or Backspace"),
    ("Give a part of a face to another", "drop its thumbnail on the other; the Transfer panel says which"),
)
"""What the mouse does, for the help."""


def build(parent: QWidget) -> dict[str, QAction]:
    """A QAction for every entry, added to ``parent`` so that its shortcut works."""
    actions = {name: _action(parent, name, entry) for name, entry in ENTRIES.items()}
    parent.addActions(list(actions.values()))
    return actions


def tip_of(name: str) -> str:
    """What an action says of itself: what it does, and its key."""
    entry = ENTRIES[name]
    shortcut = "" if entry.key is None else QKeySequence(entry.key).toString(QKeySequence.SequenceFormat.NativeText)
    return f"{entry.tip or entry.text.rstrip('…')}{f' ({shortcut})' if shortcut else ''}"


def help_text() -> str:
    """Keys and mouse as rich text."""
    keys = [
        (entry.text.rstrip("…"), QKeySequence(entry.key).toString(QKeySequence.SequenceFormat.NativeText))
        for entry in ENTRIES.values()
        if entry.key is not None
    ]
    rows = "".join(f"<tr><td>{what}&nbsp;&nbsp;</td><td><b>{how}</b></td></tr>" for what, how in (*MOUSE, *keys))
    return f"<table cellpadding='2'>{rows}</table>"


def _action(parent: QWidget, name: str, entry: Entry) -> QAction:
    action = QAction(theme.icon(entry.image), entry.text, parent)
    action.setObjectName(name)
    action.setCheckable(entry.checkable)
    if entry.key is not None:
        action.setShortcut(QKeySequence(entry.key))
    action.setToolTip(tip_of(name))
    return action
