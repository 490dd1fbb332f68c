"""What the system tells of an engine's processes: whether they compute, and what a stuck one was at.

Never what was asked or answered: only counts, states and the engine's own log, which holds no prompts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hearth.runtime.watch.vigil import Pulse

MOST_KEPT = 10
"""Diagnoses of stuck engines that are kept, of all models together; the oldest go."""
LOG_LINES = 100
_LOG_BYTES = 64 << 10
_MOST_THREADS = 64
_PROC = Path("/proc")


def read_pulse(pid: int) -> Pulse | None:
    """What the processes of this group have used so far: a server started by a script of its owner is one of them.
    None where the system does not tell, or they are gone."""
    ticks = 0
    disk_bytes = 0
    found = False
    for folder in _group(pid):
        with suppress(OSError, ValueError, IndexError):
            fields = _stat(folder)
            ticks += int(fields[11]) + int(fields[12])
            found = True
            disk_bytes += _disk_bytes(folder, int(fields[9]))
    return Pulse(ticks / os.sysconf("SC_CLK_TCK"), disk_bytes) if found else None


def write_diagnosis(logs: Path, name: str, pid: int | None, told: Mapping[str, Any], log_file: Path) -> Path:
    """Keep what is known of a stuck engine in ``logs``, for its owner alone. ``told`` is what the watchdog saw.

    Raises OSError.
    """
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = time.time()
    told = {
        **told,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now)),
        "processes": [_describe(folder) for folder in _group(pid)] if pid else [],
        "log": _last_lines(log_file),
    }
    file = (
        logs / f"stuck-{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{time.monotonic_ns() % 1000:03}.json"
    )
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump(told, out, indent=1)
    part.rename(file)
    for old in sorted(logs.glob("stuck-*.json"), key=_changed_at)[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
    return file


def _changed_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _group(leader: int) -> Iterator[Path]:
    """The folders in /proc of the processes of a group."""
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if int(_stat(folder)[2]) == leader:
                yield folder


def _stat(folder: Path) -> list[str]:
    # proc_pid_stat(5) from its third field on: the second is a name, which may hold blanks and brackets.
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _disk_bytes(folder: Path, faults: int) -> int:
    try:
        lines = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
        return int(lines["read_bytes"]) + int(lines["write_bytes"])
    except (OSError, ValueError, KeyError):
        # Not told in every container. Pages that had to be fetched from a disk are counted everywhere.
        return faults * os.sysconf("SC_PAGE_SIZE")


def _describe(folder: Path) -> dict[str, Any]:
    threads = [
        {name: _read(task / name) for name in ("comm", "stat", "wchan", "syscall")}
        for task in sorted((folder / "task").glob("[0-9]*"))[:_MOST_THREADS]
    ]
    return {
        "pid": int(folder.name),
        **{name: _read(folder / name) for name in ("status", "wchan", "stack")},
        "threads": threads,
    }


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError as error:
        return error.strerror or type(error).__name__


def _last_lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            return log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []
