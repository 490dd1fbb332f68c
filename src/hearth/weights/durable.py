"""Files that are whole after a crash: written beside, forced to the disk, renamed in; and locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearth.errors import StateError

_TEMPORARY = "." + "[0-9a-f]" * 16 + ".tmp"


def write_durably(path: Path, data: bytes) -> None:
    """Replace the file atomically: after a crash it holds the old bytes or the new, and after the return the new.

    The mode is 0600. Raises OSError; then the old file is as it was.
    """
    _replace(path, data, force=True)
    sync(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """The same without waiting for the disk: no reader and no killed process sees half a file, but a power failure may
    bring the old one back, or spoil it. For what may be lost. Raises OSError."""
    _replace(path, data, force=False)


def _replace(path: Path, data: bytes, *, force: bool) -> None:
    beside = path.with_name(f".{os.urandom(8).hex()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if force:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def clear_temporary(folder: Path) -> None:
    """Remove what a crash left of writes into this folder. Nobody else may be writing there. Raises OSError."""
    for left in folder.glob(_TEMPORARY):
        left.unlink(missing_ok=True)


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


def explain(what: str, error: OSError, folder: Path) -> StateError:
    """What the system said, as an error that names what mends it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            fix = f"free some space on the disk of {folder}, and try again"
        case errno.EACCES | errno.EPERM:
            fix = f"run: chmod -R u+rwX {folder}"
        case _:
            fix = "run: hearth doctor"
    return StateError(f"{what}: {error.strerror or error}", fix)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, which is made and never removed; waits for whoever has it. It is the kernel's
    (``flock``): a process that is killed leaves none behind.

    Raises StateError when the file cannot be opened or locked.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise explain(f"cannot open {path}", error, path.parent) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise StateError(f"cannot lock {path}: {error.strerror}", "keep the models on a local disk") from error
        yield
    finally:
        os.close(descriptor)
