"""The processes that a test started, found by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "TEST_OF_HEARTH"


def end_all(mark: str) -> None:
    """End every process that carries the mark: asked first, killed after three seconds."""
    for number, limit_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + limit_s
        while marked(mark):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def marked(mark: str) -> list[int]:
    """Living processes with this mark in their environment (a zombie has none); none where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
