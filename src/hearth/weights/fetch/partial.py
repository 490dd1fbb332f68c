"""A file that is on its way: its bytes in ``NAME.part``, and beside it in ``NAME.part.json`` which of them are there.

The sidecar never claims a byte that is not on the disk: the data are forced down first.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from hearth.errors import StateError
from hearth.weights.durable import sync, write_durably
from hearth.weights.fetch.plan import RemoteFile
from hearth.weights.fetch.wire import without_query

Range = tuple[int, int]
"""Bytes of a file: from the first number up to, not including, the second."""

_Offset = Annotated[int, msgspec.Meta(ge=0)]


class _Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    url: str  # without the query, which may be a secret
    etag: Annotated[str, msgspec.Meta(pattern=r"\A[ -~]*\Z")]
    size_bytes: _Offset
    identity: str
    done: tuple[tuple[_Offset, _Offset], ...]


class Ranges:
    """A set of bytes, as ranges in order that neither touch nor overlap."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Take these bytes in."""
        if start >= end:
            return
        apart = [(a, b) for a, b in self._ranges if b < start or a > end]
        joined = [(a, b) for a, b in self._ranges if not (b < start or a > end)]
        first = min([start, *(a for a, _ in joined)])
        last = max([end, *(b for _, b in joined)])
        self._ranges = sorted([*apart, (first, last)])

    def gaps(self, start: int, end: int) -> list[Range]:
        """What is missing between the two."""
        found = []
        for a, b in self._ranges:
            if b <= start or a >= end:
                continue
            if a > start:
                found.append((start, a))
            start = b
        if start < end:
            found.append((start, end))
        return found

    @property
    def front(self) -> int:
        """How many bytes are there from the beginning without a gap."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    @property
    def total(self) -> int:
        """How many bytes there are."""
        return sum(end - start for start, end in self._ranges)

    def all(self) -> tuple[Range, ...]:
        """The ranges, in order."""
        return tuple(self._ranges)


class Partial:
    """The two files of one download. The caller sees to it that one process and one thread at a time saves.

    ``done`` is what is written; ``etag`` what the server called this content, empty when it did not say.
    """

    def __init__(self, folder: Path, file: RemoteFile) -> None:
        """Goes on with what is there, when it is of the same content. Raises StateError."""
        self._file = file
        self._final = folder / file.name
        self.path = folder / f"{file.name}.part"
        self._sidecar = folder / f"{file.name}.part.json"
        self.etag = ""
        self.done = Ranges()
        with _told(self.path):
            self._recall()
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._descriptor, file.size_bytes)

    @property
    def descriptor(self) -> int:
        """Of the open part file."""
        return self._descriptor

    def save(self, done: tuple[Range, ...], etag: str) -> None:
        """Make what was written durable, then say so. ``done`` must have been written before the call, all of it."""
        with _told(self.path):
            os.fdatasync(self._descriptor) if hasattr(os, "fdatasync") else os.fsync(self._descriptor)
            kept = _Sidecar(1, without_query(self._file.url), etag, self._file.size_bytes, self._file.identity, done)
            write_durably(self._sidecar, msgspec.json.encode(kept))

    def finish(self) -> None:
        """The file is whole and verified: give it its name, durably."""
        with _told(self.path):
            os.fsync(self._descriptor)
            self.close()
            self.path.replace(self._final)
            self._sidecar.unlink(missing_ok=True)
            sync(self._final.parent)

    def forget(self) -> None:
        """Delete both files. The claim goes first: no crash leaves one without its data."""
        self.close()
        with _told(self.path):
            self._sidecar.unlink(missing_ok=True)
            sync(self.path.parent)
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the part file; what is on the disk stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def abandon(self) -> None:
        """Let go of the part file without closing it: a thread may still be about to write."""
        self._descriptor = -1

    def _recall(self) -> None:
        done = done_of(self.path, self._file)
        if done is None:
            self._sidecar.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            return
        self.done = Ranges(done.done)
        # Another server calls the same content otherwise.
        self.etag = done.etag if done.url == without_query(self._file.url) else ""


def done_of(part: Path, file: RemoteFile) -> _Sidecar | None:
    """What the sidecar of this part claims of this content; None when there is none, or it cannot be believed."""
    try:
        kept = msgspec.json.decode(part.with_name(f"{part.name}.json").read_bytes(), type=_Sidecar)
        size = part.stat().st_size
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    same = (kept.size_bytes, kept.identity, size) == (file.size_bytes, file.identity, file.size_bytes)
    return kept if same and all(start < end <= size for start, end in kept.done) else None


def bytes_there(folder: Path, file: RemoteFile) -> int:
    """How many bytes of this file need not be fetched any more."""
    with suppress(OSError):
        if (folder / file.name).stat().st_size == file.size_bytes:
            return file.size_bytes
    kept = done_of(folder / f"{file.name}.part", file)
    return Ranges(kept.done).total if kept else 0


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of an OSError which file it was, and what to do."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StateError:
    """The error for a file that could not be written: what is there is kept, a later pull goes on."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    fix = "make room there and pull again: it goes on where it was" if full else f"run: chmod u+rwx {path.parent}"
    return StateError(f"cannot write {path}: {error.strerror or error}", fix)
