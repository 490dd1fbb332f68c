"""Processes that hang, as tests make them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

LIMIT_S = 10.0


def suspend(pid: int) -> None:
    """Stop a process, and return when none of its threads runs any more: on a busy machine that is later than the
    signal. Where there is no /proc, a moment later."""
    os.kill(pid, signal.SIGSTOP)
    if not Path("/proc/self/stat").exists():
        time.sleep(0.2)
        return
    deadline = time.monotonic() + LIMIT_S
    while any(state not in "Tt" for state in _states(pid)):
        assert time.monotonic() < deadline, f"process {pid} goes on after SIGSTOP"
        time.sleep(0.001)


def _states(pid: int) -> list[str]:
    return [
        (thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in Path(f"/proc/{pid}/task").iterdir()
    ]
