"""The exceptions that are meant for the user's eyes."""


class UserError(Exception):
    """Something the user can mend.

    The message is one plain sentence that says what is wrong and what to do. The command line prints it and exits with
    code 2; the window shows it in a dialog. Anything else that is raised is a defect of the program.
    """


class NoFaceError(UserError):
    """There is no face in a picture."""

    def __init__(self) -> None:
        super().__init__(
            "No face was found in the picture; draw a box around the face by hand, or take a larger, clearer one."
        )
