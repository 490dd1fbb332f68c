"""A folder's whole content as a value, to compare two moments of it byte for byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

HISTORY = (b".git",)


def record(root: Path, leave: tuple[bytes, ...] = HISTORY) -> dict[bytes, tuple[object, ...]]:
    """Every path below the root: its kind, exact mode, and content or target; the root's own mode too."""
    found: dict[bytes, tuple[object, ...]] = {b"": ("folder", stat.S_IMODE(root.stat().st_mode))}
    waiting = [os.fsencode(root)]
    while waiting:
        folder = waiting.pop()
        for entry in os.scandir(folder):
            if entry.name in leave:
                continue
            path = os.path.relpath(entry.path, os.fsencode(root))
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                found[path] = ("folder", stat.S_IMODE(mode))
                waiting.append(entry.path)
            elif stat.S_ISLNK(mode):
                found[path] = ("link", os.readlink(entry.path))  # noqa: PTH115  # Path takes no bytes
            elif stat.S_ISREG(mode):
                with open(entry.path, "rb") as file:  # noqa: PTH123  # Path takes no bytes
                    found[path] = ("file", stat.S_IMODE(mode), file.read())
            else:
                found[path] = ("special", stat.S_IFMT(mode))
    return found
