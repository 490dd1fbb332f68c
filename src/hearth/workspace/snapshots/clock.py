"""What time it is for a file system: the times of changes of its files can be compared with nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

Span = tuple[int, int]
"""From one moment to another, both in."""


def time_at(folder: Path) -> int:
    """The time of a change that happens now on the file system of this folder, in nanoseconds; 0 where it does not say.

    A file without a name is made and dropped: nobody sees it, and the folder stays as it is. Its clock may be another
    machine's, and it may stand still for some milliseconds; both hold for every change on it.
    """
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag:
        return 0
    try:
        descriptor = os.open(folder, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return 0
    try:
        return os.fstat(descriptor).st_ctime_ns
    finally:
        os.close(descriptor)


def changed_between(path: Path, spans: Sequence[Span]) -> bool:
    """Whether what is there was last changed after the first of these spans began, and in none of them. What is gone
    was not, nor what is older: it came here with a folder that was moved, which leaves its own time as it is."""
    try:
        changed = path.lstat().st_ctime_ns
    except OSError:
        return False
    return changed >= spans[0][0] and not any(start <= changed <= end for start, end in spans)
