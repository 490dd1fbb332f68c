"""The snapshots that no session needs any more, and those that are too many: dropped, once a day."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hearth.agent.transcript import read_records, session_files
from hearth.errors import StateError, TranscriptError
from hearth.workspace.snapshots import Snapshots, store_for

PRUNE_EVERY_S = 86_400.0
_SNAPSHOT = re.compile(rb"\b[0-9a-f]{40}\b")


def prune_snapshots(sessions: Path, stores: Path, quota: int) -> tuple[int, int]:
    """Drop the snapshots that no session names, and the oldest until all take at most ``quota`` bytes.

    Bytes before and after. Raises StateError.
    """
    # The stores first: a session is on the disk before its project has one, so none of a new session is taken for left.
    found = [store for store in stores.iterdir() if (store / "root").is_file()] if stores.is_dir() else []
    wanted, unsure = _wanted_snapshots(sessions, stores)
    before = after = 0
    for store in sorted(found, key=lambda store: (store / "root").stat().st_mtime, reverse=True):
        snapshots = Snapshots(Path(os.fsdecode((store / "root").read_bytes())), store)
        before += snapshots.size()
        if store in wanted or unsure:
            after += snapshots.prune([*wanted.get(store, ()), *unsure], max(quota - after, 0))
        else:
            shutil.rmtree(store, ignore_errors=True)
    return before, after


def is_pruning_due(stores: Path, now: float) -> bool:
    """Whether nobody pruned today; whoever asks first is told so, and is to do it. Nothing is due on the first day."""
    mark = stores / ".pruned"
    try:
        if not stores.is_dir():
            return False
        last = mark.stat().st_mtime if mark.exists() else now
        if 0 <= now - last < PRUNE_EVERY_S and mark.exists():
            return False
        mark.touch()
        os.utime(mark, (now, now))
    except OSError:
        return False
    return last != now


def _wanted_snapshots(sessions: Path, stores: Path) -> tuple[dict[Path, list[str]], list[str]]:
    """The snapshots that sessions name, by their store, those of the last used first; and what files that are damaged
    may name, of whatever store. Raises StateError for a file that cannot be read: nobody knows what it names."""
    wanted: dict[Path, list[str]] = {}
    unsure: list[str] = []
    try:
        files = sorted(((path.stat().st_mtime_ns, path) for path in session_files(sessions)), reverse=True)
        for _, path in files:
            data = path.read_bytes()
            try:
                records, size = read_records(data, path)
                store = store_for(stores, Path(records[0]["directory"]))
                wanted.setdefault(store, []).extend(named_snapshots(records))
                unsure += [name.decode("ascii") for name in _SNAPSHOT.findall(data[size:])]
            except (TranscriptError, ValueError, KeyError, TypeError, IndexError):
                unsure += [name.decode("ascii") for name in _SNAPSHOT.findall(data)]
    except OSError as error:
        raise StateError(f"cannot read the sessions in {sessions}: {error.strerror}", "run: hearth doctor") from error
    return wanted, list(dict.fromkeys(unsure))


def named_snapshots(records: Sequence[dict[str, Any]]) -> list[str]:
    """The snapshots that a session's records name, the latest first."""
    names: list[str] = []
    for record in records:
        match record.get("type"):
            case "snapshot":
                names.append(record["id"])
            case "restore" if "steps" in record:
                names += [record["before"], *(name for step in record["steps"] for name in step)]
            case "rewrite" if record.get("files"):
                files = record["files"]
                names += [files["before"], files["after"], *(name for step in files["steps"] for name in step)]
    return list(dict.fromkeys(reversed(names)))
