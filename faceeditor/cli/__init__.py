"""The command line: the session's verbs as commands, each with ``--json``; errors are one sentence and exit code 2."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import typer

from faceeditor.cli import faces, machine
from faceeditor.errors import UserError

DEBUG_VARIABLE: Final = "FACEEDITOR_DEBUG"
"""Environment variable: when set, defects are told with their traceback."""

app = typer.Typer(
    name="faceeditor",
    help="Edit faces through trained face models: photo in, face you can change, picture or mesh out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (*faces.COMMANDS, *machine.COMMANDS):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 done, 2 something the user can mend, 1 a defect of the program, 130 interrupted."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except UserError as error:
        return _complain(str(error), 2)
    except typer.TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        return _complain(f"{message.rstrip('.')}; see --help.", 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("Interrupted.", 130)
    except Exception as error:  # the last resort: a sentence, the traceback only for who asks for it
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        return _complain(
            f"Something went wrong inside the program ({type(error).__name__}: {error}); "
            f"set {DEBUG_VARIABLE}=1 to see where, and please report it.",
            1,
        )


def _complain(text: str, code: int) -> int:
    print(" ".join(text.split()), file=sys.stderr)
    return code
