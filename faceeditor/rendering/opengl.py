"""Off-screen OpenGL."""

import moderngl


def off_screen_context() -> moderngl.Context:
    """A context of OpenGL 3.3: EGL's where it is (Linux), the platform's own elsewhere.

    It is not current, so that it does not take the place of another part's on this thread: everything is done ``with``
    it. Leaving it leaves none current, so it is not entered within another's. Raises moderngl's own error where there
    is no OpenGL.
    """
    try:
        context = moderngl.create_context(standalone=True, require=330, backend="egl")  # type: ignore[arg-type]
    except Exception:
        context = moderngl.create_context(standalone=True, require=330)
    context.__exit__(None, None, None)  # type: ignore[no-untyped-call]
    return context
