"""Whole-or-nothing saving: write beside, flush to the disk, rename. And the first look at a file that is to be read."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from faceeditor.errors import UserError

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Gives a new empty file beside ``path``, with the same suffix, to be written; on leaving it becomes ``path``.

    The old file stays untouched until the new one is whole and on the disk (fsync, then rename, then fsync of the
    folder). After any failure inside, the temporary file is removed and the old one is still there.
    Raises ``UserError`` when the folder is missing or not writable, ``path`` is a folder, or the disk is full.
    """
    target = Path(path).resolve()
    beside = _create_beside(target)
    try:
        yield beside
        _flush(beside)
        _rename(beside, target)
        if os.name == "posix":
            _flush(target.parent)
    except UserError:
        raise
    except Exception as error:
        if _is_full(error):
            raise UserError(
                f"The disk is full, so {target.name} was not saved; make room or choose another folder."
            ) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Saves ``data`` as ``path``, whole or not at all. Raises like :func:`atomic_write`."""
    with atomic_write(path) as beside:
        beside.write_bytes(data)


@contextmanager
def atomic_folder(folder: Path, without: Sequence[str] = ()) -> Iterator[Path]:
    """Gives a hidden folder beside ``folder`` to write into; on leaving it becomes ``folder``.

    Files of the old folder are carried over, but for those that the patterns ``without`` name. The old one stays until
    the new one is whole and on the disk; after a failure it is still there. Raises ``UserError`` like
    :func:`atomic_write`.
    """
    beside, aside = (folder.with_name(f".{folder.name}-{secrets.token_hex(4)}") for _ in range(2))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        dropped = shutil.ignore_patterns(*without)
        shutil.copytree(folder, beside, ignore=dropped) if folder.is_dir() else beside.mkdir()
        yield beside
        for file in filter(Path.is_file, beside.rglob("*")):
            _flush(file)
        if folder.exists():
            folder.rename(aside)
        beside.rename(folder)
        if os.name == "posix":
            _flush(folder.parent)
    except Exception as error:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        if _is_full(error):
            raise UserError(f"The disk is full, so {folder.name} was not saved; make room first.") from error
        if isinstance(error, OSError):
            raise UserError(f"The folder {folder} cannot be written ({error.strerror}); choose another one.") from error
        raise
    finally:
        for left in (beside, aside):
            shutil.rmtree(left, ignore_errors=True)


def require_file(path: Path | str) -> Path:
    """``path``, if it is a file with something in it that may be read. Raises ``UserError`` otherwise."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            empty = not stream.read(1)
    except FileNotFoundError:
        raise UserError(f"There is no file {file}; check its name and folder.") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a folder; choose a file.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check its permissions.") from error
    if empty:
        raise UserError(f"{file} is empty (0 bytes); choose another file.")
    return file


def _create_beside(target: Path) -> Path:
    if target.is_dir():
        raise UserError(f"{target} is a folder; give a file name to save to.")
    beside = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileNotFoundError as error:
        raise UserError(f"There is no folder {target.parent}; make it or choose another one.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(f"The disk is full, so {target.name} was not saved; make room first.") from error
        raise UserError(
            f"The folder {target.parent} cannot be written to ({error.strerror}); choose another one."
        ) from error
    return beside


def _rename(beside: Path, target: Path) -> None:
    if target.exists():
        shutil.copymode(target, beside)
    try:
        beside.replace(target)
    except PermissionError as error:
        raise UserError(f"{target} cannot be replaced ({error.strerror}); is another program using it?") from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_full(error: Exception) -> bool:
    """Libraries in other languages wrap the system's error into their own, but keep its words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(os.strerror(code) in str(error) for code in _FULL)
