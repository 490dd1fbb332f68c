"""What a snapshot is made of: folders as git trees, with the exact mode in front of each name. Pure.

git knows two modes of a file and no empty folder, and refuses some names (``.git``, ``..``). So an entry's name is
``KIND MODE : NAME``, as in ``f644:notes.txt``: every tree is one that git itself would have made, and ours says all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

Kind = Literal["f", "l", "d", "x"]
"""A file; a symlink; a folder; something that is known to be there, and not kept."""

_GIT_MODES: dict[str, bytes] = {"f": b"100644", "l": b"120000", "d": b"40000", "x": b"100644"}
_ID_BYTES = 20


class Item(NamedTuple):
    """One entry of a folder. ``mode`` has the permission bits (0 for links and what is not kept); ``id`` is git's name
    of the bytes, in hex: a file's content, a link's target, a folder's tree, or a note about what is not kept."""

    kind: Kind
    mode: int
    id: str


def same(one: Item | None, other: Item | None) -> bool:
    """Whether two entries are the same; of folders only themselves count, not what is in them."""
    if one is not None and other is not None and one.kind == other.kind == "d":
        return one.mode == other.mode
    return one == other


def blob_id(data: bytes) -> str:
    """git's name of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def blob_id_of(size: int, read: Callable[[], bytes]) -> str:
    """git's name of ``size`` bytes, piece by piece; another one when ``read`` gives more or less."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while piece := read():
        digest.update(piece)
    return digest.hexdigest()


def tree_id(raw: bytes) -> str:
    """git's name of a tree with these bytes."""
    return hashlib.sha1(b"tree %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def encode_tree(items: Mapping[str, Item]) -> bytes:
    """The bytes of a folder's tree, its entries in git's order."""
    lines = sorted((_label(name, item), item) for name, item in items.items())
    # git orders a folder as if its name ended with a slash.
    lines.sort(key=lambda line: line[0] + b"/" if line[1].kind == "d" else line[0])
    return b"".join(_GIT_MODES[item.kind] + b" " + label + b"\0" + bytes.fromhex(item.id) for label, item in lines)


def mktree_record(items: Mapping[str, Item]) -> bytes:
    """The same folder as ``git mktree -z --batch`` reads it."""
    words = {"f": b"100644 blob ", "l": b"120000 blob ", "d": b"040000 tree ", "x": b"100644 blob "}
    lines = (words[item.kind] + item.id.encode() + b"\t" + _label(name, item) + b"\0" for name, item in items.items())
    return b"".join(lines) + b"\0"


def parse_tree(raw: bytes) -> dict[str, Item]:
    """A folder's entries from its tree's bytes. Raises ValueError when it is none of ours."""
    items: dict[str, Item] = {}
    position = 0
    while position < len(raw):
        blank, end = raw.index(b" ", position), raw.index(b"\0", position)
        label = raw[blank + 1 : end]
        head, _, name = label.partition(b":")
        kind = head[:1].decode("ascii")
        if kind not in _GIT_MODES or not name:
            raise ValueError(f"no entry of a snapshot: {label!r}")
        position = end + 1 + _ID_BYTES
        item = Item(kind, int(head[1:] or b"0", 8), raw[end + 1 : position].hex())  # type: ignore[arg-type]  # it was looked up
        items[os.fsdecode(name)] = item
    return items


def join(folder: str, name: str) -> str:
    """A path below the root; the root itself is the empty one."""
    return f"{folder}/{name}" if folder else name


def split(path: str) -> tuple[str, str]:
    """The folder of a path, and its last part."""
    folder, _, name = path.rpartition("/")
    return folder, name


def _label(name: str, item: Item) -> bytes:
    head = f"{item.kind}{item.mode:o}:" if item.kind in "fd" else f"{item.kind}:"
    return head.encode("ascii") + os.fsencode(name)
