"""What a scan's file may claim to hold, and what is said when it claims too much."""

from pathlib import Path
from typing import Final

from faceeditor.errors import UserError

MOST_VERTICES: Final = 20_000_000
MOST_BYTES: Final = 2 << 30


def too_many(file: Path) -> UserError:
    """The error for a scan with more than ``MOST_VERTICES`` vertices."""
    return UserError(f"{file} has more than {MOST_VERTICES // 10**6} million vertices; make it coarser first.")


def cut_off(file: Path) -> UserError:
    """The error for a file that holds less than its header says."""
    return UserError(f"{file} is shorter than its header says; it was cut off, so copy or export it again.")
