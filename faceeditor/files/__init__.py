"""Files in and out: whole-or-nothing writing, careful reading, and the mark that says what is synthetic."""
