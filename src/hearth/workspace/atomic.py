"""Several files replaced together: all are written and synced before the first is renamed.

A failure in the middle puts back what was renamed. A crash leaves each file whole, old or new; what it may leave beside
them is named ``.hearth-*.tmp``, and is swept away a day later.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KEPT_S = 24 * 3600
"""Seconds that what a crash left stays: it may be the old text of a file, and somebody may want it."""
_TEMPORARY = re.compile(r"\.hearth-[0-9a-f]{16}(?:\.undo)?\.tmp")

Rename = Callable[..., None]
"""``os.replace``, or what stands for it."""


@dataclass(slots=True)
class Exchange:
    """One file of a folder (a descriptor) that gets other bytes; ``data`` is None for one that is to go.

    ``before`` is the file that is there, None if there is none: its mode and owner stay. ``like`` gives a new file the
    mode of another one; without it ``mode`` counts, less the umask.
    """

    folder: int
    leaf: str
    data: bytes | None
    before: os.stat_result | None
    like: os.stat_result | None = None
    mode: int = 0o666
    _written: str = ""
    _kept: str = ""
    _done: bool = False

    def prepare(self) -> None:
        """Write the new bytes under a temporary name, synced."""
        if self.data is None:
            return
        self._written = _temporary_name()
        shape = self.before or self.like
        # A new file's mode is left to the umask; a private one must not be readable even for a moment.
        mode = self.mode if shape is None else 0o600
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._written, flags, mode, dir_fd=self.folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.data)
            file.flush()
            if shape is not None:
                _adopt(file.fileno(), shape)
            os.fsync(file.fileno())

    def carry_out(self, rename: Rename, may_go_back: bool) -> None:
        """Put the new file in place, or take the old one away; ``may_go_back`` keeps the old one until ``clean``."""
        if self.before is not None and (may_go_back or self.data is None):
            self._keep()
        if self.data is not None:
            rename(self._written, self.leaf, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            self._written = ""
        else:
            os.unlink(self.leaf, dir_fd=self.folder)
        self._done = True

    def go_back(self) -> None:
        """Put back what was there. Where that fails, the old file stays beside the new one: nothing is lost."""
        if not self._done:
            return
        kept, self._kept, self._done = self._kept, "", False
        with suppress(OSError):
            if kept:
                os.replace(kept, self.leaf, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            else:
                os.unlink(self.leaf, dir_fd=self.folder)

    def clean(self) -> None:
        """Remove what is left of temporary names."""
        for name in (self._written, self._kept):
            if name:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.folder)

    def _keep(self) -> None:
        """A second name for the old file; where the file system knows none, a copy."""
        self._kept = _temporary_name()
        try:
            os.link(self.leaf, self._kept, src_dir_fd=self.folder, dst_dir_fd=self.folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS):
                self._kept = ""
                raise
            self._copy()

    def _copy(self) -> None:
        assert self.before is not None
        source = os.open(self.leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder)
        with os.fdopen(source, "rb") as file:
            data = file.read()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._kept, flags, 0o600, dir_fd=self.folder), "wb") as file:
            file.write(data)
            _adopt(file.fileno(), self.before)


def exchange_all(exchanges: Sequence[Exchange], rename: Rename = os.replace) -> None:
    """Carry out all of them or none. Raises OSError; then everything is as it was."""
    try:
        for exchange in exchanges:
            exchange.prepare()
        try:
            for exchange in exchanges:
                exchange.carry_out(rename, may_go_back=len(exchanges) > 1)
            for folder in dict.fromkeys(exchange.folder for exchange in exchanges):
                os.fsync(folder)
        except BaseException:
            for exchange in reversed(exchanges):
                exchange.go_back()
            raise
    finally:
        for exchange in exchanges:
            exchange.clean()


def write_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write one file anywhere, whole or not at all; a new one gets this mode, less the umask.

    A symlink is followed; what is no regular file, a pipe say, or has no name is written into as it is. Raises OSError;
    then what was there is as it was.
    """
    before, whole = None, Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        before = path.stat()
    if before is not None and not (stat.S_ISREG(before.st_mode) and whole.exists()):
        with path.open("wb") as file:
            file.write(data)
        return
    # Replacing a file asks nothing of the file itself.
    if before is not None and not before.st_mode & 0o222:
        raise OSError(errno.EACCES, "it is read-only")
    folder = os.open(whole.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sweep(folder, time.time())
        exchange_all([Exchange(folder, whole.name, data, before, mode=mode)])
    finally:
        os.close(folder)


def is_temporary(name: str) -> bool:
    """Whether a file is one that a crash left behind: no file of the project."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: int, now: float) -> None:
    """Remove from a folder (a descriptor) what a crash left there more than KEPT_S before ``now``."""
    with suppress(OSError):
        for name in filter(is_temporary, os.listdir(folder)):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_ctime < now - KEPT_S:
                os.unlink(name, dir_fd=folder)


def _temporary_name() -> str:
    # The name has no part of the file's: that may be as long as the file system allows.
    return f".hearth-{secrets.token_hex(8)}.tmp"


def _adopt(descriptor: int, before: os.stat_result) -> None:
    # Root in a container edits its owner's files; the owner first, because changing it clears set-id bits.
    with suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
