"""Look at a whole project and keep what is new in it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

from hearth.errors import StateError
from hearth.workspace.snapshots.git import PIECE, BlobWriter, ObjectStore
from hearth.workspace.snapshots.state import Folder, Seen, State, Status, is_racy, status_of
from hearth.workspace.snapshots.tree import Item, blob_id, blob_id_of, encode_tree, join, split, tree_id

OWNERS_HISTORY = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
"""What these names hold is the owner's history: it is neither kept nor brought back, nor looked into."""
ROOT = "."
"""The root's own name in a snapshot, which also holds its mode."""

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTHING = Status(0, 0, 0, 0, 0)
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a capture may cost. ``largest`` bytes of one file, ``entries`` in the whole project, ``new`` bytes that were
    never kept before. A larger file is noticed and not kept; beyond the others there is no snapshot."""

    largest: int = 256 << 20
    entries: int = 400_000
    new: int = 4 << 30


@contextmanager
def open_folder(root: int, path: str) -> Iterator[int]:
    """A folder's descriptor, walked to from the root's without following a symlink. Raises OSError."""
    current = os.open(".", FOLDER_FLAGS, dir_fd=root)
    try:
        for part in path.split("/") if path else ():
            inner = os.open(part, FOLDER_FLAGS, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


class Capture:
    """One look. ``run`` gives what was seen; all of it is in the store then."""

    def __init__(
        self, store: ObjectStore, before: State, leave: frozenset[str], bounds: Bounds, kept: Set[str] = frozenset()
    ) -> None:
        """``leave`` has the names of folders, or their paths, that are left out; ``before`` is the last state; ``kept``
        names blobs that are known to be in the store."""
        self._store = store
        self._before = before
        self._leave = leave | OWNERS_HISTORY
        self._bounds = bounds
        self._left = bounds.entries
        self._new = 0
        self._device = 0
        self._kept = kept

    def run(self, root: int) -> State:
        """Look at everything below this folder. Raises StateError when it is too much or cannot be kept."""
        state = State()
        self._device = os.fstat(root).st_dev
        with self._store.writing() as writer:
            waiting = [""]
            while waiting:
                path = waiting.pop()
                found = self._look(root, path, writer)
                if isinstance(found, Folder):
                    state.folders[path] = found
                    waiting += [join(path, name) for name in found.folders]
                elif found is not None:
                    folder, name = split(path)
                    state.folders[folder].files[name] = found
        self._name(state)
        return state

    def _look(self, root: int, path: str, writer: BlobWriter) -> Folder | Seen | None:
        """One folder; a note when it cannot be looked into; None when it is gone."""
        try:
            with open_folder(root, path) as descriptor:
                status = os.fstat(descriptor)
                if status.st_dev == self._device:
                    return self._list(descriptor, path, stat.S_IMODE(status.st_mode), writer)
                why = f"another file system: {status.st_dev}"
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if not path:
                raise StateError(f"cannot look at the project folder: {error.strerror}") from error
            why = f"cannot be read: {error.errno}"
        return Seen(_NOTHING, "x", writer.write(why.encode()), clean=False)

    def _list(self, descriptor: int, path: str, mode: int, writer: BlobWriter) -> Folder:
        folder = Folder(mode)
        known = self._before.folders.get(path)
        files = known.files if known else {}
        looked = time.time_ns()
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                if name in self._leave or (path + "/" + name if path else name) in self._leave:
                    continue
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
                    elif seen := self._read(descriptor, path, name, status, old, looked, writer):
                        folder.files[name] = seen
                self._left -= 1
        if self._left < 0:
            raise StateError(
                f"more than {self._bounds.entries:,} files are below the project folder",
                "work in a smaller folder to be able to undo, or name what undo should leave out",
            )
        return folder

    def _read(
        self, descriptor: int, path: str, name: str, status: Status, old: Seen | None, looked: int, writer: BlobWriter
    ) -> Seen | None:
        """A file or link whose content is not known; None when it is gone."""
        try:
            if stat.S_ISLNK(status.mode):
                target = os.fsencode(os.readlink(name, dir_fd=descriptor))
                return Seen(status, "l", self._keep(target, old, writer), not is_racy(status, looked))
            if status.size > self._bounds.largest:
                note = f"large: {status.size} bytes of {status.mtime_ns}, inode {status.inode}"
                return Seen(status, "x", writer.write(note.encode()), clean=True)
            file = os.open(name, _FILE_FLAGS, dir_fd=descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            if old is not None and old.kind == "f" and old.clean and _content(old.status) == _content(status):
                # Only its mode has changed: it is what it was, though we may not look.
                return Seen(status, "f", old.id, clean=True)
            return Seen(status, "x", writer.write(f"cannot be read: {error.errno}".encode()), clean=False)
        with os.fdopen(file, "rb", buffering=0) as stream:
            return self._keep_file(stream.fileno(), join(path, name), old, looked, writer)

    def _keep_file(self, file: int, path: str, old: Seen | None, looked: int, writer: BlobWriter) -> Seen | None:
        before = status_of(os.fstat(file))
        if not stat.S_ISREG(before.mode):
            return None
        if before.size <= PIECE:
            data = _read_all(file, before.size)
            name, size = self._keep(data, old, writer), len(data)
        else:
            name, size = self._keep_large(file, before.size, old, writer), before.size
        after = status_of(os.fstat(file))
        whole = after == before and size == before.size
        return Seen(after, "f", name, whole and not is_racy(after, looked))

    def _keep(self, data: bytes, old: Seen | None, writer: BlobWriter) -> str:
        if old is not None and old.kind != "x" and blob_id(data) == old.id:
            return old.id
        self._count(len(data))
        return writer.write(data)

    def _keep_large(self, file: int, size: int, old: Seen | None, writer: BlobWriter) -> str:
        # To name it takes a tenth of the time that it takes to keep it.
        name = blob_id_of(size, lambda: os.read(file, PIECE))
        if name in self._kept or (old is not None and old.kind != "x" and name == old.id):
            return name
        self._count(size)
        os.lseek(file, 0, os.SEEK_SET)
        return writer.copy(size, lambda: os.read(file, PIECE))

    def _count(self, size: int) -> None:
        self._new += size
        if self._new > self._bounds.new:
            raise StateError(
                f"the project has more than {self._bounds.new >> 20:,} MiB that no snapshot has yet",
                "name the folders that undo should leave out",
            )

    def _name(self, state: State) -> None:
        """Give every folder its tree, from the innermost outwards; a folder as it was keeps the one it had."""
        changed: list[dict[str, Item]] = []
        written: set[str] = set()
        # Every folder was looked at after the one around it.
        for path in reversed(state.folders):
            folder, known = state.folders[path], self._before.folders.get(path)
            inner = {name: state.folders.get(join(path, name)) for name in folder.folders}
            folder.folders = [name for name, found in inner.items() if found is not None]
            if known is not None and self._is_as_before(path, folder, known, state):
                folder.tree = known.tree
                continue
            items = {name: seen.item for name, seen in folder.files.items()}
            items |= {name: Item("d", found.mode, found.tree) for name, found in inner.items() if found is not None}
            folder.tree = tree_id(encode_tree(items))
            if folder.tree not in written:
                written.add(folder.tree)
                changed.append(items)
        top = {ROOT: Item("d", state.folders[""].mode, state.folders[""].tree)}
        state.id = tree_id(encode_tree(top))
        if state.id == self._before.id:
            return
        names = self._store.write_trees([*changed, top])
        if names[-1] != state.id:
            raise StateError("git names objects otherwise than hearth", "tell us, with the output of: git --version")

    def _is_as_before(self, path: str, folder: Folder, known: Folder, state: State) -> bool:
        if len(folder.files) != len(known.files) or len(folder.folders) != len(known.folders):
            return False
        old = self._before.folders
        for name in folder.folders:
            inner = join(path, name)
            before = old.get(inner)
            if before is None or state.folders[inner].tree != before.tree or state.folders[inner].mode != before.mode:
                return False
        files = known.files
        for name, seen in folder.files.items():
            # The very same object: looking closer is needed for few.
            if (was := files.get(name)) is not seen and (was is None or was.item != seen.item):
                return False
        return True


def _content(status: Status) -> tuple[int, int, int]:
    return status.size, status.mtime_ns, status.inode


def _read_all(file: int, size: int) -> bytes:
    """At most so many bytes: a file may grow while it is read."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.read(file, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
