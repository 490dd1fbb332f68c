"""What the last capture saw, kept from one capture to the next: only what has another status since is read again."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from hearth.workspace.snapshots.tree import Item, Kind, split

VERSION = 1
RACY_NS = 2_000_000_000
"""A file that changed so shortly before it was seen may change again within the same tick of its file system's clock
(two seconds on FAT): it is read again the next time. git calls it racy."""


class Status(NamedTuple):
    """What changes when a file does. ``ctime_ns`` cannot be set by anybody: a file whose time was set back is seen."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Seen(NamedTuple):
    """A file or link as it was seen. ``clean`` says whether the same status again means the same content."""

    status: Status
    kind: Kind
    id: str
    clean: bool

    @property
    def item(self) -> Item:
        """Its entry in a snapshot."""
        return Item(self.kind, stat.S_IMODE(self.status.mode) if self.kind == "f" else 0, self.id)


@dataclass(slots=True)
class Folder:
    """A folder as it was seen: its permission bits, its files and links, its folders; ``tree`` names all of it."""

    mode: int
    files: dict[str, Seen] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    tree: str = ""


@dataclass(slots=True)
class State:
    """A whole project as it was seen. ``id`` is the snapshot's name; the root's path is the empty one."""

    id: str = ""
    folders: dict[str, Folder] = field(default_factory=dict)

    def find(self, path: str) -> Item | None:
        """The entry of this path; of a folder without its tree."""
        if folder := self.folders.get(path):
            return Item("d", folder.mode, "")
        seen = self.status(path)
        return seen.item if seen else None

    def status(self, path: str) -> Seen | None:
        """A file or link as it was seen."""
        folder, name = split(path)
        found = self.folders.get(folder)
        return found.files.get(name) if found and path else None

    def count(self) -> int:
        """How many files, links and folders there are."""
        return sum(1 + len(folder.files) for folder in self.folders.values())


def status_of(found: os.stat_result) -> Status:
    """The part of a status that counts."""
    return Status(found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def is_racy(status: Status, looked_ns: int) -> bool:
    """Whether a file may have changed after it was looked at, and show no other status."""
    return max(status.mtime_ns, status.ctime_ns) > looked_ns - RACY_NS


class _Kept(msgspec.Struct, array_like=True):
    """A folder in the file: its path, its own, its files as flat tuples."""

    path: bytes
    mode: int
    tree: bytes
    folders: list[bytes]
    files: list[tuple[bytes, int, int, int, int, int, str, bytes, bool]]


class _Whole(msgspec.Struct, array_like=True):
    version: int
    id: str
    folders: list[_Kept]


def read_state(path: Path) -> State:
    """The state in this file; an empty one when there is none or it is damaged: then all is read again."""
    try:
        whole = msgspec.msgpack.decode(path.read_bytes(), type=_Whole)
    except (OSError, msgspec.DecodeError):
        return State()
    if whole.version != VERSION:
        return State()
    return State(whole.id, dict(_unpack(whole.folders)))


def write_state(path: Path, state: State) -> None:
    """Replace the file. Raises OSError; then the old one is as it was."""
    packed = [
        _Kept(
            os.fsencode(name),
            folder.mode,
            bytes.fromhex(folder.tree),
            [os.fsencode(inner) for inner in folder.folders],
            [
                (os.fsencode(leaf), *seen.status, seen.kind, bytes.fromhex(seen.id), seen.clean)
                for leaf, seen in folder.files.items()
            ],
        )
        for name, folder in state.folders.items()
    ]
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        beside.write_bytes(msgspec.msgpack.encode(_Whole(VERSION, state.id, packed)))
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _unpack(folders: list[_Kept]) -> Iterator[tuple[str, Folder]]:
    for kept in folders:
        files = {
            os.fsdecode(name): Seen(Status(mode, size, mtime, ctime, inode), kind, name_of.hex(), clean)  # type: ignore[arg-type]  # one letter, as it was written
            for name, mode, size, mtime, ctime, inode, kind, name_of, clean in kept.files
        }
        inner = [os.fsdecode(name) for name in kept.folders]
        yield os.fsdecode(kept.path), Folder(kept.mode, files, inner, kept.tree.hex())
