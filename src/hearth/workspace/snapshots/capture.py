"""Look at a whole project and keep what is new in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Set
from contextlib import closing

from hearth.errors import StateError
from hearth.workspace.snapshots.git import PIECE, BlobWriter, ObjectStore
from hearth.workspace.snapshots.state import Folder, Seen, State, Status, is_racy, status_of
from hearth.workspace.snapshots.survey import (
    MADE_BY_TOOLS,
    OWNERS_HISTORY,
    Bounds,
    Descent,
    Pending,
    Survey,
    TooMuch,
)
from hearth.workspace.snapshots.tree import Item, blob_id, blob_id_of, encode_tree, join, tree_id

ROOT = "."
"""The root's own name in a snapshot, which also holds its mode."""
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        self._kept = kept

    def run(self, root: int) -> State:
        """Look at everything below this folder. Raises StateError when it is too much or cannot be kept."""
        try:
            survey = self._survey(root, frozenset())
        except TooMuch:
            # What tools made can be made again.
            try:
                survey = self._survey(root, MADE_BY_TOOLS)
            except TooMuch as error:
                fix = "work in a smaller folder to be able to undo, or name what undo should leave out"
                raise StateError(f"the project folder has {error}", fix) from error
        state = survey.state
        with self._store.writing() as writer, closing(Descent(root)) as descent:
            for note in survey.notes:
                writer.write(note)
            for path, pending in survey.pending.items():
                files = state.folders[path].files
                try:
                    folder = descent.enter(path)
                except OSError:
                    continue  # it went away meanwhile
                for one in pending:
                    if seen := self._read(folder, one, survey.looked, writer):
                        files[one.name] = seen
        self._name(state)
        return state

    def _survey(self, root: int, skipped: frozenset[str]) -> Survey:
        survey = Survey(self._before, self._leave, skipped, self._bounds)
        with closing(Descent(root)) as descent:
            survey.run(descent, os.fstat(root).st_dev)
        return survey

    def _read(self, folder: int, one: Pending, looked: int, writer: BlobWriter) -> Seen | None:
        """A file or link whose content is not known; None when it is gone."""
        name, status, old = one
        try:
            if stat.S_ISLNK(status.mode):
                target = os.fsencode(os.readlink(name, dir_fd=folder))
                return Seen(status, "l", self._keep(target, old, writer), not is_racy(status, looked))
            file = os.open(name, _FILE_FLAGS, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if old is not None and old.kind == "f" and old.clean and _content(old.status) == _content(status):
                # Only its mode has changed: it is what it was, though we may not look.
                return Seen(status, "f", old.id, clean=True)
            return Seen(status, "x", writer.write(f"cannot be read: {error.errno}".encode()), clean=False)
        with os.fdopen(file, "rb", buffering=0) as stream:
            return self._keep_file(stream.fileno(), old, looked, writer)

    def _keep_file(self, file: int, old: Seen | None, looked: int, writer: BlobWriter) -> Seen | None:
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
        if (old is not None or self._kept) and self._has(name := blob_id(data), old):
            return name
        return writer.write(data)

    def _keep_large(self, file: int, size: int, old: Seen | None, writer: BlobWriter) -> str:
        # To name it takes a tenth of the time that it takes to keep it.
        name = blob_id_of(size, lambda: os.read(file, PIECE))
        if self._has(name, old):
            return name
        os.lseek(file, 0, os.SEEK_SET)
        return writer.copy(size, lambda: os.read(file, PIECE))

    def _has(self, name: str, old: Seen | None) -> bool:
        """Whether these bytes are known to be in the store."""
        return name in self._kept or (old is not None and old.kind != "x" and name == old.id)

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
