"""The project's files behind a path guard.

Every path is walked from the root folder's descriptor with O_NOFOLLOW, one component at a time: neither ``..`` nor a
symlink can lead outside, whoever changes the tree meanwhile (the portable form of openat2(RESOLVE_BENEATH)).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hearth.errors import WorkspaceError
from hearth.workspace.atomic import Exchange, Rename, exchange_all, is_temporary, sweep
from hearth.workspace.encoding import Document, decode, digest_of

LARGEST_TEXT = 8 * 1024 * 1024
"""Bytes of the largest file that is read whole (to edit or search it)."""

SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache"}
    | {".ruff_cache", ".tox", ".hearth", ".hypothesis"}
)
"""Folders that a walk leaves out: they hold what tools made, not what people wrote."""

ANY = b"any"
"""In place of a digest: whatever is there may be replaced."""


@dataclass(frozen=True, slots=True)
class FileWrite:
    """One file to be written; ``data`` None: to be removed.

    ``expected`` is the digest of what must be there still, None where no file may be, ANY where nobody looked.
    ``like`` names another file whose mode a new one gets.
    """

    path: str
    data: bytes | None
    expected: bytes | None = ANY
    like: str = ""


class ChangedMeanwhileError(WorkspaceError):
    """A file is not what it was when it was read: nothing was written. ``path`` is its name."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was changed by somebody else just now", "read it again")
        self.path = path


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Workspace:
    """The files below one root folder. Paths are given and returned relative to it, with ``/``."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._given = root.absolute()
        self._swept: set[str] = set()

    def relative(self, path: str) -> str:
        """The path as we name it: relative, normalised. Raises WorkspaceError if it leaves the root."""
        if "\0" in path:
            raise WorkspaceError("a path cannot contain a NUL byte")
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise WorkspaceError(f"character {error.start} of the path cannot be in a file name") from error
        pure = PurePosixPath(path or ".")
        if pure.is_absolute():
            for base in (self.root, self._given):
                if pure.is_relative_to(base):
                    pure = pure.relative_to(base)
                    break
            else:
                raise WorkspaceError(f"{path} is outside the project", "use a path relative to the project folder")
        if ".." in pure.parts:
            raise WorkspaceError(f"{path}: '..' is not allowed", "use a path relative to the project folder")
        return str(pure)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there; False for one that the guard refuses."""
        try:
            self.stat(path)
        except WorkspaceError:
            return False
        return True

    def stat(self, path: str) -> os.stat_result:
        """The file's status, not following a symlink."""
        name = self.relative(path)
        with self._explained(name), self._parent(name) as (folder, leaf):
            found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise WorkspaceError(f"{name} is a symlink", self._end_of_link(name))
        return found

    def open(self, path: str) -> int:
        """A read-only descriptor of a regular file; the caller closes it."""
        name = self.relative(path)
        with self._explained(name), self._parent(name) as (folder, leaf):
            # O_NONBLOCK: opening a FIFO must not wait for a writer.
            descriptor = os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind):
            os.close(descriptor)
            what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
            raise WorkspaceError(f"{name} is {what}")
        return descriptor

    def read_bytes(self, path: str, limit: int = LARGEST_TEXT) -> bytes:
        """The whole file. Raises WorkspaceError if it has more than ``limit`` bytes."""
        descriptor = self.open(path)
        with self._explained(self.relative(path)), os.fdopen(descriptor, "rb") as file:
            # A file may grow while it is read, and some of /proc say that they are empty: the bound holds anyway.
            data = file.read(limit + 1)
            size = max(os.fstat(descriptor).st_size, len(data))
        if size > limit:
            raise WorkspaceError(
                f"{self.relative(path)} is too large ({size:,} bytes, limit {limit:,})",
                "use bash with head, tail, grep or sed",
            )
        return data

    def read_text(self, path: str) -> str:
        """The whole file as UTF-8, line ends untouched. Raises WorkspaceError if it is binary or not UTF-8."""
        data = self.read_bytes(path)
        name = self.relative(path)
        if b"\0" in data[:8192]:
            raise WorkspaceError(f"{name} is binary ({len(data):,} bytes)", "use bash to look at it")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise WorkspaceError(
                f"{name} is not UTF-8 (byte {error.start})", "convert it first, for example with iconv"
            ) from error

    def write_text(self, path: str, text: str) -> None:
        """Write the file atomically (temporary file, fsync, rename), creating folders.

        An existing file keeps its mode and, where we may set it, its owner. Raises WorkspaceError if it is read-only,
        no regular file, or ``text`` cannot be written as UTF-8.
        """
        name = self.relative(path)
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise WorkspaceError(f"{name}: character {error.start} of the text is half a surrogate pair") from error
        self.write_all([FileWrite(name, data)])

    def read_document(self, path: str) -> Document:
        """The whole file as text of any encoding that can be written back. Raises WorkspaceError if it is binary."""
        data = self.read_bytes(path)
        document = decode(data)
        if document is None:
            raise WorkspaceError(f"{self.relative(path)} is binary ({len(data):,} bytes)", "use bash to look at it")
        return document

    def write_all(self, writes: Sequence[FileWrite], rename: Rename = os.replace) -> None:
        """Write or remove several files, all or none, creating folders; each path once.

        Existing files keep mode and, where we may set it, owner. Raises WorkspaceError, and ChangedMeanwhileError if
        one is not what was expected; then everything is as it was, but for empty folders.
        """
        with ExitStack() as stack:
            exchanges = []
            for write in writes:
                name = self.relative(write.path)
                stack.enter_context(self._explained(name))
                folder, leaf = stack.enter_context(self._parent(name, create=write.data is not None))
                if (above := name.rpartition("/")[0]) not in self._swept:
                    self._swept.add(above)
                    sweep(folder, time.time())
                before = _find_regular(folder, leaf, name)
                if write.expected != ANY:
                    self._check_unchanged(name, before, write.expected)
                elif before is None and write.data is None:
                    raise WorkspaceError(f"{name} does not exist")
                like = self.stat(write.like) if write.like and before is None else None
                exchanges.append(Exchange(folder, leaf, write.data, before, like))
            exchange_all(exchanges, rename)

    def _check_unchanged(self, name: str, before: os.stat_result | None, expected: bytes | None) -> None:
        found = None if before is None else digest_of(self.read_bytes(name))
        if found != expected:
            raise ChangedMeanwhileError(name)

    def walk(self, path: str = ".", enter: Callable[[str], bool] = lambda folder: True) -> Iterator[str]:
        """The files below a folder, sorted; symlinks and SKIPPED_FOLDERS are left out. A file yields itself.

        ``enter`` is asked of every folder below, by its path; what it says no to is not looked into.
        """
        name = self.relative(path)
        if stat.S_ISREG(self.stat(name).st_mode):
            yield name
            return
        # A stack and no recursion: a project may be nested deeper than Python's own stack.
        waiting = self._list(name)
        while waiting:
            inner, is_folder = waiting.pop()
            if not is_folder:
                yield inner
                continue
            with suppress(WorkspaceError):  # an unreadable or vanished folder must not end the walk
                waiting += self._list(inner) if enter(inner) else []

    def _list(self, name: str) -> list[tuple[str, bool]]:
        """The files and folders to visit in one folder, last first, with whether each is a folder."""
        with self._explained(name), self._parent(name) as (parent, leaf):
            folder = os.open(leaf, _FOLDER, dir_fd=parent)
            try:
                with os.scandir(folder) as entries:
                    found = sorted(
                        (entry.name, entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False))
                        for entry in entries
                    )
            finally:
                os.close(folder)
        prefix = "" if name == "." else f"{name}/"
        return [
            (prefix + entry_name, is_folder)
            for entry_name, is_folder, is_file in reversed(found)
            if (is_file and not is_temporary(entry_name)) or (is_folder and entry_name not in SKIPPED_FOLDERS)
        ]

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            match error.errno:
                case errno.ENOENT:
                    raise WorkspaceError(f"{name} does not exist") from error
                case errno.ELOOP:
                    raise WorkspaceError(f"{name} is or passes through a symlink", self._end_of_link(name)) from error
                case errno.ENOTDIR:
                    link = self._end_of_link(name)
                    raise WorkspaceError(f"{name}: a part of the path is a file or a symlink", link) from error
                case errno.ENXIO:
                    raise WorkspaceError(f"{name} is not a regular file") from error
                case errno.ENAMETOOLONG:
                    raise WorkspaceError(f"{name[:60]}…: the path is too long") from error
                case _:
                    raise WorkspaceError(f"{name}: {error.strerror}") from error

    def _end_of_link(self, name: str) -> str:
        """What to name instead of a path with a symlink in it. It is only told; the guard asks again."""
        try:
            real = (self.root / name).resolve()
        except (OSError, RuntimeError):
            return ""
        if real == self.root / name:
            return ""
        if not real.is_relative_to(self.root):
            return "it leads outside the project: use bash"
        return f"name {real.relative_to(self.root).as_posix()}"

    @contextmanager
    def _parent(self, name: str, create: bool = False) -> Iterator[tuple[int, str]]:
        *folders, leaf = PurePosixPath(name).parts or (".",)
        current = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in folders:
                try:
                    inner = os.open(part, _FOLDER, dir_fd=current)
                except FileNotFoundError:
                    if not create:
                        raise
                    with suppress(FileExistsError):  # somebody else was faster
                        os.mkdir(part, dir_fd=current)
                    inner = os.open(part, _FOLDER, dir_fd=current)
                os.close(current)
                current = inner
            yield current, leaf
        finally:
            os.close(current)


def _find_regular(folder: int, leaf: str, name: str) -> os.stat_result | None:
    try:
        found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "a symlink")
    if not stat.S_ISREG(found.st_mode):
        raise WorkspaceError(f"{name} is not a regular file", "name a regular file")
    # Replacing a file asks nothing of the file itself: without this a read-only one would be overwritten.
    if not found.st_mode & 0o222:
        raise WorkspaceError(f"{name} is read-only", f"run: chmod u+w {name}")
    return found
