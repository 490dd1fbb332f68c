"""Reading logs: the last lines, and what is added."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PAUSE_S = 0.25
_BLOCK = 64 * 1024


def last_lines(path: Path, count: int) -> bytes:
    """The last ``count`` lines, read from the end: a log of any size costs only what is shown. Raises OSError."""
    with path.open("rb") as file:
        place = file.seek(0, os.SEEK_END)
        data = b""
        while place > 0 and data.count(b"\n") <= count:
            start = max(0, place - _BLOCK)
            file.seek(start)
            data = file.read(place - start) + data
            place = start
    return b"".join(data.splitlines(keepends=True)[-count:]) if count else b""


def follow(path: Path, show: Callable[[bytes], None], pause: Callable[[], None] = lambda: time.sleep(PAUSE_S)) -> None:
    """Show what is added to a log, for ever; a log that was rotated is followed into its new file.

    ``pause`` is called while there is nothing new.
    """
    file = path.open("rb")
    try:
        file.seek(0, os.SEEK_END)
        while True:
            if data := file.read(_BLOCK):
                show(data)
            elif _was_replaced(path, file):
                file.close()
                file = path.open("rb")
            else:
                pause()
    finally:
        file.close()


def _was_replaced(path: Path, file: BinaryIO) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    return there.st_ino != os.fstat(file.fileno()).st_ino or there.st_size < file.tell()
