"""Work on several cores at once."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def pool(processes: int) -> ProcessPoolExecutor:
    """That many fresh processes: copies of one that has drawn with OpenGL wait for its threads for ever."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
