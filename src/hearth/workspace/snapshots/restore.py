"""Carry out a plan in the project. Every folder is walked to from the root without following a symlink, every file is
replaced whole, and none is touched that is not as it was seen a moment ago."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress

from hearth.errors import StateError
from hearth.workspace.snapshots.difference import Change, Plan
from hearth.workspace.snapshots.git import MOST_ASKED, LostError, ObjectReader
from hearth.workspace.snapshots.place import make_apart
from hearth.workspace.snapshots.state import State, status_of
from hearth.workspace.snapshots.survey import Descent
from hearth.workspace.snapshots.tree import Item, split

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORCED_ALONE = 200
"""Files that are forced to the disk one by one; more are forced all together at the end."""
MANY = 500
"""Files and folders from which on it counts where on the disk the folder around them is made."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Restoration:
    """One plan being carried out. ``left`` has what could not be done, with why."""

    def __init__(self, root: int, plan: Plan, seen: State, reader: ObjectReader) -> None:
        self._descent = Descent(root)
        self._changes = plan.changes
        self._seen = seen
        self._reader = reader
        self._modes: dict[str, int] = {}
        self._touched: set[int] = set()
        self._large: set[str] = set()
        self.left: dict[str, str] = dict.fromkeys(plan.kept, "it is not kept in snapshots")
        self.done: list[str] = []

    def run(self) -> None:
        """Do it. Done again after a crash in the middle, it goes on. Raises StateError when the store is damaged or
        the disk is full."""
        kinds = {path: (change.old and change.old.kind, change.new and change.new.kind) for path, change in self._all()}
        files = [path for path, (_, new) in kinds.items() if new in ("f", "l")]
        gone = [path for path, (old, new) in kinds.items() if old in ("f", "l") and new in (None, "d")]
        folders_gone = [path for path, (old, new) in kinds.items() if old == "d" and new != "d"]
        folders_new = [path for path, (old, new) in kinds.items() if new == "d" and old != "d"]
        self._large = _find_large(folders_new, files)
        alone = len(files) <= FORCED_ALONE
        try:
            # All are sorted: a folder comes before what is in it, and its neighbours after that.
            self._each(gone, self._remove)
            self._each(reversed(folders_gone), self._remove_folder)
            self._each(folders_new, self._make_folder)
            for start in range(0, len(files), MOST_ASKED):
                some = files[start : start + MOST_ASKED]
                self._reader.ask(self._contents(some))
                self._each(some, lambda path: self._write(path, force=alone))
            if not alone:
                os.sync()
        finally:
            with closing(self._descent):
                self._set_modes()

    def _each(self, paths: Iterable[str], do: Callable[[str], None]) -> None:
        # What was open may be gone since, or another folder.
        with closing(self._descent):
            for path in paths:
                if path not in self.left:
                    self._try(path, do)

    def _all(self) -> Iterator[tuple[str, Change]]:
        return iter(sorted(self._changes.items()))

    def _contents(self, paths: Iterable[str]) -> Iterator[str]:
        """The blobs that writing these files reads; where only the mode changes none is."""
        for old, new in map(self._changes.__getitem__, paths):
            if new is not None and (old is None or old.id != new.id):
                yield new.id

    def _try(self, path: str, do: Callable[[str], None]) -> None:
        try:
            do(path)
        except OSError as error:
            if error.errno in FULL:
                # That is not about this file: the next ones would be left, too.
                fix = "make room on the disk; the next undo, redo or run of this session goes on with it"
                raise StateError(f"cannot write {path}: {error.strerror}, some of it is done", fix) from error
            self.left[path] = (error.strerror or str(error)).lower()
        else:
            if path not in self.left:
                self.done.append(path)

    def _remove(self, path: str) -> None:
        with self._parent(path) as (folder, name):
            if self._is_as_seen(folder, name, path):
                os.unlink(name, dir_fd=folder)

    def _remove_folder(self, path: str) -> None:
        with self._parent(path) as (folder, name), suppress(FileNotFoundError):
            os.rmdir(name, dir_fd=folder)

    def _make_folder(self, path: str) -> None:
        with self._parent(path, create=True) as (folder, name):
            if self._is_as_seen(folder, name, path):
                if path in self._large:
                    make_apart(folder, name)
                else:
                    os.mkdir(name, 0o700, dir_fd=folder)
                self._own(folder, name)

    def _write(self, path: str, *, force: bool) -> None:
        old, new = self._changes[path]
        assert new is not None
        with self._parent(path, create=True) as (folder, name):
            if not self._is_as_seen(folder, name, path):
                return
            if old is not None and old.kind == new.kind == "f" and old.id == new.id and _chmod(folder, name, new.mode):
                return
            # A name made from the path: what a crash left here is found again.
            temporary = f".hearth-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.undo.tmp"
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            try:
                if new.kind == "l":
                    os.symlink(self._reader.blob(new.id), os.fsencode(temporary), dir_fd=folder)
                else:
                    self._fill(folder, name, temporary, new, force=force)
                if self._is_as_seen(folder, name, path):
                    os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                    if force:
                        os.fsync(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)

    def _fill(self, folder: int, name: str, temporary: str, new: Item, *, force: bool) -> None:
        descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            self._reader.copy(new.id, file.write)
            file.flush()
            # The owner first: changing it clears set-id bits.
            self._own(folder, name, file.fileno())
            os.fchmod(file.fileno(), new.mode)
            if force:
                os.fsync(file.fileno())

    def _own(self, folder: int, name: str, descriptor: int | None = None) -> None:
        """Root in a container works on its owner's files: what it makes belongs to whom the old one belonged to."""
        if os.geteuid() != 0:
            return
        try:
            like = os.fstat(folder) if descriptor is None else os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            like = os.fstat(folder)
        with suppress(PermissionError):
            if descriptor is None:
                os.chown(name, like.st_uid, like.st_gid, dir_fd=folder, follow_symlinks=False)
            else:
                os.fchown(descriptor, like.st_uid, like.st_gid)

    def _is_as_seen(self, folder: int, name: str, path: str) -> bool:
        """Whether nobody changed it since it was looked at; else it is left as it is, and noted."""
        seen = self._seen.status(path)
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return True
        status = status_of(found)
        if seen is not None and found.st_ino in self._touched:
            # Another name of the same file was removed or replaced by us: that alone changes this time.
            status = status._replace(ctime_ns=seen.status.ctime_ns)
        if seen is None or status != seen.status:
            self.left[path] = "something else is there now"
            return False
        self._touched.add(found.st_ino)
        return True

    @contextmanager
    def _parent(self, path: str, create: bool = False) -> Iterator[tuple[int, str]]:
        """The folder around a path, open, and writable to its owner until all is done."""
        around, name = split(path)
        try:
            folder = self._descent.enter(around)
        except FileNotFoundError:
            if not create:
                raise
            folder = self._make_parents(around)
        mode = stat.S_IMODE(os.fstat(folder).st_mode)
        if mode & 0o300 != 0o300:
            self._modes.setdefault(around, mode)
            os.fchmod(folder, mode | 0o700)
        yield folder, name

    def _make_parents(self, path: str) -> int:
        """Folders that somebody removed around what comes back; the innermost."""
        around, name = split(path)
        try:
            folder = self._descent.enter(around)
        except FileNotFoundError:
            folder = self._make_parents(around)
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
            self._own(folder, name)
        return self._descent.enter(path)

    def _set_modes(self) -> None:
        """The folders' modes last, the inner ones first: some of them must not be written to, or looked into."""
        wanted = {path: change.new.mode for path, change in self._all() if change.new and change.new.kind == "d"}
        modes = self._modes | wanted
        for path in sorted(modes, reverse=True):
            try:
                os.fchmod(self._descent.enter(path), modes[path])
            except OSError as error:
                if path in wanted:
                    self.left.setdefault(path, (error.strerror or str(error)).lower())
            else:
                if path in wanted and path not in self.done:
                    self.done.append(path)


