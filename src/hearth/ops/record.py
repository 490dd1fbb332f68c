"""Who runs on this home: one JSON file that the daemon keeps locked while it lives."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import datetime
from pathlib import Path

import msgspec

from hearth import __version__
from hearth.errors import StateError
from hearth.paths import Paths

# A reader holds the lock for some microseconds when it looks whether a daemon lives: a starting daemon tries again.
CLAIM_TRIES = 20
CLAIM_PAUSE_S = 0.02


class DaemonRecord(msgspec.Struct, frozen=True):
    """What a running daemon says of itself. ``started`` is Unix time in seconds."""

    pid: int
    started: float
    version: str
    background: bool
    address: str = ""
    """``http://host:port``, empty when it listens on the unix socket alone."""
    no_address_because: str = ""
    """Why there is no TCP address."""

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started).strftime("%Y-%m-%d %H:%M:%S")
        return f"pid {self.pid}, since {since}, at {self.address or 'the unix socket alone'}"


class Claim:
    """The daemon's hold on its home, until ``release`` or the end of the process."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def write(self, record: DaemonRecord) -> None:
        """Say who runs. The file is rewritten in place: a new file would not carry the lock. Raises StateError."""
        data = msgspec.json.encode(record)
        try:
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))
        except OSError as error:
            raise StateError(f"cannot write {self._path}: {error.strerror}", "make room on that disk") from error

    @property
    def holds(self) -> bool:
        """Whether the home is still ours: whoever cleared the runtime folder away let another daemon in."""
        try:
            return self._path.stat().st_ino == os.fstat(self._descriptor).st_ino
        except OSError:
            return False

    def release(self) -> None:
        """Remove the file, if it is still ours, then let go of the lock."""
        if self.holds:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def version_note(running: str) -> str:
    """What to say of a daemon whose version is ``running``; empty when it is this command's own."""
    return "" if running == __version__ else f"the daemon is hearth {running}, this command {__version__}"


def claim_home(paths: Paths) -> Claim:
    """Take the one place of a daemon on this home.

    Raises StateError saying who has it, or that the file cannot be used. A dead daemon's file is taken over.
    """
    for attempt in range(CLAIM_TRIES):
        descriptor = _open_and_lock(paths.daemon_file)
        if descriptor is not None:
            # What a dead daemon said of itself must not pass for this one's word: its pid may be anybody's by now.
            os.ftruncate(descriptor, 0)
            return Claim(descriptor, paths.daemon_file)
        if attempt < CLAIM_TRIES - 1:
            time.sleep(CLAIM_PAUSE_S)
    record = read_record(paths)
    raise StateError(f"hearth runs already: {record or 'it is just starting'}", "run: hearth stop")


def _open_and_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {path}: {error.strerror}", f"mend or remove {path}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between open and lock the old daemon may have removed the file: then the lock is on a name that is gone.
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def read_record(paths: Paths) -> DaemonRecord | None:
    """The record of the daemon that lives on this home; None when none lives or it has not written yet."""
    return _decode(paths.daemon_file) if home_is_taken(paths) else None


def home_is_taken(paths: Paths) -> bool:
    """Whether a living process holds this home. A dead one's file does not count: its lock went with it."""
    try:
        descriptor = os.open(paths.daemon_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _decode(path: Path) -> DaemonRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=DaemonRecord)
    except (OSError, msgspec.DecodeError):
        return None
