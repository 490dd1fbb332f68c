"""One process at a time fetches a model: a lock that says who has it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearth.errors import StateError

_LOOK_S = 0.2


@contextmanager
def claimed(path: Path, wait: bool, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of this file, which the kernel gives back when the process dies.

    While another process has it: ``tell`` is told once who, and it waits; without ``wait`` StateError says so. The
    file is removed in the end.
    """
    descriptor, told = _open(path), False
    try:
        while not _take(path, descriptor):
            if not _same(path, descriptor):
                # Whoever had it is done and took the file away: nobody need be waited for.
                os.close(descriptor)
                descriptor = _open(path)
                continue
            if not wait:
                raise StateError(f"this model is being fetched already{_who(path)}", "wait for it, or end it")
            if not told:
                tell(f"waiting: another process fetches it already{_who(path)}")
            told = True
            time.sleep(_LOOK_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
        with suppress(OSError):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {path}: {error.strerror}", f"run: chmod u+rwx {path.parent}") from error


def _take(path: Path, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StateError(f"cannot lock {path}: {error.strerror}", "keep the models on a local disk") from error
    # Whoever had it may have removed the file between our opening and our locking: then this lock guards nothing.
    return _same(path, descriptor)


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _who(path: Path) -> str:
    try:
        pid = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return f" (process {pid})" if pid.isdecimal() else ""
