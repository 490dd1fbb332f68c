"""Walk through a project and see what of it must be read: nothing is read yet, so that too much is known before."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import NamedTuple

from hearth.errors import StateError
from hearth.workspace.files import SKIPPED_FOLDERS
from hearth.workspace.snapshots.state import Folder, Seen, State, Status, status_of
from hearth.workspace.snapshots.tree import blob_id, join, split

OWNERS_HISTORY = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
"""What these names hold is the owner's history: it is neither kept nor brought back, nor looked into."""
MADE_BY_TOOLS = SKIPPED_FOLDERS - OWNERS_HISTORY
"""Folders that are left out when there is too much: they are noted as there, and as not kept."""

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTHING = Status(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a capture may cost. ``largest`` bytes of one file, ``entries`` in the whole project, ``new`` bytes that were
    never kept before. A larger file is noticed and not kept; beyond the others folders that tools made are not kept,
    and when that does not help there is no snapshot."""

    largest: int = 256 << 20
    entries: int = 400_000
    new: int = 1 << 30


class Descent:
    """Opens folder after folder below a root, never through a symlink; those around the last one stay open, so that a
    walk opens each folder once."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: list[tuple[str, int]] = []

    def enter(self, path: str) -> int:
        """A folder's descriptor, which is closed by a later call. Raises OSError."""
        parts = path.split("/") if path else []
        same = 0
        while same < min(len(parts), len(self._open)) and self._open[same][0] == parts[same]:
            same += 1
        self._leave(same)
        current = self._open[-1][1] if self._open else self._root
        for part in parts[same:]:
            current = os.open(part, FOLDER_FLAGS, dir_fd=current)
            self._open.append((part, current))
        return current

    def close(self) -> None:
        """Close all but the root."""
        self._leave(0)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])


class Pending(NamedTuple):
    """A file or link that must be read: its name, how it is now, and as what it was known."""

    name: str
    status: Status
    old: Seen | None


class TooMuch(Exception):
    """More is there than a snapshot may cost."""


class Survey:
    """What is there: ``state`` with all that is as it was known, ``pending`` with what must be read, by folder, and
    ``notes`` about what is not kept, which are to be written."""

    def __init__(self, before: State, leave: frozenset[str], skipped: frozenset[str], bounds: Bounds) -> None:
        self.state = State()
        self.pending: dict[str, list[Pending]] = {}
        self.notes: list[bytes] = []
        self.looked = time.time_ns()
        self._before = before
        self._leave = leave
        self._skipped = skipped
        self._bounds = bounds
        self._entries = self._new = 0

    def run(self, descent: Descent, device: int) -> None:
        """Walk through all folders of this device. Raises TooMuch, and StateError when the root cannot be read."""
        waiting = [""]
        while waiting:
            path = waiting.pop()
            around, name = split(path)
            try:
                descriptor = descent.enter(path)
                status = os.fstat(descriptor)
                if status.st_dev != device:
                    self._note(around, name, f"another file system: {status.st_dev}")
                    continue
                folder = self._list(descriptor, path, stat.S_IMODE(status.st_mode))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if not path:
                    raise StateError(f"cannot look at the project folder: {error.strerror}") from error
                self._note(around, name, f"cannot be read: {error.errno}")
                continue
            self.state.folders[path] = folder
            for name in folder.folders:
                if name in self._skipped:
                    self._note(path, name, "made by tools, and too much")
                else:
                    waiting.append(join(path, name))

    def _list(self, descriptor: int, path: str, mode: int) -> Folder:
        folder = Folder(mode)
        known = self._before.folders.get(path)
        files = known.files if known else {}
        pending: list[Pending] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                if name in self._leave or (path + "/" + name if path else name) in self._leave:
                    continue
                self._entries += 1
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                kind = found.st_mode & 0o170000
                if kind == stat.S_IFDIR:
                    folder.folders.append(name)
                elif kind in (stat.S_IFREG, stat.S_IFLNK):
                    status = status_of(found)
                    old = files.get(name)
                    if old is not None and old.clean and old.status == status:
                        folder.files[name] = old
                    elif kind == stat.S_IFREG and status.size > self._bounds.largest:
                        text = f"large: {status.size} bytes of {status.mtime_ns}, inode {status.inode}"
                        folder.files[name] = self._unkept(text, old, status)
                    else:
                        pending.append(Pending(name, status, old))
                        self._new += status.size
        if self._entries > self._bounds.entries:
            raise TooMuch(f"more than {self._bounds.entries:,} files")
        if self._new > self._bounds.new:
            raise TooMuch(f"more than {self._bounds.new >> 20:,} MiB that no snapshot has yet")
        if pending:
            self.pending[path] = pending
        return folder

    def _note(self, folder: str, name: str, why: str) -> None:
        """Something that is there and is not looked into."""
        known = self._before.folders.get(folder)
        old = known.files.get(name) if known else None
        self.state.folders[folder].files[name] = self._unkept(why, old, _NOTHING)

    def _unkept(self, why: str, old: Seen | None, status: Status) -> Seen:
        note = why.encode()
        seen = Seen(status, "x", blob_id(note), status is not _NOTHING)
        if old is None or old.id != seen.id:
            self.notes.append(note)
        return seen
