"""The objects of snapshots in a bare git repository of ours. git is used as a store only: it sees no work tree, no
index, no hook and no setting of the owner, and knows of no other repository."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hearth.errors import StateError
from hearth.workspace.snapshots.tree import Item, mktree_record, parse_tree

CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = true
\tcompression = 1
\tbigFileThreshold = 16m
\thooksPath = /dev/null
\tfsmonitor = false
\tlogAllRefUpdates = false
[pack]
\tcompression = 1
\tthreads = 1
\twindow = 0
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
_FULL = ("No space left", "quota exceeded", "Out of diskspace")
"""How the system and git say that a disk is full."""
_NAME = re.compile("[0-9a-f]{40}")
PIECE = 1 << 20
"""Bytes that are read and handed on at once."""
MOST_ASKED = 96
"""Objects that are asked for ahead: their names take less than the smallest pipe holds, so that asking never waits for
git, which waits for us to read."""


class LostError(StateError):
    """What a snapshot needs is not in the store, or damaged: it will not come back."""


class ObjectStore:
    """One bare repository. Every method raises StateError when git is missing, fails, or the disk is full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ensure(self) -> None:
        """Make the repository if there is none; ``git init`` would ask templates and settings of the owner."""
        try:
            for name in ("objects/info", "objects/pack", "refs/heads"):
                (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, text in (("config", CONFIG), ("HEAD", "ref: refs/heads/none\n")):
                if not (self.folder / name).exists():
                    beside = self.folder / f"{name}.{os.getpid()}.tmp"
                    beside.write_text(text, encoding="ascii")
                    beside.replace(self.folder / name)
        except OSError as error:
            raise unusable(self.folder, error.strerror or str(error)) from error

    @contextmanager
    def writing(self) -> Iterator[BlobWriter]:
        """Something that takes blobs; what it took is there when the block has ended."""
        writer = BlobWriter(self)
        try:
            yield writer
            writer.finish()
        finally:
            writer.drop()

    def write_trees(self, trees: Sequence[Mapping[str, Item]]) -> list[str]:
        """Keep folders; what they hold must be kept before. Their names, in the same order."""
        if not trees:
            return []
        output = self.run(["mktree", "-z", "--batch", "--missing"], b"".join(mktree_record(items) for items in trees))
        return output.decode("ascii").split()

    @contextmanager
    def reading(self) -> Iterator[ObjectReader]:
        """Something that reads objects."""
        process = self.start(["cat-file", "--batch"])
        try:
            yield ObjectReader(process, self.folder)
        finally:
            end(process)

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Which of these objects are not there."""
        names = set(ids)
        asked = sorted(name for name in names if _NAME.fullmatch(name))
        if not asked:
            return names
        output = self.run(["cat-file", "--batch-check"], "".join(f"{name}\n" for name in asked).encode("ascii"))
        gone = {line.split()[0] for line in output.decode("ascii").splitlines() if line.endswith(" missing")}
        return gone | names.difference(asked)

    def run(self, arguments: Sequence[str], given: bytes = b"") -> bytes:
        """Run one command; what it writes."""
        process = self.start(arguments)
        try:
            output, said = process.communicate(given)
        finally:
            end(process)
        if process.returncode:
            raise unusable(self.folder, last_line(said) or f"git {arguments[0]} ended with {process.returncode}")
        return output

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start one command, in a group of its own: Ctrl-C on the terminal must not end it half way."""
        program = shutil.which("git")
        if program is None:
            raise StateError("git is not installed", "install git: turns can be undone only with it")
        try:
            return subprocess.Popen(
                [program, *arguments],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise unusable(self.folder, f"git cannot be started: {error.strerror}") from error

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder),
            "GIT_INDEX_FILE": str(self.folder / "index"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }


class BlobWriter:
    """Takes blobs. git is started with the first one: ``fast-import`` makes one pack in one process of any number."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, data: bytes) -> str:
        """Keep these bytes; their name."""
        return self.copy(len(data), iter((data,)).__next__)

    def copy(self, size: int, read: Callable[[], bytes]) -> str:
        """Keep ``size`` bytes of what ``read`` gives piece by piece; what is missing at its end are zeros."""
        stream = self._stream()
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        try:
            stream.write(b"blob\ndata %d\n" % size)
            left, ended = size, False
            while left:
                piece = b"" if ended else read()[:left]
                if not piece:
                    ended = True
                    piece = bytes(min(left, PIECE))
                digest.update(piece)
                stream.write(piece)
                left -= len(piece)
            stream.write(b"\n")
        except OSError as error:
            raise self._failed(error) from error
        return digest.hexdigest()

    def finish(self) -> None:
        """Wait until all is kept."""
        if self._process is None:
            return
        try:
            self._stream().write(b"done\n")
            self._stream().flush()
        except OSError as error:
            raise self._failed(error) from error
        _, said = self._process.communicate()
        if self._process.returncode:
            raise unusable(self._store.folder, last_line(said) or f"git ended with {self._process.returncode}")
        self._process = None

    def drop(self) -> None:
        """End git, if it runs: what it took is lost."""
        if self._process is not None:
            end(self._process)
            for left in (self._store.folder / "objects" / "pack").glob("tmp_*"):
                left.unlink(missing_ok=True)

    def _stream(self) -> IO[bytes]:
        if self._process is None:
            options = ["--quiet", "--done", "--depth=0", "--big-file-threshold=16m", "--date-format=raw"]
            self._process = self._store.start(["fast-import", *options])
        assert self._process.stdin is not None
        return self._process.stdin

    def _failed(self, error: OSError) -> StateError:
        said = b""
        if self._process is not None:
            with suppress(OSError, ValueError):
                # It ends by itself: its input is closed here.
                said = self._process.communicate()[1]
        return unusable(self._store.folder, last_line(said) or str(error.strerror))


class ObjectReader:
    """Reads objects, one at a time. git looks for the next ones meanwhile when they are asked for ahead."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._asked: deque[str] = deque()

    def ask(self, names: Iterable[str]) -> None:
        """Say which blobs will be read next, in this order; at most MOST_ASKED. Those that are not read after all are
        passed over."""
        self._pass_over("")
        known = [name for name in names if _NAME.fullmatch(name)]
        self._asked.extend(known)
        self._send("".join(f"{name}\n" for name in known))

    def tree(self, name: str) -> dict[str, Item]:
        """A folder's entries."""
        pieces: list[bytes] = []
        self.copy(name, pieces.append, kind="tree")
        try:
            return parse_tree(b"".join(pieces))
        except ValueError as error:
            raise lost(self._folder, str(error)) from error

    def blob(self, name: str) -> bytes:
        """A blob's content."""
        pieces: list[bytes] = []
        self.copy(name, pieces.append)
        return b"".join(pieces)

    def copy(self, name: str, write: Callable[[bytes], object], kind: str = "blob") -> None:
        """Hand an object's bytes to ``write``, piece by piece. Raises StateError when they are not what they were:
        what was handed over must then not be used."""
        if not _NAME.fullmatch(name):
            raise lost(self._folder, f"{name!r} is no snapshot")
        if not self._pass_over(name):
            self._send(f"{name}\n")
        self._take(name, kind, write)

    def _pass_over(self, name: str) -> bool:
        """Read what was asked for before this one; whether it is next."""
        while self._asked:
            ahead = self._asked.popleft()
            if ahead == name:
                return True
            with suppress(LostError):
                self._take(ahead, "blob", len)
        return False

    def _send(self, lines: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(lines.encode("ascii"))
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise unusable(self._folder, "git ended") from error

    def _take(self, name: str, kind: str, write: Callable[[bytes], object]) -> None:
        output = self._process.stdout
        assert output is not None
        head = output.readline().split()
        if len(head) != 3 or head[1] != kind.encode():
            raise lost(self._folder, f"{kind} {name} is not there")
        left = int(head[2])
        digest = hashlib.sha1(b"%b %d\0" % (head[1], left), usedforsecurity=False)
        refused: OSError | None = None
        while left:
            piece = output.read(min(left, PIECE))
            if not piece:
                raise lost(self._folder, f"{kind} {name} is damaged")
            digest.update(piece)
            left -= len(piece)
            try:
                if refused is None:
                    write(piece)
            except OSError as error:
                # The rest must be read all the same: the next answer follows it.
                refused = error
        output.read(1)
        if refused is not None:
            raise refused
        if digest.hexdigest() != name:
            raise lost(self._folder, f"{kind} {name} is damaged")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a git process with all that it started, if it still runs, and let go of its pipes."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()
    process.wait()


def unusable(folder: Path, why: str) -> StateError:
    """The error for a store that does not work."""
    full = any(words in why for words in _FULL)
    fix = "make room on the disk" if full else f"if it stays so, remove {folder}: then earlier turns cannot be undone"
    return StateError(f"snapshots in {folder}: {why}", fix)


def lost(folder: Path, why: str) -> LostError:
    """The error for a snapshot that is not whole."""
    return LostError(f"snapshots in {folder}: {why}", "the turns that it belongs to cannot be undone")


def last_line(said: bytes) -> str:
    """The line of what git said that tells most: the last one, but that of a full disk before all that follows from it
    (a pack that could not be written to its end has a wrong checksum, and looks like a damaged disk)."""
    lines = said.decode("utf-8", errors="replace").strip().splitlines()
    full = [line for line in lines if any(words in line for words in _FULL)]
    return [*lines, *full][-1].removeprefix("fatal: ") if lines else ""