def _find_large(folders: Iterable[str], files: Iterable[str]) -> set[str]:
    """Of new folders those that get many files and folders, and are in no other new one."""
    made = set(folders)
    inside: Counter[str] = Counter()
    for path in (*made, *files):
        top = around = split(path)[0]
        while around in made:
            top, around = around, split(around)[0]
        if top in made:
            inside[top] += 1
    return {path for path, many in inside.items() if many >= MANY}


def _chmod(folder: int, name: str, mode: int) -> bool:
    """Set a file's mode and nothing else; False when it cannot be opened for that, or has other names."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        return False
    try:
        alone = os.fstat(descriptor).st_nlink == 1
        if alone:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return alone


def wanted_by(plan: Plan) -> set[str]:
    """The blobs that carrying it out reads."""
    return {change.new.id for change in plan.changes.values() if change.new and change.new.kind in ("f", "l")}


def check_whole(changes: dict[str, Change], missing: set[str]) -> None:
    """Raises StateError, before anything is changed, when what must be written is not in the store."""
    lost = sorted(path for path, change in changes.items() if change.new and change.new.id in missing)
    if lost:
        more = f" and {len(lost) - 1} others" if len(lost) > 1 else ""
        raise LostError(f"the snapshot is damaged: it lacks {lost[0]}{more}", "nothing was changed")
