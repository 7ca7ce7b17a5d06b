"""``python -m faceeditor`` is the command line."""

from faceeditor.cli import main

main()
