"""The one place that configures torch and the allocator, and chooses the device."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

import torch

LATE: Final = (
    "torch._dynamo",
    "torch._decomp.decompositions_for_jvp",
    "faceeditor.fitting.portrait",
    "faceeditor.fitting.glance",
    "faceeditor.fitting.settling",
    "faceeditor.fitting.photo",
    "faceeditor.fitting.scan_fit",
    "faceeditor.engine.scans",
)
"""Modules that are slow to import. torch imports the first one with its first optimiser, and the second one, which
compiles functions, with its first forward derivative."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEEP: Final = (1 << 31) - 1


def configure(threads: int | None = None) -> None:
    """Sets torch's threads (``None``: one for each core that this process may use) and keeps big buffers on the heap.

    With glibc's defaults every large tensor is mapped and unmapped again, and the page faults can cost more than the
    arithmetic.
    """
    torch.set_num_threads(threads or available_cores())
    if sys.platform == "linux":
        keep_buffers()


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on the calling thread alone, for descents over a few thousand points: waking the others for every small
    operation costs more than they give.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def preload() -> None:
    """Imports what the first fit would import. Importing holds the interpreter for longer than a frame takes, so a
    window has it done before there is anything to drag.
    """
    for name in LATE:
        import_module(name)


def keep_buffers() -> None:
    """Tells glibc to reuse big buffers instead of returning them to the kernel; nothing elsewhere."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _KEEP), (_M_TRIM_THRESHOLD, _KEEP)):
            mallopt(option, value)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cuda_available() -> bool:
    """Whether a CUDA GPU can be used now."""
    return torch.cuda.is_available()


def is_device_failure(error: BaseException) -> bool:
    """Whether ``error`` says that the GPU is full or gone, so that the CPU can take over."""
    if isinstance(error, torch.OutOfMemoryError | getattr(torch, "AcceleratorError", torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in ("CUDA", "cuBLAS", "cuDNN"))
