"""Files that are whole after a crash: written beside, forced to the disk, renamed in; and locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearth.errors import StateError


def write_durably(path: Path, data: bytes) -> None:
    """Replace the file atomically: after a crash it holds the old bytes or the new, and after the return the new.

    The mode is 0600. Raises OSError; then the old file is as it was.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's names, to the disk. Raises OSError, not for a folder that cannot be
    synced at all (some network file systems)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, which is made and never removed; waits for whoever has it. It is the kernel's
    (``flock``): a process that is killed leaves none behind.

    Raises StateError when the file cannot be opened or locked.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {path}: {error.strerror}", f"run: chmod u+rwx {path.parent}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise StateError(f"cannot lock {path}: {error.strerror}", "keep the models on a local disk") from error
        yield
    finally:
        os.close(descriptor)
