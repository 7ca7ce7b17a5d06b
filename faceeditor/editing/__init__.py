"""Editing faces: the document with its undo stack, sliders, transfers. No Qt, no GL, no torch."""
